"""From ratios to a break-even: pure, and tested as such; the timing is real, on small matrices."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.core.errors import InputError
from aerogel.core.target import Target, current
from aerogel.formats.panel import Packed
from aerogel.tune import breakeven as module
from aerogel.tune.breakeven import (
    DENSE_INT8,
    Bounds,
    Curve,
    Point,
    Way,
    against,
    breakeven,
    curves,
    paired,
    scaled,
    timed,
)
from aerogel.tune.choose import SPARSE
from aerogel.tune.layer_call import LayerCall


def points(*rows: tuple[float, float, float, float]) -> list[Point]:
    """(share, value, low, high)"""
    return [Point(s, Bounds(v, low, high)) for s, v, low, high in rows]


@st.composite
def measured(draw: st.DrawFn) -> list[Point]:
    shares = sorted(draw(st.sets(st.integers(0, 99), min_size=1, max_size=7)))
    ratio = st.floats(0.05, 3.0)
    found: list[Point] = []
    for share in shares:
        low, value, high = sorted((draw(ratio), draw(ratio), draw(ratio)))
        found.append(Point(share / 100, Bounds(value, low, high)))
    return found


def interpolated(found: list[Point], share: float, bound: str) -> float:
    return float(np.interp(share, [p.sparsity for p in found], [getattr(p.ratio, bound) for p in found]))


# --- by hand ------------------------------------------------------------------------------------


def test_it_lies_where_the_line_between_two_points_crosses_one() -> None:
    found = breakeven(points((0.0, 1.2, 1.1, 1.3), (0.5, 0.7, 0.6, 0.8)))
    assert found.verdict == "pays"
    assert found.at == pytest.approx(0.5 * 0.2 / 0.5)
    assert found.low == pytest.approx(0.5 * 0.1 / 0.5)
    assert found.high == pytest.approx(0.5 * 0.3 / 0.5)
    assert (found.bottom, found.top) == (0.0, 0.5)


def test_faster_at_the_least_share_means_so_much_or_less() -> None:
    found = breakeven(points((0.1, 0.9, 0.85, 0.95), (0.9, 0.2, 0.1, 0.3)))
    assert (found.at, found.low, found.high) == (0.1, 0.1, 0.1) == (found.bottom,) * 3


def test_it_is_from_where_on_the_ratio_stays_below_one() -> None:
    """Faster at 10 %, slower at 50 %: what counts is the last crossing."""
    found = breakeven(points((0.1, 0.9, 0.9, 0.9), (0.5, 1.5, 1.5, 1.5), (0.9, 0.5, 0.5, 0.5)))
    assert found.at == pytest.approx(0.7)


def test_an_interval_that_holds_one_at_the_top_is_not_proven() -> None:
    found = breakeven(points((0.5, 1.1, 1.0, 1.2), (0.9, 0.9, 0.8, 1.0)))
    assert found.verdict == "not proven"
    assert found.high is None
    assert found.at is not None


def test_slower_at_the_top_is_never() -> None:
    found = breakeven(points((0.5, 0.5, 0.5, 0.5), (0.9, 1.5, 1.2, 1.8)))
    assert (found.verdict, found.at, found.low, found.high) == ("never", None, None, None)


@pytest.mark.parametrize("shares", [[], [0.5, 0.5], [0.5, 0.1]])
def test_shares_must_ascend(shares: list[float]) -> None:
    with pytest.raises(InputError, match="must ascend"):
        breakeven([Point(s, Bounds(1, 1, 1)) for s in shares])


# --- properties ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(measured())
def test_bounds_are_in_order_and_the_verdict_goes_by_them(found: list[Point]) -> None:
    result = breakeven(found)
    top = found[-1].ratio
    assert (result.verdict == "pays") == (top.high < 1)
    assert (result.verdict == "never") == (top.low > 1)
    # Where a more cautious bound breaks even, the bolder one did so no later.
    ordered = [result.low, result.at, result.high]
    for bold, cautious in pairwise(ordered):
        assert cautious is None or (bold is not None and bold <= cautious)


@settings(deadline=None, max_examples=50)
@given(measured(), st.floats(0, 1))
def test_beyond_the_break_even_the_bound_stays_below_one(found: list[Point], part: float) -> None:
    result = breakeven(found)
    for bound, at in (("low", result.low), ("value", result.at), ("high", result.high)):
        if at is not None:
            share = at + part * (result.top - at)
            assert interpolated(found, share, bound) <= 1 + 1e-9


@settings(deadline=None, max_examples=50)
@given(measured())
def test_just_below_the_break_even_it_is_not(found: list[Point]) -> None:
    at = breakeven(found).at
    if at is not None and at > found[0].sparsity:
        assert interpolated(found, at, "value") == pytest.approx(1)


@settings(deadline=None, max_examples=50)
@given(measured(), st.floats(0.3, 1.0))
def test_faster_kernels_never_break_even_later(found: list[Point], factor: float) -> None:
    quicker = [Point(p.sparsity, p.ratio.times(Bounds(factor, factor, factor))) for p in found]
    before, after = breakeven(found), breakeven(quicker)
    for old, new in ((before.at, after.at), (before.low, after.low), (before.high, after.high)):
        assert old is None or (new is not None and new <= old + 1e-9)


@settings(deadline=None, max_examples=50)
@given(measured())
def test_against_itself_nothing_changes_but_the_first_point(found: list[Point]) -> None:
    same = Bounds(1.0, 1.0, 1.0)
    assert against(found, same) == (Point(0.0, same), *found)


def test_against_a_control_ratios_and_bounds_multiply() -> None:
    made = against(points((0.5, 0.5, 0.4, 0.6)), Bounds(0.8, 0.7, 0.9))
    assert made[0] == Point(0.0, Bounds(0.8, 0.7, 0.9))
    assert made[1].ratio == Bounds(0.5 * 0.8, 0.4 * 0.7, 0.6 * 0.9)
    assert breakeven(made).high == 0.0, "our dense kernel is faster already"


def test_an_inverse_turns_the_bounds_round() -> None:
    assert Bounds(0.5, 0.25, 1.0).inverse() == Bounds(2.0, 1.0, 4.0)


# --- timing -------------------------------------------------------------------------------------


def test_turns_alternate_and_go_backwards_every_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(module, "_slot", lambda run: run() or 1.0)
    first, second = paired(lambda: order.append("a"), lambda: order.append("b"), rounds=4)
    assert "".join(order) == "abbaabba"
    assert first == second == [1.0] * 4


def test_a_slot_counts_by_its_least_call() -> None:
    calls: list[int] = []
    assert 0 < module._slot(lambda: calls.append(1)) < 0.01
    assert len(calls) > 2


def test_one_packing_is_taken_for_all_where_it_is_nearly_the_best() -> None:
    a, b, c, d, *_ = SPARSE
    near = {128: {a: 1.0, b: 1.1, c: 5.0, d: 5.0}, 16: {a: 1.2, b: 2.0, c: 1.0, d: 5.0}}
    assert module._chosen(near) == {128: a, 16: a}
    far = {128: {a: 1.0, b: 9.0, c: 2.0, d: 9.0}, 16: {a: 2.0, b: 9.0, c: 1.0, d: 9.0}}
    assert module._chosen(far) == {128: a, 16: c}


def scattered(share: float, rows: int = 64, columns: int = 96) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.where(rng.random((rows, columns)) < share, 0, rng.standard_normal((rows, columns))).astype("f4")


def test_curves_are_measured_at_every_share_and_number_of_columns() -> None:
    asked: list[float] = []

    def matrix(share: float) -> np.ndarray:
        asked.append(share)
        return scattered(share)

    made = curves(matrix, Way("unstructured"), current(), (16, 32), (0.5, 0.95))
    assert asked == [0.5, 0.95]
    assert [(c.outputs, c.inputs, c.columns) for c in made] == [(64, 96, 16), (64, 96, 32)]
    for curve in made:
        assert curve.dense_s > 0
        assert [p.sparsity for p in curve.points] == [0.5, 0.95]
        assert all(0 < p.ratio.low <= p.ratio.value <= p.ratio.high for p in curve.points)
        assert curve.ratio(0.95) == curve.points[1].ratio


def test_a_share_that_was_not_timed_has_no_ratio() -> None:
    with pytest.raises(InputError, match=r"0\.7 was not timed: 0\.5 were"):
        Curve(4, 4, 16, Way("unstructured"), 1.0, tuple(points((0.5, 1, 1, 1)))).ratio(0.7)


def test_an_all_but_empty_matrix_is_proven_faster_than_the_same_dense() -> None:
    ratio, dense_s = timed(scattered(0.99, 256, 256), current(), (128,))[128]
    assert ratio.high < 1
    assert dense_s > 1e-6


def test_integers_are_timed_beside_dense_floats_and_dense_where_nothing_is_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[tuple[str, int]] = []
    made = module.LayerCall

    def heard(packed: Packed, target: Target, columns: int) -> LayerCall:
        called.append((packed.values.dtype.name, packed.columns))
        return made(packed, target, columns)

    monkeypatch.setattr(module, "LayerCall", heard)
    (whole,) = curves(lambda _: scattered(-1.0), DENSE_INT8, current(), (16,), (0.0,))
    assert called == [("int32", 24), ("float32", 96)], "one packing in words of 4 inputs, one of floats"
    assert (str(whole.way), whole.points[0].sparsity) == ("dense int8", 0.0)
    called.clear()
    curves(scattered, Way("unstructured", "int8"), current(), (16,), (0.5,))
    assert called == [("int32", 24)] * len(SPARSE) + [("float32", 96)]


def test_all_but_empty_integers_are_proven_faster_than_dense_floats() -> None:
    assert timed(scattered(0.99, 512, 512), current(), (128,), "int8")[128][0].high < 1


def test_a_factor_multiplies_ratios_and_bounds() -> None:
    (made,) = scaled(points((0.5, 0.5, 0.4, 0.6)), Bounds(2.0, 1.0, 3.0))
    assert made == Point(0.5, Bounds(1.0, 0.4, 0.6 * 3.0))
