"""Amdahl's law on measured figures: numbers by hand, bounds in order, more zeros never slower."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.find.evidence import FLOATS, QUICK, USES, about, control, curve, pay_map, row, split

from aerogel.find.estimate import Load, estimate, estimates
from aerogel.find.other_runtime import WholeControl
from aerogel.find.paymap import Use
from aerogel.find.program import Product, Split
from aerogel.find.whole import Trial
from aerogel.tune.breakeven import DENSE_INT8, Bounds, Way


def load(seconds: float, ratio: float, rounds: int = 9, control: Bounds | None = None) -> Load:
    return Load((seconds,) * rounds, Bounds(ratio, ratio, ratio), control)


def test_amdahl_by_hand() -> None:
    found = estimate(FLOATS, 0.8, 128, [load(6.0, 0.25), load(2.0, 0.5)], [2.0] * 9)
    assert found.linear.value == pytest.approx(8 / 2.5)
    assert found.whole is not None and found.whole.value == pytest.approx(10 / 4.5)
    assert (found.linear_s, found.whole_s) == pytest.approx((2.5, 4.5))
    assert found.over_control is None


def test_over_the_control_times_its_own_speed() -> None:
    """Our dense takes 1.5 times the control's time: sparse at a quarter is 1 / 0.375 of it."""
    found = estimate(FLOATS, 0.8, 128, [load(6.0, 0.25, control=about(1.5, 0.1))], None)
    assert found.over_control is not None
    assert found.over_control.value == pytest.approx(1 / (1.5 * 0.25))
    assert found.over_control.low == pytest.approx(1 / (1.65 * 0.25))
    assert found.over_control.high == pytest.approx(1 / (1.35 * 0.25))
    assert (found.whole, found.whole_s, found.over_int8) == (None, None, None)


def test_over_the_integers_of_the_control() -> None:
    """At a quarter of our dense time, which is 1.5 x 2 times that of the control's int8."""
    pay = pay_map((row(curve({0.0: 0.25}, DENSE_INT8)),), control(1.5, 2.0))
    (found,) = estimates(pay, (split(),), USES)
    assert found.over_int8 is not None and found.over_int8.value == pytest.approx(1 / (0.25 * 3.0))
    assert found.over_control is not None and found.over_control.value == pytest.approx(1 / (0.25 * 1.5))


def test_the_whole_model_beside_another_runtime() -> None:
    """10 ms, of which 8 become 2.4: 4.4 ms; the other runtime takes 10 / 1.25 = 8, its int8 half of that."""
    found = WholeControl(128, 10e-3, about(1.25), about(2.0), 0.01)
    at = {e.sparsity: e for e in estimates(pay_map((row(curve(QUICK)),)), (split(),), USES, (), (found,))}
    known = at[0.8]
    assert known.whole_over_control is not None and known.whole_over_int8 is not None
    assert known.whole_over_control.value == pytest.approx(8 / 4.4)
    assert known.whole_over_int8.value == pytest.approx(4 / 4.4)
    assert known.beside_control == known.whole_over_control and known.beside_int8 == known.whole_over_int8


def test_what_a_call_costs_beside_its_steps_gains_nothing() -> None:
    """Of 20 ms a call, 10 are steps, which become 4.4; the other runtime takes 20."""
    found = WholeControl(128, 20e-3, about(1.0), about(2.0), 0.01)
    at = {e.sparsity: e for e in estimates(pay_map((row(curve(QUICK)),)), (split(),), USES, (), (found,))}
    known = at[0.8].whole_over_control
    assert known is not None and known.value == pytest.approx(20 / 14.4)


def test_a_pattern_of_fixed_zeros_is_estimated_at_these() -> None:
    pay = pay_map((row(curve({0.5: 0.6}, Way("2:4"))),))
    (found,) = estimates(pay, (split(),), USES)
    assert (found.sparsity, str(found.way)) == (0.5, "2:4")


def test_bounds_come_from_ratios_and_from_rounds() -> None:
    ratio = Bounds(0.5, 0.4, 0.6)
    steady = estimate(FLOATS, 0.5, 16, [Load((4.0,) * 9, ratio, None)], [1.0] * 9)
    assert steady.whole is not None
    assert steady.whole.low == pytest.approx(5 / 3.4) and steady.whole.high == pytest.approx(5 / 2.6)
    shaken = estimate(FLOATS, 0.5, 16, [Load((4.0,) * 9, ratio, None)], [0.5, *[1.0] * 5, *[3.0] * 3])
    assert shaken.whole is not None and shaken.whole.low < steady.whole.low


seconds = st.lists(st.floats(0.1, 10), min_size=9, max_size=9).map(tuple)


@settings(deadline=None, max_examples=50)
@given(seconds, seconds, st.floats(0.05, 2), st.floats(0.05, 2), st.floats(0.3, 1))
def test_bounds_are_in_order_and_faster_kernels_never_hurt(
    linear: tuple[float, ...], other: tuple[float, ...], a: float, b: float, factor: float
) -> None:
    ratio = Bounds((a + b) / 2, min(a, b), max(a, b))
    found = estimate(FLOATS, 0.5, 16, [Load(linear, ratio, about(1.2))], other)
    quicker = ratio.times(Bounds(factor, factor, factor))
    better = estimate(FLOATS, 0.5, 16, [Load(linear, quicker, about(1.2))], other)
    for old, new in ((found.linear, better.linear), (found.whole, better.whole)):
        assert old is not None and new is not None
        assert old.low <= old.value * (1 + 1e-9) and old.value <= old.high * (1 + 1e-9)
        assert new.value >= old.value * (1 - 1e-9) and new.low >= old.low * (1 - 1e-9)
    limit = median((x + y) / y for x, y in zip(linear, other, strict=True))
    assert found.whole is not None and found.whole.value <= limit * (1 + 1e-9)


def test_from_a_split_and_a_map() -> None:
    pay = pay_map((row(curve(QUICK), control()),), control())
    found = estimates(pay, (split(),), USES)
    assert [(e.way, e.sparsity, e.tokens) for e in found] == [(FLOATS, s, 128) for s in (0.5, 0.7, 0.8, 0.9)]
    assert found[2].whole is not None and found[2].whole.value == pytest.approx(10 / (2 + 8 * 0.3))
    assert found[2].over_control is not None


def test_products_too_small_to_be_timed_stay_as_they_are() -> None:
    tiny = Product(4, 9, 128, None, 1, ("c",), (8e-3,) * 9)
    pay = replace(pay_map((row(curve(QUICK)),)), small=(Use(4, 9, ("c",), 1, pooled=False),))
    found = estimates(pay, (Split(128, (*split().products, tiny), (0.0,) * 9),), USES)[2]
    assert found.linear.value == pytest.approx(16 / (8 + 8 * 0.3))


def test_nothing_is_estimated_where_a_ratio_is_missing() -> None:
    pay = pay_map((row(curve(QUICK)),))
    other = Product(64, 999, 128, None, 1, ("c",), (8e-3,) * 9)
    assert estimates(pay, (Split(128, (*split().products, other), (0.0,) * 9),), USES) == ()
    assert estimates(pay, (), (*USES, Use(64, 999, ("c",), 1, pooled=False))) == ()
    assert estimates(pay_map(()), (split(),), USES) == ()


def test_without_a_split_the_map_alone_weighs_the_layers() -> None:
    pay = pay_map((row(curve(QUICK)),))
    found = estimates(pay, (), (*USES, Use(5, 5, ("d",), 1, pooled=False)))
    assert found[2].whole is None
    assert found[2].linear.value == pytest.approx(1 / 0.3)


def test_an_activation_function_is_not_made_faster() -> None:
    """Two steps of 4 ms each whose kernel takes 1 ms: 6 ms stay."""
    pay = pay_map((row(curve(QUICK)),))
    product = Product(256, 128, 128, "gelu", 2, ("a", "b"), (8e-3,) * 9)
    found = estimates(pay, (Split(128, (product,), (0.0,) * 9),), USES)[2]
    assert found.linear.value == pytest.approx(8 / (6 + 2 * 0.3))


def test_what_a_trial_measured_takes_the_place_of_its_estimate() -> None:
    pay = pay_map((row(curve(QUICK), control(1.5)),), control(1.5))
    trial = Trial(FLOATS, 0.8, (split(),), (split(linear=4e-3),))
    found = estimates(pay, (split(),), USES, (trial,))
    assert [e.measured for e in found] == [False, False, True, False]
    assert found[2].linear.value == pytest.approx(2.0)
    assert found[2].whole is not None and found[2].whole.value == pytest.approx(10 / 6)
    assert found[2].over_control is not None and found[2].over_control.value == pytest.approx(2 / 1.5)
    assert (found[2].linear_s, found[2].whole_s) == pytest.approx((4e-3, 6e-3))
    assert found[2].to_json()["method"] != found[0].to_json()["method"]


def test_dense_integers_are_a_way_of_their_own_without_zeros() -> None:
    pay = pay_map((row(curve({0.0: 0.25}, DENSE_INT8)), row(curve(QUICK, Way("block4x4", "int8")))))
    found = estimates(pay, (split(),), USES)
    assert [(str(e.way), e.sparsity) for e in found] == [
        ("dense int8", 0.0),
        *(("block4x4 int8", s) for s in (0.5, 0.7, 0.8, 0.9)),
    ]
    assert found[0].whole is not None and found[0].whole.value == pytest.approx(10 / (2 + 8 / 4))
    shown = found[0].to_json()
    assert (shown["pattern"], shown["precision"]) == ("dense", "int8") and "way" not in shown


def test_rounding_what_goes_in_counts_as_the_linear_layers() -> None:
    pay = pay_map((row(curve({0.0: 0.25}, DENSE_INT8)),))
    eight = replace(split(linear=1e-3), quantise_s=(1e-3,) * 9)
    assert eight.total_s == pytest.approx((4e-3,) * 9)
    (found,) = estimates(pay, (split(),), USES, (Trial(DENSE_INT8, 0.0, (split(),), (eight,)),))
    assert found.measured and found.linear.value == pytest.approx(8 / 2)
    assert found.whole is not None and found.whole.value == pytest.approx(10 / 4)


def test_beside_integers_the_rest_takes_what_it_took_there() -> None:
    """2 ms outside the linear layers become 1 ms in dense int8: attention is computed in integers too."""
    blocks = Way("block4x4", "int8")
    pay = pay_map((row(curve(QUICK)), row(curve(QUICK, blocks))))
    trial = Trial(DENSE_INT8, 0.0, (split(),), (split(linear=2e-3, other=1e-3),))
    at = {str(e.way): e.whole for e in estimates(pay, (split(),), USES, (trial,)) if e.sparsity == 0.8}
    assert at["block4x4 int8"] is not None and at["unstructured"] is not None
    assert at["block4x4 int8"].value == pytest.approx(10 / (1 + 8 * 0.3))
    assert at["unstructured"].value == pytest.approx(10 / (2 + 8 * 0.3))


def test_weights_that_come_from_far_are_no_activation_function() -> None:
    """Steps without one take 1.5 times the kernel's time: of 4 ms a step, gelu takes 2.5 ms."""
    pay = pay_map((row(curve(QUICK)),))
    plain = Product(256, 128, 128, None, 2, ("c", "d"), (3e-3,) * 9)
    gelu = Product(256, 128, 128, "gelu", 2, ("a", "b"), (8e-3,) * 9)
    found = estimates(pay, (Split(128, (plain, gelu), (0.0,) * 9),), USES)[2]
    assert found.linear.value == pytest.approx(11 / (5 + 6 * 0.3))
