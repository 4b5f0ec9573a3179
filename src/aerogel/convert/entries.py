"""Entries on their way into a storage, as kernels read them: column by column, or a word for each.

A word holds an entry's coordinates, the first level's highest, and below them its number, by which its value
is found. Words are what is sorted where they suffice: 8 bytes are moved instead of all columns and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.counting import widened
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code
from aerogel.loop.nodes import (
    I64,
    Binary,
    Broadcast,
    Buf,
    BufferType,
    Compare,
    Const,
    Expr,
    Load,
    Scalar,
    Var,
    VLoad,
)

# The sign stays free.
WORD_BITS = 63


@dataclass(frozen=True, slots=True)
class Columns:
    """``columns``: coordinates by level, all int32 or all int64; ``values`` beside them.

    ``kept``: the arrays stay as they are, so a storage may hold them; else it copies.
    """

    columns: tuple[NDArray[Any], ...]
    values: NDArray[Any]
    kept: bool = False

    @property
    def key(self) -> ColumnsKey:
        source = DType.of(self.columns[0].dtype) if self.columns else DType.I64
        return ColumnsKey(len(self.columns), source)

    @property
    def arguments(self) -> tuple[NDArray[Any], ...]:
        return self.columns

    def coordinates(self, at: int) -> list[int]:
        """The coordinates of one entry, by level."""
        return [int(column[at]) for column in self.columns]

    def run_end(self, at: int) -> int:
        """Past the last entry that has the coordinates of entry ``at``; entries are sorted."""
        low, high = at, len(self.values)
        for column in self.columns:
            high = low + int(np.searchsorted(column[low:high], column[at], side="right"))
        return high

    def twice(self) -> int:
        """The first entry whose coordinates the next has too; there is one."""
        same = np.ones(len(self.values) - 1, np.bool_)
        for column in self.columns:
            same &= column[1:] == column[:-1]
        return int(same.argmax())


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a word the coordinates of each level begin, and the masks of their bits; then the mask of the
    number, which is lowest. No word is above ``most``."""

    shifts: tuple[int, ...]
    masks: tuple[int, ...]
    most: int

    @staticmethod
    def of(most: Sequence[int], count: int) -> Layout:
        """For coordinates up to ``most`` of ``count`` entries; it fits only where ``most`` has WORD_BITS."""
        at = max(count - 1, 0).bit_length()
        masks, shifts, greatest = [(1 << at) - 1], list[int](), (1 << at) - 1
        for one in reversed(most):
            shifts.insert(0, at)
            masks.insert(0, (1 << one.bit_length()) - 1)
            greatest |= one << at
            at += one.bit_length()
        return Layout(tuple(shifts), tuple(masks), greatest)

    @property
    def fits(self) -> bool:
        return self.most.bit_length() <= WORD_BITS


@dataclass(frozen=True, slots=True)
class Words:
    """``words``: an entry each; ``values`` are by number, in the order in which they came."""

    words: NDArray[np.int64]
    values: NDArray[Any]
    layout: Layout

    @property
    def key(self) -> WordsKey:
        return WordsKey(len(self.layout.shifts))

    @property
    def arguments(self) -> tuple[NDArray[Any] | int, ...]:
        return (*self.layout.shifts, *self.layout.masks, self.words)

    def coordinates(self, at: int) -> list[int]:
        """As of ``Columns``."""
        word = int(self.words[at])
        return [
            word >> shift & mask for shift, mask in zip(self.layout.shifts, self.layout.masks, strict=False)
        ]

    def run_end(self, at: int) -> int:
        """As of ``Columns``."""
        low = self.layout.shifts[-1]
        return int(np.searchsorted(self.words, ((self.words[at] >> low) + 1) << low))

    def twice(self) -> int:
        """As of ``Columns``."""
        places = self.words >> self.layout.shifts[-1]
        return int((places[1:] == places[:-1]).argmax())


Entries = Columns | Words

# --- as a kernel reads them -----------------------------------------------------------------


class Reader(Protocol):
    """How a kernel reads entries. What is loaded of one is a list of expressions it alone understands."""

    @property
    def params(self) -> tuple[Var | Buf, ...]: ...

    @property
    def nothing(self) -> list[Expr]:
        """What is loaded where there is no entry: different from every entry."""
        ...

    def load(self, code: Code, i: Expr, lanes: int = 1) -> list[Expr]: ...

    def coordinates(self, loaded: Sequence[Expr]) -> list[Expr]:
        """By level, i64."""
        ...

    def differs(self, code: Code, a: Sequence[Expr], b: Sequence[Expr], upto: int) -> list[Expr]:
        """For each level to ``upto``: whether two entries differ from the first level down to it."""
        ...

    def number(self, i: Expr, loaded: Sequence[Expr]) -> Expr:
        """Where the value of entry ``i`` is."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnsKey:
    """Reads ``rank`` columns of type ``source``."""

    rank: int
    source: DType

    @property
    def buffers(self) -> list[Buf]:
        return [Buf(f"column{k}", BufferType(self.source, const=True)) for k in range(self.rank)]

    @property
    def params(self) -> tuple[Var | Buf, ...]:
        return tuple(self.buffers)

    @property
    def nothing(self) -> list[Expr]:
        return [Const(-1, Scalar(self.source))] * self.rank

    def load(self, code: Code, i: Expr, lanes: int = 1) -> list[Expr]:
        return [
            code.let(Load(column, i) if lanes == 1 else VLoad(column, i, lanes), "here")
            for column in self.buffers
        ]

    def coordinates(self, loaded: Sequence[Expr]) -> list[Expr]:
        return [widened(one) for one in loaded]

    def differs(self, code: Code, a: Sequence[Expr], b: Sequence[Expr], upto: int) -> list[Expr]:
        found: list[Expr] = []
        for one, other in list(zip(a, b, strict=True))[: upto + 1]:
            apart: Expr = Compare("ne", one, other)
            found.append(code.let(found[-1] | apart if found else apart, "differs"))
        return found

    def number(self, i: Expr, loaded: Sequence[Expr]) -> Expr:  # noqa: ARG002 (one protocol)
        return i


@dataclass(frozen=True, slots=True)
class WordsKey:
    """Reads words of ``rank`` levels."""

    rank: int

    @property
    def shifts(self) -> list[Var]:
        return [Var(f"shift{k}", I64) for k in range(self.rank)]

    @property
    def masks(self) -> list[Var]:
        return [Var(f"mask{k}", I64) for k in range(self.rank + 1)]

    @property
    def words(self) -> Buf:
        return Buf("words", BufferType(DType.I64, const=True))

    @property
    def params(self) -> tuple[Var | Buf, ...]:
        return (*self.shifts, *self.masks, self.words)

    @property
    def nothing(self) -> list[Expr]:
        return [Const(-1, I64)]

    def load(self, code: Code, i: Expr, lanes: int = 1) -> list[Expr]:
        return [code.let(Load(self.words, i) if lanes == 1 else VLoad(self.words, i, lanes), "word")]

    def coordinates(self, loaded: Sequence[Expr]) -> list[Expr]:
        (word,) = loaded
        return [(word >> shift) & mask for shift, mask in zip(self.shifts, self.masks, strict=False)]

    def differs(self, code: Code, a: Sequence[Expr], b: Sequence[Expr], upto: int) -> list[Expr]:
        apart = code.let(a[0] ^ b[0], "apart")
        return [
            code.let(Compare("ne", apart >> _like(shift, apart), _like(Const(0, I64), apart)), "differs")
            for shift in self.shifts[: upto + 1]
        ]

    def number(self, i: Expr, loaded: Sequence[Expr]) -> Expr:  # noqa: ARG002 (one protocol)
        return Binary("and", loaded[0], self.masks[-1])


def _like(one: Var | Const, other: Expr) -> Expr:
    """A number in as many lanes as ``other`` has."""
    return one if isinstance(other.type, Scalar) else Broadcast(one, other.type.lanes)
