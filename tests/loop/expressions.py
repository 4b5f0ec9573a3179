"""Random well-typed expressions over what is in scope, safe to evaluate: the lower half of ``programs``."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import (
    BOOL,
    I64,
    Binary,
    Bitcast,
    Broadcast,
    Buf,
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

SLICE = 128
"""Elements of a mutable buffer that are one thread's; an index is below 32, a vector has up to 64 lanes."""

DTYPES = tuple(DType)
UNSIGNED = tuple(d for d in DTYPES if d.kind == "uint")
LANES = (1, 2, 4, 8, 16)


@dataclass
class Expressions:
    """Makes expressions from variables and buffers. ``own_slices``: the buffers that threads divide."""

    rng: random.Random
    variables: list[Var] = field(default_factory=list)
    buffers: list[Buf] = field(default_factory=list)
    own_slices: set[str] = field(default_factory=set)

    def any_type(self) -> Type:
        dtype = self.rng.choice(DTYPES)
        return Scalar(dtype) if self.rng.random() < 0.4 else Vec(dtype, self.rng.choice(LANES))

    # --- buffers ----------------------------------------------------------------------------

    def index_value(self, depth: int) -> Expr:
        return self.expr(I64, depth)

    def index(self, buf: Buf) -> Expr:
        """In range for any vector of up to 64 lanes, and in the thread's slice."""
        value = self.index_value(1) & Const(31, I64)
        return ThreadId() * SLICE + value if buf.name in self.own_slices else value

    def buffer(self, dtype: DType) -> Buf | None:
        found = [buf for buf in self.buffers if buf.type.dtype is dtype]
        return self.rng.choice(found) if found else None

    # --- expressions ------------------------------------------------------------------------

    def expr(self, type_: Type, depth: int) -> Expr:
        """A random expression of a type."""
        if depth <= 0:
            return self.leaf(type_)
        makers: list[Callable[[Type, int], Expr]] = [
            self.binary,
            self.binary,
            self.select,
            self.cast,
            self.memory,
        ]
        makers += [self.unary, self.bitcast, lambda t, _: self.leaf(t)]
        if type_.dtype is DType.BOOL:
            makers += [self.compare, self.compare]
        if type_.dtype in (DType.F32, DType.F64):
            makers += [self.fma, self.fma]
        if isinstance(type_, Vec):
            makers += [self.shuffle, self.broadcast, self.expand]
            if type_.dtype is not DType.BOOL:
                makers += [self.permute]
            if type_.dtype is DType.I32 and type_.lanes <= 16:
                makers += [self.dot4, self.dot4]
            if type_.dtype is DType.F32 and type_.lanes <= 4:
                makers += [self.dot2]
        else:
            makers += [self.reduce]
        return self.rng.choice(makers)(type_, depth - 1)

    def leaf(self, type_: Type) -> Expr:
        choices: list[Expr] = [var for var in self.variables if var.type == type_]
        choices += [self.const(type_)]
        if isinstance(type_, Vec) and type_.dtype.is_integer:
            choices.append(Iota(type_))
        if type_ == I64:
            choices += [ThreadId(), ThreadCount()]
        return self.rng.choice(choices)

    def const(self, type_: Type) -> Const:
        dtype, rng = type_.dtype, self.rng
        if dtype is DType.BOOL:
            return Const(rng.random() < 0.5, type_)
        if dtype.is_float:
            return Const(rng.choice((0.0, -0.0, 1.0, 2.5, -0.1, 100.0, float("inf"), float("nan"), 3)), type_)
        low = -(1 << (dtype.bits - 1)) if dtype.is_signed else 0
        return Const(rng.choice((0, 1, 2, 7, 100, low, low + (1 << dtype.bits) - 1)), type_)

    def binary(self, type_: Type, depth: int) -> Expr:
        dtype, a, b = type_.dtype, self.expr(type_, depth), self.expr(type_, depth)
        if dtype is DType.BOOL:
            return Binary(self.rng.choice(("and", "or", "xor")), a, b)
        if dtype.is_float:
            return Binary(self.rng.choice(("add", "sub", "mul", "div", "min", "max")), a, b)
        ops = ("add", "sub", "mul", "min", "max", "and", "or", "xor", "shl", "shr", "div", "rem")
        op = self.rng.choice(ops)
        if op in ("shl", "shr"):
            b = Binary("and", b, Const(dtype.bits - 1, type_))
        if op in ("div", "rem"):
            b = Binary("or", Binary("and", b, Const(7, type_)), Const(1, type_))
        return Binary(op, a, b)

    def unary(self, type_: Type, depth: int) -> Expr:
        dtype = type_.dtype
        ops = ["not"] if not dtype.is_float else ["sqrt"]
        ops += ["popcount", "ctz"] if dtype.is_integer else []
        ops += ["neg", "abs"] if dtype.is_signed else []
        return Unary(self.rng.choice(ops), self.expr(type_, depth))

    def compare(self, type_: Type, depth: int) -> Expr:
        source = like(type_, self.rng.choice(DTYPES))
        ops = ("eq", "ne") if source.dtype is DType.BOOL else ("eq", "ne", "lt", "le", "gt", "ge")
        return Compare(self.rng.choice(ops), self.expr(source, depth), self.expr(source, depth))

    def select(self, type_: Type, depth: int) -> Expr:
        whole = not isinstance(type_, Vec) or self.rng.random() < 0.3
        cond = self.expr(BOOL if whole else like(type_, DType.BOOL), depth)
        return Select(cond, self.expr(type_, depth), self.expr(type_, depth))

    def cast(self, type_: Type, depth: int) -> Expr:
        source = like(type_, self.rng.choice(DTYPES))
        a = self.expr(source, depth)
        if source.dtype.is_float and type_.dtype.is_integer:
            # In range of every integer type; of two the second is taken where one is NaN.
            low = -100.0 if type_.dtype.is_signed else 0.0
            a = Binary("max", Binary("min", a, Const(100.0, source)), Const(low, source))
        return Cast(a, type_)

    def bitcast(self, type_: Type, depth: int) -> Expr:
        width = _bits(type_)
        sources: list[Type] = [Scalar(d) for d in DTYPES if d is not DType.BOOL]
        sources += [Vec(d, n) for d in DTYPES for n in (*LANES, 32, 64)]
        fitting = [t for t in sources if _bits(t) == width]
        if not fitting or type_ == BOOL:
            return self.leaf(type_)
        a = self.expr(self.rng.choice(fitting), depth)
        if a.type.dtype.is_float:
            a = Select(Compare("eq", a, a), a, Const(0.5, a.type))
        return Bitcast(a, type_)

    def memory(self, type_: Type, depth: int) -> Expr:
        buf = self.buffer(type_.dtype)
        if buf is None:
            return self.leaf(type_)
        if isinstance(type_, Scalar):
            return Load(buf, self.index(buf))
        mask = self.expr(Vec(DType.BOOL, type_.lanes), depth) if self.rng.random() < 0.4 else None
        return VLoad(buf, self.index(buf), type_.lanes, mask)

    def fma(self, type_: Type, depth: int) -> Expr:
        return Fma(*(self.expr(type_, depth) for _ in range(3)))

    def reduce(self, type_: Type, depth: int) -> Expr:
        dtype = type_.dtype
        ops = ["add", "min", "max"] if dtype is not DType.BOOL else []
        ops += ["and", "or"] if not dtype.is_float else []
        return Reduce(self.rng.choice(ops), self.expr(Vec(dtype, self.rng.choice(LANES)), depth))

    def shuffle(self, type_: Type, depth: int) -> Expr:
        assert isinstance(type_, Vec)
        source = Vec(type_.dtype, self.rng.choice(LANES))
        lanes = tuple(self.rng.randrange(2 * source.lanes) for _ in range(type_.lanes))
        return Shuffle(self.expr(source, depth), self.expr(source, depth), lanes)

    def permute(self, type_: Type, depth: int) -> Expr:
        assert isinstance(type_, Vec)
        word = next(d for d in UNSIGNED if d.bits == type_.dtype.bits)
        a, b = self.expr(type_, depth), self.expr(type_, depth)
        return Permute(a, b, self.expr(Vec(word, type_.lanes), depth))

    def broadcast(self, type_: Type, depth: int) -> Expr:
        assert isinstance(type_, Vec)
        return Broadcast(self.expr(Scalar(type_.dtype), depth), type_.lanes)

    def expand(self, type_: Type, depth: int) -> Expr:
        assert isinstance(type_, Vec)
        lanes = type_.lanes
        bits = self.rng.choice([d for d in UNSIGNED if d.bits >= lanes])
        return Expand(self.expr(Scalar(bits), depth), self.expr(type_, depth))

    def dot4(self, type_: Type, depth: int) -> Expr:
        assert isinstance(type_, Vec)
        a, b = (Vec(dtype, 4 * type_.lanes) for dtype in (DType.U8, DType.I8))
        dot = self.rng.choice((Dot4, PairDot4))
        return dot(self.expr(type_, depth), self.expr(a, depth), self.expr(b, depth))

    def dot2(self, type_: Type, depth: int) -> Expr:
        assert isinstance(type_, Vec)
        pairs = Vec(DType.BF16, 2 * type_.lanes)
        return Dot2(self.expr(type_, depth), self.expr(pairs, depth), self.expr(pairs, depth))


def like(type_: Type, dtype: DType) -> Type:
    return Vec(dtype, type_.lanes) if isinstance(type_, Vec) else Scalar(dtype)


def _bits(type_: Type) -> int:
    """Width; a mask has one bit a lane."""
    if isinstance(type_, Vec):
        return type_.lanes * (1 if type_.dtype is DType.BOOL else type_.dtype.bits)
    return type_.dtype.bits
