"""Linear layers at one to eight columns: y = W x + bias, W streamed once from memory.

Lanes hold consecutive inputs. A panel of four rows (see ``formats.bitmap``) is walked word by word, 64
columns: the masks of the four rows are counted, which gives the offsets of all their values at once; a row's
values are loaded from their offset, expanded by its mask in a register, and multiplied with the same 64
inputs of every column. Nothing waits for an offset but the next word's, by one addition. Sums stay in
registers until the row ends; then each is added up across its lanes once. (``few_rows`` has that code. Where
few weights are left, rows are sliced, and lanes hold rows: see ``few_sliced``.)

Columns are cut into tiles of at most ``Few.width``, as equal as can be; the tiles of a panel follow each
other while it is in the cache. A *step*, which every thread runs, shares the panels by the bytes they stream.
Every row is summed by one thread, so the bits do not depend on the number of threads:

- floats: lane l adds the products of columns l, l + lanes ... in that order, one fused multiply-add each;
  the lanes are added by halves (``Reduce``), then the bias;
- bf16: weights and activations are both rounded to bf16, a relative error of at most 2^-9 each, and their
  products are exact; of every 2 x lanes columns lane l adds l + lanes first, then l. That is the CPU's own
  dot product where it has one; others whose vectors are as wide give the same bits (see
  ``formats.rows.SMALLEST_BF16``);
- int8: exact in int32; then y = scale[row] x ((sum of (q - zero) x weight) x scale[column]) + bias, with one
  rounding for the sum as float32, one for the inner product, one for the rest;
- int4: lane l sums a group of 32 columns at a time, exactly, as 16 x the weights; each such sum is rounded to
  float32 and added times the group's scale, one fused multiply-add; the lanes are added by halves; then
  y = (total - zero x sum of the row) x (scale[column] / 16) + bias, in two fused multiply-adds.

An activation that is not finite makes all of its column NaN or infinite: zeros of a word are multiplied too.
(Of sliced rows it reaches those that use it, and perhaps others.)

What bounds it, on Zen 4 with two threads and 28 GB/s: memory, 1 byte of int8 a weight dense, 0.625, 0.425 and
0.225 as bitmaps at 50, 70 and 90 % zeros; and one execution port that moves masks, expands and multiplies:
3.3 cycles for 64 int8 weights, 5.9 for bf16, 11.1 for fp32, whatever the zeros (see ADR 19); of sliced rows
1.0, 1.7 and 3.1 at 90 % zeros (ADR 35).
"""

from __future__ import annotations

from aerogel.kernels.few_params import (
    COLUMNS,
    FIRST,
    PANEL_AT,
    ROWS,
    WORK,
    Few,
)
from aerogel.kernels.few_rows import Panel
from aerogel.kernels.few_sliced import sliced_panel
from aerogel.kernels.layout import Layout, index, zero
from aerogel.loop.nodes import (
    I64,
    Assign,
    Block,
    Call,
    Compare,
    Define,
    Expr,
    For,
    Function,
    If,
    Let,
    Load,
    Param,
    ThreadCount,
    ThreadId,
    Var,
    While,
)


def kernel(few: Few, width: int) -> Function:
    """y[panel, first .. first + width) = W[panel] x + bias; no other element of y is touched.

    Sizes: ``x`` [columns, words x 64], ``x_scales`` and ``x_zeros`` [columns] (read for int8 only), ``bias``
    [rows]; element (row, column) of y at row x row_step + column x column_step.
    """
    body = sliced_panel(few) if few.form == "sliced" else Panel(few, width).body()
    return Function(f"{few.name}_{width}", (*few.params, PANEL_AT, FIRST), body)


def kernels(few: Few) -> tuple[Function, ...]:
    """One function per number of columns in a tile."""
    return tuple(kernel(few, width) for width in range(1, few.width + 1))


def _share(name: str, part: Expr) -> Block:
    """``name`` = the first panel whose preceding work reaches part / threads of the whole."""
    at, end, goal, middle = (
        Var(name, I64),
        Var(f"{name}_end", I64),
        Var(f"{name}_goal", I64),
        Var("middle", I64),
    )
    panels = Var("panels", I64)
    halve = (
        Let(middle, (at + end) // 2),
        If(Load(WORK, middle) < goal, (Assign(at, middle + 1),), (Assign(end, middle),)),
    )
    return (
        Let(goal, Load(WORK, panels) * part // ThreadCount()),
        Define(at, zero()),
        Define(end, panels),
        While(at < end, halve),
    )


def step(few: Few, *, name: str = "step", more: tuple[Param, ...] = (), after: Block = ()) -> Function:
    """What every thread runs for one layer; x is ready. ``after``: what is done with the rows of PANEL_AT
    once they are there; it may use parameters ``more``."""
    tiles, t, size = Layout(1, few.width), Var("tile", I64), Var("size", I64)
    count = Var("tiles", I64)
    first, width = tiles.tile_bounds(COLUMNS, count, t)
    args = (*few.params, PANEL_AT, FIRST)
    call: Block = (Call(f"{few.name}_1", args),)
    for w in range(2, few.width + 1):
        call = (If(Compare("eq", size, index(w)), (Call(f"{few.name}_{w}", args),), call),)
    each_tile = For(t, zero(), count, (Let(FIRST, first), Let(size, width), *call))
    body: Block = (
        Let(Var("panels", I64), (ROWS + (few.panel_rows - 1)) // few.panel_rows),
        Let(count, tiles.tile_count(COLUMNS)),
        *_share("from", ThreadId()),
        *_share("to", ThreadId() + 1),
        For(PANEL_AT, Var("from", I64), Var("to", I64), (each_tile, *after)),
    )
    return Function(f"{few.name}_{name}", (*few.params, *more), body)
