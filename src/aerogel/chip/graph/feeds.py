"""What a graph under construction has of each operand at the loop it has got to, and which coordinates meet.

A ``Feed`` is an operand: the stream of its references, and the indices of its levels still to come. A
``Space`` is the set of coordinates of one index at which an expression has a value: all of them, or those of
a stream, with what each operand has there. The rules of absence are those of ``einsum/semiring.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from aerogel.chip.graph.blocks import Fill, Locate, Merge, Repeat, Root, Scan, Sift, outputs
from aerogel.chip.graph.graph import Port
from aerogel.chip.graph.streams import Kind
from aerogel.chip.graph.wiring import Wiring
from aerogel.core.errors import ChipError, require
from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, Unary
from aerogel.einsum.semiring import rule_of, unary_rule


@dataclass(frozen=True, slots=True)
class Feed:
    """``indices``: of the levels still to come, outermost first. ``stream``: references, or values where
    ``kind`` says so. ``crds``: of an intermediate result, the coordinates of those levels, which come by
    themselves; ``held``: whether these are in buffers. ``level``: of ``tensor``, the next; ``dense``: for
    each level of it, whether it is. ``gaps``: whether the stream may hold Empty; ``hollow``: whether a fiber
    may have no coordinates."""

    tensor: str
    indices: tuple[str, ...]
    stream: Port
    kind: Kind = Kind.REFERENCE
    level: int = 0
    dense: tuple[bool, ...] = ()
    crds: tuple[Port, ...] = ()
    held: bool = False
    gaps: bool = False
    hollow: bool = False


Feeds = Mapping[Access, Feed]
MOST_ALONG = 3
"""Streams that come along with the coordinates of one side of a merger: what a configuration has room for."""


@dataclass(frozen=True, slots=True)
class Space:
    """``crd``: None for every coordinate. ``feeds``: of operands that came along; ``waiting``: those that
    have every coordinate and need only be asked. ``hollow``: whether a fiber may be empty."""

    crd: Port | None
    feeds: Mapping[Access, Feed] = field(default_factory=dict[Access, Feed])
    waiting: tuple[Access, ...] = ()
    hollow: bool = False
    full: bool = False


@dataclass(frozen=True, slots=True)
class Meeting:
    """One loop being wired. ``signals``: the coordinates of the loops around it, outermost first.
    ``sifts``: whether fibers that come by themselves may be sifted."""

    wiring: Wiring
    feeds: Feeds
    index: str
    extents: Mapping[str, int]
    zero: float
    signals: tuple[Port, ...]
    sifts: bool = False

    # --- which coordinates --------------------------------------------------------------------------

    def whole(self, expr: Expr, *, every: bool = False) -> Space:
        """The space of ``expr`` as a stream. ``every``: all coordinates, come what may."""
        space = self.space(expr)
        if every or space.crd is None:
            space = self.everything(space)
        return space

    def space(self, expr: Expr) -> Space:
        match expr:
            case Number():
                return Space(None)
            case Access():
                return self.operand(expr)
            case Unary(op=op, a=a):
                inner = self.space(a)
                return inner if unary_rule(op, self.zero) == "absent" else self.filled(inner)
            case Reduce(body=body):
                return self.space(body)
            case Binary():
                return self.both(expr)
            case _:
                assert_never(expr)

    def operand(self, access: Access) -> Space:
        feed = self.feeds[access]
        if self.index not in feed.indices:
            return Space(None)
        require(
            feed.indices[0] == self.index,
            ChipError,
            f"{feed.tensor} comes in the order {', '.join(feed.indices)}, but {self.index} is further out",
        )
        if feed.crds:
            below = replace(feed, indices=feed.indices[1:], crds=feed.crds[1:])
            return Space(feed.crds[0], {access: below}, hollow=True)
        if feed.dense[feed.level] and not feed.gaps:
            return Space(None, waiting=(access,))
        return self.scanned(access)

    def both(self, expr: Binary) -> Space:
        rule = rule_of(expr, self.zero)
        left, right = self.space(expr.a), self.space(expr.b)
        match rule.left_absent == "absent", rule.right_absent == "absent":
            case True, True:
                return self.intersected(left, right)
            case False, True:
                return self.only(right, left)
            case True, False:
                return self.only(left, right)
            case _:
                joined = self.united(left, right)
                return joined if rule.both_absent == "absent" else self.filled(joined)

    def filled(self, space: Space) -> Space:
        """Every coordinate, whatever ``space`` has."""
        return space if space.crd is None else self.everything(space)

    def intersected(self, left: Space, right: Space) -> Space:
        if left.crd is None and right.crd is None:
            return Space(None, waiting=(*left.waiting, *right.waiting))
        if left.crd is None or right.crd is None:
            some, every = (right, left) if left.crd is None else (left, right)
            return self.located(some, every.waiting)
        return self.merged("intersect", left, right)

    def united(self, left: Space, right: Space) -> Space:
        if left.crd is None and right.crd is None:
            return Space(None, waiting=(*left.waiting, *right.waiting))
        if left.crd is None:
            left = self.everything(left)
        if right.crd is None:
            right = self.everything(right)
        return self.merged("union", left, right)

    def only(self, left: Space, right: Space) -> Space:
        """The coordinates of ``left``, with what ``right`` has there."""
        if right.crd is None:
            return self.intersected(left, right)
        if left.crd is None:
            return self.united(left, right)
        return self.merged("intersect", Space(left.crd), self.merged("union", left, right))

    # --- blocks -------------------------------------------------------------------------------------

    def merged(self, op: Literal["intersect", "union"], left: Space, right: Space) -> Space:
        fibers = {access: feed for side in (left, right) for access, feed in side.feeds.items() if feed.crds}
        require(
            not fibers or self.sifts,
            ChipError,
            f"an intermediate result meets another operand at {self.index}, the outer one of its dimensions: "
            f"put the sum it comes from after {self.index}",
        )
        a, b = ([(x, feed) for x, feed in s.feeds.items() if x not in fibers] for s in (left, right))
        assert left.crd is not None
        assert right.crd is not None
        gaps = op == "union"
        crd: Port | None = None
        feeds: dict[Access, Feed] = {}
        # A merger has room for a few streams along; more of them meet in another, at the same coordinates.
        for at in range(0, max(len(a), len(b), 1), MOST_ALONG):
            some, others = a[at : at + MOST_ALONG], b[at : at + MOST_ALONG]
            kinds = tuple(feed.kind for _, feed in (*some, *others))
            block = Merge(op, len(some), len(others), kinds=_told(kinds))
            sources = [left.crd, *(f.stream for _, f in some), right.crd, *(f.stream for _, f in others)]
            found, *made = self.wiring.add(block, f"{op}_{self.index}", *sources)
            crd = crd or found
            for (access, feed), along in zip((*some, *others), made, strict=True):
                stream = along
                if gaps and feed.kind is Kind.VALUE and self.zero != 0:
                    (stream,) = self.wiring.add(Fill(self.zero), f"fill_{feed.tensor}_{self.index}", along)
                feeds[access] = replace(feed, stream=stream, gaps=feed.gaps or gaps)
        if fibers:
            feeds |= self.sifted(op, left, right)
        full = gaps and (left.full or right.full)
        return Space(crd, feeds, hollow=not full and (not gaps or self.both_empty(left, right)), full=full)

    def sifted(self, op: Literal["intersect", "union"], left: Space, right: Space) -> dict[Access, Feed]:
        """The fibers that intermediate results have there, made to fit the coordinates that are left.

        Which side has which coordinate a union tells at once. An intersection alone would tell of the next
        that both have, which may come only when the fibers before it have left the workspace.
        """
        assert left.crd is not None
        assert right.crd is not None
        block = Merge("union", 1, 1, Kind.COORDINATE)
        sources = (left.crd, left.crd, right.crd, right.crd)
        _, *marks = self.wiring.add(block, f"beside_{self.index}", *sources)
        found: dict[Access, Feed] = {}
        for side, space in enumerate((left, right)):
            told = (marks[side], marks[1 - side]) if op == "intersect" else (marks[side],)

            def sift(stream: Port, kind: Kind, levels: int, told: tuple[Port, ...] = told) -> Port:
                return self.wiring.add(Sift(op, kind, levels), f"sift_{self.index}", *told, stream)[0]

            for access, feed in space.feeds.items():
                if feed.crds:
                    crds = tuple(sift(crd, Kind.COORDINATE, at) for at, crd in enumerate(feed.crds, 1))
                    val = sift(feed.stream, Kind.VALUE, len(crds))
                    found[access] = replace(feed, crds=crds, stream=val, held=False)
        return found

    def both_empty(self, left: Space, right: Space) -> bool:
        """Whether a fiber of a union may be empty. Where a union further out made gaps, one side may be there
        alone; but then that one is, so it does for both that neither may have an empty fiber."""
        gaps = any(self.feeds[access].gaps for access in (*left.feeds, *right.feeds))
        return left.hollow or right.hollow if gaps else left.hollow and right.hollow

    def scanned(self, access: Access) -> Space:
        """Its own coordinates."""
        feed = self.feeds[access]
        dense = feed.dense[feed.level]
        kind = "dense" if dense else "compressed"
        block = Scan(feed.tensor, feed.level, kind, self.extents[self.index])
        crd, ref = self.wiring.add(block, f"scan_{feed.tensor}_{self.index}", feed.stream)
        below = self.below(feed, ref, gaps=False)
        return Space(crd, {access: below}, hollow=feed.hollow, full=dense and not feed.gaps)

    def below(self, feed: Feed, stream: Port, *, gaps: bool) -> Feed:
        # Under a dense level a compressed one may have fibers that are empty.
        hollow = feed.dense[feed.level]
        return replace(
            feed, stream=stream, indices=feed.indices[1:], level=feed.level + 1, gaps=gaps, hollow=hollow
        )

    def located(self, space: Space, waiting: tuple[Access, ...]) -> Space:
        """``space`` with the references of dense operands at its coordinates."""
        found = dict(space.feeds)
        for access in waiting:
            feed = self.feeds[access]
            assert space.crd is not None
            ref = self.repeated(feed, space.crd).stream
            block = Locate(feed.tensor, feed.level, self.extents[self.index])
            _, ref = self.wiring.add(block, f"locate_{feed.tensor}_{self.index}", space.crd, ref)
            found[access] = self.below(feed, ref, gaps=feed.gaps)
        return replace(space, feeds=found, waiting=())

    def everything(self, space: Space) -> Space:
        """Every coordinate, as a stream: that of a dense operand where one waits."""
        if space.crd is None and space.waiting:
            first, *others = space.waiting
            return self.located(self.scanned(first), tuple(others))
        every = Space(self.universe(), full=True)
        return every if space.crd is None else self.merged("union", space, every)

    def universe(self) -> Port:
        (ref,) = self.wiring.add(Root(), f"root_all_{self.index}")
        for signal in self.signals:
            (ref,) = self.wiring.add(Repeat(), f"repeat_all_{self.index}", signal, ref)
        block = Scan(f"all_{self.index}", 0, "dense", self.extents[self.index])
        return self.wiring.add(block, f"scan_all_{self.index}", ref)[0]

    def repeated(self, feed: Feed, signal: Port) -> Feed:
        """An operand once for every coordinate of ``signal``."""
        require(
            not feed.crds,
            ChipError,
            f"the intermediate result over {', '.join(feed.indices)} would be needed again for every "
            f"{self.index}: put {self.index} after {feed.indices[0] if feed.indices else ''} in the order",
        )
        name = f"repeat_{feed.tensor}_{self.index}"
        (stream,) = self.wiring.add(Repeat(feed.kind), name, signal, feed.stream)
        return replace(feed, stream=stream)


def _told(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """As ``Merge`` wants them: nothing where all are references."""
    return () if all(kind is Kind.REFERENCE for kind in kinds) else kinds


def made_by(wiring: Wiring, port: Port) -> str:
    """The name of an output, for messages."""
    node = wiring.nodes[port.block]
    return f"{node.name}.{outputs(node.block)[port.port][0]}"
