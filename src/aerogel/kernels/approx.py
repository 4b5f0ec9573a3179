"""Activation functions as Loop IR: branch-free polynomials, the same bits in every lane and on every target.

Each builder takes an f32 expression (scalar or vector), adds the ``Let`` statements it needs to a
``Lets`` and returns the result. Polynomials are minimax fits, rounded to f32, in Horner's order with ``Fma``.
The errors stated were measured over dense grids against float64 and are held by the tests.

NaN gives NaN everywhere. Infinities: ``exp`` saturates at 2^127.49 and is 0 below -127 ln 2; ``gelu(-inf)``,
``silu(-inf)`` and ``gelu_tanh(-inf)`` have no useful value (NaN or -inf), all others take their limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError, require
from aerogel.loop.nodes import (
    Binary,
    Bitcast,
    Const,
    Define,
    Expr,
    Fma,
    Let,
    Scalar,
    Stmt,
    Type,
    Unary,
    Var,
    Vec,
)


@dataclass
class Names:
    """Hands out names that no other call on the same object gets: one object per function."""

    prefix: str = ""
    _given: dict[str, int] = field(default_factory=dict[str, int], init=False)

    def fresh(self, hint: str) -> str:
        """``prefix``, ``hint``, and how often the hint was asked for before: same calls, same names."""
        number = self._given.get(hint, 0)
        self._given[hint] = number + 1
        return f"{self.prefix}{hint}{number}"


@dataclass
class Lets:
    """Collects statements; what it was given, it names."""

    names: Names
    statements: list[Stmt] = field(default_factory=list[Stmt])

    def let(self, value: Expr, hint: str = "t") -> Var:
        """Binds ``value`` to a fresh name."""
        var = Var(self.names.fresh(hint), value.type)
        self.statements.append(Let(var, value))
        return var

    def let_as(self, var: Var, value: Expr) -> Var:
        """Binds ``value`` to a name of the caller's."""
        self.statements.append(Let(var, value))
        return var

    def define(self, value: Expr, hint: str) -> Var:
        """Introduces a variable that ``Assign`` may change."""
        var = Var(self.names.fresh(hint), value.type)
        self.statements.append(Define(var, value))
        return var

    def add(self, *statements: Stmt) -> None:
        """Appends statements as they are."""
        self.statements.extend(statements)

    def block(self) -> tuple[Stmt, ...]:
        return tuple(self.statements)


Builder = Callable[[Expr, Lets], Expr]

# x - n ln 2 in two steps: the first product is exact for |n| <= 127.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_LOG2_E = 1.4426950408889634
# Adding it rounds to an integer, and leaves the integer + 127, an exponent field, in the low bits.
_ROUND = 12582912.0 + 127.0
_ROUND_PLAIN = 12582912.0

# exp(r) = 1 + r P(r) on |r| <= ln 2 / 2; relative error of the fit 2.0e-9.
_EXP = (1.0, 0.49999994039535522, 0.16666431725025177, 0.041668001562356949, 0.0083741554990410805,
        0.0013843653723597527)  # fmt: skip
# 2^f = 1 + f P(f) on |f| <= 1/2; relative error of the fit 9.2e-8.
_EXP2 = (0.69314700365066528, 0.24022242426872253, 0.055507335811853409, 0.0096715129911899567,
         0.0013264727313071489)  # fmt: skip
# 2^f on |f| <= 1/2; relative error of the fit 1.73e-3.
_EXP2_ROUGH = (1.00044315, 0.70344809, 0.2384289)
# (Phi(x) - 1/2) / x, with Phi the normal distribution, as a quotient of polynomials in x^2 up to 5.1^2; times
# x^2 / max(1, |x|) it is off by 5.4e-7. Fitted by linear programs (Barrodale, Powell and Roberts, 1972).
_GELU_END = 26.01
_GELU_ABOVE = (0.39894880485642803, 0.022791042137647172, 0.003642792723890304)
_GELU_BELOW = (1.0, 0.22385546583764102, 0.02136628229622101, 0.0009854329035390648, -8.774941832419784e-06,
               5.4755312843993254e-08)  # fmt: skip


def minimum(a: Expr, b: Expr) -> Expr:
    """a if a < b else b: with NaN in either, b."""
    return Binary("min", a, b)


def maximum(a: Expr, b: Expr) -> Expr:
    """a if a > b else b: with NaN in either, b."""
    return Binary("max", a, b)


def constant(value: float, like: Expr) -> Const:
    """``value`` in the type of ``like``."""
    return Const(value, like.type)


def exp(x: Expr, out: Lets) -> Expr:
    """e^x; error at most 1.3 ulp on [-87, 88]; below -88.03 it is 0, above 88.37 it stays at e^88.37."""
    p, scale = _exp_parts(x, out)
    return out.let(Fma(p, scale, scale), "exp")


def exp2_below(x: Expr, out: Lets) -> Expr:
    """2^x for x <= 127 (softmax: x <= 0); relative error at most 1.9e-7; below -127 it is exactly 0."""
    low = out.let(maximum(constant(-127.0, x), x), "low")
    biased = out.let(low + _ROUND, "biased")
    f = out.let(low - (biased - _ROUND), "f")
    p = out.let(f * _horner(_EXP2, f, out), "p")
    scale = out.let(_power_of_two(biased), "scale")
    return out.let(Fma(p, scale, scale), "exp2")


def exp2_rough(x: Expr, top: float, out: Lets) -> Expr:
    """top 2^x for x <= 0, where a rounding to 1/254 of the greatest follows; relative error at most 1.8e-3;
    below -125 it stays at top 2^-125. ``top``: from 2 to 2^20."""
    low = out.let(maximum(constant(-125.0, x), x), "low")
    biased = out.let(low + _ROUND_PLAIN, "biased")
    f = out.let(low - (biased - _ROUND_PLAIN), "f")
    p = _horner(tuple(c * top for c in _EXP2_ROUGH), f, out)
    # n is added to the exponent field.
    ints = _as(x.type, DType.I32)
    return out.let(Bitcast(Bitcast(p, ints) + (Bitcast(biased, ints) << 23), x.type), "exp2")


def tanh(x: Expr, out: Lets) -> Expr:
    """Error at most 3 ulp, also near 0: expm1(2x) / (expm1(2x) + 2)."""
    # Past 9.02 the f32 nearest to tanh is 1.
    bounded = out.let(minimum(constant(9.5, x), maximum(constant(-9.5, x), x)), "x")
    p, scale = _exp_parts(out.let(bounded + bounded, "x"), out)
    expm1 = out.let(Fma(p, scale, scale - 1.0), "expm1")
    return out.let(expm1 / (expm1 + 2.0), "tanh")


def sigmoid(x: Expr, out: Lets) -> Expr:
    """1 / (1 + e^-x); error at most 3 ulp for x >= -87, absolute error 1e-38 below."""
    whole = exp(out.let(Unary("neg", x), "neg"), out) + 1.0
    return out.let(Binary("div", constant(1.0, x), whole), "sigmoid")


def silu(x: Expr, out: Lets) -> Expr:
    """x sigmoid(x); error at most 3 ulp for x >= -87, absolute error 1e-35 below (for x > -1e3)."""
    return out.let(x / (exp(out.let(Unary("neg", x), "neg"), out) + 1.0), "silu")


def gelu(x: Expr, out: Lets) -> Expr:
    """x Phi(x), the exact (erf) form; error at most 7.5e-7 max(1, |x|); exactly 0 or x where |x| > 5.11."""
    square = out.let(minimum(constant(_GELU_END, x), x * x), "square")
    # A quotient: tried a quarter faster than a polynomial of degree 12, for division has a unit of its own.
    above = out.let(x * _horner(_GELU_ABOVE, square, out), "above")
    # Where the square was cut, phi is a straight line that leaves [0, 1] at once: the cut below ends it.
    phi = out.let(above / _horner(_GELU_BELOW, square, out) + 0.5, "phi")
    return out.let(x * minimum(constant(1.0, x), maximum(constant(0.0, x), phi)), "gelu")


def gelu_tanh(x: Expr, out: Lets) -> Expr:
    """x sigmoid(2 z), z = sqrt(2/pi) (x + 0.044715 x^3); error at most 1.2e-7 max(1, |x|)."""
    square = out.let(x * x, "square")
    # -2 sqrt(2 / pi) and that times 0.044715
    inner = Fma(square, constant(-0.071354814, x), constant(-1.5957691, x))
    z = out.let(x * inner, "z")
    return out.let(x / (exp(z, out) + 1.0), "gelu")


def relu(x: Expr, out: Lets) -> Expr:
    """max(x, 0), exact; -0.0 stays."""
    return out.let(maximum(constant(0.0, x), x), "relu")


ACTIVATIONS: dict[str, Builder] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "relu": relu,
    "silu": silu,
    "tanh": tanh,
    "sigmoid": sigmoid,
}


def activation(name: str, x: Expr, names: Names) -> tuple[tuple[Stmt, ...], Expr]:
    """The statements that compute ``name`` of ``x``, and the result; UnsupportedError for an unknown name."""
    require(
        name in ACTIVATIONS,
        UnsupportedError,
        f"no activation {name!r}: choose one of {', '.join(ACTIVATIONS)}",
    )
    out = Lets(names)
    result = ACTIVATIONS[name](x, out)
    return out.block(), result


def _exp_parts(x: Expr, out: Lets) -> tuple[Expr, Expr]:
    """(p, s) with e^x = s + s p, s a power of two (or 0), |p| < 1/2."""
    bounded = out.let(minimum(constant(88.37, x), maximum(constant(-88.03, x), x)), "x")
    biased = out.let(Fma(bounded, constant(_LOG2_E, x), constant(_ROUND, x)), "biased")
    n = out.let(biased - _ROUND, "n")
    high = out.let(Fma(n, constant(-_LN2_HIGH, x), bounded), "r")
    r = out.let(Fma(n, constant(-_LN2_LOW, x), high), "r")
    p = out.let(r * _horner(_EXP, r, out), "p")
    return p, out.let(_power_of_two(biased), "scale")


def _power_of_two(biased: Expr) -> Expr:
    """2^n from n + ``_ROUND``, whose low bits are its exponent field (n = -127: field 0, the number 0)."""
    bits = Bitcast(biased, _as(biased.type, DType.I32)) << 23
    return Bitcast(bits, biased.type)


def _horner(coefficients: tuple[float, ...], x: Expr, out: Lets) -> Expr:
    result: Expr = constant(coefficients[-1], x)
    for coefficient in coefficients[-2::-1]:
        result = out.let(Fma(result, x, constant(coefficient, x)), "poly")
    return result


def _as(type_: Type, dtype: DType) -> Type:
    match type_:
        case Scalar():
            return Scalar(dtype)
        case Vec(lanes=lanes):
            return Vec(dtype, lanes)
