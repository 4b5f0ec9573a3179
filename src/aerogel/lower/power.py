"""x^y as Loop IR: of floats by a logarithm in twice the precision, of integers by squaring. Branch-free.

Floats follow C's ``pow``: x^0 = 1^y = 1 also for NaN; a negative x has a power for integer y alone, else NaN;
zeros and infinities take their limits, and give the sign of x where y is odd. Largest errors, in units of the
last place: f32 0.51, f64 0.8. Some constant exponents are computed directly: 0 and 1 exactly, 2 and -1 with
one rounding, 3 and 4 with two (error at most 1.5), 0.5 as a square root (so -0.0 stays, and -inf gives NaN).

Integers wrap. A negative exponent gives 1 / x^-y truncated: 0 but for x = 1 and -1; of x = 0 too, for all
divisions of integers by zero give 0 here. bool: ``x or not y``.
"""

from __future__ import annotations

import math

from aerogel.core.dtypes import DType
from aerogel.loop.build import Code
from aerogel.loop.nodes import (
    Bitcast,
    Broadcast,
    Cast,
    Compare,
    Const,
    Expr,
    Fma,
    Select,
    Unary,
)
from aerogel.loop.values import like
from aerogel.lower.elementary import constant, exp, exp_sum, horner, log, precision, split, words

# ln 2 in two parts, the first with so few bits that its product with an exponent is exact.
_LN2 = (0.6931471805598903, 5.497923018708371e-14)
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# P of ln((1 + s) / (1 - s)) = 2 s + s z (2/3 + z P(z)), z = s^2, abs(s) <= 0.1716.
_LOG = (0.40000000000001384, 0.28571428570454127, 0.22222222464555652, 0.18181788697255183,
        0.15386576290291587, 0.13260688405893287, 0.131630464500257)  # fmt: skip
# Beyond it e^x is 0 or infinite, whatever is added to x.
_FAR = 800.0
# From here on every f64 is an integer.
_WHOLE = 2.0**52


def power(code: Code, x: Expr, y: Expr) -> Expr:
    """``x`` to the power of ``y``, both f32, f64, i32, i64 or bool."""
    dtype = x.type.dtype
    if dtype is DType.BOOL:
        return x | Unary("not", y)
    exponent = literal(y)
    if not dtype.is_float:
        return _integer(code, code.let(x, "base"), code.let(y, "exponent"), exponent)
    if exponent in _DIRECT:
        return _direct(code, code.let(x, "x"), exponent)
    if dtype is DType.F64:
        return _float(code, x, y)
    wide = like(x.type, DType.F64)
    return Cast(_float(code, Cast(x, wide), Cast(y, wide), short=True), x.type)


def literal(expr: Expr) -> float | None:
    """The value of a constant, in every lane the same; None for what is not known before it runs."""
    match expr:
        case Const(value=value):
            return value
        case Broadcast(a=Const(value=value)):
            return value
        case _:
            return None


# --- floats -----------------------------------------------------------------------------------

_DIRECT = (0.0, 1.0, 2.0, 3.0, 4.0, -1.0, 0.5)


def _direct(code: Code, x: Expr, exponent: float) -> Expr:
    if exponent == 0:
        return constant(1.0, x)
    if exponent == 1:
        return x
    if exponent == -1:
        return constant(1.0, x) / x
    if exponent == 0.5:
        return Unary("sqrt", x)
    square = code.let(x * x, "square")
    return {2.0: square, 3.0: square * x, 4.0: square * square}[exponent]


def _float(code: Code, x: Expr, y: Expr, *, short: bool = False) -> Expr:
    """Of f64. ``short``: right to f32's precision only."""
    x, y = code.let(x, "x"), code.let(y, "y")
    size = code.let(Unary("abs", x), "size")
    raised = exp(code, y * log(code, size)) if short else _raised(code, size, y)
    one = constant(1.0, x)
    raised = Select(Compare("eq", size, one), one, raised)
    whole, odd = _kind(code, y)
    sign = Select(odd, words(x) & precision(x).sign, Const(0, like(x.type, DType.U64)))
    signed = Bitcast(words(raised) | sign, x.type)
    # -inf has a power for every y; other negative numbers do not.
    none = (x < 0.0) & (size < math.inf) & Unary("not", whole)
    found = Select(none, constant(math.nan, x), signed)
    always = Compare("eq", y, constant(0.0, y)) | Compare("eq", x, one)
    return code.let(Select(always, one, found), "power")


def _raised(code: Code, size: Expr, y: Expr) -> Expr:
    """size^y for size >= 0 other than 1."""
    found, low = _log_twice(code, size)
    # Infinities and NaN are their own logarithms.
    found = Select(size < math.inf, found, size)
    zero = Compare("eq", size, constant(0.0, size))
    high = code.let(Select(zero, constant(-math.inf, size), found), "high")
    product = code.let(y * high, "product")
    rest = Fma(y, high, Unary("neg", product)) + y * low
    near = Unary("abs", product) < _FAR
    return exp_sum(code, product, code.let(Select(near, rest, constant(0.0, y)), "rest"))


def _log_twice(code: Code, x: Expr) -> tuple[Expr, Expr]:
    """ln x as a sum of two, to about 65 bits, for finite x > 0; the sums are Dekker's."""
    f, k = split(code, x)
    # s = f / (2 + f), 2 + f = g + g_low exactly.
    g = code.let(f + 2.0, "g")
    g_low = f - (g - 2.0)
    inverse = code.let(constant(1.0, f) / g, "inverse")
    s = code.let(f * inverse, "s")
    minus = code.let(Unary("neg", s), "minus")
    s_low = code.let(Fma(minus, g_low, Fma(minus, g, f)) * inverse, "s_low")
    z, z_low = _product(code, s, s_low, s, s_low)
    # 2/3 + z P(z)
    tail = code.let(z * horner(code, _LOG, z), "tail")
    c = code.let(tail + _TWO_THIRDS[0], "c")
    c_low = code.let((tail - (c - _TWO_THIRDS[0])) + _TWO_THIRDS[1], "c_low")
    w, w_low = _product(code, s, s_low, *_product(code, z, z_low, c, c_low))
    # k ln 2 + 2 s + w, each far larger than the next or 0.
    turns, double = code.let(k * _LN2[0], "turns"), code.let(s + s, "double")
    first = code.let(turns + double, "first")
    second = code.let(first + w, "second")
    low = (double - (first - turns)) + (w - (second - first))
    low = code.let(low + (w_low + Fma(k, constant(_LN2[1], x), s_low + s_low)), "low")
    high = code.let(second + low, "high")
    return high, code.let(low - (high - second), "low")


def _product(code: Code, a: Expr, a_low: Expr, b: Expr, b_low: Expr) -> tuple[Expr, Expr]:
    """(a + a_low) (b + b_low) as a sum of two."""
    high = code.let(a * b, "high")
    return high, code.let(Fma(a, b, Unary("neg", high)) + (a * b_low + a_low * b), "low")


def _kind(code: Code, y: Expr) -> tuple[Expr, Expr]:
    """Whether ``y`` is an integer, and whether it is an odd one."""
    size = code.let(Unary("abs", y), "size")
    whole = code.let(_is_whole(size), "whole")
    half = code.let(size * 0.5, "half")
    return whole, whole & Unary("not", _is_whole(half))


def _is_whole(size: Expr) -> Expr:
    """Of a number >= 0; adding 2^52 rounds smaller ones to an integer."""
    rounded = (size + _WHOLE) - _WHOLE
    return (size >= _WHOLE) | Compare("eq", rounded, size)


# --- integers ---------------------------------------------------------------------------------


def _integer(code: Code, x: Expr, y: Expr, exponent: float | None) -> Expr:
    """By squaring: one step for each bit of the exponent below its sign."""
    one, zero = Const(1, x.type), Const(0, x.type)
    steps = x.type.dtype.bits - 1 if exponent is None else max(0, int(exponent)).bit_length()
    result, square = one, x
    for step in range(steps):
        bit = Compare("ne", (y >> step) & 1, Const(0, y.type))
        result = code.let(Select(bit, code.let(result * square, "product"), result), "result")
        if step + 1 < steps:
            square = code.let(square * square, "square")
    if exponent is not None and exponent >= 0:
        return result
    odd = Compare("ne", y & 1, Const(0, y.type))
    minus = Select(Compare("eq", x, Const(-1, x.type)), Select(odd, x, one), zero)
    inverse = Select(Compare("eq", x, one), one, minus)
    return code.let(Select(y < 0, inverse, result), "power")
