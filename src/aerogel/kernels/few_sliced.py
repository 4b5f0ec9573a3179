"""A panel of sliced rows (see ``formats.sliced``) at one column: inputs are looked up in registers.

A lane is a row. The 256 inputs of a block stay in registers, the bytes of their numbers apart: four vectors
of bytes for int8, eight for bf16, sixteen for fp32. A step has four entries for every lane; its vector of
columns picks the bytes of its inputs, plane by plane, and interleaving the planes gives the inputs as
numbers, in the lanes of their rows. Where a block ends, its four sums, a slice each, are put back in the
order of the rows and added to theirs.

Order of a row's sum: within a block, entries by column, four of a step in the order k = 0 .. 3 (bf16: 1, 0,
3, 2), one fused multiply-add each; then the blocks. An activation that is not finite reaches the rows that
use it; of others those that are filled up with column 0 of its block may be reached as well.
"""

from __future__ import annotations

from aerogel.core.dtypes import DType
from aerogel.formats.rows import BLOCK_COLUMNS, ENTRIES, SLICES, WORD
from aerogel.formats.sliced import STEP_BITS
from aerogel.kernels.approx import Lets, Names, minimum
from aerogel.kernels.few_params import (
    BIAS,
    COLUMN_STEP,
    FIRST,
    MASK_BYTES,
    MASKS,
    PANEL_AT,
    ROW_STEP,
    ROWS,
    STARTS,
    WORDS,
    Few,
    Y,
    finished,
)
from aerogel.kernels.layout import index, zero
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Assign,
    Bitcast,
    Block,
    Buf,
    BufferType,
    Cast,
    Const,
    Dot2,
    Dot4,
    Expr,
    Fma,
    For,
    Load,
    Permute,
    Select,
    Shuffle,
    Store,
    Var,
    Vec,
    VLoad,
    VStore,
)

_BLOCK, _STEP, _ROW = Var("block", I64), Var("step", I64), Var("row", I64)


def sliced_panel(few: Few) -> Block:
    """The code of one panel at column FIRST."""
    out = Lets(Names())
    nothing = Const(0, few.sum)
    offset = out.define(Load(STARTS, PANEL_AT * 2), "offset")
    totals = [out.define(nothing, "total") for _ in range(SLICES)]
    blocks = out.let(WORDS // (BLOCK_COLUMNS // WORD), "blocks")
    body = Lets(Names("block_"))
    at = body.let(PANEL_AT * blocks + _BLOCK, "at")
    planes = _inputs(few, body)
    steps = body.let(Load(MASKS, at), "steps")
    sums: list[Var] = []
    for s in range(SLICES):
        sums.append(body.define(nothing, "sum"))
        count = body.let(Cast(steps >> (STEP_BITS * s) & ((1 << STEP_BITS) - 1), I64), "count")
        body.add(For(_STEP, zero(), count, _step(few, sums[s], offset, planes, s)))
    for r, total in enumerate(totals):
        ranks = VLoad(MASK_BYTES, at * few.panel_rows + r * few.lanes, few.lanes)
        rank = body.let(Cast(ranks, Vec(DType.U32, few.lanes)), "rank")
        body.add(Assign(total, total + _looked_up(sums, rank, few.lanes)))
    out.add(For(_BLOCK, zero(), blocks, body.block()), *_end(few, totals))
    return out.block()


def _inputs(few: Few, out: Lets) -> list[list[Var]]:
    """The inputs of a block: the vectors of each plane."""
    size = ENTRIES * few.lanes
    first = out.let((FIRST * (WORDS * WORD) + _BLOCK * BLOCK_COLUMNS) * few.x_bytes, "first")
    return [
        [
            out.let(VLoad(few.x, first + plane * BLOCK_COLUMNS + part, size), "inputs")
            for part in range(0, BLOCK_COLUMNS, size)
        ]
        for plane in range(few.x_bytes)
    ]


def _step(few: Few, total: Var, offset: Var, planes: list[list[Var]], number: int) -> Block:
    """Four entries of every lane."""
    out, size = Lets(Names(f"step{number}_")), ENTRIES * few.lanes
    columns = out.let(VLoad(few.values, offset, size), "columns")
    found = [out.let(_looked_up(plane, columns, size), "bytes") for plane in planes]
    for i, x in enumerate(_numbers(found, out)):
        stored = VLoad(few.values, offset + size * (i + 1), size)
        out.add(*_multiplied(few, total, x, out.let(stored, "stored"), out))
    out.add(Assign(offset, offset + size * (1 + len(planes))))
    return out.block()


def _multiplied(few: Few, total: Var, x: Expr, stored: Expr, out: Lets) -> Block:
    """The products of one vector of inputs and one of stored values, both as bytes, added to ``total``."""
    if few.number == "int8":
        return (Assign(total, Dot4(total, x, Bitcast(stored, Vec(DType.I8, ENTRIES * few.lanes)))),)
    if few.dot2:
        return (Assign(total, Dot2(total, Bitcast(x, few.pairs), Bitcast(stored, few.pairs))),)
    if few.number == "fp32":
        return (Assign(total, Fma(Bitcast(stored, few.sum), Bitcast(x, few.sum), total)),)
    words = Vec(DType.U32, few.lanes)
    w, a = (out.let(Bitcast(both, words), "pairs") for both in (stored, x))
    odd = Fma(Bitcast(w & 0xFFFF0000, few.sum), Bitcast(a & 0xFFFF0000, few.sum), total)
    even = Fma(Bitcast(w << 16, few.sum), Bitcast(a << 16, few.sum), total)
    return Assign(total, odd), Assign(total, even)


def _numbers(planes: list[Var], out: Lets) -> list[Var]:
    """Numbers of as many bytes as there are planes: as many vectors, the bytes of 16 lanes of a plane in the
    same 16 of each."""
    groups, unit = [[plane] for plane in planes], 1
    while len(groups) > 1:
        groups = [
            [_interleaved(a, b, unit, half, out) for a, b in zip(*two, strict=True) for half in (0, 1)]
            for two in zip(groups[::2], groups[1::2], strict=True)
        ]
        unit *= 2
    return groups[0]


def _interleaved(low: Var, high: Var, unit: int, half: int, out: Lets) -> Var:
    """Of every 16 bytes the first or second 8 of both, ``unit`` bytes of one after those of the other."""
    assert isinstance(low.type, Vec)
    size = low.type.lanes
    firsts = [g + 8 * half + j for g in range(0, size, 16) for j in range(0, 8, unit)]
    lanes = [beyond + first + i for first in firsts for beyond in (0, size) for i in range(unit)]
    return out.let(Shuffle(low, high, tuple(lanes)), "numbers")


def _looked_up(table: list[Var], at: Expr, lanes: int) -> Expr:
    """Element ``at`` of vectors of ``lanes`` that follow each other, a power of two of them."""
    if len(table) == 2:
        return Permute(table[0], table[1], at)
    half = len(table) // 2
    low, high = _looked_up(table[:half], at, lanes), _looked_up(table[half:], at, lanes)
    return Select((at & (half * lanes)) < 1, low, high)


def _end(few: Few, totals: list[Var]) -> Block:
    """Each row's sum, and out."""
    sums = Buf("sums_of_rows", BufferType(few.sum.dtype, align=64))
    out, body = Lets(Names("end_")), Lets(Names("row_"))
    out.add(Alloc(sums, few.panel_rows))
    out.add(*(VStore(sums, index(r * few.lanes), total) for r, total in enumerate(totals)))
    first = out.let(PANEL_AT * few.panel_rows, "first")
    row = body.let(first + _ROW, "row")
    y = finished(few, Load(sums, _ROW), Load(BIAS, row), row, FIRST, body)
    body.add(Store(Y, row * ROW_STEP + FIRST * COLUMN_STEP, y))
    out.add(For(_ROW, zero(), minimum(ROWS - first, index(few.panel_rows)), body.block()))
    return out.block()
