"""From an expression to blocks: one loop after the other, then values back up through sums.

``Composer.solve`` wires an expression over the loops that are left. Over an index of the result it makes that
index's coordinates and goes on below; over the index of the sum at the top likewise, and reduces what comes
back: to a value where nothing else is left below, else in a workspace. A sum deeper in the expression is
wired first and then stands in it as an operand, whose coordinates come by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aerogel.chip.graph.blocks import (
    AluConstant,
    Array,
    Fill,
    Join,
    MatrixReduce,
    Parallelize,
    Serialize,
    Split,
    VectorReduce,
)
from aerogel.chip.graph.blocks import Reduce as ReduceBlock
from aerogel.chip.graph.compute import computed
from aerogel.chip.graph.feeds import Feed, Feeds, Meeting
from aerogel.chip.graph.graph import Port
from aerogel.chip.graph.streams import Kind
from aerogel.chip.graph.wiring import Wiring, room
from aerogel.core.errors import ChipError, require
from aerogel.einsum.nodes import Access, Expr, Reduce, accesses, children, rebuilt, walk
from aerogel.einsum.semiring import reduce_rule


@dataclass(frozen=True, slots=True)
class Axis:
    """Coordinates of one index of a result. ``full``: all of them in every fiber; ``hollow``: a fiber may
    have none. ``ahead``: how many of them must be sent before what is below the first is known, if more than
    the one that follows it."""

    index: str
    crd: Port
    full: bool
    hollow: bool
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A result as streams: its axes, outermost first, and its values. ``sums``: whether a value may be 0 for
    want of anything to add up."""

    axes: tuple[Axis, ...]
    val: Port
    sums: bool = False


@dataclass(slots=True)
class Composer:
    """``costly``: whether a graph may have workspaces of more than two dimensions, and sift fibers.
    ``workspaces``, ``queues`` that hold fibers: the indices of each so far."""

    wiring: Wiring
    extents: Mapping[str, int]
    zero: float
    lanes: int = 1
    costly: bool = False
    inner: int = 0
    workspaces: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    queues: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def solve(
        self,
        expr: Expr,
        feeds: Feeds,
        loops: tuple[str, ...],
        free: frozenset[str],
        signals: tuple[Port, ...],
        *,
        every: bool = False,
    ) -> Made:
        """``expr`` over ``loops``, which are all it still depends on; ``free`` are those of the result.
        ``signals``: coordinates of the loops around. ``every``: all of them, since a fold around wants to
        know what is not stored."""
        if not loops:
            values = {access: self.loaded(feeds[access]).stream for access in accesses(expr)}
            sums = any(access.tensor.startswith(_SUM) for access in values)
            return Made((), computed(self.wiring, expr, values), sums)
        index, rest = loops[0], loops[1:]
        if index in free:
            axis, below = self.loop(expr, feeds, index, signals, every=every)
            if self.lanes > 1 and not signals:
                return self.in_lanes(axis, expr, below, rest, free)
            made = self.solve(expr, below, rest, free, (*signals, axis.crd), every=every)
            return replace(made, axes=(axis, *made.axes))
        if isinstance(expr, Reduce) and expr.index == index:
            own = reduce_rule(expr.op, self.zero) != "skip"
            axis, below = self.loop(expr.body, feeds, index, signals, every=own)
            made = self.solve(expr.body, below, rest, free, (*signals, axis.crd), every=every or own)
            return self.reduced(expr, made)
        expr, feeds = self.inner_sum(expr, feeds, loops, signals)
        left = tuple(i for i in loops if i in _open(expr) or i in free)
        return self.solve(expr, feeds, left, free, signals, every=every)

    def loop(
        self, expr: Expr, feeds: Feeds, index: str, signals: tuple[Port, ...], *, every: bool = False
    ) -> tuple[Axis, Feeds]:
        """One loop: its coordinates, and every operand at them."""
        used = {access: feeds[access] for access in accesses(expr)}
        meeting = Meeting(self.wiring, used, index, self.extents, self.zero, signals, sifts=self.costly)
        space = meeting.whole(expr, every=every)
        assert space.crd is not None
        below: dict[Access, Feed] = {}
        for access, feed in used.items():
            found = space.feeds.get(access) or meeting.repeated(feed, space.crd)
            below[access] = self.loaded(self.kept(found) if found.crds else found)
        return Axis(index, space.crd, space.full, space.hollow), below

    def loaded(self, feed: Feed) -> Feed:
        """Its value, once no level is left to go down."""
        if feed.indices or feed.kind is Kind.VALUE:
            return feed
        (val,) = self.wiring.add(Array(feed.tensor), f"array_{feed.tensor}", feed.stream)
        if feed.gaps and self.zero != 0:
            (val,) = self.wiring.add(Fill(self.zero), f"fill_{feed.tensor}", val)
        return replace(feed, stream=val, kind=Kind.VALUE)

    def inner_sum(
        self, expr: Expr, feeds: Feeds, loops: tuple[str, ...], signals: tuple[Port, ...]
    ) -> tuple[Expr, Feeds]:
        """``expr`` with a sum over the next index, deeper in it, as an operand; and that operand's feed."""
        sums = [node for node in walk(expr) if isinstance(node, Reduce)]
        found = next((node for node in sums if node.index == loops[0]), None)
        if found is None:
            raise ChipError(f"nothing in the expression depends on {loops[0]}")
        bound = frozenset(node.index for node in walk(found) if isinstance(node, Reduce))
        own = tuple(i for i in loops if i in _open(found) or i in bound)
        made = self.solve(found, feeds, own, frozenset(own) - bound, signals)
        self.inner += 1
        indices = tuple(axis.index for axis in made.axes)
        access = Access(f"{_SUM}{self.inner}", indices)
        crds = tuple(axis.crd for axis in made.axes)
        feed = Feed(f"sum{self.inner}", indices, made.val, Kind.VALUE, crds=crds)
        return _replaced(expr, found, access), {**feeds, access: feed}

    def kept(self, feed: Feed) -> Feed:
        """An intermediate result whose rows come now, each in a buffer. What meets a row ends it only when
        the next has begun, and the workspace sends that once this one has left it."""
        if feed.held:
            return feed
        sizes = [self.extents[index] for index in feed.indices]
        crds = [
            self.wiring.fiber(crd, Kind.COORDINATE, room(sizes[:levels]))
            for levels, crd in enumerate(feed.crds, 1)
        ]
        val = self.wiring.fiber(feed.stream, Kind.VALUE, room(sizes))
        self.queues.append(feed.indices)
        return replace(feed, crds=tuple(crds), stream=val, held=True)

    def reduced(self, expr: Reduce, made: Made) -> Made:
        name = f"reduce_{expr.index}"
        match made.axes:
            case ():
                sparse = self.zero == 0 and reduce_rule(expr.op, 0) == "skip"
                (val,) = self.wiring.add(ReduceBlock(expr.op, sparse), name, made.val)
                if expr.op in ("min", "max") and not self.extents[expr.index]:
                    # The greatest of nothing at all is what is not stored is, not -inf.
                    (val,) = self.wiring.add(AluConstant(expr.op, self.zero), f"{name}_of_none", val)
                return Made((), val, sums=True)
            case (inner,):
                self.workspaces.append((inner.index,))
                block = VectorReduce(self.extents[inner.index], expr.op)
                crd, val = self.wiring.add(block, name, inner.crd, made.val)
                return Made((Axis(inner.index, crd, full=False, hollow=True),), val)
            case _:
                return self.gathered_in_two(expr, made)

    def gathered_in_two(self, expr: Reduce, made: Made) -> Made:
        """In a workspace of two dimensions: where there are more, the inner ones are joined to one."""
        names = tuple(axis.index for axis in made.axes)
        require(
            len(names) == 2 or self.costly,
            ChipError,
            f"a sum over {expr.index} outside of the loops over {', '.join(names)} needs a workspace of "
            f"{len(names)} dimensions: put {expr.index} further in",
        )
        self.workspaces.append(names)
        outer, *inner = made.axes
        crd, val, size = inner[-1].crd, made.val, self.extents[inner[-1].index]
        sizes = [size]
        for axis in reversed(inner[:-1]):
            crd, val = self.wiring.add(Join(size), f"join_{axis.index}", axis.crd, crd, val)
            size *= self.extents[axis.index]
            sizes.append(size)
        block = MatrixReduce((self.extents[outer.index], size), expr.op)
        first, crd, val = self.wiring.add(block, f"reduce_{expr.index}", outer.crd, crd, val)
        axes = [Axis(outer.index, first, full=False, hollow=True)]
        for axis, size in zip(inner[:-1], sizes[-2::-1], strict=True):
            first, crd, val = self.wiring.add(Split(size), f"split_{axis.index}", crd, val)
            axes.append(Axis(axis.index, first, full=False, hollow=False))
        return Made((*axes, Axis(inner[-1].index, crd, full=False, hollow=False)), val)

    # --- lanes --------------------------------------------------------------------------------------

    def in_lanes(
        self, axis: Axis, expr: Expr, below: Feeds, rest: tuple[str, ...], free: frozenset[str]
    ) -> Made:
        """What is below a loop over an index of the result, in ``lanes`` copies that take turns."""
        ways, self.lanes = self.lanes, 1
        (*parts,) = self.wiring.add(Parallelize(ways, Kind.COORDINATE), f"deal_{axis.index}", axis.crd)
        dealt = [dict[Access, Feed]() for _ in range(ways)]
        for access, feed in below.items():
            require(not feed.crds, ChipError, f"an intermediate result cannot be dealt out over {axis.index}")
            name = f"deal_{feed.tensor}_{axis.index}"
            for lane, stream in zip(
                dealt, self.wiring.add(Parallelize(ways, feed.kind), name, feed.stream), strict=True
            ):
                lane[access] = replace(feed, stream=stream)
        made = [self.solve(expr, lane, rest, free, (part,)) for lane, part in zip(dealt, parts, strict=True)]
        first = made[0]
        axes = [
            replace(one, crd=self.gathered([m.axes[at].crd for m in made], Kind.COORDINATE, at + 1))
            for at, one in enumerate(first.axes)
        ]
        val = self.gathered([m.val for m in made], Kind.VALUE, len(axes))
        # A lane says that its fiber is over once it has its next one, which every other lane's comes before.
        return Made((replace(axis, ahead=AHEAD * ways), *axes), val, first.sums)

    def gathered(self, lanes: list[Port], kind: Kind, level: int) -> Port:
        return self.wiring.add(Serialize(len(lanes), kind, level), f"gather_{kind.value}", *lanes)[0]


AHEAD = 8
"""Fibers that each lane may be ahead of the slowest."""
_SUM = "%"
"""What the name of a sum begins with where it stands as an operand: no tensor is called so."""


def _open(expr: Expr) -> frozenset[str]:
    return frozenset(i for access in accesses(expr) for i in access.indices) | frozenset(
        node.index for node in walk(expr) if isinstance(node, Reduce)
    )


def _replaced(expr: Expr, old: Expr, new: Expr) -> Expr:
    if expr == old:
        return new
    return rebuilt(expr, tuple(_replaced(child, old, new) for child in children(expr)))
