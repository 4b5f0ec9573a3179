"""Where the blocks of a drawing stand: in layers, each below those that feed it, with few crossings.

Sugiyama's method: a block's layer is the longest way from a source (wires of skips, which may lead back, do
not count); wires over several layers get a bend in each; within layers, what is joined is moved together, by
sweeps that place each at the mean of its neighbours; columns come from those orders.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aerogel.chip.graph.blocks import Root
from aerogel.chip.graph.graph import Graph, Wire, is_skip

SWEEPS = 24
Key = int | tuple[int, int]
"""A block by its number, or a bend: the number of the wire, and the layer."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``layers``: what stands in each, left to right; ``x``: the middle of each, as wide as ``widths``."""

    layers: tuple[tuple[Key, ...], ...]
    x: Mapping[Key, float]
    depth: Mapping[int, int]

    def bends(self, number: int, wire: Wire) -> list[Key]:
        """What a wire passes on its way down, both ends included; a wire back has its ends alone."""
        first, last = self.depth[wire.source.block], self.depth[wire.sink.block]
        return [wire.source.block, *((number, k) for k in range(first + 1, last)), wire.sink.block]


def arranged(graph: Graph, widths: Sequence[float], bend: float, gap: float) -> Layout:
    """The layout of ``graph``; ``widths``: of blocks, ``bend``: room of a wire, ``gap``: between any two."""
    depth = _depths(graph)
    rows: list[list[Key]] = [[] for _ in range(1 + max(depth.values(), default=0))]
    for at in range(len(graph.nodes)):
        rows[depth[at]].append(at)
    above: dict[Key, list[Key]] = defaultdict(list)
    below: dict[Key, list[Key]] = defaultdict(list)
    for number, wire in enumerate(graph.wires):
        first, last = depth[wire.source.block], depth[wire.sink.block]
        way: list[Key] = [wire.source.block, *((number, k) for k in range(first + 1, last)), wire.sink.block]
        for k in range(first + 1, last):
            rows[k].append((number, k))
        if first < last:
            for one, other in pairwise(way):
                below[one].append(other)
                above[other].append(one)
    _untangle(rows, above, below)
    width = {key: widths[key] if isinstance(key, int) else bend for row in rows for key in row}
    return Layout(tuple(tuple(row) for row in rows), _columns(rows, above, below, width, gap), depth)


def _depths(graph: Graph) -> dict[int, int]:
    """The longest way to each block; roots stand just above what they feed."""
    wires = [wire for wire in graph.wires if not is_skip(graph, wire)]
    depth = dict.fromkeys(range(len(graph.nodes)), 0)
    for _ in graph.nodes:
        before = dict(depth)
        for wire in wires:
            depth[wire.sink.block] = max(depth[wire.sink.block], depth[wire.source.block] + 1)
        if depth == before:
            break
    for at, node in enumerate(graph.nodes):
        fed = [depth[w.sink.block] for w in wires if w.source.block == at]
        if isinstance(node.block, Root) and fed:
            depth[at] = min(fed) - 1
    return depth


def _untangle(rows: list[list[Key]], above: Mapping[Key, list[Key]], below: Mapping[Key, list[Key]]) -> None:
    """Orders every row by the mean place of what its members are joined to, downwards and upwards in turn;
    the order with the fewest crossings stays."""
    best, least = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        joined = above if down else below
        numbers = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for k in numbers:
            other = rows[k - 1 if down else k + 1]
            place = {key: at for at, key in enumerate(other)}
            own = {key: at for at, key in enumerate(rows[k])}
            rows[k].sort(key=lambda key: (_mean([place[o] for o in joined.get(key, [])], own[key]), own[key]))
        found = _crossings(rows, below)
        if found < least:
            best, least = [list(row) for row in rows], found
    rows[:] = best


def _mean(numbers: list[int], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _crossings(rows: list[list[Key]], below: Mapping[Key, list[Key]]) -> int:
    total = 0
    for row, under in pairwise(rows):
        place = {key: at for at, key in enumerate(under)}
        ends = [place[other] for key in row for other in sorted(below.get(key, []), key=place.__getitem__)]
        total += sum(a > b for at, a in enumerate(ends) for b in ends[at + 1 :])
    return total


def _columns(
    rows: list[list[Key]],
    above: Mapping[Key, list[Key]],
    below: Mapping[Key, list[Key]],
    width: Mapping[Key, float],
    gap: float,
) -> dict[Key, float]:
    """Middles: each wants to stand at the mean of its neighbours, and none may come nearer than ``gap``."""
    x: dict[Key, float] = {}
    for row in rows:
        at = 0.0
        for key in row:
            x[key] = at + width[key] / 2
            at += width[key] + gap
    for sweep in range(SWEEPS):
        joined = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wants = [_average([x[o] for o in joined.get(key, [])], x[key]) for key in row]
            x.update(zip(row, _apart(wants, [width[key] for key in row], gap), strict=True))
    left = min((x[key] - width[key] / 2 for row in rows for key in row), default=0.0)
    return {key: place - left for key, place in x.items()}


def _average(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _apart(wants: list[float], widths: list[float], gap: float) -> list[float]:
    """Places in the given order, as near to ``wants`` as they can be: least squares, by merging neighbours
    that would overlap into blocks that move together."""
    blocks: list[tuple[float, int]] = []
    offset, offsets = 0.0, list[float]()
    for at, size in enumerate(widths):
        offset += 0.0 if at == 0 else (widths[at - 1] + size) / 2 + gap
        offsets.append(offset)
        total, count = wants[at] - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            more, others = blocks.pop()
            total, count = total + more, count + others
        blocks.append((total, count))
    places = [total / count for total, count in blocks for _ in range(count)]
    return [place + moved for place, moved in zip(places, offsets, strict=True)]
