"""Layers of few columns between tiled activations: how a program uses the kernels of ``few``.

All columns of a call must lie in one tile (see ``layout``): then element (feature, column) of an activation
is at feature x stride + column, with ``stride`` = vectors x lanes, whatever a vector is wide.

- ``gather`` brings every column in one piece, zeros behind, as the kernels take it: numbers, or words of 4
  integers as ``quantise`` makes them, with its scales and zero points. So an integer layer has the same sums,
  and the same bits, as in any other packing.
- ``step`` computes the rows; where the last tile of a panel of rows is done, it adds the residual, makes the
  lanes that pad the last column 0, and applies the activation.
"""

from __future__ import annotations

from aerogel.core.dtypes import DType
from aerogel.formats.rows import BLOCK_COLUMNS, WORD, Form
from aerogel.kernels.approx import Lets, Names, maximum, minimum
from aerogel.kernels.few import kernels
from aerogel.kernels.few import step as plain_step
from aerogel.kernels.few_params import BIAS, COLUMNS, PANEL_AT, ROW_STEP, ROWS, WIDEST, WORDS, Few, Y
from aerogel.kernels.layout import Layout, index, zero
from aerogel.kernels.pack import FEATURES, first_lanes, share
from aerogel.kernels.tile import ADDS, RESIDUAL, Element
from aerogel.loop.nodes import (
    I64,
    Assign,
    Barrier,
    Bitcast,
    Block,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Define,
    Expr,
    For,
    Function,
    If,
    Let,
    LetView,
    Load,
    Scalar,
    Store,
    Var,
    Vec,
    VLoad,
    VStore,
)

# The most columns a call may have: more products would bind than any other packing takes.
MOST_COLUMNS = 8
STRIDE, PADDED = Var("stride", I64), Var("padded", I64)


def few_of(layout: Layout, element: Element, form: Form) -> Few:
    """The kernels of a layer in a program of that layout."""
    # Sums beside a vector of weights and one of inputs: of 3 columns where tiles have 3 vectors would spill.
    width = 1 if form == "sliced" else 1 << (min(layout.width, WIDEST).bit_length() - 1)
    return Few(layout.lanes, width, "int8" if element == "i8" else "fp32", form)


def gather(few: Few) -> Function:
    """``x`` tiled, ``features`` of 4 bytes, ``columns`` of them in lanes -> ``numbers`` [columns, padded];
    for sliced rows of float32 the bytes of each 256 numbers apart (see ``few_x``)."""
    apart, dtype = _apart(few), DType.I32 if few.of_bytes else DType.F32
    x = Buf("x", BufferType(dtype, const=True, align=4))
    numbers = gathered(few)
    out, column = Lets(Names()), Var("column", I64)
    begin, end = share(PADDED, out)
    there = out.let(minimum(FEATURES, end), "there")
    behind = out.let(maximum(FEATURES, begin), "behind")
    i, j = Var("i", I64), Var("j", I64)
    nothing = Const(0 if few.of_bytes else 0.0, Scalar(dtype))
    keep = _keep_apart if apart else _keep
    copy = For(i, begin, there, keep(numbers, column * PADDED, i, Load(x, i * STRIDE + column)))
    pad = For(j, behind, end, keep(numbers, column * PADDED, j, nothing))
    out.add(For(column, zero(), COLUMNS, (copy, pad)))
    params = (x, numbers, FEATURES, PADDED, COLUMNS, STRIDE)
    return Function(f"gather_{'i8' if few.of_bytes else 'bytes' if apart else 'f32'}", params, out.block())


def gathered(few: Few) -> Buf:
    """Where columns are gathered: words of integers, numbers, or bytes of numbers."""
    dtype = DType.U8 if _apart(few) else DType.I32 if few.of_bytes else DType.F32
    return Buf("numbers", BufferType(dtype, align=dtype.itemsize))


def gathered_word(few: Few) -> int:
    """Elements of ``gathered`` for each column, in a word of inputs."""
    return few.x_word if _apart(few) else padded_word(few)


def padded_word(few: Few) -> int:
    """What ``gather`` takes for a feature, in a word of inputs."""
    return WORD // 4 if few.of_bytes else WORD


def _apart(few: Few) -> bool:
    return few.form == "sliced" and not few.of_bytes


def _keep(numbers: Buf, column: Expr, at: Expr, value: Expr) -> Block:
    return (Store(numbers, column + at, value),)


def _keep_apart(numbers: Buf, column: Expr, at: Expr, value: Expr) -> Block:
    """The bytes of one number, each among its kind of the 256 numbers."""
    out = Lets(Names("byte_"))
    bits = out.let(Bitcast(value, Scalar(DType.U32)), "bits")
    inside = out.let(at % BLOCK_COLUMNS, "inside")
    first = out.let((column + at - inside) * 4 + inside, "first")
    for plane in range(4):
        byte = Cast((bits >> (8 * plane)) & 0xFF, Scalar(DType.U8))
        out.add(Store(numbers, first + plane * BLOCK_COLUMNS, byte))
    return out.block()


def step(few: Few, fn: str | None = None) -> Function:
    """What every thread runs for one layer; x is gathered. ``fn``: an activation; then ``linear.finish`` of
    it is in the module too. Its parameters are those of the kernels, then ``residual`` (read if ``adds`` is
    1, as large as y) and ``adds``; row_step is the stride of a feature in y, column_step 1."""
    first, end, at = PANEL_AT * few.panel_rows, Var("row_end", I64), Var("at", I64)
    lane = at % ROW_STEP
    value = Var("value", Vec(DType.F32, few.lanes))
    settle: Block = (
        # Of the lanes behind the last column nothing was written.
        Define(value, VLoad(Y, at, few.lanes, first_lanes(COLUMNS - lane, few.lanes))),
        If(Compare("ne", ADDS, zero()), (Assign(value, value + VLoad(RESIDUAL, at, few.lanes)),)),
        VStore(Y, at, value),
    )
    after: Block = (
        Let(end, minimum(first + few.panel_rows, ROWS)),
        For(at, first * ROW_STEP, end * ROW_STEP, settle, step=few.lanes),
    )
    if fn is not None:
        after += (Call(f"finish_{fn}", (Y, first * ROW_STEP, (end - first) * ROW_STEP)),)
    name = "tiled" if fn is None else f"tiled_{fn}"
    return plain_step(few, name=name, more=(RESIDUAL, ADDS), after=after)


def program(few: Few) -> Function:
    """One layer by itself, without a residual; ``room`` u8: 4 bytes for every feature, filled up to words,
    of every column. Its module has ``functions`` before it."""
    dtype = DType.I32 if few.of_bytes else DType.F32
    tiled = Buf("tiled", BufferType(dtype, const=True, align=4))
    room = Buf("room", BufferType(DType.U8, align=64))
    numbers, collect = gathered(few), gather(few)
    padded = WORDS * padded_word(few)
    given: dict[str, Expr | Buf] = {"row_step": STRIDE, "column_step": index(1)}
    args = tuple(given.get(p.name, p) for p in few.params)
    body: Block = (
        LetView(numbers, room, zero(), COLUMNS * WORDS * gathered_word(few)),
        LetView(few.x, room, zero(), COLUMNS * WORDS * few.x_word),
        Call(collect.name, (tiled, numbers, FEATURES, padded, COLUMNS, STRIDE)),
        Barrier(),
        Call(f"{few.name}_tiled", (*args, BIAS, index(0))),
    )
    buffers = (*few.streams, BIAS, tiled, room, *few.x_grid, Y)
    return Function(f"{few.name}_layer", (*buffers, ROWS, FEATURES, WORDS, COLUMNS, STRIDE), body)


def functions(few: Few, fn: str | None = None) -> tuple[Function, ...]:
    """All that ``step`` needs but the activation, and ``step`` itself behind them."""
    return (gather(few), *kernels(few), step(few, fn))
