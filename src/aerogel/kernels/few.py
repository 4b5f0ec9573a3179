"""Linear layers at one to eight columns: y = W x + bias, W streamed once from memory.

Lanes hold consecutive inputs. A panel of four rows (see ``formats.bitmap``) is walked word by word, 64
columns: the masks of the four rows are counted, which gives the offsets of all their values at once; a row's
values are loaded from their offset, expanded by its mask in a register, and multiplied with the same 64
inputs of every column. Nothing waits for an offset but the next word's, by one addition. Sums stay in
registers until the row ends; then each is added up across its lanes once.

Columns are cut into tiles of at most ``Few.width``, as equal as can be; the tiles of a panel follow each
other while it is in the cache. A *step*, which every thread runs, shares the panels by the bytes they stream.
Every row is summed by one thread, so the bits do not depend on the number of threads:

- floats: lane l adds the products of columns l, l + lanes ... in that order, one fused multiply-add each;
  the lanes are added by halves (``Reduce``), then the bias;
- bf16: weights and activations are both rounded to bf16, a relative error of at most 2^-9 each, and their
  products are exact; of every 2 x lanes columns lane l adds l + lanes first, then l. That is the CPU's own
  dot product where it has one; others whose vectors are as wide give the same bits (see
  ``formats.bitmap.SMALLEST_BF16``);
- int8: exact in int32; then y = scale[row] x ((sum of (q - zero) x weight) x scale[column]) + bias, with one
  rounding for the sum as float32, one for the inner product, one for the rest;
- int4: lane l sums a group of 32 columns at a time, exactly, as 16 x the weights; each such sum is rounded to
  float32 and added times the group's scale, one fused multiply-add; the lanes are added by halves; then
  y = (total - zero x sum of the row) x (scale[column] / 16) + bias, in two fused multiply-adds.

An activation that is not finite makes all of its column NaN or infinite: zeros of a word are multiplied too.

What bounds it, on Zen 4 with two threads and 28 GB/s: memory, 1 byte of int8 a weight dense, 0.625, 0.425 and
0.225 as bitmaps at 50, 70 and 90 % zeros; and one execution port that moves masks, expands and multiplies:
3.3 cycles for 64 int8 weights, 8.1 for bf16, 11.1 for fp32, whatever the zeros (see ADR 19).
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.formats.bitmap import BLOCK, PANEL, STORED, WORD, Form, Number
from aerogel.formats.nibbles import GROUP
from aerogel.kernels.approx import Lets, Names
from aerogel.kernels.layout import Layout, index, zero
from aerogel.loop.nodes import (
    F32,
    I64,
    Alloc,
    Assign,
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
    Let,
    LetView,
    Load,
    Param,
    Prefetch,
    Reduce,
    Scalar,
    Select,
    Shuffle,
    Store,
    ThreadCount,
    ThreadId,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)

# More columns at a time would spill their sums.
WIDEST = 4
# Values are asked for this far ahead, at the offsets of so many rows of a word. Tried on Zen 4, one thread,
# 50 % zeros: bf16 19 -> 15 cycles for 64 weights, where the CPU by itself asks late; int8 gains little, fp32
# nothing.
AHEAD_BYTES = 2048
_ASKING_ROWS: dict[Number, int] = {"fp32": 0, "bf16": PANEL, "int8": 1, "int4": 1}
# Vectors of a row that are spelt out; more, where vectors are short, take a loop.
UNROLLED = 4
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
_OFFSET, _BYTE = Var("offset", I64), Var("byte", I64)


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
        width = max(1, min(WIDEST, (target.registers - _AT_HAND) // PANEL))
        dot2 = number == "bf16" and target.has("avx512bf16")
        return Few(target.lanes(DType.F32), width, number, form, dot2)

    @property
    def name(self) -> str:
        """Begins the names of its functions: a program may have several kinds."""
        return f"few_{self.number}_{self.form}"

    @property
    def values(self) -> Buf:
        dtype = DType.of(STORED[self.number])
        return Buf("values", BufferType(dtype, const=True, align=dtype.itemsize))

    @property
    def x(self) -> Buf:
        """[columns, words x 64] in the numbers that are multiplied; for ``dot2`` the first half of each
        column holds its pairs (see ``few_x``)."""
        dtype = DType.U8 if self.of_bytes else DType.F32
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


@dataclass(frozen=True, slots=True)
class _Panel:
    """The code of one panel at ``width`` columns from FIRST on."""

    few: Few
    width: int

    def sum(self, row: int, column: int) -> Var:
        return Var(f"sum{row}_{column}", self.few.sum)

    def group(self, row: int, column: int) -> Var:
        """int4: the sum of the block at hand."""
        return Var(f"group{row}_{column}", Vec(DType.I32, self.few.lanes))

    def body(self) -> Block:
        few = self.few
        nothing = Broadcast(Const(0 if few.number == "int8" else 0.0, Scalar(few.sum.dtype)), few.lanes)
        sums = [self.sum(r, c) for r in range(PANEL) for c in range(self.width)]
        begin = (Define(_OFFSET, Load(STARTS, PANEL_AT * 2)), *(Define(s, nothing) for s in sums))
        if few.number == "int4":
            groups = [self.group(r, c) for r in range(PANEL) for c in range(self.width)]
            begin = (*begin, *(Define(g, Const(0, g.type)) for g in groups))
        walk = self._nested() if few.form == "nested" else self._plain()
        return (*walk.first, *begin, *walk.loop, *self._end())

    def _plain(self) -> _Walk:
        at = Var("word", I64)
        masks = [Load(MASKS, (PANEL_AT * WORDS + at) * PANEL + r) for r in range(PANEL)]
        return _Walk((), (For(at, zero(), WORDS, self._word(at, masks)),))

    def _nested(self) -> _Walk:
        """Eight words of masks at a time, by way of the stack."""
        block, i, at = Var("block", I64), Var("i", I64), Var("word", I64)
        made = Buf("made", BufferType(DType.U8, align=64))
        masks = Buf("unfolded", BufferType(DType.U64, align=8))
        blocks = (WORDS + (BLOCK - 1)) // BLOCK
        body = Lets(Names())
        for r in range(PANEL):
            summary = body.let(Load(MASKS, (PANEL_AT * blocks + block) * PANEL + r), "summary")
            found = Expand(summary, VLoad(MASK_BYTES, _BYTE, WORD))
            body.add(VStore(made, index(r * WORD), found))
            body.add(Assign(_BYTE, _BYTE + Cast(Unary("popcount", summary), I64)))
        left = WORDS - block * BLOCK
        inner = (
            Let(at, block * BLOCK + i),
            *self._word(at, [Load(masks, i + r * BLOCK) for r in range(PANEL)]),
        )
        body.add(For(i, zero(), Select(left < BLOCK, left, index(BLOCK)), inner))
        first = (Alloc(made, PANEL * WORD), LetView(masks, made, zero(), index(PANEL * BLOCK)))
        start = Define(_BYTE, Load(STARTS, PANEL_AT * 2 + 1))
        return _Walk(first, (start, For(block, zero(), blocks, body.block())))

    def _word(self, at: Expr, masks: list[Load]) -> Block:
        """The 64 columns of four rows."""
        few, body = self.few, Lets(Names())
        if few.number == "int4":
            return self._word_of_nibbles(at, masks)
        if few.form == "dense":
            rows = [_Stored(few, _OFFSET + r * WORD) for r in range(PANEL)]
            self._columns(body, rows, at * (WORD // few.share))
            body.add(Assign(_OFFSET, _OFFSET + PANEL * WORD))
            return body.block()
        bits = [body.let(mask, "mask") for mask in masks]
        counts = [body.let(Cast(Unary("popcount", m), I64), "count") for m in bits]
        offsets = [body.let(_OFFSET, "from")]
        for count in counts[:-1]:
            offsets.append(body.let(offsets[-1] + count, "from"))
        total = body.let((counts[0] + counts[1]) + (counts[2] + counts[3]), "total")
        body.add(Assign(_OFFSET, _OFFSET + total))
        ahead = AHEAD_BYTES // few.values.type.dtype.itemsize
        asking = offsets[: _ASKING_ROWS[few.number]]
        body.add(*(Prefetch(few.values, offset + ahead) for offset in asking))
        self._columns(
            body, [_Stored(few, o, m) for o, m in zip(offsets, bits, strict=True)], at * (WORD // few.share)
        )
        return body.block()

    def _word_of_nibbles(self, at: Expr, masks: list[Load]) -> Block:
        """The same of int4; after the last word of a block of groups, its sums are scaled."""
        few, body = self.few, Lets(Names())
        bits: list[Var] | None = None
        steps: list[Expr] = [index(WORD // 2)] * PANEL
        if few.form != "dense":
            bits = [body.let(mask, "mask") for mask in masks]
            steps = [body.let(Cast((Unary("popcount", m) + 1) >> 1, I64), "count") for m in bits]
        offsets = [body.let(_OFFSET, "from")]
        for step in steps[:-1]:
            offsets.append(body.let(offsets[-1] + step, "from"))
        body.add(Assign(_OFFSET, _OFFSET + ((steps[0] + steps[1]) + (steps[2] + steps[3]))))
        body.add(Prefetch(few.values, offsets[0] + AHEAD_BYTES))
        size = 4 * few.lanes
        for r in range(PANEL):
            packed = VLoad(few.values, offsets[r], WORD // 2)
            weights = body.let(nibbles(packed, bits[r] if bits else None, body), "weights")
            for part in range(0, WORD, size):
                lanes = tuple(range(part, part + size))
                weight = weights if size == WORD else body.let(Shuffle(weights, weights, lanes), "weight")
                for c in range(self.width):
                    x = VLoad(few.x, (FIRST + c) * (WORDS * WORD) + at * WORD + part, size)
                    body.add(Assign(self.group(r, c), Dot4(self.group(r, c), x, weight)))
        words = GROUP * few.lanes // WORD
        body.add(If(Compare("eq", (at + 1) & (words - 1), zero()), self._scaled(at // words, words)))
        return body.block()

    def _scaled(self, block: Expr, words: int) -> Block:
        """The sums of a block of groups to those of the row, and 0 again."""
        few, out = self.few, Lets(Names("scaled_"))
        first = out.let((PANEL_AT * (WORDS // words) + block) * (PANEL * few.lanes), "first")
        for r in range(PANEL):
            bits = Cast(VLoad(GROUP_SCALES, first + r * few.lanes, few.lanes), Vec(DType.U32, few.lanes))
            scale = out.let(Bitcast(bits << 16, few.sum), "scale")
            for c in range(self.width):
                total, group = self.sum(r, c), self.group(r, c)
                out.add(Assign(total, Fma(Cast(group, few.sum), scale, total)))
                out.add(Assign(group, Const(0, group.type)))
        return out.block()

    def _columns(self, body: Lets, rows: list[_Stored], first: Expr) -> None:
        """A word's columns, at most UNROLLED vectors of a row at a time; their inputs begin at ``first``."""
        size, share = self.few.stored.lanes, self.few.share
        at_once = min(WORD, size * UNROLLED)
        piece = Var("piece", I64)
        inner = body if at_once == WORD else Lets(Names("piece_"))
        here = rows if at_once == WORD else [row.beyond(piece, inner) for row in rows]
        start = first if at_once == WORD else first + (piece if share == 1 else piece // share)
        for part in range(0, at_once, size):
            for r, row in enumerate(here):
                self._multiply(inner, r, row.load(part), start + part // share)
        if at_once < WORD:
            body.add(For(piece, zero(), index(WORD), inner.block(), step=at_once))

    def _multiply(self, body: Lets, row: int, found: Expr, first: Expr) -> None:
        """One vector of stored values, of columns from ``first`` on, with those inputs of each column."""
        few, halves = self.few, [(0, found)]
        if few.dot2:
            halves = [(0, Bitcast(found, few.pairs))]
        elif few.number == "bf16":
            pairs = body.let(Bitcast(found, Vec(DType.U32, few.lanes)), "pairs")
            halves = [(few.lanes, Bitcast(pairs & 0xFFFF0000, few.sum)), (0, Bitcast(pairs << 16, few.sum))]
        for beyond, half in halves:
            weight = body.let(half, "weight")
            for c in range(self.width):
                total = self.sum(row, c)
                at = (FIRST + c) * (WORDS * WORD) + first + beyond
                body.add(Assign(total, self._product(total, at, weight)))

    def _product(self, total: Var, at: Expr, weight: Expr) -> Expr:
        """``total`` and the products with the inputs at ``at``."""
        few = self.few
        if few.number == "int8":
            return Dot4(total, VLoad(few.x, at, few.stored.lanes), weight)
        x = VLoad(few.x, at, few.lanes)
        return Dot2(total, Bitcast(x, few.pairs), weight) if few.dot2 else Fma(weight, x, total)

    def _end(self) -> Block:
        """Each sum across its lanes, and out."""
        few = self.few
        x_scales, x_zeros = few.x_grid
        out: list[If] = []
        for r in range(PANEL):
            row, body = PANEL_AT * PANEL + r, Lets(Names(f"row{r}_"))
            bias = body.let(Load(BIAS, row), "bias")
            for c in range(self.width):
                total: Expr = Reduce("add", self.sum(r, c))
                at = row * ROW_STEP + (FIRST + c) * COLUMN_STEP
                if few.number == "int8":
                    exact = total - Load(x_zeros, FIRST + c) * Load(SUMS, row)
                    inner = body.let(Cast(exact, F32) * Load(x_scales, FIRST + c), "inner")
                    y: Expr = Fma(Load(SCALES, row), inner, bias)
                elif few.number == "int4":
                    zeros = Cast(Load(x_zeros, FIRST + c), F32)
                    exact = Fma(Unary("neg", zeros), Load(FLOAT_SUMS, row), total)
                    y = Fma(exact, Load(x_scales, FIRST + c) * Const(1 / 16, F32), bias)
                else:
                    y = total + bias
                body.add(Store(Y, at, y))
            out.append(If(row < ROWS, body.block()))
        return tuple(out)


@dataclass(frozen=True, slots=True)
class _Walk:
    """The loop over the words of a panel, and what stands at the top of the function for it."""

    first: Block
    loop: Block


@dataclass(frozen=True, slots=True)
class _Stored:
    """Columns of one row: their values from ``offset`` on, the mask that says which have one (None: all)."""

    few: Few
    offset: Expr
    mask: Expr | None = None

    def beyond(self, columns: Expr, out: Lets) -> _Stored:
        """The same without the first ``columns`` columns."""
        if self.mask is None:
            return _Stored(self.few, out.let(self.offset + columns, "from"))
        count = out.let(Cast(columns, self.mask.type), "columns")
        before = self.mask & ((Const(1, self.mask.type) << count) - 1)
        offset = out.let(self.offset + Cast(Unary("popcount", before), I64), "from")
        return _Stored(self.few, offset, out.let(self.mask >> count, "mask"))

    def load(self, part: int) -> Expr:
        """One vector, of the columns from ``part`` on."""
        lanes = self.few.stored.lanes
        if self.mask is None:
            return VLoad(self.few.values, self.offset + part, lanes)
        offset, mask = self.offset, self.mask
        if part:
            before = mask & ((1 << part) - 1)
            offset, mask = offset + Cast(Unary("popcount", before), I64), mask >> part
        return Expand(mask, VLoad(self.few.values, offset, lanes))


def nibbles(packed: VLoad, mask: Var | None, out: Lets) -> Expr:
    """64 places of a row as i8, 16 times what they hold: from up to 32 bytes of two integers each, of those
    whose bit in ``mask`` is set (None: all)."""
    wide = out.let(Cast(packed, Vec(DType.U16, WORD // 2)), "wide")
    # Both halves of a byte to the upper halves of two.
    apart = ((wide << 4) | (wide << 8)) & 0xF0F0
    if mask is None:
        return Bitcast(apart, Vec(DType.I8, WORD))
    return Bitcast(Expand(mask, Bitcast(apart, Vec(DType.U8, WORD))), Vec(DType.I8, WORD))


def kernel(few: Few, width: int) -> Function:
    """y[panel, first .. first + width) = W[panel] x + bias; no other element of y is touched.

    Sizes: ``x`` [columns, words x 64], ``x_scales`` and ``x_zeros`` [columns] (read for int8 only), ``bias``
    [rows]; element (row, column) of y at row x row_step + column x column_step.
    """
    return Function(f"{few.name}_{width}", (*few.params, PANEL_AT, FIRST), _Panel(few, width).body())


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
        Let(Var("panels", I64), (ROWS + (PANEL - 1)) // PANEL),
        Let(count, tiles.tile_count(COLUMNS)),
        *_share("from", ThreadId()),
        *_share("to", ThreadId() + 1),
        For(PANEL_AT, Var("from", I64), Var("to", I64), (each_tile, *after)),
    )
    return Function(f"{few.name}_{name}", (*few.params, *more), body)
