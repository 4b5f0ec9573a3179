"""Programs whose layers have packings for few columns: against NumPy, the panels, the interpreter."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.model.graphs import Array, agree, as_dict, rows_of, tokens
from tests.model.test_emit import deep

from aerogel.core.errors import InputError
from aerogel.core.target import Target, available, current
from aerogel.formats.canonical import Encoded
from aerogel.loop.interpret import prepare
from aerogel.loop.nodes import Buf
from aerogel.model.calibrate import calibrated
from aerogel.model.compile import build
from aerogel.model.emit import emit
from aerogel.model.graph import Graph, in_integers
from aerogel.model.program import Program, _Lane
from aerogel.model.quantised import quantised
from aerogel.native.guard import guarded
from aerogel.tune.plan import Candidate, LayerPlan, Plan

PANEL = Candidate("panel", 0)
WAYS = {
    "rows": Candidate("rows", 0, dense=True),
    "bitmap": Candidate("bitmap", 0),
    "nested": Candidate("nested", 0),
    "sliced": Candidate("sliced", 0),
}
# Each form with each kind of number would only show the same again.
CASES = [
    ("bitmap", "fp32"), ("nested", "int8"), ("rows", "int8"), ("rows", "fp32"), ("sliced", "fp32"),
    ("sliced", "int8"),
]  # fmt: skip


def mlp(wide: int = 131, zeros: float = 0.6) -> Graph:
    """Rows of 70 numbers; no multiples of 4 rows, or of 64 columns; a residual, and an activation
    after a residual."""
    d = rows_of(70)
    x = d.activation(d.linear("x", wide), "gelu")
    y = d.add(d.linear(x, wide), x)
    z = d.activation(d.add(d.linear(y, wide, bias=False), y), "relu")
    graph = d.graph(d.linear(d.linear(z, 66), 3))
    random = np.random.default_rng(5)
    for weight in graph.weights.values():
        if weight.ndim == 2:
            weight[random.random(weight.shape) < zeros] = 0
    return graph


@cache
def graph_of(precision: str, wide: int = 131) -> Graph:
    return mlp(wide) if precision == "fp32" else quantised(mlp(wide))


def planned(graph: Graph, target: Target, few: Candidate, columns: int) -> Program:
    """The graph with ``few`` in every layer."""
    names = [entry.layer for entry in build(graph, plan="quick", target=target).plan.layers]
    layers = tuple(LayerPlan(name, PANEL, few, {}, {}, columns) for name in names)
    return build(graph, plan=Plan(target.fingerprint, 0, layers), target=target, threads=1)


@cache
def program_of(way: str, precision: str, target: Target) -> Program:
    return planned(graph_of(precision), target, WAYS[way], 8)


@cache
def panels_of(precision: str, target: Target) -> Program:
    return planned(graph_of(precision), target, PANEL, 16)


def given(columns: int) -> dict[str, Array]:
    return {"x": np.random.default_rng(columns).standard_normal((columns, 70)).astype(np.float32)}


def result(program: Program, columns: int, threads: int = 1) -> Array:
    return program(**given(columns), threads=threads)


@pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
@pytest.mark.parametrize(("way", "precision"), CASES)
def test_it_computes_what_panels_do(way: str, precision: str, target: Target) -> None:
    few, panels = program_of(way, precision, target), panels_of(precision, target)
    for columns in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17):
        found, expected = result(few, columns), result(panels, columns)
        if precision == "int8" or columns > 8:
            # Sums of integers are exact, whatever their order.
            np.testing.assert_array_equal(found, expected)
        else:
            agree(few, given(columns))
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("way", "precision"), CASES[:2])
def test_threads_change_no_bit(way: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    program = program_of(way, precision, current())
    for columns in (1, 5, 8):
        first = result(program, columns)
        for threads in (2, 3, 4, 5):
            np.testing.assert_array_equal(result(program, columns, threads), first)


def test_a_plan_may_end_earlier() -> None:
    """Past the plan's last column the panel runs."""
    program = planned(graph_of("fp32"), current(), WAYS["bitmap"], 3)
    panels = panels_of("fp32", current())
    for columns in (3, 4, 8):
        alike = np.array_equal(result(program, columns), result(panels, columns))
        assert alike == (columns > 3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tokens_are_columns_too(precision: str) -> None:
    """Stacked queries, keys and values, residuals, and a pooled row beside its tokens."""
    graph = pruned_encoder() if precision == "fp32" else quantised(pruned_encoder())
    few, panels = (planned(graph, current(), c, n) for c, n in ((WAYS["bitmap"], 8), (PANEL, 16)))
    for lengths in ((1,), (5, 2, 1), (8,), (4, 5), (7, 9)):
        found, expected = (as_dict(graph, p(**tokens(lengths))) for p in (few, panels))
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4)


def test_integers_stored_at_once_are_those_of_panels() -> None:
    graph = calibrated(graph_of("int8"), [given(40)], threads=1)
    assert graph.ranges
    few, panels = (planned(graph, current(), c, n) for c, n in ((WAYS["nested"], 8), (PANEL, 16)))
    for columns in (1, 7, 8, 9):
        x = given(columns)["x"]
        np.testing.assert_array_equal(few(x), panels(x))
    x[2, 5] = np.nan
    found = few(x[:8])
    assert np.isnan(found[2]).all() and np.isfinite(np.delete(found, 2, axis=0)).all()


def pruned_encoder() -> Graph:
    return deep(1, 0.5)


@pytest.mark.parametrize(("way", "precision"), [("bitmap", "fp32"), ("nested", "int8")])
def test_what_is_not_finite_spoils_its_own_row(way: str, precision: str) -> None:
    program = program_of(way, precision, current())
    x = given(6)["x"]
    clean = program(x)
    for value in (np.nan, np.inf):
        spoilt = x.copy()
        spoilt[2, 5] = value
        found = program(spoilt)
        assert not np.isfinite(found[2]).any()
        others = [0, 1, 3, 4, 5]
        np.testing.assert_array_equal(found[others], clean[others])


# --- the code itself ------------------------------------------------------------------------


def loaded(program: Program, inputs: dict[str, Array]) -> tuple[list[Any], list[str]]:
    """The arguments of the entry for a call, its memory and outputs NaN; the names of its parameters."""
    work = program.batch(**inputs)
    lane = _Lane(program.built, program._fed, program._fetched)
    lane.load(work, program._outputs(work), (0, len(program.built.steps)))
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in lane.bound._kept]
    names = [param.name for param in program.built.compiled.params]
    for name, arg in zip(names, args, strict=True):
        if name.startswith("out_") or name == "arena":
            arg.view(np.uint8)[:] = 0xFF
    return args, names


@pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
@pytest.mark.parametrize(("way", "precision"), CASES[:2])
def test_interpreted_it_gives_the_bits_of_native_code(way: str, precision: str, target: Target) -> None:
    """Every index inside its buffer, no race, and nothing of an earlier call matters."""
    # Layers of 70 and of 66 inputs are longer than a word of a bitmap; more is slow to interpret.
    program = planned(graph_of(precision, 35), target, WAYS[way], 8)
    built = program.built
    module = emit(built.steps, built.arena, built.packed, built.graph.weights, built.layout).module
    for columns, threads in ((1, 3), (7, 5)):
        args, names = loaded(program, given(columns))
        prepare(module).run(args, threads, threads)
        expected = result(program, columns)
        got = args[names.index("out_out0")].reshape(expected.shape)
        np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("at", ["end", "start"])
@pytest.mark.parametrize("columns", [1, 8, 9])
def test_it_stays_inside_its_memory(at: Any, columns: int) -> None:
    program = program_of("nested", "int8", current())
    args, names = loaded(program, given(columns))
    built = program.built
    size = {"arena": built.arena.nbytes(0, built.layout.vectors(columns), built.layout.lanes)}
    tight: list[Any] = []
    for param, name, arg in zip(built.compiled.params, names, args, strict=True):
        assert isinstance(param, Buf)
        tight.append(guarded(arg[: size.get(name, arg.size)], align=param.type.align, at=at))
    built.compiled(*tight, threads=2)
    expected = result(program, columns)
    np.testing.assert_array_equal(tight[names.index("out_out0")].reshape(expected.shape), expected)


# --- what is told, kept and refused ---------------------------------------------------------


def test_it_is_explained() -> None:
    program = program_of("bitmap", "fp32", current())
    kernels = {
        n: {s.kernel for s in program.explain(**given(n)).steps if s.zeros is not None} for n in (8, 9)
    }
    assert kernels == {8: {"linear bitmap"}, 9: {"linear panel"}}
    zeros = program.explain(**given(1)).steps[1].zeros
    assert zeros is not None and 0.5 < zeros < 0.7
    whole = program_of("rows", "int8", current()).explain(**given(2))
    assert {s.kernel for s in whole.steps if s.zeros is not None} == {"linear int8 dense rows"}


def test_a_layer_that_cannot_be_packed_is_told() -> None:
    """Of the integers that a file may hold, one has no counterpart."""
    graph = graph_of("int8")
    weight = next(w for w in graph.weights.values() if in_integers(w))
    assert isinstance(weight, Encoded)
    lowest = weight.parts["integers"].copy()
    lowest.flat[0] = -128
    name = next(n for n, w in graph.weights.items() if w is weight)
    spoilt = replace(weight, parts={**weight.parts, "integers": lowest})
    with pytest.raises(InputError, match="-128"):
        planned(replace(graph, weights={**graph.weights, name: spoilt}), current(), WAYS["bitmap"], 8)
