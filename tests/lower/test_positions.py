"""Sums along a fiber that take several positions at a time: fibers of every length, on every target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from tests.differential.einsum_cases import spread
from tests.lower.known import KNOWN, Known
from tests.lower.machines import Fenced, Interpreted, assert_same

import aerogel as ag
from aerogel.core.target import available
from aerogel.formats.storage import Storage
from aerogel.loop.printer import show
from aerogel.lower.choose import LANES_FROM
from aerogel.lower.emit import module
from aerogel.lower.kernel import kernel
from aerogel.tensor import entry


@pytest.fixture(autouse=True)
def more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


def wide(prepared: Any) -> Any:
    """The schedule with sums in lanes, and how its loops are spelt."""
    scheduled = replace(prepared.choice.scheduled, in_lanes=True)
    return scheduled, show(module(scheduled, "run", available()[0]))


def dense(known: Known, prepared: Any, found: Any) -> Any:
    assert isinstance(found, Storage)
    return spread(found, prepared.request.assignment.zero)[0]


PLAIN = [
    known
    for known in KNOWN
    if known.prepared(known.operands()).choice.scheduled.assembly in ("dense", "pattern")
]


@pytest.mark.parametrize("known", PLAIN, ids=lambda known: known.name)
def test_interpreted_and_fenced_on_every_target(known: Known) -> None:
    """Of rows of every length: nothing is read beyond the end of an array."""
    operands = known.operands(1)
    prepared = known.prepared(operands)
    (scheduled, _), sizes = wide(prepared), prepared.extents(operands)
    used = known.used(prepared, operands)
    answer = np.asarray(known.answer(**{name: spread(s, 0)[0] for name, s in operands.items()}))
    for target in available():
        once = Interpreted(scheduled, target)(used, sizes, 1)
        np.testing.assert_allclose(dense(known, prepared, once), answer, rtol=1e-13)
        for threads in (1, 3):
            fences: tuple[Literal["end", "start"], ...] = ("end", "start")
            for at in fences:
                native = Fenced(scheduled, target, at)(used, sizes, threads)
                assert_same(native, once, f"{target.name}, {threads} threads, page at the {at}")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("y(i) = A(i,j) * x(j)", "ij,j->i"),
        ("y(i) = A(i,j) * x(j) * z(j)", "ij,j,j->i"),
        ("y(i) = A(i,j) * x(j) * c(i)", "ij,j,i->i"),
        ("y(i) = A(i,j)", "ij->i"),
        ("s = A(i,j) * x(j)", "ij,j->"),
    ],
)
@pytest.mark.parametrize("form", ["csr", "dcsr", "coo"])
def test_rows_of_every_length(dtype: type, text: str, answer: str, form: str) -> None:
    rng = np.random.default_rng(7)
    # Row i has i entries: whatever rounds of four can leave.
    mask = np.tri(40, 39, -1)
    draw = lambda *shape: (rng.random(shape) * 8 - 4).astype(dtype)  # noqa: E731
    a, x, z, c = (draw(40, 39) * mask).astype(dtype), draw(39), draw(39), draw(40)
    named = {"A": ag.tensor(a, form), "x": x, "z": z, "c": c}
    used = {name: value for name, value in named.items() if f"{name}(" in text}
    arrays = {"A": a, "x": x, "z": z, "c": c}
    found = ag.evaluate(text, **used)
    tolerance = 2e-5 if dtype is np.float32 else 1e-12
    expected = np.einsum(answer, *[arrays[name] for name in used])
    np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=tolerance * 100)


def test_long_fibers_go_in_lanes_and_short_ones_do_not() -> None:
    for length, lanes in ((LANES_FROM + 2, True), (LANES_FROM - 4, False)):
        a = np.zeros((30, 60))
        a[:, : int(length)] = 1.5
        ag.evaluate("y(i) = A(i,j) * x(j)", A=ag.tensor(a, "csr"), x=np.ones(60))
        scheduled = list(entry._plans.values())[-1].choice.scheduled
        assert scheduled.in_lanes is lanes
        text = show(module(scheduled, "run", available()[0]))
        assert ("f64x4" in text) is lanes


def test_what_is_no_sum_of_products_goes_one_by_one() -> None:
    a = ag.tensor(np.tri(40, 39, -1) * 2.0, "csr")
    for text, semiring in (
        ("y(i) = A(i,j) / x(j)", "plus_times"),
        ("y(i) = A(i,j) * x(j)", "min_plus"),
        ("y(i) = abs(A(i,j)) * x(j)", "plus_times"),
    ):
        ag.evaluate(text, A=a, x=np.ones(39), semiring=semiring)
        prepared = list(entry._plans.values())[-1]
        assert "f64x4" not in wide(prepared)[1], text


def test_bits_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(0)
    a, x = ag.tensor(rng.random((300, 200)) * (rng.random((300, 200)) < 0.3), "csr"), rng.random(200)
    found = [ag.einsum("ij,j->i", a, x, threads=threads).tobytes() for threads in (1, 2, 5)]
    assert len(set(found)) == 1
    prepared = list(entry._plans.values())[-1]
    assert prepared.choice.scheduled.in_lanes
    given = {"t0": a.storage, "t1": ag.tensor(x).storage}
    used, sizes = prepared.stored(given), prepared.extents(given)
    # The other targets sum in the same order; those that fuse products round once less.
    for target in available():
        if "fma" in target.features:
            values = kernel(prepared.choice.scheduled, target)(used, sizes, 1)
            assert isinstance(values, Storage) and values.values.tobytes() == found[0]
