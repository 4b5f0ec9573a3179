"""``machine/arithmetic.py`` in Loop IR, bit for bit: ``operate`` and ``apply`` are called by cells."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.arithmetic import EXP_HIGH, EXP_LOW, LN2_HIGH, LN2_LOW, LOG2E, TERMS
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.opcodes import FUNCTIONS, OPERATIONS
from aerogel.chip.machine.sim.layout import VALUES, S
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    F32,
    I64,
    Binary,
    Bitcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Expr,
    Function,
    Load,
    Scalar,
    Select,
    Unary,
    Var,
)

F64, U32 = Scalar(DType.F64), Scalar(DType.U32)
STATE = Buf("state", BufferType(DType.I64))
OP, A, B = Var("op", I64), Var("a", F64), Var("b", F64)
_MAGIC = 1.5 * 2.0**52
"""Added and taken away again it leaves the nearest whole number, ties to even."""


def state(at: S) -> Expr:
    """A word of ``STATE``."""
    return Load(STATE, i64(at))


def f64(value: float) -> Const:
    return Const(value, F64)


def cases(code: Code, *arms: tuple[Expr | Callable[[], Expr], Callable[[], None]]) -> None:
    """The first arm whose condition holds, and no other. A condition may be written when it is needed."""
    if not arms:
        return
    (cond, body), *rest = arms
    asked = cond() if callable(cond) else cond
    with code.block() as then:
        body()
    with code.block() as orelse:
        cases(code, *rest)
    code.branch(asked, tuple(then), tuple(orelse))


def always() -> Const:
    return Const(value=True, type=Scalar(DType.BOOL))


def _nan(a: Expr) -> Expr:
    return Compare("ne", a, a)


def _truth(cond: Expr) -> Expr:
    return Select(cond, f64(1.0), f64(0.0))


def _least(kind: str) -> Expr:
    better = Compare("lt" if kind == "min" else "gt", A, B)
    return Select(_nan(A) | _nan(B), A + B, Select(better, A, B))


def _set(a: Expr) -> Expr:
    return Compare("ne", a, f64(0.0))


_BINARY: dict[str, Callable[[], Expr]] = {
    "add": lambda: A + B,
    "sub": lambda: A - B,
    "mul": lambda: A * B,
    "div": lambda: A / B,
    "min": lambda: _least("min"),
    "max": lambda: _least("max"),
    "or": lambda: _truth(_set(A) | _set(B)),
    "and": lambda: _truth(_set(A) & _set(B)),
    "pair": lambda: f64(1.0),
    "eq": lambda: _truth(Compare("eq", A, B)),
    "ne": lambda: _truth(Compare("ne", A, B)),
    "lt": lambda: _truth(Compare("lt", A, B)),
    "le": lambda: _truth(Compare("le", A, B)),
    "gt": lambda: _truth(Compare("gt", A, B)),
    "ge": lambda: _truth(Compare("ge", A, B)),
}


def operate() -> Function:
    """``operate(op, a, b, state)``: ``a op b``, rounded, as bits in ``state[RESULT]``; ``op`` by its
    number."""
    code = Code()
    result = code.define(f64(0.0), "result")
    _chosen(code, result, [_BINARY[name]() for name in OPERATIONS])
    _round(code, result)
    return Function("operate", (OP, A, B, STATE), code.done())


def apply() -> Function:
    """``apply(op, a, state)``: a function of one value, as ``operate``."""
    code = Code()
    result = code.define(f64(0.0), "result")
    exponential = code.define(f64(0.0), "exponential")
    with code.if_(Compare("eq", OP, i64(FUNCTIONS.index("exp")))):
        _exp(code, exponential)
    unary: dict[str, Expr] = {
        "neg": Unary("neg", A),
        "abs": Unary("abs", A),
        "sqrt": Unary("sqrt", A),
        "square": A * A,
        "relu": Select(_nan(A) | (f64(0.0) < A), A, f64(0.0)),
        "sign": Select(_nan(A), A, _truth(f64(0.0) < A) - _truth(A < f64(0.0))),
        "not": _truth(Compare("eq", A, f64(0.0))),
        "exp": exponential,
        "reciprocal": f64(1.0) / A,
    }
    _chosen(code, result, [unary[name] for name in FUNCTIONS])
    _round(code, result)
    return Function("apply", (OP, A, STATE), code.done())


def _chosen(code: Code, result: Var, choices: list[Expr]) -> None:
    def arm(at: int) -> tuple[Expr, Callable[[], None]]:
        return Compare("eq", OP, i64(at)), lambda: code.assign(result, choices[at])

    cases(code, *(arm(at) for at in range(len(choices))))


def _exp(code: Code, out: Var) -> None:
    def inside() -> None:
        wanted = code.let(A * f64(LOG2E) + f64(0.5), "wanted")
        cut = code.let(Cast(wanted, I64), "cut")
        n = code.let(Select(wanted < Cast(cut, F64), cut - 1, cut), "n")
        turns = code.let(Cast(n, F64), "turns")
        r = code.let(A - turns * f64(LN2_HIGH) - turns * f64(LN2_LOW), "r")
        total = code.define(f64(TERMS[13]), "total")
        for term in reversed(TERMS[:13]):
            code.assign(total, total * r + f64(term))
        half = code.let(n >> 1, "half")
        code.assign(out, total * _power(half) * _power(n - half))

    cases(
        code,
        (_nan(A), lambda: code.assign(out, A)),
        (f64(EXP_HIGH) < A, lambda: code.assign(out, f64(float("inf")))),
        (A < f64(EXP_LOW), lambda: code.assign(out, f64(0.0))),
        (always(), inside),
    )


def _power(n: Expr) -> Expr:
    return Bitcast((n + 1023) << 52, F64)


def _round(code: Code, result: Var) -> None:
    """``result`` rounded to what values are, and stored."""
    values = code.let(state(S.VALUES), "values")

    def is_(name: str) -> Expr:
        return Compare("eq", values, i64(VALUES.index(name)))

    cases(
        code,
        (is_("bf16"), lambda: _bf16(code, result)),
        (is_("f32"), lambda: code.assign(result, Cast(Cast(result, F32), F64))),
        (is_("int16"), lambda: _int16(code, result)),
    )
    code.store(STATE, i64(S.RESULT), Bitcast(result, I64))


def _bf16(code: Code, result: Var) -> None:
    near = code.let(Cast(result, F32), "near")
    bits = code.define(Cast(Bitcast(near, U32), I64), "bits")
    back = code.let(Cast(near, F64), "back")
    finite = code.let(Compare("ne", bits & 0x7F800000, i64(0x7F800000)), "finite")

    def body() -> None:
        halfway = Compare("eq", bits & 0xFFFF, i64(0x8000)) & Compare("ne", back, result)
        away = Unary("abs", back) < Unary("abs", result)
        code.assign(bits, Select(halfway, bits + Select(away, i64(1), i64(-1)), bits))
        code.assign(bits, (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000)
        code.assign(result, Cast(Bitcast(Cast(bits, U32), F32), F64))

    cases(code, (finite, body), (always(), lambda: code.assign(result, back)))


def _int16(code: Code, result: Var) -> None:
    inside = code.let(Unary("abs", result) < f64(32768.5), "inside")
    whole = code.let(Select(inside, (result + f64(_MAGIC)) - f64(_MAGIC), f64(0.0)), "whole")
    fits = inside & (f64(-32768.5) < whole) & (whole < f64(32767.5))
    with code.if_(Unary("not", fits)):
        code.store(STATE, i64(S.FAULT), i64(Fault.OVERFLOW))
    code.assign(result, whole)


def bits_of(value: Expr) -> Expr:
    return Bitcast(value, I64)


def number_of(bits: Expr) -> Expr:
    return Bitcast(bits, F64)


def unsigned_less(a: Expr, b: Expr) -> Expr:
    """0 <= a < b, where b is not negative."""
    return Binary("and", Compare("ge", a, i64(0)), Compare("lt", a, b))
