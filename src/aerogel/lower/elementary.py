"""exp, log, tanh, sigmoid, sin and cos as Loop IR: branch-free, the same bits in any lane on any target.

Each builder takes an f32 or f64 expression, scalar or vector, adds the ``Let`` statements it needs and
returns the result. The polynomials are minimax fits made for this file (Remez's exchange in 200 bits), in
Horner's order with ``Fma``; arguments are reduced as Cody and Waite do, by constants in two or three parts.

Largest errors, in units of the last place, measured on millions of points against the same function in f64
and in 80 bits; the tests hold them on fewer:

    ==========  =====  =====
    function     f32    f64
    ==========  =====  =====
    exp          1.1    1.1
    log          0.9    0.9
    tanh         2.6    2.6
    sigmoid      2.4    2.4
    sin, cos     0.51   0.8    where abs(x) <= 2^40; NaN beyond
    ==========  =====  =====

NaN gives NaN; infinities and zeros give their limits: exp(inf) is inf, exp(-inf) 0, log(0) -inf, log(inf)
inf; log of what is negative is NaN, and so are sin and cos of infinities. tanh and sin keep the sign of a
zero. Arguments and results may be subnormal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.loop.build import Code
from aerogel.loop.nodes import Binary, Bitcast, Cast, Compare, Const, Expr, Fma, Select, Unary
from aerogel.loop.values import like


@dataclass(frozen=True, slots=True)
class Precision:
    """What differs between f32 and f64. ``fraction``: bits below the leading one; ``bias``: of exponents;
    ``root_half``: the bits of sqrt(1/2).

    ``exp``: Q of e^r = 1 + r + r^2 Q(r), abs(r) <= ln 2 / 2. ``log``: P of ln((1 + s) / (1 - s)) =
    2 s + s z P(z), z = s^2, abs(s) <= 0.1716. ``ln2``: to twice the precision. ``range``: below the first
    e^x rounds to 0, above the second to infinity. ``one``: beyond it tanh rounds to 1.
    """

    words: DType
    fraction: int
    bias: int
    root_half: int
    ln2: tuple[float, float]
    range: tuple[float, float]
    one: float
    exp: tuple[float, ...]
    log: tuple[float, ...]

    @property
    def shift(self) -> float:
        """Adding it rounds to an integer n, and leaves n + 2 bias in the low bits."""
        return 1.5 * 2.0**self.fraction + 2 * self.bias

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << (self.words.bits - 1)


_F32 = Precision(
    words=DType.U32,
    fraction=23,
    bias=127,
    root_half=0x3F3504F3,
    ln2=(0.6931471824645996, -1.9046542121259336e-09),
    range=(-104.0, 89.0),
    one=10.0,
    exp=(0.4999999403953552, 0.1666651964187622, 0.041668351739645004, 0.008368780836462975,
         0.0013816580176353455),
    log=(0.6666677594184875, 0.3997754454612732, 0.29871809482574463),
)  # fmt: skip
_F64 = Precision(
    words=DType.U64,
    fraction=52,
    bias=1023,
    root_half=0x3FE6A09E667F3BCD,
    ln2=(0.6931471805599453, 2.3190468138462996e-17),
    range=(-746.0, 710.0),
    one=20.0,
    exp=(0.500000000000001, 0.1666666666666642, 0.04166666666653281, 0.008333333333492685,
         0.0013888888943165661, 0.00019841269508912013, 2.48014933954706e-05, 2.7557584839614885e-06,
         2.7630195760042016e-07, 2.5000533342690985e-08),
    log=(0.6666666666666734, 0.3999999999941762, 0.28571428741915644, 0.22222198608322494,
         0.18183563033850886, 0.15314072468335388, 0.14795824948660102),
)  # fmt: skip
_LOG2_E = 1.4426950408889634

SIN_RANGE = 2.0**40
"""sin and cos are computed up to here, NaN beyond."""
# sin r = r + r z S(z), cos r = 1 - z/2 + z^2 C(z), z = r^2, abs(r) <= pi/4: to f32's precision, and to f64's.
_SIN = {
    DType.F32: (-0.16666666641449715, 0.008333329364211849, -0.00019839327623495022, 2.718241102141339e-06),
    DType.F64: (-0.16666666666666632, 0.00833333333332233, -0.0001984126982973439, 2.755731366476756e-06,
                -2.5050753636279316e-08, 1.589652422221672e-10),
}  # fmt: skip
_COS = {
    DType.F32: (0.041666646772843124, -0.0013887362474474, 2.443783148759565e-05),
    DType.F64: (0.0416666666666666, -0.001388888888887411, 2.48015872894594e-05, -2.7557314342559244e-07,
                2.087572158774078e-09, -1.1359544817335524e-11),
}  # fmt: skip
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
# Adding it rounds to an integer, and leaves the integer in the low bits.
_ROUND = 1.5 * 2.0**52


def precision(x: Expr) -> Precision:
    """The constants for the type of ``x``, which is f32 or f64."""
    return _F32 if x.type.dtype is DType.F32 else _F64


def constant(value: float, x: Expr) -> Const:
    """``value`` in the type of ``x``."""
    return Const(value, x.type)


def words(x: Expr) -> Expr:
    """The bits of floats as unsigned integers."""
    return Bitcast(x, like(x.type, precision(x).words))


def horner(code: Code, coefficients: Sequence[float], x: Expr) -> Expr:
    """The polynomial with these coefficients, lowest first."""
    value: Expr = constant(coefficients[-1], x)
    for coefficient in coefficients[-2::-1]:
        value = code.let(Fma(value, x, constant(coefficient, x)), "poly")
    return value


# --- exp and what is made of it ---------------------------------------------------------------


def exp(code: Code, x: Expr) -> Expr:
    """e^x."""
    p, word = _exp_minus_one(code, _within(code, x))
    return _scaled(code, p + 1.0, word)


def exp_sum(code: Code, x: Expr, low: Expr) -> Expr:
    """e^(x + low), ``low`` beyond the last place of x. What is rounded off on the way is kept, so that hardly
    more than the last rounding is left of the error."""
    at = precision(x)
    n, near, word = _exp_parts(code, _within(code, x))
    small = code.let(Fma(n, constant(-at.ln2[1], x), low), "small")
    r = code.let(near + small, "r")
    main = code.let(r + 1.0, "main")
    lost = (small - (r - near)) + (r - (main - 1.0))
    rest = Fma(code.let(r * r, "square"), horner(code, at.exp, r), lost)
    return _scaled(code, main + rest, word)


def _within(code: Code, x: Expr) -> Expr:
    """``x`` cut to where e^x is neither 0 nor infinite, and a little more. NaN stays."""
    least, most = precision(x).range
    above = Binary("max", constant(least, x), x)
    return code.let(Binary("min", constant(most, x), above), "x")


def _exp_parts(code: Code, x: Expr) -> tuple[Expr, Expr, Expr]:
    """(n, x - n times the first part of ln 2, word) with n + 2 bias in the low bits of ``word``."""
    at = precision(x)
    shifted = code.let(Fma(x, constant(_LOG2_E, x), constant(at.shift, x)), "shifted")
    n = code.let(shifted - at.shift, "n")
    # Exact: the product and x cancel to fewer bits than there are.
    near = code.let(Fma(n, constant(-at.ln2[0], x), x), "near")
    return n, near, code.let(words(shifted), "word")


def _exp_minus_one(code: Code, x: Expr) -> tuple[Expr, Expr]:
    """(e^r - 1, word) with x = n ln 2 + r and n + 2 bias in the low bits of ``word``."""
    at = precision(x)
    n, near, word = _exp_parts(code, x)
    r = code.let(Fma(n, constant(-at.ln2[1], x), near), "r")
    square = code.let(r * r, "square")
    return code.let(Fma(square, horner(code, at.exp, r), r), "p"), word


def _scaled(code: Code, x: Expr, word: Expr) -> Expr:
    """2^n x, with n + 2 bias in the low bits of ``word``."""
    fraction = precision(x).fraction
    # A power of two in two factors, each a normal number: so results may be subnormal, or overflow.
    half = code.let(word >> 1, "half")
    one = Bitcast(half << fraction, x.type)
    other = Bitcast((word - half) << fraction, x.type)
    return code.let(x * one * other, "exp")


def tanh(code: Code, x: Expr) -> Expr:
    """abs(t) / (t + 2) with t = e^(-2 abs(x)) - 1, and the sign of x: no digits cancel near 0."""
    at = precision(x)
    x = code.let(x, "x")
    size = Binary("min", constant(at.one, x), Unary("abs", x))
    p, word = _exp_minus_one(code, code.let(size * -2.0, "x"))
    scale = code.let(Bitcast((word - at.bias) << at.fraction, x.type), "scale")
    t = code.let(Fma(p, scale, scale - 1.0), "t")
    sign = code.let(words(x) & at.sign, "sign")
    return code.let(Bitcast(words(Unary("abs", t) / (t + 2.0)) | sign, x.type), "tanh")


def sigmoid(code: Code, x: Expr) -> Expr:
    """1 / (1 + e^-x), by e^-abs(x), which cannot overflow."""
    x = code.let(x, "x")
    power = exp(code, Unary("neg", Unary("abs", x)))
    above = Select(x < 0.0, power, constant(1.0, x))
    return code.let(above / (power + 1.0), "sigmoid")


# --- log --------------------------------------------------------------------------------------


def log(code: Code, x: Expr) -> Expr:
    """ln x, as k ln 2 + ln(1 + f) where x = 2^k (1 + f), and s = f / (2 + f)."""
    x = code.let(x, "x")
    at = precision(x)
    f, k = split(code, x)
    s = code.let(f / (f + 2.0), "s")
    z = code.let(s * s, "z")
    # ln(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + z P(z))): what is rounded is small beside f.
    half = code.let(f * f * 0.5, "half")
    rest = code.let(Fma(z, horner(code, at.log, z), half), "rest")
    rest = code.let(Fma(s, rest, k * at.ln2[1]), "rest")
    found = code.let(Fma(k, constant(at.ln2[0], x), f - (half - rest)), "log")
    special = Select(Compare("eq", x, constant(0.0, x)), constant(-math.inf, x), constant(math.nan, x))
    finite = Select(x < math.inf, found, x)
    return code.let(Select(x > 0.0, finite, special), "log")


def split(code: Code, x: Expr) -> tuple[Expr, Expr]:
    """(f, k) with x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for finite x > 0; any numbers for others."""
    at = precision(x)
    one, unit = at.bias << at.fraction, 1 << at.fraction
    small = code.let(x < 2.0 ** (1 - at.bias), "small")
    # Subnormal numbers are scaled into the normal range first.
    bits = code.let(words(Select(small, x * 2.0 ** (at.fraction + 1), x)), "bits")
    moved = code.let(bits + (one - at.root_half), "moved")
    f = code.let(Bitcast((moved & (unit - 1)) + at.root_half, x.type) - 1.0, "f")
    # The biased exponent below the bits of 2^fraction is that number plus the exponent.
    count = Bitcast((moved >> at.fraction) | ((at.bias + at.fraction) << at.fraction), x.type)
    base = 2.0**at.fraction + at.bias
    less = Select(small, constant(base + at.fraction + 1, x), constant(base, x))
    return f, code.let(count - less, "k")


# --- sin and cos ------------------------------------------------------------------------------


def sin(code: Code, x: Expr) -> Expr:
    """sin x, x in radians."""
    return _wave(code, x, ahead=0)


def cos(code: Code, x: Expr) -> Expr:
    """cos x = sin(x + pi/2), the quarter turn added where it is exact: to the number of quarter turns."""
    return _wave(code, x, ahead=1)


def _wave(code: Code, x: Expr, ahead: int) -> Expr:
    """sin(x + ahead pi/2). f32 is computed in f64: there two parts of pi/2 reach as far as three for f64."""
    goal = x.type
    x = code.let(x if goal.dtype is DType.F64 else Cast(x, like(goal, DType.F64)), "x")
    size = code.let(Unary("abs", x), "size")
    shifted = code.let(Fma(size, constant(2 / math.pi, x), constant(_ROUND, x)), "shifted")
    n = code.let(shifted - _ROUND, "n")
    if goal.dtype is DType.F64:
        sine, cosine = _both(code, *_reduced(code, size, n))
    else:
        near = code.let(Fma(n, constant(-_HALF_PI[0], x), size), "r")
        sine, cosine = _both_short(code, code.let(Fma(n, constant(-_HALF_PI[1], x), near), "r"))
    quarter = code.let(words(shifted) + ahead, "quarter")
    odd = Compare("ne", quarter & 1, Const(0, quarter.type))
    sign = (quarter & 2) << 62
    if not ahead:
        # cos is even; sin has the sign of x.
        sign = Binary("xor", sign, words(x) & precision(x).sign)
    value = Bitcast(Binary("xor", words(Select(odd, cosine, sine)), sign), x.type)
    value = Select(size <= SIN_RANGE, value, constant(math.nan, x))
    return code.let(value if goal.dtype is DType.F64 else Cast(value, goal), "wave")


def _reduced(code: Code, size: Expr, n: Expr) -> tuple[Expr, Expr]:
    """size - n pi/2 as a sum of two, right to 53 bits even where size lies next to a multiple of pi/2."""
    high, middle, least = (constant(part, size) for part in _HALF_PI)
    # Exact: a difference below 1 whose last bit is that of ``high`` or of ``size``.
    near = code.let(Fma(Unary("neg", n), high, size), "near")
    product = code.let(n * middle, "product")
    lost = Fma(n, middle, Unary("neg", product))
    r = code.let(near - product, "r")
    # TwoSum (Knuth): r + error is exactly near - product.
    back = code.let(r - near, "back")
    error = (near - (r - back)) - (product + back)
    return r, code.let(error - lost - n * least, "low")


def _both(code: Code, r: Expr, low: Expr) -> tuple[Expr, Expr]:
    """sin and cos of r + low, f64."""
    z = code.let(r * r, "z")
    half = code.let(z * 0.5, "half")
    main = code.let(1.0 - half, "main")
    # To first order low adds low cos r to the one and -low sin r to the other.
    sine = Fma(r * z, horner(code, _SIN[DType.F64], z), low * main)
    # 1 - z/2 is rounded; what was lost there is added with the rest.
    lost = (1.0 - main) - half
    cosine = Fma(z * z, horner(code, _COS[DType.F64], z), lost - r * low)
    return code.let(r + sine, "sine"), code.let(main + cosine, "cosine")


def _both_short(code: Code, r: Expr) -> tuple[Expr, Expr]:
    """sin and cos of r in f64, to f32's precision."""
    z = code.let(r * r, "z")
    sine = Fma(code.let(r * z, "cube"), horner(code, _SIN[DType.F32], z), r)
    main = Fma(z, constant(-0.5, r), constant(1.0, r))
    cosine = Fma(code.let(z * z, "fourth"), horner(code, _COS[DType.F32], z), main)
    return code.let(sine, "sine"), code.let(cosine, "cosine")
