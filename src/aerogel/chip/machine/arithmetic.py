"""What the machine computes: every operation in float64, then rounded to what the machine's values are.

This is the definition; ``sim/arithmetic.py`` says the same in Loop IR, bit for bit.

- ``bf16`` and ``f32`` are rounded once, from the float64 result to the nearest, ties to even; beyond their
  range lies infinity. ``int16`` is the nearest whole number; out of range, or NaN, is an error.
- ``and``, ``or`` and ``not`` ask "is it not 0" and give 1 or 0, as comparisons do; ``pair`` is 1.
- ``min`` and ``max`` of a NaN are NaN, and so are ``relu`` and ``sign``. x / 0 is infinite, 0 / 0 a NaN.
- ``exp`` is a reduction to |r| <= ln 2 / 2 in two steps and a polynomial (see ``exponential``): within 2
  units of the last place of float64.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from aerogel.chip.machine.netlist import Values

LIMIT = {"int16": 32767.0}
# ln 2 in two parts; the first has its last 32 bits clear, so n times it is exact.
LOG2E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
TERMS = tuple(1.0 / math.factorial(n) for n in range(14))
EXP_HIGH, EXP_LOW = 709.782712893384, -745.1332191019412


class OutOfRangeError(ArithmeticError):
    """An int16 result that int16 cannot hold."""


def rounded(value: float, values: Values) -> float:
    """The nearest value that the machine has; OutOfRangeError where ``int16`` has none."""
    match values:
        case "f64":
            return value
        case "f32":
            return _f32(value)
        case "bf16":
            return _bf16(value)
        case "int16":
            if not abs(value) < 32768.5:
                raise OutOfRangeError
            whole = float(round(value))
            if not -32768.0 <= whole <= 32767.0:
                raise OutOfRangeError
            return whole


def _f32(value: float) -> float:
    if math.isnan(value) or math.isinf(value):
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _bf16(value: float) -> float:
    near = _f32(value)
    if math.isnan(near) or math.isinf(near):
        return near
    bits = struct.unpack("<I", struct.pack("<f", near))[0]
    # A float32 halfway between two bf16s may come from a float64 that was not: it still lies on its side.
    if bits & 0xFFFF == 0x8000 and near != value:
        bits += 1 if abs(value) > abs(near) else -1
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def exponential(x: float) -> float:
    """e^x: x = n ln 2 + r, and the Taylor series of e^r to r^13, times 2^n in two exact steps."""
    if math.isnan(x):
        return x
    if x > EXP_HIGH:
        return math.inf
    if x < EXP_LOW:
        return 0.0
    n = math.floor(x * LOG2E + 0.5)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    total = TERMS[13]
    for term in reversed(TERMS[:13]):
        total = total * r + term
    half = n // 2
    return total * 2.0**half * 2.0 ** (n - half)


def _div(a: float, b: float) -> float:
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _min(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else (a if a < b else b)


def _max(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else (a if a > b else b)


def _sqrt(a: float) -> float:
    return math.nan if math.isnan(a) or a < 0.0 else math.sqrt(a)


OPERATION: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _div,
    "min": _min,
    "max": _max,
    "or": lambda a, b: float(a != 0.0 or b != 0.0),
    "and": lambda a, b: float(a != 0.0 and b != 0.0),
    "pair": lambda a, b: 1.0,  # noqa: ARG005 (what it is)
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "gt": lambda a, b: float(a > b),
    "ge": lambda a, b: float(a >= b),
}
FUNCTION: dict[str, Callable[[float], float]] = {
    "neg": lambda a: -a,
    "abs": abs,
    "sqrt": _sqrt,
    "square": lambda a: a * a,
    "relu": lambda a: a if math.isnan(a) or a > 0.0 else 0.0,
    "sign": lambda a: a if math.isnan(a) else float((a > 0.0) - (a < 0.0)),
    "not": lambda a: float(a == 0.0),
    "exp": exponential,
    "reciprocal": lambda a: _div(1.0, a),
}
"""Named as in ``opcodes.OPERATIONS`` and ``FUNCTIONS``."""


def filled(value: float, values: Values) -> float:
    """What stands for what is not stored: an int16 has no infinity, but its greatest or its least value."""
    return min(max(value, -32768.0), 32767.0) if values == "int16" else value


def identity(op: str, values: Values) -> float:
    """What a fold of nothing gives; of ``min`` and ``max`` the greatest and the least value there is."""
    match op:
        case "mul" | "and":
            return 1.0
        case "min":
            return 32767.0 if values == "int16" else math.inf
        case "max":
            return -32768.0 if values == "int16" else -math.inf
        case _:
            return 0.0
