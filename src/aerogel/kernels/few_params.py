"""What the kernels of few columns take, and what a row's sum stands for: shared by all their forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.formats.rows import PANEL, STORED, WORD, Form, Number, panel_rows, stored_dtype
from aerogel.kernels.approx import Lets
from aerogel.loop.nodes import (
    F32,
    I64,
    Buf,
    BufferType,
    Cast,
    Const,
    Expr,
    Fma,
    Load,
    Param,
    Unary,
    Var,
    Vec,
)

# More columns at a time would spill their sums.
WIDEST = 4
# Registers for an expanded weight, an input, and what is at hand between them.
_AT_HAND = 6

MASKS = Buf("masks", BufferType(DType.U64, const=True, align=8))
MASK_BYTES = Buf("mask_bytes", BufferType(DType.U8, const=True))
STARTS = Buf("starts", BufferType(DType.I64, const=True, align=8))
WORK = Buf("work", BufferType(DType.I64, const=True, align=8))
SCALES = Buf("scales", BufferType(DType.F32, const=True, align=4))
SUMS = Buf("sums", BufferType(DType.I32, const=True, align=4))
# Of int4: the bits of bf16, and floats.
GROUP_SCALES = Buf("scales", BufferType(DType.U16, const=True, align=2))
FLOAT_SUMS = Buf("sums", BufferType(DType.F32, const=True, align=4))
BIAS = Buf("bias", BufferType(DType.F32, const=True, align=4))
Y = Buf("y", BufferType(DType.F32, align=4))

ROWS, WORDS, COLUMNS = Var("rows", I64), Var("words", I64), Var("columns", I64)
# Elements of y from one row to the next, and from one column to the next.
ROW_STEP, COLUMN_STEP = Var("row_step", I64), Var("column_step", I64)
PANEL_AT, FIRST = Var("panel", I64), Var("first", I64)


@dataclass(frozen=True, slots=True)
class Few:
    """What a kernel is made for: ``lanes`` 32-bit numbers in a vector, ``width`` columns at a time."""

    lanes: int
    width: int
    number: Number
    form: Form
    # Whether pairs of bf16 are multiplied by the CPU's own dot product.
    dot2: bool = False

    @staticmethod
    def of(target: Target, number: Number, form: Form) -> Few:
        # Sliced rows take all registers for the inputs of one column.
        width = 1 if form == "sliced" else max(1, min(WIDEST, (target.registers - _AT_HAND) // PANEL))
        dot2 = number == "bf16" and target.has("avx512bf16")
        return Few(target.lanes(DType.F32), width, number, form, dot2)

    @property
    def name(self) -> str:
        """Begins the names of its functions: a program may have several kinds."""
        return f"few_{self.number}_{self.form}"

    @property
    def values(self) -> Buf:
        dtype = DType.of(stored_dtype(self.number, self.form))
        return Buf("values", BufferType(dtype, const=True, align=dtype.itemsize))

    @property
    def x(self) -> Buf:
        """[columns, words x 64] in the numbers that are multiplied; for ``dot2`` the first half of each
        column holds its pairs; for sliced rows the bytes of each number lie apart (see ``few_x``)."""
        dtype = DType.U8 if self.x_bytes else DType.F32
        return Buf("x", BufferType(dtype, const=True, align=dtype.itemsize))

    @property
    def x_grid(self) -> tuple[Buf, ...]:
        """Of integers: scale and zero point per column."""
        return (
            Buf("x_scales", BufferType(DType.F32, const=True, align=4)),
            Buf("x_zeros", BufferType(DType.I32, const=True, align=4)),
        )

    @property
    def stored(self) -> Vec:
        """One vector of values as they are stored."""
        dtype = self.values.type.dtype
        return Vec(dtype, self.lanes * 32 // dtype.bits)

    @property
    def of_bytes(self) -> bool:
        """Whether x is 8-bit integers."""
        return self.number in ("int8", "int4")

    @property
    def x_bytes(self) -> int:
        """Bytes of x for each input, where x is bytes; 0 where it is float32."""
        if self.form == "sliced":
            return np.dtype(STORED[self.number]).itemsize
        return 1 if self.of_bytes else 0

    @property
    def x_word(self) -> int:
        """Elements of x in a word of inputs."""
        return WORD * max(1, self.x_bytes)

    @property
    def panel_rows(self) -> int:
        return panel_rows(self.form, self.lanes)

    @property
    def pairs(self) -> Vec:
        return Vec(DType.BF16, 2 * self.lanes)

    @property
    def share(self) -> int:
        """Columns that have one element of x together."""
        return 2 if self.dot2 else 1

    @property
    def sum(self) -> Vec:
        return Vec(DType.I32 if self.number == "int8" else DType.F32, self.lanes)

    @property
    def streams(self) -> tuple[Buf, ...]:
        of_rows = (GROUP_SCALES, FLOAT_SUMS) if self.number == "int4" else (SCALES, SUMS)
        return (self.values, MASKS, MASK_BYTES, STARTS, WORK, *of_rows)

    @property
    def params(self) -> tuple[Param, ...]:
        """What a step takes; a kernel takes a panel and a first column too."""
        sizes = (ROWS, WORDS, COLUMNS, ROW_STEP, COLUMN_STEP)
        return (*self.streams, BIAS, self.x, *self.x_grid, Y, *sizes)


def finished(few: Few, total: Expr, bias: Expr, row: Expr, column: Expr, out: Lets) -> Expr:
    """The element of y that the sum of a row's products stands for."""
    x_scales, x_zeros = few.x_grid
    if few.number == "int8":
        exact = total - Load(x_zeros, column) * Load(SUMS, row)
        inner = out.let(Cast(exact, F32) * Load(x_scales, column), "inner")
        return Fma(Load(SCALES, row), inner, bias)
    if few.number == "int4":
        zeros = Cast(Load(x_zeros, column), F32)
        exact = Fma(Unary("neg", zeros), Load(FLOAT_SUMS, row), total)
        return Fma(exact, Load(x_scales, column) * Const(1 / 16, F32), bias)
    return total + bias
