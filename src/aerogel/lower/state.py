"""Where code generation is: coordinates that are known, and how far each operand is resolved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Access, Expr, accesses
from aerogel.formats.levels import Parent, View
from aerogel.loop import nodes as n
from aerogel.loop.build import Code, i64
from aerogel.loop.values import bounds
from aerogel.lower.operand import OperandType, Stored


@dataclass(frozen=True, slots=True)
class Place:
    """How far an access is resolved: ``level`` levels, of which the last one is at ``parent``."""

    level: int
    parent: Parent


ROOT = Place(0, i64(0))


@dataclass(frozen=True, slots=True)
class Spread:
    """A fiber laid out over all coordinates: at ``start`` + coordinate its position + 1, or 0. ``first``: its
    first position, where it is known to have one; None where it may be empty."""

    marks: n.Buf
    start: n.Expr
    first: n.Expr | None
    view: View
    level: int


@dataclass(frozen=True, slots=True)
class Hoist:
    """A fiber that stays the same through inner loops, in which it is looked up instead of walked: ``access``
    at the level of ``along`` is spread before the loop over ``at``. ``inner``: that loop is part of a sum, so
    that none of it need run where the fiber is empty."""

    access: Access
    along: str
    at: str
    number: int
    inner: bool

    def marks(self, index: DType) -> n.Buf:
        return n.Buf(f"marks.{self.number}", n.BufferType(index))


@dataclass(frozen=True, slots=True)
class Ahead:
    """A dense operand whose rows, along ``along``, are asked for early: ``lines`` lines of ``per_line``
    elements."""

    access: Access
    along: str
    lines: int
    per_line: int


@dataclass(frozen=True, slots=True)
class State:
    """At one point of the code: the coordinate of each index, the place of each access.

    ``masked``: accesses whose place is sound but that may have nothing at this coordinate, and what says
    whether they do; ``ended``: those among them whose place is sound only where they do. ``spread``: fibers
    that can be looked up. ``given``: what must hold for anything to be there at all.
    """

    coordinates: Mapping[str, n.Expr] = field(default_factory=dict[str, n.Expr])
    places: Mapping[Access, Place] = field(default_factory=dict[Access, Place])
    masked: Mapping[Access, n.Expr] = field(default_factory=dict[Access, n.Expr])
    ended: frozenset[Access] = frozenset()
    spread: Mapping[Access, Spread] = field(default_factory=dict[Access, "Spread"])
    given: tuple[n.Expr, ...] = ()

    def place(self, access: Access) -> Place:
        return self.places.get(access, ROOT)

    def at(self, index: str, coordinate: n.Expr) -> State:
        return replace(self, coordinates={**self.coordinates, index: coordinate})

    def moved(self, places: Mapping[Access, Place]) -> State:
        return replace(self, places={**self.places, **places})

    def spreading(self, access: Access, spread: Spread) -> State:
        return replace(self, spread={**self.spread, access: spread})

    def masking(self, conditions: Mapping[Access, n.Expr], *, ended: bool = False) -> State:
        beyond = self.ended | frozenset(conditions) if ended else self.ended
        return replace(self, masked={**self.masked, **conditions}, ended=beyond)


@dataclass(frozen=True, slots=True)
class Context:
    """What one kernel's code is generated with. ``compute``: the type values are computed in."""

    code: Code
    operands: Mapping[str, OperandType]
    zero: float
    compute: DType
    lanes: int
    fma: bool
    hoists: tuple[Hoist, ...] = ()
    aheads: tuple[Ahead, ...] = ()
    chains: int = 1
    in_lanes: bool = False

    def stored(self, access: Access) -> Stored:
        return Stored.of(access, self.operands[access.tensor])

    def here(self, state: State, expr: Expr, index: str) -> list[Access]:
        """The accesses of ``expr`` whose next level is that of ``index``; not those that are dense all over,
        which are addressed once all their coordinates are known."""
        found: list[Access] = []
        for access in dict.fromkeys(accesses(expr)):
            stored = self.stored(access)
            level = state.place(access).level
            if not stored.dense and level < len(stored.indices) and stored.indices[level] == index:
                found.append(access)
        return found

    def position(self, state: State, access: Access) -> n.Expr:
        """Where the value of an access is, all its indices being known but for trailing dense levels."""
        stored, place = self.stored(access), state.place(access)
        at = place.parent
        assert isinstance(at, n.Expr)
        for level in range(place.level, len(stored.indices)):
            assert stored.level(level).full
            at = stored.level(level).locate(stored.view(level), at, state.coordinates[stored.indices[level]])
        return at

    def number(self, value: float) -> n.Const:
        return number(value, self.compute)


def number(value: float, dtype: DType) -> n.Const:
    """A literal in the type of values."""
    kind = n.Scalar(dtype)
    if dtype is DType.BOOL:
        return n.Const(bool(value), kind)
    if dtype.is_float:
        return n.Const(float(value), kind)
    least, most = bounds(dtype)
    # Of integers the largest stands for infinity.
    return n.Const(most if value == math.inf else least if value == -math.inf else int(value), kind)


def retyped(kind: n.Type, dtype: DType) -> n.Type:
    """A scalar or vector type of other elements."""
    return n.Vec(dtype, kind.lanes) if isinstance(kind, n.Vec) else n.Scalar(dtype)
