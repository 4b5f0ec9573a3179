"""Which expressions of the Loop IR are well-typed, and what type they have."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop.nodes import (
    I64,
    Binary,
    Bitcast,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Dot2,
    Dot4,
    Expand,
    Expr,
    Fma,
    Iota,
    Load,
    PairDot4,
    Permute,
    Reduce,
    Scalar,
    Select,
    Shuffle,
    ThreadCount,
    ThreadId,
    Type,
    Unary,
    Var,
    Vec,
    VLoad,
)
from aerogel.loop.printer import expr_text, type_name
from aerogel.loop.values import bounds

Names = dict[str, Type | BufferType]
"""What is in scope, with the type it was declared with."""

MAX_DEPTH = 200
"""How deep an expression may nest."""

_BOOL = Scalar(DType.BOOL)


class RuleError(LoopError):
    """A rule does not hold; whoever knows the statement adds where."""


def type_of(expr: Expr, names: Names, depth: int = 0) -> Type:
    """The type of a well-typed expression; RuleError says which rule an ill-typed one breaks."""
    if depth > MAX_DEPTH:
        raise RuleError(f"an expression nests deeper than {MAX_DEPTH}: bind its parts with Let")
    depth += 1
    match expr:
        case Const():
            return _const(expr)
        case Var(name=name, type=type_):
            declared = names.get(name)
            if declared is None:
                raise RuleError(f"{name!r} is not in scope")
            if declared != type_:
                raise RuleError(f"{name!r} is {type_name(declared)}, but is read here as {type_name(type_)}")
            return type_
        case Binary():
            return _binary(expr, type_of(expr.a, names, depth), type_of(expr.b, names, depth))
        case Unary(a=a):
            return _unary(expr, type_of(a, names, depth))
        case Compare():
            return _compare(expr, type_of(expr.a, names, depth), type_of(expr.b, names, depth))
        case Load(buf=buf, index=index):
            _buffer(expr, buf, type_of(index, names, depth), names)
            return Scalar(buf.type.dtype)
        case VLoad():
            return _vload(expr, names, depth)
        case Iota(type=type_):
            _require(_is_vec(type_) and type_.dtype.is_integer, expr, "counts in an integer vector type")
            return _legal(type_, expr)
        case ThreadId() | ThreadCount():
            return I64
        case _:
            return _shaped(expr, names, depth)


def _shaped(expr: Expr, names: Names, depth: int) -> Type:
    """Nodes with several operands of related shapes, and conversions."""
    match expr:
        case Select(cond=cond, a=a, b=b):
            return _select(expr, *(type_of(e, names, depth) for e in (cond, a, b)))
        case Cast(a=a):
            return _cast(expr, type_of(a, names, depth))
        case Bitcast(a=a):
            return _bitcast(expr, type_of(a, names, depth))
        case Broadcast(a=a, lanes=lanes):
            source = type_of(a, names, depth)
            _require(isinstance(source, Scalar), expr, "takes a scalar")
            return _legal(Vec(source.dtype, lanes), expr)
        case Fma(a=a, b=b, c=c):
            types = {type_of(e, names, depth) for e in (a, b, c)}
            _require(len(types) == 1, expr, "takes three operands of one type")
            _require(expr.c.type.dtype in (DType.F32, DType.F64), expr, "works on f32 and f64")
            return types.pop()
        case Reduce(a=a):
            return _reduce(expr, type_of(a, names, depth))
        case Expand(bits=bits, values=values):
            return _expand(expr, type_of(bits, names, depth), type_of(values, names, depth))
        case Dot4(acc=acc, a=a, b=b) | PairDot4(acc=acc, a=a, b=b):
            return _dot4(expr, *(type_of(e, names, depth) for e in (acc, a, b)))
        case Dot2(acc=acc, a=a, b=b):
            return _dot2(expr, *(type_of(e, names, depth) for e in (acc, a, b)))
        case Shuffle(a=a, b=b):
            return _shuffle(expr, type_of(a, names, depth), type_of(b, names, depth))
        case Permute(a=a, b=b, at=at):
            return _permute(expr, *(type_of(e, names, depth) for e in (a, b, at)))
        case _:
            raise RuleError(f"{type(expr).__name__} is not an expression")


def _require(condition: object, expr: Expr, rule: str) -> None:
    if not condition:
        raise RuleError(f"{type(expr).__name__.lower()} {rule}, in {_excerpt(expr)}")


def _excerpt(expr: Expr) -> str:
    text = expr_text(expr)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_vec(type_: Type) -> bool:
    return isinstance(type_, Vec)


def _legal(type_: Type, expr: Expr) -> Type:
    if isinstance(type_, Vec):
        lanes = type_.lanes
        _require(lanes in (1, 2, 4, 8, 16, 32, 64), expr, f"has {lanes} lanes: give a power of two up to 64")
    return type_


def _const(expr: Const) -> Type:
    value, dtype = expr.value, expr.type.dtype
    if dtype is DType.BOOL:
        _require(isinstance(value, bool), expr, f"of {type_name(expr.type)} is {value!r}: give True or False")
    elif dtype.is_integer:
        low, high = bounds(dtype)
        whole = isinstance(value, int) and not isinstance(value, bool)
        _require(whole and low <= value <= high, expr, f"{value!r} is no {dtype.short}: give {low} to {high}")
    else:
        _require(not isinstance(value, bool), expr, f"{value!r} is no {dtype.short}: give a number")
        with np.errstate(over="ignore"):
            _require(_in_range(float(value), dtype), expr, f"{value!r} is out of range for {dtype.short}")
    return _legal(expr.type, expr)


def _in_range(value: float, dtype: DType) -> bool:
    """A finite constant is finite in its own type too."""
    if not math.isfinite(value) or dtype is DType.F64:
        return True
    rounded = np.float16(value) if dtype is DType.F16 else np.float32(value)
    return bool(np.isfinite(rounded))


def _binary(expr: Binary, a: Type, b: Type) -> Type:
    _require(a == b, expr, f"{expr.op} takes one type, not {type_name(a)} and {type_name(b)}")
    dtype = a.dtype
    match expr.op:
        case "add" | "sub" | "mul" | "div" | "min" | "max":
            _require(dtype is not DType.BOOL, expr, f"{expr.op} works on numbers, not on bool")
        case "rem" | "shl" | "shr":
            _require(dtype.is_integer, expr, f"{expr.op} works on integers, not on {type_name(a)}")
        case "and" | "or" | "xor":
            _require(not dtype.is_float, expr, f"{expr.op} works on integers and bool, not on {type_name(a)}")
        case _:
            assert_never(expr.op)
    if expr.op in ("shl", "shr") and isinstance(expr.b, Const):
        _require(0 <= expr.b.value < dtype.bits, expr, f"{expr.op} of a {dtype.short} by {expr.b.value}")
    return a


def _unary(expr: Unary, a: Type) -> Type:
    dtype = a.dtype
    match expr.op:
        case "neg" | "abs":
            legal = dtype.is_signed
        case "not":
            legal = not dtype.is_float
        case "sqrt":
            legal = dtype.is_float
        case "popcount" | "ctz":
            legal = dtype.is_integer
        case _:
            assert_never(expr.op)
    _require(legal, expr, f"{expr.op} does not work on {type_name(a)}")
    return a


def _compare(expr: Compare, a: Type, b: Type) -> Type:
    _require(a == b, expr, f"{expr.op} takes one type, not {type_name(a)} and {type_name(b)}")
    _require(a.dtype is not DType.BOOL or expr.op in ("eq", "ne"), expr, f"{expr.op} does not work on bool")
    return Vec(DType.BOOL, a.lanes) if isinstance(a, Vec) else _BOOL


def _buffer(expr: Load | VLoad, buf: Buf, index: Type, names: Names) -> None:
    declared = names.get(buf.name)
    if declared is None:
        raise RuleError(f"buffer {buf.name!r} is not in scope")
    if declared != buf.type:
        raise RuleError(
            f"buffer {buf.name!r} is {type_name(declared)}, but is read here as {type_name(buf.type)}"
        )
    _require(index == I64, expr, f"takes an i64 index, not {type_name(index)}")


def _vload(expr: VLoad, names: Names, depth: int) -> Type:
    _buffer(expr, expr.buf, type_of(expr.index, names, depth), names)
    if expr.mask is not None:
        mask = type_of(expr.mask, names, depth)
        _require(
            mask == Vec(DType.BOOL, expr.lanes),
            expr,
            f"of {expr.lanes} lanes has a mask of {type_name(mask)}",
        )
    return _legal(Vec(expr.buf.type.dtype, expr.lanes), expr)


def _select(expr: Select, cond: Type, a: Type, b: Type) -> Type:
    _require(a == b, expr, f"chooses between one type, not {type_name(a)} and {type_name(b)}")
    fits = cond == _BOOL or (isinstance(a, Vec) and cond == Vec(DType.BOOL, a.lanes))
    _require(fits, expr, f"of {type_name(a)} cannot be decided by {type_name(cond)}")
    return a


def _cast(expr: Cast, a: Type) -> Type:
    to = expr.type
    same = a.lanes == to.lanes if isinstance(a, Vec) and isinstance(to, Vec) else type(a) is type(to)
    _require(same, expr, f"keeps the lanes: {type_name(a)} does not become {type_name(to)}")
    return _legal(to, expr)


def _width(type_: Type) -> int:
    """Bits; in a mask every lane is one bit."""
    if isinstance(type_, Vec):
        return type_.lanes * (1 if type_.dtype is DType.BOOL else type_.dtype.bits)
    return type_.dtype.bits


def _bitcast(expr: Bitcast, a: Type) -> Type:
    for type_ in (a, expr.type):
        _require(type_ != _BOOL, expr, "does not work on a scalar bool: use Select or Compare")
    same = _width(a) == _width(expr.type)
    _require(same, expr, f"keeps the width: {type_name(a)} does not become {type_name(expr.type)}")
    return _legal(expr.type, expr)


def _reduce(expr: Reduce, a: Type) -> Type:
    _require(_is_vec(a), expr, f"takes a vector, not {type_name(a)}")
    match expr.op:
        case "add" | "min" | "max":
            _require(a.dtype is not DType.BOOL, expr, f"{expr.op} works on numbers, not on bool")
        case "and" | "or":
            _require(
                not a.dtype.is_float, expr, f"{expr.op} works on integers and bool, not on {type_name(a)}"
            )
        case _:
            assert_never(expr.op)
    return Scalar(a.dtype)


def _expand(expr: Expand, bits: Type, values: Type) -> Type:
    _require(isinstance(values, Vec), expr, f"spreads a vector, not {type_name(values)}")
    lanes = values.lanes if isinstance(values, Vec) else 0
    fits = isinstance(bits, Scalar) and bits.dtype.kind == "uint" and bits.dtype.bits >= lanes
    _require(fits, expr, f"of {lanes} lanes needs an unsigned scalar of as many bits, not {type_name(bits)}")
    return values


def _dot4(expr: Dot4 | PairDot4, acc: Type, a: Type, b: Type) -> Type:
    fits = (
        isinstance(acc, Vec)
        and acc.dtype is DType.I32
        and a == Vec(DType.U8, 4 * acc.lanes)
        and b == Vec(DType.I8, 4 * acc.lanes)
    )
    shapes = f"{type_name(acc)}, {type_name(a)} and {type_name(b)}"
    _require(fits, expr, f"takes i32 lanes and 4 times as many u8 and i8, not {shapes}")
    return acc


def _dot2(expr: Dot2, acc: Type, a: Type, b: Type) -> Type:
    fits = isinstance(acc, Vec) and acc.dtype is DType.F32 and a == b == Vec(DType.BF16, 2 * acc.lanes)
    shapes = f"{type_name(acc)}, {type_name(a)} and {type_name(b)}"
    _require(fits, expr, f"takes f32 lanes and twice as many bf16, not {shapes}")
    return acc


def _shuffle(expr: Shuffle, a: Type, b: Type) -> Type:
    _require(_is_vec(a) and a == b, expr, f"takes one vector type, not {type_name(a)} and {type_name(b)}")
    limit = 2 * a.lanes if isinstance(a, Vec) else 0
    _require(all(0 <= lane < limit for lane in expr.lanes), expr, f"picks lanes from 0 to {limit - 1}")
    return _legal(Vec(a.dtype, len(expr.lanes)), expr)


def _permute(expr: Permute, a: Type, b: Type, at: Type) -> Type:
    _require(_is_vec(a) and a == b, expr, f"takes one vector type, not {type_name(a)} and {type_name(b)}")
    _require(a.dtype is not DType.BOOL, expr, "moves numbers, not bool")
    lanes = a.lanes if isinstance(a, Vec) else 0
    fits = at == Vec(at.dtype, lanes) and at.dtype.kind == "uint" and at.dtype.bits == a.dtype.bits
    _require(fits, expr, f"of {type_name(a)} needs unsigned integers as wide, not {type_name(at)}")
    return a
