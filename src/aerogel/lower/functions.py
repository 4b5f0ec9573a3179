"""The operations of index notation as Loop IR: one builder for each name, of scalars and of vectors alike.

A builder takes the ``Code`` it may add ``Let`` statements to and its operands (of one type), and returns the
result in that type. Nothing it builds branches, reads memory or traps, so it may stand for lanes that are not
meant. What an operation does not work on is an UnsupportedError.

Results are NumPy's, but for these:

- Integer ``div`` truncates towards zero. x / 0 is 0, and the lowest integer by -1 wraps to itself.
- Comparisons, ``and``, ``or`` and ``not`` are logical, and give 1 or 0 in the type of their operands.
- ``pair`` is 1: who asks has found both operands stored.
- Of bool, ``add`` and ``max`` are or, ``mul`` and ``min`` are and; ``pow`` is ``x or not y``.

``min`` and ``max`` give NaN where either operand is NaN; ``relu`` and ``sign`` keep NaN. The errors of
``exp`` and its like are stated in ``elementary.py``, of ``pow`` in ``power.py``; all else is rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError, require
from aerogel.einsum.arithmetic import identity
from aerogel.einsum.nodes import ReduceOp
from aerogel.loop import nodes as n
from aerogel.loop.build import Code
from aerogel.loop.nodes import Binary, Compare, Const, Expr, Select, Unary
from aerogel.lower import elementary
from aerogel.lower.power import literal, power

Unop = Callable[[Code, Expr], Expr]
Binop = Callable[[Code, Expr, Expr], Expr]
Identity = Callable[[DType], int | float | bool]

FLOATS = (DType.F32, DType.F64)
NUMBERS = (*FLOATS, DType.I32, DType.I64)
ALL = (*NUMBERS, DType.BOOL)
_WORDS = {DType.F32: "float32", DType.F64: "float64", DType.I32: "int32", DType.I64: "int64"}


def _number(value: int, x: Expr) -> Const:
    """0 or 1 in the type of ``x``."""
    return Const(bool(value) if x.type.dtype is DType.BOOL else value, x.type)


def _is_bool(x: Expr) -> bool:
    return x.type.dtype is DType.BOOL


def _truth(x: Expr) -> Expr:
    """Whether ``x`` is not 0."""
    return x if _is_bool(x) else Compare("ne", x, _number(0, x))


def _as(cond: Expr, x: Expr) -> Expr:
    """1 or 0 in the type of ``x``."""
    return cond if _is_bool(x) else Select(cond, _number(1, x), _number(0, x))


# --- one operand ------------------------------------------------------------------------------


def _neg(code: Code, x: Expr) -> Expr:
    return Unary("neg", x)


def _abs(code: Code, x: Expr) -> Expr:
    return x if _is_bool(x) else Unary("abs", x)


def _sqrt(code: Code, x: Expr) -> Expr:
    return Unary("sqrt", x)


def _square(code: Code, x: Expr) -> Expr:
    once = code.let(x, "x")
    return once if _is_bool(x) else once * once


def _relu(code: Code, x: Expr) -> Expr:
    # The second operand is what NaN gives, and -0.0.
    return x if _is_bool(x) else Binary("max", _number(0, x), x)


def _sign(code: Code, x: Expr) -> Expr:
    if _is_bool(x):
        return x
    once, zero = code.let(x, "x"), _number(0, x)
    # Added to 0, -0.0 becomes 0.0; NaN stays.
    rest = Select(once < 0, Const(-1, x.type), once + zero)
    return Select(once > 0, _number(1, x), rest)


def _not(code: Code, x: Expr) -> Expr:
    return Unary("not", x) if _is_bool(x) else _as(Compare("eq", x, _number(0, x)), x)


def _reciprocal(code: Code, x: Expr) -> Expr:
    return _div(code, _number(1, x), x)


# --- two operands -----------------------------------------------------------------------------


def _add(code: Code, a: Expr, b: Expr) -> Expr:
    return a | b if _is_bool(a) else a + b


def _sub(code: Code, a: Expr, b: Expr) -> Expr:
    return a - b


def _mul(code: Code, a: Expr, b: Expr) -> Expr:
    return a & b if _is_bool(a) else a * b


def _div(code: Code, a: Expr, b: Expr) -> Expr:
    if a.type.dtype.is_float:
        return a / b
    if literal(b) not in (None, 0, -1):
        return a / b
    a, b = code.let(a, "a"), code.let(b, "b")
    zero, minus = Compare("eq", b, _number(0, b)), Compare("eq", b, Const(-1, b.type))
    # The machine's division traps on both; what it gives for the 1 in their place is not used.
    quotient = a / Select(zero | minus, _number(1, b), b)
    return Select(zero, _number(0, a), Select(minus, Unary("neg", a), quotient))


def _min(code: Code, a: Expr, b: Expr) -> Expr:
    return _extreme(code, "min", a, b)


def _max(code: Code, a: Expr, b: Expr) -> Expr:
    return _extreme(code, "max", a, b)


def _extreme(code: Code, op: n.BinaryOp, a: Expr, b: Expr) -> Expr:
    if _is_bool(a):
        return a & b if op == "min" else a | b
    if not a.type.dtype.is_float:
        return Binary(op, a, b)
    # The node itself gives b where either is NaN.
    a = code.let(a, "a")
    return Select(Compare("ne", a, a), a, Binary(op, a, b))


def _or(code: Code, a: Expr, b: Expr) -> Expr:
    return _as(_truth(a) | _truth(b), a)


def _and(code: Code, a: Expr, b: Expr) -> Expr:
    return _as(_truth(a) & _truth(b), a)


def _pair(code: Code, a: Expr, b: Expr) -> Expr:
    return _number(1, a)


def _compared(op: n.CompareOp) -> Binop:
    def build(code: Code, a: Expr, b: Expr) -> Expr:
        return _compared_bool(op, a, b) if _is_bool(a) else _as(Compare(op, a, b), a)

    return build


def _compared_bool(op: n.CompareOp, a: Expr, b: Expr) -> Expr:
    """False is less than True."""
    match op:
        case "eq" | "ne":
            return Compare(op, a, b)
        case "lt":
            return Unary("not", a) & b
        case "le":
            return Unary("not", a) | b
        case "gt":
            return a & Unary("not", b)
        case "ge":
            return a | Unary("not", b)


# --- the tables -------------------------------------------------------------------------------


def _unary(name: str, build: Unop, dtypes: tuple[DType, ...] = FLOATS) -> Unop:
    def checked(code: Code, x: Expr) -> Expr:
        _require_dtype(name, x, dtypes)
        return build(code, x)

    return checked


def _binary(name: str, build: Binop, dtypes: tuple[DType, ...] = ALL) -> Binop:
    def checked(code: Code, a: Expr, b: Expr) -> Expr:
        _require_dtype(name, a, dtypes)
        require(
            a.type == b.type, UnsupportedError, f"{name} takes two operands of one type: cast one of them"
        )
        return build(code, a, b)

    return checked


def _require_dtype(name: str, x: Expr, dtypes: tuple[DType, ...]) -> None:
    require(
        x.type.dtype in dtypes,
        UnsupportedError,
        f"{name} does not work on {x.type.dtype.short}: cast to {' or '.join(_WORDS[d] for d in dtypes[:2])}",
    )


UNARY: dict[str, Unop] = {
    "neg": _unary("neg", _neg, NUMBERS),
    "abs": _unary("abs", _abs, ALL),
    "sqrt": _unary("sqrt", _sqrt),
    "square": _unary("square", _square, ALL),
    "relu": _unary("relu", _relu, ALL),
    "sign": _unary("sign", _sign, ALL),
    "not": _unary("not", _not, ALL),
    "exp": _unary("exp", elementary.exp),
    "log": _unary("log", elementary.log),
    "tanh": _unary("tanh", elementary.tanh),
    "sigmoid": _unary("sigmoid", elementary.sigmoid),
    "sin": _unary("sin", elementary.sin),
    "cos": _unary("cos", elementary.cos),
    "reciprocal": _unary("reciprocal", _reciprocal, NUMBERS),
}
"""The builder of every ``UnaryOp``."""

BINARY: dict[str, Binop] = {
    "add": _binary("add", _add),
    "sub": _binary("sub", _sub, NUMBERS),
    "mul": _binary("mul", _mul),
    "div": _binary("div", _div, NUMBERS),
    "min": _binary("min", _min),
    "max": _binary("max", _max),
    "or": _binary("or", _or),
    "and": _binary("and", _and),
    "pair": _binary("pair", _pair),
    "pow": _binary("pow", power),
    "eq": _binary("eq", _compared("eq")),
    "ne": _binary("ne", _compared("ne")),
    "lt": _binary("lt", _compared("lt")),
    "le": _binary("le", _compared("le")),
    "gt": _binary("gt", _compared("gt")),
    "ge": _binary("ge", _compared("ge")),
}
"""The builder of every ``BinaryOp``."""


def _identity(op: ReduceOp) -> Identity:
    return lambda dtype: identity(op, dtype.numpy()).item()


REDUCE: dict[str, Identity] = {op: _identity(op) for op in get_args(ReduceOp)}
"""For every ``ReduceOp`` and a type, the value that changes no other (``or`` and ``and`` make it 1 or 0)."""
