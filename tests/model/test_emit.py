"""The program as Loop IR: well-formed, the same every time, no larger for depth, inside its buffers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.kernels.machine import Machine
from tests.model.graphs import Array, Draft, as_dict, quick, tokens

from aerogel.formats.panel import unpack
from aerogel.loop.interpret import prepare
from aerogel.loop.nodes import Barrier, Buf, If
from aerogel.loop.printer import show
from aerogel.loop.verify import verify
from aerogel.model import arena as arenas
from aerogel.model.emit import Emitted, emit
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph
from aerogel.model.packings import Packings
from aerogel.model.program import Program, _Lane
from aerogel.model.steps import LinearStep
from aerogel.native.guard import guarded
from aerogel.tune.choose import pack_as
from aerogel.tune.plan import FEW_COLUMNS, Candidate


def deep(layers: int, zeros: float = 0.0) -> Graph:
    d = Draft()
    x = d.add(d.embedding(), d.embedding())
    for _ in range(layers):
        x = d.norm(d.add(d.linear(d.attend(x)), x))
        x = d.norm(d.add(d.linear(d.activation(d.linear(x, 12)), 8), x))
    graph = d.graph(x, d.normalize(d.pool(x)))
    for name, weight in d.weights.items():
        if name.startswith("layer") and weight.ndim == 2:
            weight[np.random.default_rng(0).random(weight.shape) < zeros] = 0
    return graph


def emitted(graph: Graph, machine: Machine, candidate: Candidate) -> Emitted:
    steps = fuse(graph)
    packed: dict[str, Packings] = {}
    for step in steps:
        if hasattr(step, "weights"):
            one = pack_as(np.concatenate([graph.weights[w] for w in step.weights]), candidate, pairs=False)
            packed[step.name] = Packings(one, one)
    return emit(steps, arenas.plan(steps), packed, graph.weights, machine.layout)


def again(program: Program) -> Emitted:
    """What the program was compiled from."""
    built = program.built
    return emit(built.steps, built.arena, built.packed, built.graph.weights, built.layout)


@pytest.fixture(params=["avx512", "avx2", "sse2"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine.named(request.param)


@pytest.mark.parametrize("candidate", [Candidate("panel", 0, dense=True), Candidate("quad", 4)], ids=str)
def test_it_is_well_formed_for_every_target(machine: Machine, candidate: Candidate) -> None:
    verify(emitted(deep(2, 0.5), machine, candidate).module)


def test_the_same_network_gives_the_same_text(machine: Machine) -> None:
    first, second = (emitted(deep(1), machine, Candidate("quad", 0)) for _ in range(2))
    assert show(first.module) == show(second.module)
    assert first.blob.freeze().tobytes() == second.blob.freeze().tobytes()


def test_depth_adds_no_kernel() -> None:
    """Machine code for many layers is that of one, but for the entry."""
    machine = Machine.named("avx2")
    shallow, more = (emitted(deep(n), machine, Candidate("panel", 0)).module for n in (1, 4))
    assert [f.name for f in shallow.functions] == [f.name for f in more.functions]
    assert show(shallow).count("\n") < show(more).count("\n") < 2 * show(shallow).count("\n")


def test_every_step_ends_at_a_barrier_and_can_be_left_out() -> None:
    graph = deep(2)
    body = emitted(graph, Machine.named("avx2"), Candidate("panel", 0)).module.entry.body
    steps = [s for s in body if isinstance(s, If)]
    assert len(steps) == len(fuse(graph))
    assert all(isinstance(s.then[-1], Barrier) and not s.orelse for s in steps)
    assert not any(isinstance(s, Barrier) for s in body)


def test_few_columns_may_run_another_packing() -> None:
    program = quick(deep(1, 0.7))
    for step in program.plan.layers:
        packings = program.built.packed[step.layer]
        assert packings.at(FEW_COLUMNS) is packings.few and packings.at(FEW_COLUMNS + 1) is packings.many
    kinds = {(p.few.kind, p.many.kind) for p in program.built.packed.values()}
    assert ("quad", "panel") in kinds
    names = {f.name for f in again(program).module.functions}
    assert {"panel_step", "quad_step"} <= names


# --- the whole program, interpreted and against guard pages -----------------------------------------


@cache
def program() -> Program:
    return quick(deep(1, 0.4))


def loaded(given: dict[str, Array]) -> tuple[list[Any], list[str]]:
    """The arguments of the entry for a call, outputs as NaN, and the names of its parameters."""
    p = program()
    work = p.batch(**given)
    lane = _Lane(p.built, p._fed, p._fetched)
    lane.load(work, p._outputs(work), (0, len(p.built.steps)))
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in lane.bound._kept]
    names = [param.name for param in p.built.compiled.params]
    for name, arg in zip(names, args, strict=True):
        if name.startswith("out_"):
            arg[:] = np.nan
        if name == "arena":
            # Nothing of an earlier call may matter: NaN everywhere.
            arg[:] = 0xFF
    return args, names


HOLES = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [1, 0, 0, 0, 0]])


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_interpreted_it_gives_the_bits_of_native_code(holes: bool, threads: int) -> None:
    """Every index inside its buffer, and no step reads what another thread writes without a barrier."""
    given = tokens((5, 2, 1))
    if holes:
        given["mask"] = HOLES
    args, names = loaded(given)
    prepare(again(program()).module).run(args, threads, threads)
    expected = as_dict(program().built.graph, program()(**given))
    for name, array in expected.items():
        got = args[names.index(f"out_{name}")].reshape(array.shape)
        if holes and array.ndim == 3:
            got = np.where(HOLES[..., None], got, 0)
        np.testing.assert_array_equal(got.view(np.uint32), array.view(np.uint32))


@pytest.mark.parametrize("at", ["end", "start"])
@pytest.mark.parametrize("lengths", [(1,), (5, 2, 1), (40, 33, 1)])
def test_it_stays_inside_its_buffers(at: Any, lengths: tuple[int, ...]) -> None:
    """Buffers as small as they may be, each flush against an inaccessible page."""
    given = tokens(lengths)
    args, names = loaded(given)
    built, work = program().built, program().batch(**given)
    vectors = built.layout.vectors(work.tokens), built.layout.vectors(work.rows)
    size = {
        "arena": built.arena.nbytes(*vectors, built.layout.lanes),
        "call": 4 * (work.ids.size + work.offsets.size + work.destination.size + 2 * work.tokens),
    }
    tight = []
    for param, name, arg in zip(built.compiled.params, names, args, strict=True):
        assert isinstance(param, Buf)
        tight.append(guarded(arg[: size.get(name, arg.size)], align=param.type.align, at=at))
    built.compiled(*tight, threads=2)
    for name, array in as_dict(built.graph, program()(**given)).items():
        np.testing.assert_array_equal(tight[names.index(f"out_{name}")].reshape(array.shape), array)


def test_constants_lie_on_cache_lines_with_room_after_them() -> None:
    built = program().built
    constants, end = built.constants, 0
    assert not constants.flags.writeable and constants.ctypes.data % 64 == 0
    for entry in again(program()).blob.layout.values():
        assert entry.offset % 64 == 0 and entry.offset >= end
        end = entry.offset + entry.nbytes
    assert constants.nbytes >= end + 64


def test_constants_are_the_weights_and_their_packings() -> None:
    graph, machine = deep(1, 0.4), Machine.named("avx2")
    found = emitted(graph, machine, Candidate("quad", 4))
    constants = found.blob.freeze()
    layout = found.blob.layout
    for name, entry in layout.items():
        if name.startswith("weight "):
            np.testing.assert_array_equal(
                entry.within(constants), graph.weights[name.removeprefix("weight ")]
            )
    packings = found.packings(constants)
    linears = [step for step in fuse(graph) if isinstance(step, LinearStep)]
    assert list(packings) == [step.name for step in linears]
    for step in linears:
        stacked = np.concatenate([graph.weights[w] for w in step.weights])
        assert packings[step.name].few is packings[step.name].many
        np.testing.assert_array_equal(unpack(packings[step.name].many), stacked)
