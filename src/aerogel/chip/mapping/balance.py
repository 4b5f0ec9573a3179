"""Branches that meet again, made equally roomy: a short one takes a detour where its queues would be full.

Where a stream is forked and joined again, one branch over many hops and one over few, it stands still while
its first token is on the long way and the short one is full. A channel with room for c tokens and a latency
of l gives a token every cycle only if its reader takes each at the latest c - 1 cycles after it was put in.
So there must be a time t for every cell such that l <= t(reader) - t(source) <= c - 1 for every channel.
Where there is none, a cycle of channels says so (some forwards, some backwards); one of its backward ones,
which are too short, gets two hops more, out to a neighbour and back, over links nobody uses. Where it cannot,
the cycle is left as it is: lengthening more of it costs latency, which whole rows then wait for.

Streams of different rates are taken as of one, as they are where fibers have one element each: an outer
coordinate waits for the whole way of its fiber. Source of the condition: marked graphs at full rate, as in
Carloni and Sangiovanni-Vincentelli, Performance analysis of latency-insensitive systems (DAC 2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aerogel.chip.machine.netlist import Cell, Netlist, Opcode
from aerogel.chip.mapping.mapping import Link, Mapping, Tile
from aerogel.chip.mapping.nets import Nets, Span, Ways, routed, spans
from aerogel.chip.mapping.region import Region

DETOURS = 60
"""At most, of a graph: beyond it, links and energy cost more than they give."""

_SCANS = {Opcode.SCAN_COMPRESSED, Opcode.SCAN_DENSE, Opcode.SCAN_BITS, Opcode.SCAN_SKIP}
_REDUCERS = {Opcode.REDUCE, Opcode.VECTOR_REDUCE, Opcode.MATRIX_REDUCE, Opcode.JOIN}


def balanced(nets: Nets, tiles: Sequence[Tile], ways: Sequence[Ways], region: Region) -> Mapping:
    """The mapping of routed nets, short branches lengthened within ``region`` as far as links are free."""
    ways, fabric = list(ways), region.fabric
    mapping = routed(nets, fabric, tiles, ways)
    given_up: set[_Key] = set()
    deep = _depths(mapping.netlist)
    depths = {span.net: deep[at] for at, span in enumerate(spans(nets, fabric, ways))}
    # With one place a hop, no channel gives a token every cycle.
    for _ in range(DETOURS if fabric.fifo_depth > 1 else 0):
        parts = spans(nets, fabric, ways)
        roomy = {at for at, span in enumerate(parts) if (span.net, span.sinks) in given_up}
        short = _too_short(mapping.netlist, roomy)
        if not short:
            break
        # The one that carries the fewest tokens, as far as one can tell; of several, that of the fewest hops.
        span = parts[min(short, key=lambda at: (depths[parts[at].net], mapping.routes[at].hops, at))]
        detour = _detour(mapping, ways, span, region)
        if detour is None:
            given_up.add((span.net, span.sinks))
            continue
        ways[span.net] = detour
        mapping = routed(nets, fabric, tiles, ways)
    return mapping


_Key = tuple[int, tuple[int, ...]]
"""A span however long it is: its net, and which of its sinks it leads to."""


# --- which channels are too short ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Edge:
    """Cell ``target`` is at least ``least`` cycles after ``source``; by ``channel``, forwards or not."""

    source: int
    target: int
    least: int
    channel: int
    forwards: bool


def _too_short(netlist: Netlist, roomy: set[int]) -> list[int]:
    """Channels of a cycle of demands that no times meet, those that want more room; [] where all can be met.

    ``roomy``: channels that cannot be lengthened, taken to have room enough.
    """
    edges = _edges(netlist, roomy)
    times = {end: 0 for edge in edges for end in (edge.source, edge.target)}
    came: dict[int, _Edge] = {}
    for turn in range(len(times) + 1):
        last: int | None = None
        for edge in edges:
            if times[edge.source] + edge.least > times[edge.target]:
                times[edge.target] = times[edge.source] + edge.least
                came[edge.target] = edge
                last = edge.target
        if last is None:
            return []
        # Looking every time would cost more than it saves.
        if turn % 8 == 7 or turn == len(times):
            cycle = _cycle(came, last)
            if cycle:
                return [edge.channel for edge in cycle if not edge.forwards]
    raise AssertionError("times that never settle are raised around a cycle")


def _cycle(came: dict[int, _Edge], last: int) -> list[_Edge]:
    """The cycle that lies behind cell ``last``, or []."""
    seen: set[int] = set()
    at = last
    while at not in seen:
        seen.add(at)
        if at not in came:
            return []
        at = came[at].source
    cycle = [came[at]]
    while cycle[-1].source != at:
        cycle.append(came[cycle[-1].source])
    return cycle


def _edges(netlist: Netlist, roomy: set[int]) -> list[_Edge]:
    """The demands of all channels but those that lead back to a scanner that skips."""
    sources: dict[int, int] = {}
    readers: dict[int, int] = {}
    for at, cell in enumerate(netlist.cells):
        sources.update(dict.fromkeys(cell.outputs, at))
        for port, channel in enumerate(cell.inputs):
            if not (cell.opcode is Opcode.SCAN_SKIP and port == 1):
                readers[channel] = at
    edges: list[_Edge] = []
    for at, target in readers.items():
        channel, source = netlist.channels[at], sources[at]
        edges.append(_Edge(source, target, channel.latency, at, forwards=True))
        if at not in roomy:
            edges.append(_Edge(target, source, 1 - channel.capacity, at, forwards=False))
    return edges


def _depths(netlist: Netlist) -> list[int]:
    """How many scanners each channel is behind, less the reducers: the deeper, the more tokens it carries."""
    made = {channel: at for at, cell in enumerate(netlist.cells) for channel in cell.outputs}
    depths = [0] * len(netlist.channels)
    # As often as the longest way has cells; cycles through skips would go on for ever.
    for _ in range(len(netlist.cells)):
        before = list(depths)
        for channel, at in made.items():
            if channel >= 0:
                depths[channel] = _depth(netlist.cells[at], channel, before)
        if depths == before:
            break
    return depths


def _depth(cell: Cell, channel: int, depths: Sequence[int]) -> int:
    """Of an output of a cell, from those of its inputs."""
    match cell.opcode:
        case Opcode.ROOT:
            return 0
        case Opcode.REPEAT:
            return depths[cell.inputs[0]]
        case Opcode.DROP:
            return depths[cell.inputs[cell.outputs.index(channel)]]
        case Opcode.SIFT_INTERSECT | Opcode.SIFT_UNION:
            return depths[cell.inputs[-1]]
        case Opcode.SPLIT:
            return depths[cell.inputs[0]] + (1 if cell.outputs.index(channel) else 0)
        case opcode:
            deeper = 1 if opcode in _SCANS else -1 if opcode in _REDUCERS else 0
            return max((depths[at] for at in cell.inputs), default=0) + deeper


# --- making one longer -----------------------------------------------------------------------------


def _detour(mapping: Mapping, ways: Sequence[Ways], span: Span, region: Region) -> Ways | None:
    """The ways of a span's net with two hops more in it, as near its end as links are free; or None."""
    way = ways[span.net][span.sinks[0]]
    if span.end == 0:
        # From an output to the fork beside it: what leaves from there is on several tracks.
        return None
    used = {link for route in mapping.routes for link in route.links()}
    for at in range(span.end, span.start - 1, -1):
        here = way.tiles[at]
        for beside in _neighbours(here, region):
            there, back = Link(here, beside, way.track), Link(beside, here, way.track)
            if there not in used and back not in used:
                tiles = (*way.tiles[: at + 1], beside, here)
                return tuple(
                    replace(other, tiles=(*tiles, *other.tiles[at + 1 :])) if sink in span.sinks else other
                    for sink, other in enumerate(ways[span.net])
                )
    return None


def _neighbours(tile: Tile, region: Region) -> list[Tile]:
    """Those of a tile within a region."""
    rows = range(region.row, region.row + region.rows)
    columns = range(region.column, region.column + region.columns)
    steps = ((-1, 0), (0, 1), (1, 0), (0, -1))
    beside = [Tile(tile.row + down, tile.column + right) for down, right in steps]
    return [other for other in beside if other.row in rows and other.column in columns]
