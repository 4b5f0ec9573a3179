"""What a level kind is: how one mode of a tensor is stored below its parent, and how loops visit it.

A tensor is a tree of levels. Each position of a level has a coordinate and, below it, a fiber of the next
level; positions of the last level hold the values. A level kind says how a fiber is laid out, states its
properties, and emits the Loop IR by which a kernel visits it (the format abstraction of Chou, Kjolstad and
Amarasinghe, "Format abstraction for sparse tensor algebra compilers", 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.loop.build import Code
from aerogel.loop.nodes import I64, Buf, BufferType, Cast, Const, Expr, Load, Scalar

Element = Literal["index", "flag"]
"""What an array of a level holds: positions or coordinates in the tensor's index type, or a byte, 0 or 1."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Positions ``begin`` to ``end`` of a level that share one coordinate."""

    begin: Expr
    end: Expr


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored value on its way into a level. Entries come in ascending order, equal ones side by side.

    ``parent``: its position in the level above; ``before``: that of the entry before it, -1 if there is none.
    ``position``: its own, where the level neither computes it nor takes the parent's. ``fresh``: whether it
    is the first entry at its position; None where it is known to be.
    """

    parent: Expr
    before: Expr
    coordinate: Expr
    position: Expr
    fresh: Expr | None


Parent = Expr | Segment
"""Where in its parent a fiber hangs: one position (i64), or a segment of a level that is not unique."""


@dataclass(frozen=True, slots=True)
class View:
    """A level of one operand as a kernel sees it. ``size``: extent of its mode (i64); ``index``: the type of
    positions and coordinates."""

    prefix: str
    size: Expr
    index: DType

    def buffer(self, name: str, element: Element = "index", *, const: bool = True) -> Buf:
        dtype = self.index if element == "index" else DType.U8
        return Buf(f"{self.prefix}.{name}", BufferType(dtype, const=const))

    def at(self, name: str, position: Expr) -> Expr:
        """One element of an index array, as i64."""
        loaded = Load(self.buffer(name), position)
        return loaded if self.index is DType.I64 else Cast(loaded, I64)

    def put(self, code: Code, name: str, position: Expr, value: Expr) -> None:
        """Write one element (i64) of an index array."""
        narrow = value if self.index is DType.I64 else Cast(value, Scalar(self.index))
        code.store(self.buffer(name, const=False), position, narrow)


class Level(Protocol):
    """One mode's storage. Frozen, without state: arrays and sizes are passed in.

    ``full``: every coordinate is stored. ``ordered``: coordinates of a fiber ascend. ``unique``: none stands
    twice in a fiber. ``branchless``: every parent has exactly one child position. ``compact``: positions have
    no gaps. ``located``: ``locate`` finds a coordinate without a search. Visits are by coordinate where
    ``located``, else by position.
    """

    @property
    def name(self) -> str: ...
    @property
    def full(self) -> bool: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def unique(self) -> bool: ...
    @property
    def branchless(self) -> bool: ...
    @property
    def compact(self) -> bool: ...
    @property
    def located(self) -> bool: ...
    @property
    def arrays(self) -> tuple[tuple[str, Element], ...]:
        """The arrays it keeps, by name."""
        ...

    def span(self, code: Code, view: View, parent: Parent) -> tuple[Expr, Expr]:
        """The positions of the fiber below ``parent``: first, and past the last. Not for located levels."""
        ...

    def coordinate(self, view: View, position: Expr) -> Expr:
        """The coordinate (i64) at a position. Not for located levels."""
        ...

    def locate(self, view: View, parent: Expr, coordinate: Expr) -> Expr:
        """The position of a coordinate in the fiber below ``parent``. Located levels only."""
        ...

    def present(self, view: View, position: Expr) -> Expr | None:
        """Whether the located position is stored; None: always."""
        ...

    def room(self, parents: int, positions: int) -> tuple[int, ...]:
        """How many elements each array has, of a level of ``positions`` below ``parents`` positions."""
        ...

    def insert(self, code: Code, view: View, entry: Entry) -> Expr:
        """Write what the level keeps of an entry, and give its position. Flags are 0 before the first."""
        ...

    def close(self, code: Code, view: View, before: Expr, parents: Expr, positions: Expr) -> None:
        """Write what is left when the last entry is in, whose parent's position was ``before`` (-1: none)."""
        ...

    def check(self, arrays: Sequence[NDArray[Any]], parents: int, size: int, what: str) -> int:
        """How many positions the level has below ``parents`` positions; FormatError unless its arrays are
        exactly what this level means. ``what`` names the level in messages: ``A, mode 1``."""
        ...

    def expand(
        self, arrays: Sequence[NDArray[Any]], parents: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For every position of the level, in order: index into ``parents``' level, and coordinate.

        ``parents``: how many positions the parent level has, as an arange (an int64 array). Slow and plain:
        the definition that tests and conversions of odd formats use.
        """
        ...


def position_in_row(view: View, parent: Expr, coordinate: Expr) -> Expr:
    """The position of a coordinate in a level that has room for all: parent x size + coordinate."""
    first = isinstance(parent, Const) and parent.value == 0
    return coordinate if first else parent * view.size + coordinate


def every_position(parents: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of such a level, the parent and the coordinate of every position."""
    return np.repeat(parents, size), np.tile(np.arange(size, dtype=np.int64), len(parents))
