"""Compiled programs against the interpreter of graphs, at every target, batch, length and thread count."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model import zoo
from tests.model.graphs import Draft, agree, as_dict, quick, rows_of, tokens
from tests.model.networks import HUGGING, graph_of

from aerogel.core.target import Target, available, current
from aerogel.model.compile import build
from aerogel.model.graph import Graph, Input
from aerogel.model.program import Program
from aerogel.tune.plan import Candidate, LayerPlan, Plan

TARGETS = pytest.mark.parametrize("target", available(), ids=lambda t: t.name)


def pruned(graph: Graph, share: float, rows: int = 1) -> Graph:
    """The graph with the smallest weights of every linear layer zeroed, ``rows`` at a time."""
    weights = dict(graph.weights)
    tables = {op.weight for op in graph.linears()}
    for name in tables:
        w = weights[name].copy()
        height = w.shape[0] - w.shape[0] % rows
        if height == 0:
            continue
        size = np.abs(w[:height]).reshape(-1, rows, w.shape[1]).sum(1)
        gone = size < np.quantile(size, share)
        w[:height][gone.repeat(rows, axis=0)] = 0
        weights[name] = w
    return Graph(graph.inputs, graph.ops, graph.outputs, weights, graph.max_length, graph.origin)


@cache
def _program(name: str, share: float, rows: int, target: Target) -> Program:
    return quick(pruned(graph_of(name), share, rows), target)


def program_of(name: str, share: float = 0.0, rows: int = 1, target: Target | None = None) -> Program:
    """Built once for all tests."""
    return _program(name, share, rows, target or current())


def inputs_of(graph: Graph, lengths: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    given = zoo.batch(lengths, seed)
    return {i.name: given[i.name] for i in graph.inputs if i.name in given}


# --- agreement with the reference --------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (16,), (17, 5), (7, 1, 3, 12)])
@pytest.mark.parametrize("name", [*HUGGING, "mean_tokens", "max_filled", "first_token"])
def test_encoders(name: str, lengths: tuple[int, ...]) -> None:
    program = program_of(name)
    agree(program, inputs_of(program.built.graph, lengths))


@pytest.mark.parametrize("name", HUGGING[:4])
def test_the_longest_sequence_there_may_be(name: str) -> None:
    program = program_of(name)
    longest = program.built.graph.max_length
    assert longest is not None
    agree(program, inputs_of(program.built.graph, (longest, 2)))


@TARGETS
@pytest.mark.parametrize(
    ("name", "share", "rows"),
    [
        ("BertModel", 0.5, 1),
        ("MPNetModel", 0.9, 1),
        ("mean_tokens", 0.8, 4),
        ("mlp", 0.5, 1),
        ("mlp", 0.8, 4),
    ],
)
def test_pruned_networks(name: str, share: float, rows: int, target: Target) -> None:
    program = program_of(name, share, rows, target)
    assert program.plan.target == target.fingerprint
    assert any(p.many.kind != "panel" or p.many.indices.size for p in program.built.packed.values())
    check(program, (7, 3, 5, 1))
    check(program, (2,))


@TARGETS
@pytest.mark.parametrize("name", ["BertModel", "max_filled", "gated"])
def test_dense_networks(name: str, target: Target) -> None:
    check(program_of(name, 0.0, 1, target), (21, 30, 1, 9))


def check(program: Program, lengths: tuple[int, ...]) -> None:
    graph = program.built.graph
    if graph.inputs[0].kind == "features":
        x = np.random.default_rng(0).standard_normal((sum(lengths), graph.inputs[0].limit))
        agree(program, {graph.inputs[0].name: x.astype(np.float32)})
    else:
        agree(program, inputs_of(graph, lengths))


@pytest.mark.parametrize("leading", [(), (1,), (33,), (2, 3, 5)])
@pytest.mark.parametrize("name", ["mlp", "gated"])
def test_rows_of_features(name: str, leading: tuple[int, ...]) -> None:
    program = program_of(name)
    x = np.random.default_rng(1).standard_normal((*leading, 8)).astype(np.float32)
    agree(program, {program.built.graph.inputs[0].name: x})


@pytest.mark.parametrize(
    "name", ["BertModel", "RobertaModel", "MPNetModel", "mean_tokens", "max_filled", "first_token"]
)
def test_masks_of_any_shape(name: str) -> None:
    """Padding on the left, and tokens in the middle that do not count."""
    program = program_of(name)
    given = inputs_of(program.built.graph, (9, 9, 9, 9))
    given["attention_mask"] = np.array(
        [
            [0, 0, 0, 1, 1, 1, 1, 1, 1],
            [1, 0, 1, 1, 0, 0, 1, 0, 0],
            [0, 1, 0, 0, 0, 0, 0, 0, 1],
            [1, 1, 1, 1, 1, 1, 1, 1, 1],
        ]
    )
    agree(program, given)


def test_a_sequence_has_the_same_vector_alone_and_in_company() -> None:
    program = program_of("mean_tokens")
    given = inputs_of(program.built.graph, (7, 3, 12, 1))
    together = program(**given)
    for i, length in enumerate((7, 3, 12, 1)):
        alone = program(**{k: v[i : i + 1, :length] for k, v in given.items()})
        np.testing.assert_allclose(alone[0], together[i], atol=2e-6)


def test_a_mask_may_be_left_out() -> None:
    program = program_of("BertModel")
    given = inputs_of(program.built.graph, (6, 6))
    with_mask = as_dict(program.built.graph, program(**given))
    del given["attention_mask"]
    without = as_dict(program.built.graph, program(**given))
    for name, array in with_mask.items():
        np.testing.assert_array_equal(array, without[name])


@pytest.mark.parametrize("length", [0, 4])
def test_a_batch_of_nothing_has_the_shape_of_nothing(length: int) -> None:
    ids = np.zeros((0, length), np.int64)
    hidden = as_dict(program_of("BertModel").built.graph, program_of("BertModel")(ids))
    assert [a.shape for a in hidden.values()] == [(0, length, zoo.HIDDEN), (0, zoo.HIDDEN)][: len(hidden)]
    assert program_of("mean_tokens")(ids, ids).shape == (0, zoo.HIDDEN)


@pytest.mark.parametrize("leading", [(0,), (3, 0), (0, 5)])
def test_no_rows_at_all(leading: tuple[int, ...]) -> None:
    got = program_of("mlp")(np.zeros((*leading, 8), np.float32))
    assert got.shape == (*leading, 3)


# --- the caller's arrays ---------------------------------------------------------------------------


def test_torch_in_torch_out() -> None:
    program = program_of("mean_tokens")
    given = inputs_of(program.built.graph, (3, 5))
    arrays = program(**given)
    tensors = program(*(torch.from_numpy(given[i.name]) for i in program.built.graph.inputs))
    assert isinstance(tensors, torch.Tensor) and isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(tensors.numpy(), arrays)
    mixed = program(torch.from_numpy(given["input_ids"]), given["attention_mask"])
    assert isinstance(mixed, torch.Tensor)


def test_a_tensor_with_a_gradient_goes_in() -> None:
    x = torch.ones(2, 8, requires_grad=True)
    got = program_of("mlp")(x)
    assert isinstance(got, torch.Tensor) and not got.requires_grad


def test_several_outputs_are_a_dict() -> None:
    got = program_of("gated")(torch.ones(2, 8))
    assert set(got) == {"mixed", "hidden"} and all(isinstance(t, torch.Tensor) for t in got.values())


def test_results_belong_to_the_caller() -> None:
    """A later call changes no earlier result, and no input."""
    program = program_of("mean_tokens")
    first, second = (inputs_of(program.built.graph, (5, 4), seed) for seed in (1, 2))
    copies = {k: v.copy() for k, v in first.items()}
    a = program(**first)
    kept = a.copy()
    b = program(**second)
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, kept)
    assert a.flags.writeable
    for name, array in copies.items():
        np.testing.assert_array_equal(first[name], array)


def test_a_result_may_be_the_next_input() -> None:
    d = rows_of(4)
    graph = d.graph(d.activation(d.linear("x", 4), "tanh"))
    program = quick(graph)
    x = np.ones((3, 4), np.float32)
    for _ in range(3):
        x = agree(program, {"x": x})["out0"]


def test_one_array_may_be_two_inputs() -> None:
    d = Draft((Input("x", "features", 4), Input("y", "features", 4)))
    program = quick(d.graph(d.mul("x", "y")))
    x = np.full((3, 4), 3, np.float32)
    np.testing.assert_array_equal(program(x, x), x * x)


def test_read_only_inputs() -> None:
    x = np.ones((2, 8), np.float32)
    x.setflags(write=False)
    assert np.isfinite(program_of("mlp")(x)).all()


def test_sizes_may_grow_and_shrink() -> None:
    program = quick(graph_of("BertModel"))
    for lengths in ((3,), (30, 30, 30), (1,), (38,), (2, 2)):
        agree(program, inputs_of(program.built.graph, lengths))


# --- numbers ---------------------------------------------------------------------------------------


def bits(program: Program, threads: int, given: dict[str, np.ndarray]) -> list[bytes]:
    return [a.tobytes() for a in as_dict(program.built.graph, program(**given, threads=threads)).values()]


@pytest.mark.parametrize(("name", "share"), [("BertModel", 0.0), ("BertModel", 0.5), ("MPNetModel", 0.0)])
@pytest.mark.parametrize("lengths", [(1,), (5, 9, 2), (38, 38, 30)])
def test_the_same_bits_at_any_number_of_threads(
    name: str, share: float, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    program = program_of(name, share)
    given = inputs_of(program.built.graph, lengths)
    alone = bits(program, 1, given)
    assert bits(program, 2, given) == alone
    assert bits(program, 5, given) == alone
    assert bits(program, 1, given) == alone


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_row_that_is_not_finite_spoils_no_other(number: float, share: float) -> None:
    program = program_of("mlp", share)
    x = np.random.default_rng(0).standard_normal((37, 8)).astype(np.float32)
    clean = program(x)
    x[5, 3] = number
    got = program(x)
    np.testing.assert_array_equal(np.delete(got, 5, axis=0), np.delete(clean, 5, axis=0))
    # A row whose every path leads through a pruned weight may stay finite.
    assert share == 0.9 or not np.array_equal(got[5], clean[5])


def test_nothing_is_left_over_from_the_call_before() -> None:
    """Infinities of one call are no part of the next, whose sizes differ."""
    program = quick(graph_of("mlp"))
    small = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    clean = program(small)
    program(np.full((40, 8), np.nan, np.float32))
    np.testing.assert_array_equal(program(small), clean)


def test_a_plan_replayed_gives_the_same_bits() -> None:
    graph = pruned(graph_of("BertModel"), 0.7)
    timed = build(graph, plan="timed", threads=1)
    again = build(graph, plan=Plan.from_json(timed.plan.to_json()), threads=1)
    assert again.plan == timed.plan
    given = inputs_of(graph, (30, 12))
    assert bits(again, 1, given) == bits(timed, 1, given)


def test_every_kernel_a_plan_may_choose() -> None:
    graph = pruned(graph_of("BertModel"), 0.6)
    names = [e.layer for e in program_of("BertModel", 0.6).plan.layers]
    dense, panel, quad = Candidate("panel", 0, dense=True), Candidate("panel", 7), Candidate("quad", 5)
    for many, few in ((dense, quad), (quad, panel)):
        layers = tuple(LayerPlan(name, many, few, {}, {}) for name in names)
        program = build(graph, plan=Plan(current().fingerprint, 0, layers), threads=1)
        for lengths in ((20, 3), (16,), (17,), (1,)):
            agree(program, inputs_of(graph, lengths))


# --- threads, forks, interrupts --------------------------------------------------------------------


def test_two_callers_at_a_time() -> None:
    program = quick(graph_of("BertModel"))
    cases = [
        inputs_of(program.built.graph, lengths, i)
        for i, lengths in enumerate([(7, 3), (30,), (1, 1), (12, 20)])
    ]
    expected = [bits(program, 1, case) for case in cases]
    wrong: list[int] = []

    def call(number: int) -> None:
        right = (bits(program, 1 + i % 2, cases[number]) == expected[number] for i in range(25))
        if not all(right):
            wrong.append(number)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_number_of_threads_is_capped() -> None:
    given = inputs_of(graph_of("BertModel"), (5, 2))
    program = program_of("BertModel")
    assert bits(program, 10_000, given) == bits(program, 1, given)
    assert build(graph_of("mlp"), plan="quick", threads=10_000).threads <= (os.cpu_count() or 1)


SCRIPT = """
import os, signal, sys, threading, time
sys.path.insert(0, {root!r})
import numpy as np
from tests.model.graphs import Draft, quick, tokens
d = Draft()
x = d.embedding(64)
for _ in range(4):
    x = d.norm(d.add(d.attend(x), x))
graph = d.graph(d.pool(x))
program = quick(graph)
given = tokens((30, 7, 22))
before = program(**given, threads=2)
"""

FORK = """
child = os.fork()
if child == 0:
    ok = all(np.array_equal(program(**given, threads=t), before) for t in (1, 2, 2))
    os._exit(0 if ok else 3)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert np.array_equal(program(**given, threads=2), before)
sys.exit(code)
"""

FORK_AMID_CALLS = """
busy, one = True, tokens((1,))
def pause(frame, event, arg):
    if not frame.f_code.co_filename.endswith("program.py"):
        return None
    time.sleep(0.0002)  # so that a fork meets the thread at any line
    return pause
threading.settrace(pause)
def call():
    while busy:
        program(**one, threads=1)
callers = [threading.Thread(target=call) for _ in range(2)]
for caller in callers:
    caller.start()
worst = 0
for _ in range(100):
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # a child that waits for a lock nobody holds any more
        ok = all(np.array_equal(program(**given, threads=t), before) for t in (1, 2))
        os._exit(0 if ok else 3)
    worst = max(worst, abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
busy = False
for caller in callers:
    caller.join()
assert np.array_equal(program(**given, threads=2), before)
sys.exit(worst)
"""

INTERRUPT = """
# A background shell hands down SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
large = tokens((40,) * 200)
stops = 0
for round in range(12):
    timer = threading.Timer(0.002 + 0.003 * round, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        timer.start()  # inside: on a busy machine the interrupt comes before this returns
        while True:
            program(**large, threads=2)
    except KeyboardInterrupt:
        stops += 1
    timer.join()
    assert np.array_equal(program(**given, threads=2), before)
assert stops == 12
assert len(program._idle) <= 2, len(program._idle)
"""


def python(text: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(root=root) + text],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_computes_too() -> None:
    done = python(FORK)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_amid_calls_of_other_threads_computes_too() -> None:
    done = python(FORK_AMID_CALLS)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_leaves_the_program_usable() -> None:
    done = python(INTERRUPT)
    assert done.returncode == 0, done.stderr


def test_hand_made_graphs_of_every_operation() -> None:
    d = Draft()
    x = d.norm(d.add(d.embedding(16), d.embedding(16)))
    x = d.add(x, d.activation(d.linear(d.attend(x), 16), "silu"))
    y = d.mul(d.pool(x, "max"), d.normalize(d.pool(x, "first")))
    graph = d.graph(x, y, d.pool(x, "mean"))
    for target in available():
        agree(quick(graph, target), tokens((3, 18, 1)))
