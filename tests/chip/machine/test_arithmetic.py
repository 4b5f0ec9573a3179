"""What the machine computes, against exact numbers; and the simulator's code for it, bit for bit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel import native
from aerogel.chip.machine.arithmetic import (
    FUNCTION,
    OPERATION,
    OutOfRangeError,
    exponential,
    identity,
    rounded,
)
from aerogel.chip.machine.netlist import Values
from aerogel.chip.machine.opcodes import FUNCTIONS, OPERATIONS
from aerogel.chip.machine.sim import arithmetic as code
from aerogel.chip.machine.sim.layout import STATE, VALUES, S
from aerogel.loop.nodes import Module

NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    3.0,
    0.1,
    300.7,
    -2.5,
    1e-3,
    65504.0,
    1e30,
    1e-40,
    math.inf,
    -math.inf,
    math.nan,
]


def nearest_bf16(value: float) -> float:
    """By looking at the bf16s around a number, in exact arithmetic."""
    bits = int(np.array([value], np.float32).view(np.uint32)[0]) & 0xFFFF0000
    candidates = [np.array([bits + step * 0x10000], np.uint32).view(np.float32)[0] for step in (-1, 0, 1)]
    exact = Fraction(value)
    even = [int(np.float32(c).view(np.uint32) >> 16) & 1 for c in candidates]
    return float(
        min(zip(candidates, even, strict=True), key=lambda c: (abs(Fraction(float(c[0])) - exact), c[1]))[0]
    )


@given(st.floats(1e-30, 1e30), st.booleans())
def test_bf16_is_rounded_once_to_the_nearest_even(value: float, negative: bool) -> None:
    value = -value if negative else value
    assert rounded(value, "bf16") == nearest_bf16(value)


def test_a_double_just_beside_halfway_between_two_bf16s_stays_on_its_side() -> None:
    halfway = 1.0 + 2.0**-8
    assert rounded(halfway, "bf16") == 1.0
    assert rounded(halfway + 2.0**-40, "bf16") == 1.0 + 2.0**-7
    assert rounded(1.0 + 3 * 2.0**-8 - 2.0**-40, "bf16") == 1.0 + 2.0**-7


def test_int16_is_the_nearest_whole_number_or_an_error() -> None:
    assert [rounded(v, "int16") for v in (0.5, 1.5, -2.5, 32767.4, -32768.4)] == [0, 2, -2, 32767, -32768]
    for value in (32767.5, -32769.0, math.nan, math.inf):
        with pytest.raises(OutOfRangeError):
            rounded(value, "int16")


def test_exp_is_within_two_units_of_the_last_place() -> None:
    for x in np.linspace(-745, 709, 1511).tolist():
        assert abs(exponential(x) - math.exp(x)) <= 2 * math.ulp(math.exp(x))
    assert (exponential(-math.inf), exponential(math.inf)) == (0.0, math.inf)
    assert math.isnan(exponential(math.nan))


def test_identities_change_nothing() -> None:
    for op in ("add", "mul", "min", "max"):
        assert OPERATION[op](identity(op, "bf16"), 3.5) == 3.5
        assert OPERATION[op](identity(op, "int16"), -7.0) == -7.0


def same(found: float, wanted: float) -> bool:
    return (math.isnan(found) and math.isnan(wanted)) or (found == wanted)


@pytest.mark.parametrize("values", ["f64", "f32", "bf16", "int16"])
def test_machine_code_computes_the_same(values: Values) -> None:
    operate = native.compile(Module("operate", (code.operate(),)))
    apply = native.compile(Module("apply", (code.apply(),)))
    state = np.zeros(STATE, np.int64)
    state[S.VALUES] = VALUES.index(values)

    def expect(what: str, wanted: float) -> None:
        """Of what the machine code left."""
        overflow, state[S.FAULT] = bool(state[S.FAULT]), 0
        try:
            exact = rounded(wanted, values)
        except OutOfRangeError:
            assert overflow, what
        else:
            assert not overflow, what
            assert same(float(state[S.RESULT].view(np.float64)), exact), what

    for number, name in enumerate(OPERATIONS):
        for a in NUMBERS:
            for b in NUMBERS:
                operate(number, a, b, state)
                expect(f"{a} {name} {b}", OPERATION[name](a, b))
    for number, name in enumerate(FUNCTIONS):
        for a in [*NUMBERS, 0.5, 1.25, -7.3, 700.0, -740.0]:
            apply(number, a, state)
            expect(f"{name} {a}", FUNCTION[name](a))
