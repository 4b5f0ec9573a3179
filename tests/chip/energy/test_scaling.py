"""Scaling by node and voltage, against the polynomials and areas as the paper has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.chip.energy.scaling import factor
from aerogel.core.errors import ChipError


def test_a_gate_from_45_to_14_nm_at_one_voltage():
    at_45 = 1.103 * 0.81 - 0.362 * 0.9 + 0.2767
    at_14 = 0.2363 * 0.81 - 0.09675 * 0.9 + 0.02239
    assert factor("logic", (45, 0.9), (14, 0.9)) == pytest.approx(at_14 / at_45)


def test_both_rules_together_are_near_the_polynomial_alone():
    # 45 nm, 0.9 V to 14 nm, 0.78 V and to 16 nm, 0.8 V.
    assert factor("logic", (45, 0.9), (14, 0.78)) == pytest.approx(0.107, rel=0.06)
    assert factor("logic", (45, 0.9), (16, 0.8)) == pytest.approx(0.142, rel=0.06)


def test_12_nm_is_taken_as_14_and_18_lies_between_16_and_20():
    assert factor("logic", (45, 0.9), (12, 0.7)) == factor("logic", (45, 0.9), (14, 0.7))
    least, most = sorted((factor("area", (45, 1.0), (16, 1.0)), factor("area", (45, 1.0), (20, 1.0))))
    assert least < factor("area", (45, 1.0), (18, 1.0)) < most


def test_wires_do_not_shrink_and_leakage_is_by_area():
    assert factor("wire", (16, 0.8), (45, 0.4)) == pytest.approx(0.25)
    logic, area = (factor(rule, (40, 0.9), (14, 0.7)) for rule in ("logic", "area"))
    assert factor("leakage", (40, 0.9), (14, 0.7)) == pytest.approx(logic / area)


def test_what_is_not_the_chips_is_not_scaled():
    assert factor("fixed", (45, 0.9), (7, 0.5)) == factor("cell", (14, 0.8), (7, 0.5)) == 1.0


def test_a_node_outside_is_refused():
    with pytest.raises(ChipError, match="5 nm is outside 7 to 65 nm"):
        factor("logic", (45, 0.9), (5, 0.7))


volts = st.floats(0.5, 1.1)
node = st.sampled_from([65, 45, 40, 32, 28, 20, 16, 14, 12, 10, 7])


@given(node, volts, node, volts)
def test_there_and_back_is_1_for_areas_and_v_squared_holds(a: float, v: float, b: float, w: float):
    assert factor("area", (a, v), (b, w)) * factor("area", (b, w), (a, v)) == pytest.approx(1)
    assert factor("logic", (a, v), (b, w)) == pytest.approx(factor("logic", (a, v), (b, v)) * (w / v) ** 2)
