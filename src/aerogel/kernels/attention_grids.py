"""Queries, keys and values as 8-bit integers, in a task's own memory: what the 4-way dot product takes.

Every query, key and value has a scale of its own, max|x| / 127 over the features of its head:

- queries: i8, words of 4 consecutive features, [ceil(size / 4)][query];
- keys: u8, 128 added, laid out alike. So q k comes out 128 times the sum of q's integers too great, which
  ``start`` takes off;
- values: i8, feature after feature, so that 4 consecutive keys of a feature make a word. Their scale is
  2^lift, which goes into the weight of their key: see ``attention_int8``.

A scale is NaN where an element is not finite. Values count from 2^-53 to 2^50 in magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from aerogel.core.dtypes import DType
from aerogel.kernels.approx import Lets, exp2_below, maximum
from aerogel.kernels.attention_rows import Run
from aerogel.kernels.attention_terms import (
    K_ROW,
    KEY_BIAS,
    LOG2_E,
    Q_ROW,
    QKV,
    SCALE,
    V_ROW,
)
from aerogel.kernels.layout import index, zero
from aerogel.kernels.pack import splat
from aerogel.loop.nodes import (
    I64,
    Assign,
    Binary,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Cast,
    Const,
    Dot4,
    Expr,
    Fma,
    For,
    Unary,
    Var,
    Vec,
    VStore,
)

WORD = 4
"""Integers in a word."""
KEY_ORIGIN = 128
"""Added to a key's integers, which are unsigned."""
MASKED = -1e30
"""Added to the scores of places without a key; finite, so that no NaN can come of it."""

# Adding it rounds to an integer and leaves that in the low bits (|x| < 2^22).
_ROUND = 12582912.0
# Smaller numbers than 127 times this count as 0: 1 / scale stays far from what float32 can hold.
_LEAST = 2.0**-60
# log2(1 + f) - f is at most 0.08608 on [0, 1] (Mitchell, 1962).
_MITCHELL = 0.0861
_LOG2_127 = 6.98868468677217
_CHAINS = 4


@dataclass(frozen=True, slots=True)
class Queries:
    """``words``: i32 [ceil(size / 4), row]; per query ``scale`` of a score (f32) and ``start`` of its dot
    product (i32)."""

    words: Buf
    scale: Buf
    start: Buf
    row: int


@dataclass(frozen=True, slots=True)
class Keys:
    """``words``: i32 [ceil(size / 4), row]; ``values``: i8 [size, row]; per key: ``scale`` of a score,
    ``lift`` to be added to it (with the key's bias) and ``unlift`` = 2^-lift, without bias."""

    words: Buf
    values: Buf
    scale: Buf
    lift: Buf
    unlift: Buf
    row: int


F32_BUFFER = BufferType(DType.F32, align=64)
I32_BUFFER = BufferType(DType.I32, align=64)


@dataclass(frozen=True, slots=True)
class Grids:
    """Makes integers of one head, ``lanes`` tokens at a time."""

    size: int
    lanes: int
    key_bias: bool

    @property
    def words(self) -> int:
        return -(-self.size // WORD)

    def query(self, to: Queries, run: Run, out: Lets) -> None:
        """Integers, scale and start of a run of queries."""
        (tops,) = self._greatest(run, (Q_ROW,), out)
        totals = [out.define(Const(0, self._ints), "total") for _ in run]

        def keep(word: Expr, at: int, made: Expr, lets: Lets) -> None:
            lets.add(VStore(to.words, word * to.row + run[at].local, made))
            origin = Const(KEY_ORIGIN, Vec(DType.U8, WORD * self.lanes))
            bytes_ = Bitcast(made, Vec(DType.I8, WORD * self.lanes))
            lets.add(Assign(totals[at], Dot4(totals[at], origin, bytes_)))

        self._each_word(run, (Q_ROW, self._inverses(tops, out), 0.0), keep, out)
        factor = Broadcast(SCALE * (LOG2_E / 127), self.lanes)
        for at, top, total in zip(run, tops, totals, strict=True):
            out.add(VStore(to.scale, at.local, top * factor))
            out.add(VStore(to.start, at.local, Const(0, self._ints) - total))

    def key(self, to: Keys, run: Run, out: Lets) -> None:
        """Integers, scale and lift of a run of keys and their values."""
        tops, reaches = self._greatest(run, (K_ROW, V_ROW), out)

        def keep(word: Expr, at: int, made: Expr, lets: Lets) -> None:
            lets.add(VStore(to.words, word * to.row + run[at].local, made))

        self._each_word(run, (K_ROW, self._inverses(tops, out), float(KEY_ORIGIN)), keep, out)
        e, each = Var(out.names.fresh("e"), I64), Lets(out.names)
        for at, top, reach in zip(run, tops, reaches, strict=True):
            lift = out.let(self._lift(reach), "lift")
            unlift = exp2_below(out.let(Unary("neg", lift), "fall"), out)
            integer = self._integer(at.load(QKV, V_ROW + e), unlift, 0.0)
            each.add(VStore(to.values, e * to.row + at.local, Cast(integer, Vec(DType.I8, self.lanes))))
            bias = lift + at.load_each(KEY_BIAS) * LOG2_E if self.key_bias else lift
            out.add(VStore(to.scale, at.local, top * splat(1 / 127, self.lanes)))
            out.add(VStore(to.lift, at.local, at.only(bias, MASKED)))
            out.add(VStore(to.unlift, at.local, at.only(unlift)))
        out.add(For(e, zero(), index(self.size), each.block()))

    def no_keys(self, to: Keys, local: Expr) -> Block:
        """What stands behind the last key: keys that weigh nothing."""
        nothing = splat(0.0, self.lanes)
        pairs = ((to.scale, nothing), (to.lift, splat(MASKED, self.lanes)), (to.unlift, nothing))
        return tuple(VStore(buf, local, value) for buf, value in pairs)

    # --- steps ---

    @property
    def _ints(self) -> Vec:
        return Vec(DType.I32, self.lanes)

    def _lift(self, reach: Expr) -> Expr:
        """At least log2(reach / 127), by less than 0.087: exponent and mantissa read as one number."""
        bits = Cast(Bitcast(reach, self._ints), Vec(DType.F32, self.lanes))
        # A NaN has bits that read as a number.
        return bits * 2.0**-23 + (_MITCHELL - 127 - _LOG2_127) + reach * 0.0

    def _integer(self, x: Expr, inverse: Expr, origin: float) -> Expr:
        """x / scale + origin, rounded, in the low 8 bits. Not a fused multiply-add: that is slow where the
        CPU has none."""
        return Bitcast(x * inverse + splat(_ROUND + origin, self.lanes), self._ints)

    def _inverses(self, tops: list[Expr], out: Lets) -> list[Expr]:
        return [out.let(Binary("div", splat(127.0, self.lanes), top), "inverse") for top in tops]

    def _greatest(self, run: Run, rows: tuple[Expr, ...], out: Lets) -> list[list[Expr]]:
        """For each first row and vector the greatest magnitude over the head, at least ``_LEAST``; NaN if any
        element is not finite."""
        nothing = splat(0.0, self.lanes)
        chains = max(1, _CHAINS // len(run))
        found = [[[out.define(nothing, "most") for _ in range(chains)] for _ in run] for _ in rows]
        nans = [[out.define(nothing, "nan") for _ in run] for _ in rows]

        def take(feature: Expr, chain: int, lets: Lets) -> None:
            for row, mosts, nans_ in zip(rows, found, nans, strict=True):
                for at, most, nan in zip(run, mosts, nans_, strict=True):
                    value = lets.let(at.load(QKV, row + feature), "value")
                    lets.add(Assign(most[chain], maximum(Unary("abs", value), most[chain])))
                    lets.add(Assign(nan, Fma(value, nothing, nan)))

        self._unrolled(chains, take, out)
        least = splat(_LEAST, self.lanes)
        return [
            [
                out.let(maximum(least, reduce(maximum, m) + n), "top")
                for m, n in zip(mosts, nans_, strict=True)
            ]
            for mosts, nans_ in zip(found, nans, strict=True)
        ]

    def _each_word(
        self,
        run: Run,
        how: tuple[Expr, list[Expr], float],
        keep: Callable[[Expr, int, Expr, Lets], None],
        out: Lets,
    ) -> None:
        """``keep(word, place in the run, the word made of its integers, lets)`` for all words; ``how``: first
        row, 1 / scale of each vector, origin."""
        row, inverses, origin = how
        whole = self.size // WORD

        def make(word: Expr, count: int, lets: Lets) -> None:
            for i, (at, inverse) in enumerate(zip(run, inverses, strict=True)):
                rows = [at.load(QKV, row + word * WORD + j) for j in range(count)]
                parts = [lets.let(self._integer(x, inverse, origin), "bits") for x in rows]
                keep(word, i, lets.let(_word(parts, lets), "word"), lets)

        word, each = Var(out.names.fresh("word"), I64), Lets(out.names)
        make(word, WORD, each)
        out.add(For(word, zero(), index(whole), each.block()))
        if whole < self.words:
            make(index(whole), self.size - whole * WORD, out)

    def _unrolled(self, chains: int, take: Callable[[Expr, int, Lets], None], out: Lets) -> None:
        """``take(feature, chain, lets)`` for all features, in turn on each chain."""
        e, each = Var(out.names.fresh("e"), I64), Lets(out.names)
        whole = self.size // chains * chains
        for chain in range(chains):
            take(e + chain, chain, each)
        out.add(For(e, zero(), index(whole), each.block(), step=chains))
        for chain in range(self.size - whole):
            take(index(whole + chain), chain, out)


def _word(parts: Sequence[Expr], out: Lets) -> Expr:
    """The low 8 bits of up to four integers side by side, the first one lowest."""
    found: Expr | None = None
    for j, part in enumerate(parts):
        # The last one's upper bits leave the word by themselves.
        byte = part << 24 if j == WORD - 1 else (part & 255) << (8 * j) if j else part & 255
        found = byte if found is None else out.let(Binary("or", found, byte), "word")
    assert found is not None
    return found
