"""Loop IR as text: compact, deterministic, made for reading and for golden files."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import (
    F32,
    I64,
    Alloc,
    Assign,
    Barrier,
    Binary,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Define,
    Dot2,
    Dot4,
    Expand,
    Expr,
    Fma,
    For,
    Function,
    If,
    Iota,
    Let,
    LetView,
    Load,
    Module,
    PairDot4,
    Param,
    Permute,
    Prefetch,
    Reduce,
    Scalar,
    Select,
    Shuffle,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Type,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)

_INFIX = {
    "mul": ("*", 3), "div": ("/", 3), "rem": ("%", 3), "add": ("+", 2), "sub": ("-", 2),
    "shl": ("<<", 1), "shr": (">>", 1), "and": ("&", 1), "or": ("|", 1), "xor": ("^", 1),
    "eq": ("==", 0), "ne": ("!=", 0), "lt": ("<", 0), "le": ("<=", 0), "gt": (">", 0), "ge": (">=", 0),
}  # fmt: skip


def show(module: Module) -> str:
    """The module as text, one function after another, ending in a newline."""
    lines = [f"module {module.name}"]
    for function in module.functions:
        lines += ["", *_function(function)]
    return "\n".join(lines) + "\n"


def type_name(type_: Type | BufferType) -> str:
    """``f32``, ``f32x16``, ``const f32[] align 64``."""
    match type_:
        case Scalar(dtype=dtype):
            return dtype.short
        case Vec(dtype=dtype, lanes=lanes):
            return f"{dtype.short}x{lanes}"
        case BufferType(dtype=dtype, const=const, align=align):
            aligned = "" if align == 1 else f" align {align}"
            return f"{'const ' if const else ''}{dtype.short}[]{aligned}"
        case _:
            assert_never(type_)


def _function(function: Function) -> list[str]:
    params = ", ".join(_param(param) for param in function.params)
    return [f"fn {function.name}({params})", *_block(function.body)]


def _param(param: Param) -> str:
    return f"{param.name}: {type_name(param.type)}"


def _block(block: Block) -> list[str]:
    lines = [line for stmt in block for line in _statement(stmt)] or ["pass"]
    return [f"  {line}" for line in lines]


def _statement(stmt: Stmt) -> list[str]:
    match stmt:
        case For():
            return [_for_head(stmt), *_block(stmt.body)]
        case While(cond=cond, body=body):
            return [f"while {expr_text(cond)}", *_block(body)]
        case If(cond=cond, then=then, orelse=orelse):
            other = ["else", *_block(orelse)] if orelse else []
            return [f"if {expr_text(cond)}", *_block(then), *other]
        case _:
            return [_simple(stmt)]


def _for_head(stmt: For) -> str:
    step = "" if stmt.step == 1 else f" step {stmt.step}"
    unroll = " unroll" if stmt.unroll else ""
    return f"for {stmt.var.name} in {expr_text(stmt.start, 4)}..{expr_text(stmt.stop, 4)}{step}{unroll}"


def _simple(stmt: Stmt) -> str:
    match stmt:
        case Let(var=var, value=value):
            return f"let {_param(var)} = {expr_text(value)}"
        case Define(var=var, value=value):
            return f"var {_param(var)} = {expr_text(value)}"
        case Assign(var=var, value=value):
            return f"{var.name} = {expr_text(value)}"
        case LetView(buf=buf, base=base, offset=offset, count=count):
            return f"view {_param(buf)} = {base.name} at byte {expr_text(offset)} count {expr_text(count)}"
        case Alloc(buf=buf, count=count):
            return f"alloc {_param(buf)} count {count}"
        case Store(buf=buf, index=index, value=value):
            return f"{buf.name}[{expr_text(index)}] = {expr_text(value)}"
        case VStore(buf=buf, index=index, value=value, mask=mask):
            return f"{_span(buf, index, value.type, mask)} = {expr_text(value)}"
        case Prefetch(buf=buf, index=index):
            return f"prefetch {buf.name}[{expr_text(index)}]"
        case Call(function=function, args=args):
            return f"{function}({', '.join(a.name if isinstance(a, Buf) else expr_text(a) for a in args)})"
        case Barrier():
            return "barrier"
        case For() | While() | If():
            raise AssertionError("has a block")
        case _:
            assert_never(stmt)


def _span(buf: Buf, index: Expr, type_: Type, mask: Expr | None) -> str:
    lanes = type_.lanes if isinstance(type_, Vec) else 1
    masked = "" if mask is None else f" where {expr_text(mask)}"
    return f"{buf.name}[{expr_text(index)} :{lanes}{masked}]"


# --- expressions ----------------------------------------------------------------------------


def expr_text(expr: Expr, above: int = 0) -> str:
    """The expression as text, in parentheses where it binds less tightly than ``above``."""
    match expr:
        case Binary(op="min" | "max" as op, a=a, b=b):
            return _apply(op, a, b)
        case Binary(op=op, a=a, b=b) | Compare(op=op, a=a, b=b):
            return _infix(op, a, b, above)
        case Const():
            return _const(expr)
        case Var(name=name):
            return name
        case Unary(op=op, a=a):
            return _apply(op, a)
        case Load(buf=buf, index=index):
            return f"{buf.name}[{expr_text(index)}]"
        case VLoad(buf=buf, index=index, mask=mask):
            return _span(buf, index, expr.type, mask)
        case Iota(type=type_):
            return f"iota<{type_name(type_)}>"
        case ThreadId():
            return "thread_id"
        case ThreadCount():
            return "thread_count"
        case _:
            return _named(expr)


def _named(expr: Expr) -> str:
    match expr:
        case Select(cond=cond, a=a, b=b):
            return _apply("select", cond, a, b)
        case Cast(a=a, type=type_):
            return _apply(f"cast<{type_name(type_)}>", a)
        case Bitcast(a=a, type=type_):
            return _apply(f"bitcast<{type_name(type_)}>", a)
        case Broadcast(a=a, lanes=lanes):
            return _apply(f"broadcast<{lanes}>", a)
        case Fma(a=a, b=b, c=c):
            return _apply("fma", a, b, c)
        case Reduce(op=op, a=a):
            return _apply(f"reduce_{op}", a)
        case Expand(bits=bits, values=values):
            return _apply("expand", bits, values)
        case Dot4(acc=acc, a=a, b=b):
            return _apply("dot4", acc, a, b)
        case PairDot4(acc=acc, a=a, b=b):
            return _apply("pair_dot4", acc, a, b)
        case Dot2(acc=acc, a=a, b=b):
            return _apply("dot2", acc, a, b)
        case Shuffle(a=a, b=b, lanes=lanes):
            return f"shuffle({expr_text(a)}, {expr_text(b)}, [{', '.join(map(str, lanes))}])"
        case Permute(a=a, b=b, at=at):
            return _apply("permute", a, b, at)
        case _:
            raise AssertionError(f"{type(expr).__name__} is printed elsewhere")


def _apply(name: str, *args: Expr) -> str:
    return f"{name}({', '.join(expr_text(arg) for arg in args)})"


def _infix(op: str, a: Expr, b: Expr, above: int) -> str:
    sign, level = _INFIX[op]
    # Only + - * / % chain without parentheses, and only to the left, as they are evaluated.
    left = level if level >= 2 else 4
    text = f"{expr_text(a, left)} {sign} {expr_text(b, level + 1 if level >= 2 else 4)}"
    return f"({text})" if level < above else text


def _const(expr: Const) -> str:
    """i64 and f32 scalars bare; the type is spelt out for all others: ``7:u8``, ``0.5:f32x16``."""
    dtype = expr.type.dtype
    if dtype is DType.BOOL:
        text = "true" if expr.value else "false"
    elif dtype.is_integer:
        text = str(expr.value)
    else:
        text = _float(float(expr.value), dtype)
    bare = expr.type in (I64, F32, Scalar(DType.BOOL))
    return text if bare else f"{text}:{type_name(expr.type)}"


def _float(value: float, dtype: DType) -> str:
    if dtype is DType.F64 or not math.isfinite(value):
        return repr(value)
    # The shortest text that reads back as this value in its own precision.
    return str(np.float32(value)) if math.isfinite(np.float32(value)) else repr(value)
