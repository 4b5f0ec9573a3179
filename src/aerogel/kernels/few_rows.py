"""A panel of four rows at one to four columns: dense, or as bitmaps that are expanded in registers (see
``few``)."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.core.memory import CACHE_LINE
from aerogel.formats.nibbles import GROUP
from aerogel.formats.rows import BLOCK, PANEL, WORD, Number
from aerogel.kernels.approx import Lets, Names
from aerogel.kernels.few_params import (
    BIAS,
    COLUMN_STEP,
    FIRST,
    GROUP_SCALES,
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
    Broadcast,
    Buf,
    BufferType,
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
    If,
    Let,
    LetView,
    Load,
    Prefetch,
    Reduce,
    Scalar,
    Select,
    Shuffle,
    Store,
    Unary,
    Var,
    Vec,
    VLoad,
    VStore,
)

# Values are asked for at the offsets of so many rows of a word, so many bytes ahead. Tried on Zen 4, 512 MiB,
# two threads: bf16 at 50 and 70 % zeros 1.05 and 1.03 x as fast as with all rows and 2 KB, which is 1.1 and
# 1.3 x as fast as without (the CPU by itself asks late); int8 gains little, fp32 nothing.
_ASKING: dict[Number, tuple[int, int]] = {"bf16": (3, 3072), "int8": (1, 2048), "int4": (1, 2048)}
# Dense float32, every line: 1.06 x [1.01, 1.16] as fast on Zen 4, two threads; dense int8 gains nothing.
DENSE_AHEAD_BYTES = 4096
# Vectors of a row that are spelt out; more, where vectors are short, take a loop.
UNROLLED = 4

_OFFSET, _BYTE = Var("offset", I64), Var("byte", I64)


@dataclass(frozen=True, slots=True)
class Panel:
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
            if few.number == "fp32":
                lines = range(0, PANEL * WORD, CACHE_LINE // 4)
                body.add(*(Prefetch(few.values, _OFFSET + (DENSE_AHEAD_BYTES // 4 + i)) for i in lines))
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
        if few.number in _ASKING:
            asking, ahead = _ASKING[few.number]
            size = few.values.type.dtype.itemsize
            body.add(*(Prefetch(few.values, offset + ahead // size) for offset in offsets[:asking]))
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
        asking, ahead = _ASKING[few.number]
        body.add(*(Prefetch(few.values, offset + ahead) for offset in offsets[:asking]))
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
        out: list[If] = []
        for r in range(PANEL):
            row, body = PANEL_AT * PANEL + r, Lets(Names(f"row{r}_"))
            bias = body.let(Load(BIAS, row), "bias")
            for c in range(self.width):
                at = row * ROW_STEP + (FIRST + c) * COLUMN_STEP
                y = finished(few, Reduce("add", self.sum(r, c)), bias, row, FIRST + c, body)
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
