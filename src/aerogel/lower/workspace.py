"""A row under construction: a value for every coordinate, and bits that say which are set.

Sums arrive in any order; the row is then read in ascending order without a sort, from bits in two levels: a
bit for every coordinate, and a bit for every word of those. Reading a row leaves the workspace as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.loop import nodes as n
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Buf, BufferType, Cast, Compare, Const, Load, Scalar, Unary
from aerogel.lower.operand import size_of
from aerogel.lower.state import Context

_WORD = Scalar(DType.U64)
_BITS = 64


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace of the running thread, for rows along ``index``. Each thread has its own part of the
    buffers: ``extent`` values, and as many words as ``words`` says."""

    index: str
    values: Buf
    low: Buf
    high: Buf
    at_values: n.Expr
    at_low: n.Expr
    at_high: n.Expr
    high_words: n.Expr

    @staticmethod
    def params(compute: DType) -> tuple[Buf, Buf, Buf]:
        words = BufferType(DType.U64)
        return (
            Buf("ws.values", BufferType(compute)),
            Buf("ws.low", words),
            Buf("ws.high", words),
        )

    @staticmethod
    def of(ctx: Context, index: str) -> Workspace:
        values, low, high = Workspace.params(ctx.compute)
        size, code = size_of(index), ctx.code
        low_words = code.let(_word(size + (_BITS - 1)), "words")
        high_words = code.let(_word(low_words + (_BITS - 1)), "words")
        me = n.ThreadId()
        return Workspace(
            index,
            values,
            low,
            high,
            code.let(me * size, "mine"),
            code.let(me * low_words, "mine"),
            code.let(me * high_words, "mine"),
            high_words,
        )

    def add(
        self, ctx: Context, coordinate: n.Expr, first: Callable[[], n.Expr], more: Callable[[n.Expr], n.Expr]
    ) -> None:
        """``first()`` where nothing is set yet, else ``more(value so far)``."""
        code = ctx.code
        at = code.let(self.at_values + coordinate, "w")
        new, mark = self._asked(ctx, coordinate)
        with code.block() as then:
            mark()
            code.store(self.values, at, first())
        with code.block() as orelse:
            code.store(self.values, at, more(code.let(Load(self.values, at), "x")))
        code.branch(new, tuple(then), tuple(orelse))

    def mark(self, ctx: Context, coordinate: n.Expr, count: n.Var) -> None:
        """Sets a coordinate, and counts it if it is new."""
        new, mark = self._asked(ctx, coordinate)
        with ctx.code.if_(new):
            mark()
            ctx.code.assign(count, count + 1)

    def _asked(self, ctx: Context, coordinate: n.Expr) -> tuple[n.Expr, Callable[[], None]]:
        """Whether a coordinate is new, and what emits that it is set from now on."""
        code = ctx.code
        number = code.let(_word(coordinate), "number")
        at = code.let(self.at_low + number, "l")
        word = code.let(Load(self.low, at), "word")
        bit = code.let(_bit(coordinate), "bit")
        new = code.let(Compare("eq", Binary("and", word, bit), Const(0, _WORD)), "new")

        def mark() -> None:
            code.store(self.low, at, Binary("or", word, bit))
            high = code.let(self.at_high + _word(number), "h")
            code.store(self.high, high, Binary("or", Load(self.high, high), _bit(number)))

        return new, mark

    def drain(self, ctx: Context, emit: Callable[[n.Expr, n.Expr], None] | None) -> None:
        """``emit(coordinate, value)`` for everything set, in ascending order; None: it is only forgotten."""
        code = ctx.code
        none = Const(0, _WORD)
        with code.for_(i64(0), self.high_words, "h") as h:
            top = code.define(Load(self.high, self.at_high + h), "top")
            with code.if_(Compare("ne", top, none)):
                code.store(self.high, self.at_high + h, none)
                with code.while_(Compare("ne", top, none)):
                    word = code.let(h * _BITS + Cast(Unary("ctz", top), n.I64), "word")
                    code.assign(top, Binary("and", top, top - 1))
                    if emit is None:
                        code.store(self.low, self.at_low + word, none)
                    else:
                        self._drain_word(ctx, word, emit)

    def _drain_word(self, ctx: Context, word: n.Expr, emit: Callable[[n.Expr, n.Expr], None]) -> None:
        code, none = ctx.code, Const(0, _WORD)
        bits = code.define(Load(self.low, self.at_low + word), "bits")
        code.store(self.low, self.at_low + word, none)
        with code.while_(Compare("ne", bits, none)):
            i = code.let(word * _BITS + Cast(Unary("ctz", bits), n.I64), self.index)
            code.assign(bits, Binary("and", bits, bits - 1))
            emit(i, code.let(Load(self.values, self.at_values + i), "x"))


def _word(coordinate: n.Expr) -> n.Expr:
    """The number of a coordinate's word."""
    return Binary("shr", coordinate, i64(_BITS.bit_length() - 1))


def _bit(coordinate: n.Expr) -> n.Expr:
    """The bit of a coordinate within its word."""
    place = Binary("and", Cast(coordinate, _WORD), Const(_BITS - 1, _WORD))
    return Binary("shl", Const(1, _WORD), place)


def sizes(extent: int) -> tuple[int, int, int]:
    """Values, low words and high words of one thread's workspace."""
    low = -(-extent // _BITS)
    return extent, low, -(-low // _BITS)
