"""Nets: an output and all who read it, forks left out; and the mapping that routed nets come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Segment, Values
from aerogel.chip.mapping.mapping import Mapping, Route, Tile
from aerogel.core.errors import ChipError, require


@dataclass(frozen=True, slots=True)
class End:
    """Input or output number ``port`` of cell ``cell``."""

    cell: int
    port: int


@dataclass(frozen=True, slots=True)
class Net:
    """What output ``source`` sends to every end of ``sinks``; ``fork``: the first fork's name, or ""."""

    source: End
    sinks: tuple[End, ...]
    kind: Kind
    fork: str = ""


@dataclass(frozen=True, slots=True)
class Nets:
    """A netlist without its forks. ``cells``: those that take a tile, in its order; nets number them so.

    What the cells say of channels is void; ``routed`` gives them new ones.
    """

    cells: tuple[Cell, ...]
    nets: tuple[Net, ...]
    segments: tuple[Segment, ...]
    values: Values


Ways = tuple[Route, ...]
"""Of a net, each sink's route from the source. Those of one net agree up to where they part: a tree."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a net that a channel is: of the ways of its ``sinks``, tiles ``start`` to ``end``."""

    net: int
    sinks: tuple[int, ...]
    start: int
    end: int


def nets_of(netlist: Netlist) -> Nets:
    """The nets of a netlist; ChipError where a channel has not one source and one reader."""
    readers = _readers(netlist)
    tiled = [at for at, cell in enumerate(netlist.cells) if cell.opcode is not Opcode.FORK]
    number = {at: of for of, at in enumerate(tiled)}
    nets: list[Net] = []
    for at in tiled:
        for port, channel in enumerate(netlist.cells[at].outputs):
            ends, fork = _follow(netlist, readers, channel) if channel >= 0 else ([], "")
            if ends:
                sinks = tuple(End(number[end.cell], end.port) for end in ends)
                nets.append(Net(End(number[at], port), sinks, netlist.channels[channel].kind, fork))
    return Nets(tuple(netlist.cells[at] for at in tiled), tuple(nets), netlist.segments, netlist.values)


def _readers(netlist: Netlist) -> dict[int, End]:
    """Who reads each channel."""
    found: dict[int, End] = {}
    fed: set[int] = set()
    for at, cell in enumerate(netlist.cells):
        for port, channel in enumerate(cell.inputs):
            require(channel not in found, ChipError, f"channel {channel} has two readers: {cell.name} is one")
            found[channel] = End(at, port)
        for channel in cell.outputs:
            require(channel not in fed, ChipError, f"channel {channel} has two sources: {cell.name} is one")
            fed |= {channel} - {-1}
    every = set(range(len(netlist.channels)))
    loose = sorted((every ^ set(found)) | (every ^ fed))
    require(not loose, ChipError, f"channels without a source, a reader or a description: {loose}")
    return found


def _follow(netlist: Netlist, readers: dict[int, End], channel: int) -> tuple[list[End], str]:
    """Who reads a channel in the end, behind all its forks, and the first fork's name."""
    end = readers[channel]
    cell = netlist.cells[end.cell]
    if cell.opcode is not Opcode.FORK:
        return [end], ""
    behind = [e for out in cell.outputs if out >= 0 for e in _follow(netlist, readers, out)[0]]
    return behind, cell.name


def routed(nets: Nets, fabric: Fabric, tiles: Sequence[Tile], ways: Sequence[Ways]) -> Mapping:
    """The mapping with cells on ``tiles`` and nets routed as ``ways``: forks stand where these part.

    The cells come first, in the order of ``nets``, then the forks, net by net from the source on.
    A channel of h hops has latency max(1, h) and holds what the fabric has room for on it.
    """
    made = _made(nets, fabric, ways)
    cells = tuple(
        replace(cell, inputs=tuple(into), outputs=tuple(out))
        for cell, into, out in zip(nets.cells, made.inputs, made.outputs, strict=True)
    )
    whole = Netlist((*cells, *made.forks), tuple(made.channels), nets.segments, nets.values)
    return Mapping(fabric, whole, (*tiles, *made.fork_tiles), tuple(made.routes))


def spans(nets: Nets, fabric: Fabric, ways: Sequence[Ways]) -> list[Span]:
    """Which part of which net each channel is of what ``routed`` makes."""
    return _made(nets, fabric, ways).spans


def _made(nets: Nets, fabric: Fabric, ways: Sequence[Ways]) -> _Made:
    made = _Made(fabric, nets)
    for at, (net, way) in enumerate(zip(nets.nets, ways, strict=True)):
        made.net = at
        made.outputs[net.source.cell][net.source.port] = made.grow(net, dict(enumerate(way)), 0)
    return made


class _Made:
    """Channels, routes and forks as they are made."""

    def __init__(self, fabric: Fabric, nets: Nets) -> None:
        self.fabric = fabric
        self.cells = nets.cells
        self.inputs = [[-1] * len(cell.inputs) for cell in nets.cells]
        self.outputs = [[-1] * len(cell.outputs) for cell in nets.cells]
        self.forks: list[Cell] = []
        self.fork_tiles: list[Tile] = []
        self.channels: list[Channel] = []
        self.routes: list[Route] = []
        self.spans: list[Span] = []
        self.net = 0

    def grow(self, net: Net, ways: dict[int, Route], start: int) -> int:
        """The channel in which all of ``ways`` leave their tile number ``start``, and all that follows it."""
        at = start
        while len(groups := _parted(ways, at)) == 1 and len(next(iter(ways.values())).tiles) > at + 1:
            at += 1
        sink, way = next(iter(ways.items()))
        route = Route(way.tiles[start : at + 1], way.track)
        channel = self._channel(net, route, into_tile=len(ways) == 1)
        self.spans.append(Span(self.net, tuple(ways), start, at))
        if len(ways) == 1:
            end = net.sinks[sink]
            self.inputs[end.cell][end.port] = channel
        else:
            self._fork(net, groups, channel, at)
        return channel

    def _fork(self, net: Net, groups: list[dict[int, Route]], channel: int, at: int) -> None:
        name = net.fork or f"fork_{self.cells[net.source.cell].name}_{net.source.port}"
        known = sum(fork.name.split("+")[0] == name for fork in self.forks)
        name = f"{name}+{known}" if known else name
        place = len(self.forks)
        self.forks.append(Cell(Opcode.FORK, (len(groups),), (channel,), (), name))
        self.fork_tiles.append(next(iter(groups[0].values())).tiles[at])
        outputs = tuple(self.grow(net, group, at) for group in groups)
        self.forks[place] = replace(self.forks[place], outputs=outputs)

    def _channel(self, net: Net, route: Route, *, into_tile: bool) -> int:
        latency = max(1, route.hops)
        room = self.fabric.room(latency, into_tile=into_tile)
        self.channels.append(Channel(net.kind, room, latency, route.hops))
        self.routes.append(route)
        return len(self.channels) - 1


def _parted(ways: dict[int, Route], at: int) -> list[dict[int, Route]]:
    """The routes of ``ways``, which agree up to their tile number ``at``, by where they go from there."""
    groups: dict[object, dict[int, Route]] = {}
    for sink, way in ways.items():
        onwards = (way.tiles[at + 1], way.track) if len(way.tiles) > at + 1 else sink
        groups.setdefault(onwards, {})[sink] = way
    return list(groups.values())
