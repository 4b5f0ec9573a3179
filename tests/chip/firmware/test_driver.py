"""Large tensors on small fabrics: cut, run piece by piece, and put together again, as ``evaluate`` has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.entry import ChipRun, CompiledChip
from aerogel.chip.fabric.read import load
from aerogel.chip.machine.report import DeadlockError
from aerogel.chip.machine.step import step
from aerogel.core.errors import ChipError

ROOMY = replace(load("onyx-large"), name="roomy", values="f64")
NARROW = replace(ROOMY, name="narrow", word_bits=8, memory_words=64, line_words=4, buffer_bytes=1 << 13)
"""References and coordinates up to 255, little memory: nearly everything has to be cut."""


def _sparse(*shape: int, density: float = 0.1, form: str = "csr", seed: int = 1) -> ag.Tensor:
    random = np.random.default_rng(seed)
    full = random.integers(1, 9, shape) * (random.random(shape) < density)
    return ag.tensor(full.astype(np.float64), form)


def _dense(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(9).integers(-3, 4, shape).astype(np.float64)


def _run(
    text: str, fabric: Any, copies: int | None, order: Any = None, **operands: Any
) -> tuple[CompiledChip, ChipRun]:
    chip = ag.chip.compile(text, fabric=fabric, copies=copies, order=order, **operands)
    run = chip.simulate(simulate=step)
    wanted = np.asarray(ag.evaluate(text, **operands))
    np.testing.assert_allclose(np.asarray(run.output), wanted, rtol=1e-12, atol=1e-12)
    assert run.work.run + run.work.skipped == run.cuts.pieces
    return chip, run


CASES: list[tuple[str, dict[str, Any]]] = [
    ("y(i) = A(i,j) * x(j)", {"A": _sparse(12, 9), "x": _dense(9)}),
    ("C(i,k) = A(i,j) * B(j,k)", {"A": _sparse(9, 8), "B": _sparse(8, 7, seed=2)}),
    ("C(i,j) = S(i,j) * A(i,k) * B(j,k)", {"S": _sparse(7, 6), "A": _dense(7, 3), "B": _dense(6, 3)}),
    ("a = A(i,j) * B(i,j)", {"A": _sparse(9, 8), "B": _sparse(9, 8, seed=2)}),
    ("C(i,j) = A(i,j) + B(i,j)", {"A": _sparse(9, 8), "B": _sparse(9, 8, seed=2)}),
    ("y(i) = b(i) - A(i,j) * x(j)", {"A": _sparse(9, 8), "x": _dense(8), "b": _dense(9)}),
    ("C(i,k) = A(i,j) * A(j,k)", {"A": _sparse(8, 8)}),
]


@pytest.mark.parametrize(("text", "operands"), CASES)
def test_copies_share_the_work(text: str, operands: dict[str, Any]) -> None:
    chip, run = _run(text, ROOMY, 3, **operands)
    assert chip.program.copies == 3
    assert run.work.batches == 1


@pytest.mark.parametrize(
    ("text", "order", "operands"),
    [
        (
            "X(i,j,k) = T(i,j,l) * C(k,l)",
            "lkij",
            {"T": _sparse(6, 5, 4, form="csf"), "C": _sparse(7, 4, density=0.3)},
        ),
        (
            "C(i,k) = D(i,k) * relu(A(i,j) * B(j,k))",
            "jik",
            {"A": _sparse(9, 8), "B": _sparse(8, 9, seed=2), "D": _sparse(9, 9, density=0.4)},
        ),
        ("C(i,j) = A(i,j) / (1 + sum(k, B(i,k)))", "kji", {"A": _sparse(9, 8), "B": _sparse(9, 7, seed=2)}),
    ],
)
def test_the_longer_ways_round_are_cut_as_all_others(text: str, order: str, operands: dict[str, Any]) -> None:
    """Joined levels, fibers that are sifted, a sum computed anew."""
    chip, _ = _run(text, NARROW, 2, order, **operands)
    assert chip.cuts.pieces > 1


def test_fewer_copies_are_made_where_more_would_crowd_the_buffer() -> None:
    operands = {name: _sparse(40, 40, seed=at) for at, name in enumerate("ABC")}
    text, small = "X(i,j) = A(i,j) + B(i,j) + C(i,j)", replace(NARROW, buffer_bytes=1 << 13)
    with pytest.raises(ChipError, match=r"bytes of operands and result, .* fewer copies, or a larger fabric"):
        ag.chip.compile(text, fabric=small, copies=8, order="ij", **operands)
    chip, _ = _run(text, small, None, "ij", **operands)
    assert 1 <= chip.program.copies < 8


def test_a_sum_that_is_computed_anew_is_told() -> None:
    chip = ag.chip.compile(
        "C(i,j) = A(i,j) / (1 + sum(k, B(i,k)))", fabric=ROOMY, order="kji", A=_sparse(9, 8), B=_sparse(9, 7)
    )
    assert "loops: k > j > i, sums apart: j > k > i" in chip.explain()


def test_a_summed_index_is_cut_where_nothing_else_helps() -> None:
    chip, run = _run("y(i) = A(i,j) * x(j)", NARROW, 1, A=_sparse(8, 300, density=0.02), x=_dense(300))
    assert chip.cuts.parts("j") >= 2
    assert run.host_additions == 8 * (chip.cuts.parts("j") - 1)


def test_pieces_overlap_with_transfers_and_empty_ones_are_left_out() -> None:
    matrix = np.zeros((30, 20))
    matrix[:10, :10] = _dense(10, 10)
    operands = {"A": ag.tensor(matrix, "csr"), "B": _sparse(20, 20, density=0.2)}
    _, run = _run("C(i,k) = A(i,j) * B(j,k)", replace(NARROW, buffer_bytes=1 << 11), 2, **operands)
    assert run.work.skipped and run.work.batches > 2 and run.work.reused
    # Both at once for a part of the time: less than one after the other.
    assert run.cycles < run.array_cycles + run.transfer_cycles + 60 * run.work.batches


def test_a_workspace_that_does_not_fit_is_cut() -> None:
    operands: dict[str, Any] = {"A": _sparse(3, 20), "B": _sparse(20, 120, density=0.02)}
    chip, _ = _run("C(i,k) = A(i,j) * B(j,k)", NARROW, 1, "ijk", **operands)
    assert chip.cuts.size("k") <= 64 * 8 // 9


def test_a_result_with_too_little_room_is_cut_again() -> None:
    """How many values it has is known when it is there, but for plain products."""
    operands = {"A": _sparse(12, 2, density=1.0, form="dcsr"), "B": _sparse(2, 12, density=1.0, form="dcsr")}
    fabric = replace(ROOMY, buffer_bytes=1 << 11)
    chip, run = _run("C(i,k) = 2 * A(i,j) * B(j,k)", fabric, 1, **operands)
    assert run.cuts.pieces > chip.cuts.pieces == 1


def test_a_wide_result_without_room_is_cut_where_that_makes_room() -> None:
    """Rows of the result are few, and halves of an operand take as much of the buffer as all of it."""
    operands = {"A": _sparse(2, 3, density=1.0, form="dcsr"), "B": _sparse(3, 60, density=1.0, form="dcsr")}
    fabric = replace(ROOMY, buffer_bytes=5 << 9)
    chip, run = _run("C(i,k) = 2 * A(i,j) * B(j,k)", fabric, 1, ("i", "j", "k"), **operands)
    assert run.cuts.parts("k") > chip.cuts.parts("k") > 1
    assert run.cuts.parts("i") <= 2


def test_what_cannot_be_cut_says_so() -> None:
    with pytest.raises(ChipError, match=r"300 coordinates j, .* cut over j, but over none of these"):
        ag.chip.compile("y(i) = relu(A(i,j) * x(j))", fabric=NARROW, A=_sparse(3, 300), x=_dense(300))


def test_extents_of_nothing_and_tensors_of_zeros() -> None:
    empty = ag.tensor(np.zeros((4, 3)), "csr")
    _run("y(i) = A(i,j) * x(j)", ROOMY, 1, A=empty, x=_dense(3))
    _run("C(i,k) = A(i,j) * B(j,k)", NARROW, 2, A=empty, B=ag.tensor(np.zeros((3, 5)), "csr"))


@pytest.mark.parametrize("copies", [1, 2])
def test_other_ways_to_build_the_graph(copies: int) -> None:
    operands = {"A": _sparse(9, 12, density=0.4), "B": _sparse(9, 12, density=0.4, seed=2)}
    for ways in (ag.chip.GraphOptions(skips=True), ag.chip.GraphOptions(bits=True)):
        text = "C(i,j) = A(i,j) * B(i,j)"
        run = ag.chip.compile(text, fabric=ROOMY, copies=copies, graph=ways, **operands).simulate(
            simulate=step
        )
        np.testing.assert_array_equal(np.asarray(run.output), np.asarray(ag.evaluate(text, **operands)))


@pytest.mark.parametrize("fabric", [ROOMY, NARROW])
def test_a_softmax_has_its_rows_whole(fabric: Any) -> None:
    mask, left, right = _sparse(8, 9, density=0.4), _dense(8, 2), _dense(9, 2)
    chip = ag.chip.compile(
        "X(i,j) = M(i,j) * Q(i,k) * K(j,k)",
        order="ijk",
        fabric=fabric,
        copies=2,
        graph=ag.chip.GraphOptions(softmax=True),
        M=mask,
        Q=left,
        K=right,
    )
    assert chip.cuts.parts("i") == 2 and chip.cuts.parts("j") == 1
    scores = np.where(mask.to_numpy() != 0, np.exp(mask.to_numpy() * (left @ right.T)), 0.0)
    wanted = scores / np.maximum(scores.sum(1, keepdims=True), 1e-300)
    np.testing.assert_allclose(np.asarray(chip.simulate(simulate=step).output), wanted, rtol=1e-9)


def test_a_semiring_whose_zero_is_infinite() -> None:
    text = "d(i) = G(j,i) * s(j)"
    operands = {"G": _sparse(9, 8, density=0.4), "s": np.where(np.arange(9) % 2, np.inf, np.arange(9.0))}
    for copies in (1, 3):
        chip = ag.chip.compile(text, semiring="min_plus", fabric=ROOMY, copies=copies, **operands)
        wanted = ag.evaluate(text, semiring="min_plus", **operands)
        np.testing.assert_array_equal(chip.simulate(simulate=step).output, wanted)


def test_queues_at_the_inputs_of_tiles_let_gustavsons_order_run_on() -> None:
    """A row that a reducer sends holds up fewer of those who bring the next."""
    operands = {"A": _sparse(40, 40, density=0.15), "B": _sparse(40, 40, density=0.15, seed=2)}
    text, order = "C(i,k) = A(i,j) * B(j,k)", ("i", "j", "k")
    without, queued = (
        ag.chip.compile(text, fabric=replace(ROOMY, input_queue=q), copies=1, order=order, **operands)
        for q in (0, 2)
    )
    assert queued.simulate().array_cycles < 0.92 * without.simulate().array_cycles


def test_a_queue_of_one_token_works_or_says_who_waits_for_whom() -> None:
    shallow = replace(ROOMY, fifo_depth=1, input_queue=0)
    _run("y(i) = A(i,j) * x(j)", shallow, 1, A=_sparse(9, 8), x=_dense(8))
    operands: dict[str, Any] = {"S": _sparse(12, 10, density=0.3), "A": _dense(12, 5), "B": _dense(10, 5)}
    text = "C(i,j) = S(i,j) * A(i,k) * B(j,k)"
    chip = ag.chip.compile(text, fabric=shallow, copies=1, order="ijk", **operands)
    with pytest.raises(
        DeadlockError, match=r"deadlock in cycle \d+: .* nothing moves\n  \w+ \(\w+\) waits for"
    ):
        chip.simulate(simulate=step)


def test_the_same_input_gives_the_same_words() -> None:
    operands = {"A": _sparse(9, 8), "x": _dense(8)}
    first, second = (
        ag.chip.compile("y(i) = A(i,j) * x(j)", fabric=ROOMY, copies=2, **operands).configuration()
        for _ in range(2)
    )
    assert first == second
