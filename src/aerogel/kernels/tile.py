"""The register tile of a linear layer: 4 rows x some vectors of sums, in float32 or in exact integers.

A tile knows where its part of x and y lies, how sums begin, how a weight is multiplied in, and how a finished
sum becomes y. Which weights come when is the packing's business (see ``linear``).

``FloatTile``: sums begin at bias (+ residual), and between blocks of columns rest in y; one fused
multiply-add per weight.

``IntegerTile``: x as ``quantise`` leaves it, weights as words of 4 int8 with a scale per row. A word is 4
multiply-adds in int32, exact for up to 2^31 / (255 x 127) = 66,000 inputs; where a CPU sums pairs in 16
bits (``Layout.pairs``), words are packed so that none saturates (see ``formats.pairs``). The sum of a row
begins at - zero[column] x (sum of the row's integers), so that it ends as the sum of (q - zero) x weight,
and becomes

    y = scale[row] x (sum x scale[column]) + bias (+ residual)

with one rounding for the sum as float32, one for the inner product, one for the rest. Between blocks of
columns the integers themselves rest in y. Where sum x scale[column] is more than float32 can hold, y is
infinite: with row scales of 1e-4, say, for outputs beyond 3e34.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from aerogel.core.dtypes import DType
from aerogel.formats.panel import PANEL
from aerogel.kernels.layout import Layout, one, zero
from aerogel.loop.nodes import (
    I64,
    Assign,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Define,
    Dot4,
    Expr,
    Fma,
    For,
    If,
    Let,
    Load,
    PairDot4,
    Prefetch,
    Scalar,
    Select,
    Stmt,
    Type,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
)

Element = Literal["f32", "i8"]
"""What weights are: float32, or words of 4 int8."""


def buffer(name: str, dtype: DType, *, const: bool = True) -> Buf:
    """A buffer parameter."""
    return Buf(name, BufferType(dtype, const=const, align=dtype.itemsize))


BIAS, RESIDUAL = buffer("bias", DType.F32), buffer("residual", DType.F32)
Y = buffer("y", DType.F32, const=False)
# Of integer layers: per row, and per column.
SCALES, SUMS = buffer("scales", DType.F32), buffer("sums", DType.I32)
X_SCALES, X_ZEROS = buffer("x_scales", DType.F32), buffer("x_zeros", DType.I32)

ROWS, COLUMNS, BLOCK = Var("rows", I64), Var("columns", I64), Var("block", I64)
ADDS = Var("adds", I64)  # 1: a residual is added, 0: ``residual`` is not read
FIRST = Var("first", I64)
Y_BASE = Var("y_base", I64)  # where row 0 of this tile is in y, or would be
BLOCK_AT = Var("b", I64)


def var(name: str, type_: Type = I64) -> Var:
    """A variable of the generated code."""
    return Var(name, type_)


def byte_dot(*, pairs: bool) -> type[Dot4 | PairDot4]:
    """What multiplies a word, by ``Layout.pairs`` or ``Target.pairs``."""
    return PairDot4 if pairs else Dot4


def block_count() -> Expr:
    """Blocks of columns."""
    return (COLUMNS + BLOCK - 1) // BLOCK


@dataclass(frozen=True, slots=True)
class Tile(ABC):
    """4 rows x ``width`` vectors of sums, and where they live in y."""

    layout: Layout
    width: int

    number: ClassVar[DType]
    """What a sum is."""
    values: ClassVar[Buf]
    x_buffer: ClassVar[Buf]
    extra: ClassVar[tuple[Buf, ...]]
    """What the kernels take beyond what all do."""
    suffix: ClassVar[str]
    """Ends the names of functions."""

    @abstractmethod
    def x(self, column: Expr, j: int) -> Expr:
        """Vector ``j`` of an input."""

    @abstractmethod
    def begin(self) -> Block:
        """Sums as they begin."""

    @abstractmethod
    def resumed(self, stored: Expr) -> Expr:
        """A sum as it was, from what rested in y."""

    @abstractmethod
    def store(self, row: int) -> Block:
        """The sums of a row that exists, at the end of a block."""

    @abstractmethod
    def multiplied(self, sum_: Expr, x: Expr, weight: Expr) -> Expr:
        """sum + weight * x, ``weight`` as ``widened`` made it."""

    @abstractmethod
    def widened(self, weight: Expr) -> Expr:
        """A weight as a vector that multiplies."""

    @property
    def vec(self) -> Vec:
        return Vec(self.number, self.layout.lanes)

    @property
    def stride(self) -> int:
        """Entries from one feature of a tile to the next."""
        return self.width * self.layout.lanes

    @property
    def chains(self) -> int:
        """Independent sums per element. Four rows of one vector are too few to keep two multiply-add units
        of four cycles busy, so there even and odd steps are summed apart."""
        return 2 if self.width == 1 else 1

    def sum(self, row: int, j: int, chain: int = 0) -> Var:
        return var(f"{'st'[chain]}{row}_{j}", self.vec)

    def row(self, row: int) -> Var:
        return var(f"row{row}")

    def row_within(self, row: int) -> Var:
        """The row, or for one beyond the matrix the tile's first: no other thread writes that."""
        return var(f"in{row}")

    def at(self, row: Expr, j: int) -> Expr:
        """Index in y (or residual) of vector j of ``row``."""
        return Y_BASE + row * self.stride + j * self.layout.lanes

    def x_at(self, column: Expr, j: int) -> Expr:
        """Index in x of vector j of an input."""
        return var("x_base") + column * self.stride + j * self.layout.lanes

    def base(self) -> Stmt:
        """Where this tile starts in x."""
        return Let(var("x_base"), COLUMNS * FIRST * self.layout.lanes)

    @property
    def nothing(self) -> Expr:
        zero_ = Const(0 if self.number is DType.I32 else 0.0, Scalar(self.number))
        return Broadcast(zero_, self.layout.lanes)

    def clear(self) -> Block:
        return tuple(Define(self.sum(r, j), self.nothing) for r in range(PANEL) for j in range(self.width))

    def fetch(self) -> Block:
        """Sums of the first block as they begin, those of later blocks as they rested in y.

        Rows beyond the matrix are never stored. What the first block will write is asked for when it begins:
        a store into memory that no cache holds waits for it, up to a fifth of a sparse layer's time."""
        within = tuple(
            Let(self.row_within(r), Select(self.row(r) < ROWS, self.row(r), self.row(0)))
            for r in range(PANEL)
        )
        resume = tuple(
            Assign(self.sum(r, j), self.resumed(VLoad(Y, self.at(self.row_within(r), j), self.layout.lanes)))
            for r in range(PANEL)
            for j in range(self.width)
        )
        asked = tuple(
            Prefetch(Y, self.at(self.row_within(r), j)) for r in range(PANEL) for j in range(self.width)
        )
        return (*within, If(Compare("eq", BLOCK_AT, zero()), (*asked, *self.begin()), resume))

    def keep(self) -> Block:
        """Store the sums of the rows that exist."""
        return tuple(If(self.row(r) < ROWS, self.store(r)) for r in range(PANEL))

    def accumulate(self, row: int, weight: Expr, x: tuple[Expr, ...], chain: int = 0) -> Block:
        """sums[row] += weight * x, ``weight`` a scalar expression bound to a name first."""
        wide = self.widened(weight)
        w = var(f"w{row}{'st'[chain]}", wide.type)
        sums = tuple(self.sum(row, j, chain) for j in range(self.width))
        return (Let(w, wide), *(Assign(s, self.multiplied(s, x[j], w)) for j, s in enumerate(sums)))

    def walk(self, counter: str, steps: Expr, body: Callable[[Expr, int], Block]) -> Block:
        """``body(i, chain)`` for i in 0 .. steps - 1, odd ones on the second chain if there is one."""
        i = var(counter)
        if self.chains == 1:
            return (For(i, zero(), steps, body(i, 0)),)
        others = [(self.sum(r, j), self.sum(r, j, 1)) for r in range(PANEL) for j in range(self.width)]
        return (
            *(Define(other, self.nothing) for _, other in others),
            For(i, zero(), steps - 1, (*body(i, 0), *body(i + 1, 1)), step=2),
            If(Compare("eq", steps % 2, one()), body(steps - 1, 0)),
            *(Assign(sum_, sum_ + other) for sum_, other in others),
        )


@dataclass(frozen=True, slots=True)
class FloatTile(Tile):
    """Sums in float32."""

    number = DType.F32
    values = buffer("values", DType.F32)
    x_buffer = buffer("x", DType.F32)
    extra = ()
    suffix = ""

    def x(self, column: Expr, j: int) -> Expr:
        return VLoad(self.x_buffer, self.x_at(column, j), self.layout.lanes)

    def widened(self, weight: Expr) -> Expr:
        return Broadcast(weight, self.layout.lanes)

    def multiplied(self, sum_: Expr, x: Expr, weight: Expr) -> Expr:
        return Fma(x, weight, sum_)

    def begin(self) -> Block:
        begin: list[Stmt] = []
        add: list[Stmt] = []
        for r in range(PANEL):
            bias = var(f"b{r}", self.vec)
            begin.append(Let(bias, Broadcast(Load(BIAS, self.row_within(r)), self.layout.lanes)))
            for j in range(self.width):
                begin.append(Assign(self.sum(r, j), bias))
                residual = VLoad(RESIDUAL, self.at(self.row_within(r), j), self.layout.lanes)
                add.append(Assign(self.sum(r, j), self.sum(r, j) + residual))
        return (*begin, If(Compare("ne", ADDS, zero()), tuple(add)))

    def resumed(self, stored: Expr) -> Expr:
        return stored

    def store(self, row: int) -> Block:
        return tuple(VStore(Y, self.at(self.row(row), j), self.sum(row, j)) for j in range(self.width))


@dataclass(frozen=True, slots=True)
class IntegerTile(Tile):
    """Sums in int32, of words."""

    number = DType.I32
    values = buffer("values", DType.I32)
    x_buffer = buffer("x", DType.I32)
    extra = (SCALES, SUMS, X_SCALES, X_ZEROS)
    suffix = "8"

    def x(self, column: Expr, j: int) -> Expr:
        words = VLoad(self.x_buffer, self.x_at(column, j), self.layout.lanes)
        return Bitcast(words, Vec(DType.U8, 4 * self.layout.lanes))

    def widened(self, weight: Expr) -> Expr:
        return Bitcast(Broadcast(weight, self.layout.lanes), Vec(DType.I8, 4 * self.layout.lanes))

    def multiplied(self, sum_: Expr, x: Expr, weight: Expr) -> Expr:
        return byte_dot(pairs=self.layout.pairs)(sum_, x, weight)

    def begin(self) -> Block:
        lanes = self.layout.lanes
        zeros = [var(f"z{j}", self.vec) for j in range(self.width)]
        out: list[Stmt] = [
            Let(z, VLoad(X_ZEROS, FIRST * lanes + j * lanes, lanes)) for j, z in enumerate(zeros)
        ]
        for r in range(PANEL):
            total = var(f"b{r}", self.vec)
            out.append(Let(total, Broadcast(Unary("neg", Load(SUMS, self.row_within(r))), lanes)))
            out += [Assign(self.sum(r, j), z * total) for j, z in enumerate(zeros)]
        return tuple(out)

    def resumed(self, stored: Expr) -> Expr:
        return Bitcast(stored, self.vec)

    def store(self, row: int) -> Block:
        lanes = self.layout.lanes
        floats = Vec(DType.F32, lanes)
        scale, bias = var(f"scale{row}", floats), var(f"bias{row}", floats)
        out: list[Stmt] = [
            Let(scale, Broadcast(Load(SCALES, self.row(row)), lanes)),
            Let(bias, Broadcast(Load(BIAS, self.row(row)), lanes)),
        ]
        for j in range(self.width):
            at, y = var(f"at{row}_{j}"), var(f"y{row}_{j}", floats)
            column = VLoad(X_SCALES, FIRST * lanes + j * lanes, lanes)
            residual = VLoad(RESIDUAL, at, lanes)
            out += [
                Let(at, self.at(self.row(row), j)),
                Define(y, Fma(Cast(self.sum(row, j), floats) * column, scale, bias)),
                If(Compare("ne", ADDS, zero()), (Assign(y, y + residual),)),
                VStore(Y, at, y),
            ]
        rest = tuple(
            VStore(Y, self.at(self.row(row), j), Bitcast(self.sum(row, j), floats)) for j in range(self.width)
        )
        return (If(Compare("eq", BLOCK_AT, block_count() - 1), tuple(out), rest),)


TILES: dict[Element, type[Tile]] = {"f32": FloatTile, "i8": IntegerTile}
