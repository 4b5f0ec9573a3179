"""Routing: a tree of links for each net, no link for two, by negotiated congestion.

Nets are routed one after the other, each over the cheapest links, even where others have them already; a link
wanted twice grows dearer while it is, and stays a little dearer ever after, until those who have another way
take it. Source: McMurchie and Ebeling, PathFinder (FPGA 1995). Deterministic: ties go by number.

A *state* is a tile and a track: a token in that tile's switch that came, or will go, on that track.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.chip.mapping.mapping import Link, Route, Tile
from aerogel.chip.mapping.nets import Nets, Ways
from aerogel.chip.mapping.region import Region

ROUNDS = 40
"""Nets that have not agreed by then do not, in all netlists tried."""

GROWTH, LASTING = 1.7, 0.4
"""By what an overused link's price grows every round, and what it keeps of it."""


@dataclass(frozen=True, slots=True)
class Congestion:
    """Routing has failed: ``links`` are wanted by more than one net still."""

    links: tuple[Link, ...]


def route(nets: Nets, tiles: Sequence[Tile], region: Region) -> list[Ways] | Congestion:
    """Ways for all nets within ``region``, or where they could not agree."""
    router = _Router(region)
    starts = [router.number(tiles[net.source.cell]) for net in nets.nets]
    goals = [[router.number(tiles[sink.cell]) for sink in net.sinks] for net in nets.nets]
    order = sorted(range(len(starts)), key=lambda n: (-router.span(starts[n], goals[n]), n))
    trees: list[_Tree | None] = [None] * len(starts)
    for _ in range(ROUNDS):
        for net in order:
            if (tree := trees[net]) is None or router.crowded(tree):
                router.free(tree)
                trees[net] = router.tree(starts[net], goals[net])
        if router.settled():
            return [router.ways(tree, goals[at]) for at, tree in enumerate(trees) if tree is not None]
    return Congestion(router.overused())


@dataclass(slots=True)
class _Tree:
    """``parent``: of each state, the one before it, or -1 in the source's tile; ``end``: of each goal."""

    parent: dict[int, int]
    links: list[int]
    end: dict[int, int]


class _Router:
    def __init__(self, region: Region) -> None:
        self.region = region
        self.tracks = region.fabric.tracks
        count = region.rows * region.columns
        self.row = [at // region.columns for at in range(count)]
        self.column = [at % region.columns for at in range(count)]
        self.near = [self._near(at) for at in range(count)]
        links = count * self.tracks * 4
        self.users = [0] * links
        self.lasting = [1.0] * links
        self.pressure = 0.6

    def _near(self, at: int) -> list[tuple[int, int]]:
        """The sides of a tile that have a neighbour, and it."""
        row, column, wide = self.row[at], self.column[at], self.region.columns
        sides = (
            (row > 0, at - wide),
            (column < wide - 1, at + 1),
            (row < self.region.rows - 1, at + wide),
            (column > 0, at - 1),
        )
        return [(side, to) for side, (there, to) in enumerate(sides) if there]

    def number(self, tile: Tile) -> int:
        return (tile.row - self.region.row) * self.region.columns + tile.column - self.region.column

    def tile(self, number: int) -> Tile:
        return Tile(self.row[number] + self.region.row, self.column[number] + self.region.column)

    def distance(self, a: int, b: int) -> int:
        return abs(self.row[a] - self.row[b]) + abs(self.column[a] - self.column[b])

    def span(self, start: int, goals: Sequence[int]) -> int:
        """How far a net reaches, all in all: those with much to do choose first."""
        return sum(self.distance(start, goal) for goal in goals)

    def crowded(self, tree: _Tree) -> bool:
        return any(self.users[link] > 1 for link in tree.links)

    def free(self, tree: _Tree | None) -> None:
        for link in tree.links if tree else ():
            self.users[link] -= 1

    def settled(self) -> bool:
        """Whether no link is wanted twice; where one is, it becomes dearer."""
        over = [link for link, users in enumerate(self.users) if users > 1]
        for link in over:
            self.lasting[link] += LASTING * (self.users[link] - 1)
        self.pressure *= GROWTH
        return not over

    def overused(self) -> tuple[Link, ...]:
        found: list[Link] = []
        for link, users in enumerate(self.users):
            if users > 1:
                (at, track), side = divmod(link // 4, self.tracks), link % 4
                found.append(Link(self.tile(at), self.tile(dict(self.near[at])[side]), track))
        return tuple(found)

    def tree(self, start: int, goals: Sequence[int]) -> _Tree:
        """The cheapest links found from a tile to others, the nearest first; they are taken."""
        tree = _Tree({start * self.tracks + track: -1 for track in range(self.tracks)}, [], {})
        for goal in sorted(set(goals), key=lambda g: (self.distance(start, g), g)):
            self._extend(tree, goal)
        for link in tree.links:
            self.users[link] += 1
        return tree

    def _extend(self, tree: _Tree, goal: int) -> None:
        """The cheapest way from any state of the tree to a goal, by A* with the distance as bound."""
        tracks, users, lasting, pressure = self.tracks, self.users, self.lasting, self.pressure
        cost = dict.fromkeys(tree.parent, 0.0)
        came: dict[int, tuple[int, int]] = {}
        heap = [(float(self.distance(s // tracks, goal)), self.distance(s // tracks, goal), s) for s in cost]
        heapq.heapify(heap)
        closed: set[int] = set()
        while heap:
            _, _, state = heapq.heappop(heap)
            if state in closed:
                continue
            closed.add(state)
            at, track = divmod(state, tracks)
            if at == goal:
                return self._keep(tree, goal, state, came)
            for side, to in self.near[at]:
                link, there = state * 4 + side, to * tracks + track
                price = cost[state] + lasting[link] * (1.0 + pressure * users[link])
                if there not in closed and price < cost.get(there, 1e300):
                    cost[there] = price
                    came[there] = (state, link)
                    left = self.distance(to, goal)
                    heapq.heappush(heap, (price + left, left, there))
        raise AssertionError("a region is connected")

    def _keep(self, tree: _Tree, goal: int, state: int, came: dict[int, tuple[int, int]]) -> None:
        tree.end[goal] = state
        while state not in tree.parent:
            before, link = came[state]
            tree.parent[state] = before
            tree.links.append(link)
            state = before

    def ways(self, tree: _Tree, goals: Sequence[int]) -> Ways:
        return tuple(self._way(tree, tree.end[goal]) for goal in goals)

    def _way(self, tree: _Tree, state: int) -> Route:
        track = state % self.tracks
        passed: list[Tile] = []
        while state >= 0:
            passed.append(self.tile(state // self.tracks))
            state = tree.parent[state]
        return Route(tuple(reversed(passed)), track)
