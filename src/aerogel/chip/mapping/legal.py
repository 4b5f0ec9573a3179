"""Whether a mapping can be: checked from the mapping alone, by none of what made it."""

from __future__ import annotations

from itertools import pairwise

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.chip.mapping.mapping import Link, Mapping, Tile
from aerogel.core.errors import ChipError, require

Ends = tuple[list[int], list[int]]
"""Of each channel, the cell it comes from and the cell that reads it."""


def verify(mapping: Mapping) -> Mapping:
    """The same mapping; ChipError unless

    - every cell is on a tile of its kind, and no two cells that take a tile are on the same;
    - every channel has one source and one reader, and its route leads from the one's tile to the other's over
      neighbours, on a track there is, no link being used twice;
    - every fork that is not beside its source passes its token on along the track it came on;
    - every channel has the hops, the latency and the capacity of its route.
    """
    fabric, netlist = mapping.fabric, mapping.netlist
    counts = (len(mapping.tiles), len(mapping.routes))
    told = f"a mapping of {len(netlist.cells)} cells and {len(netlist.channels)} channels has {counts} places"
    require(counts == (len(netlist.cells), len(netlist.channels)), ChipError, told)
    _tiles(mapping)
    ends = _ends(netlist)
    _routes(mapping, ends)
    _forks(mapping, ends)
    for at, (channel, route) in enumerate(zip(netlist.channels, mapping.routes, strict=True)):
        cycles = max(1, route.hops)
        into_tile = OPCODES[netlist.cells[ends[1][at]].opcode].host != "switch"
        room = cycles * fabric.fifo_depth + fabric.input_queue * into_tile
        wanted = (room, cycles, route.hops)
        told = f"channel {at} of {route.hops} hops is not of capacity, latency and hops {wanted}: {channel}"
        require((channel.capacity, channel.latency, channel.hops) == wanted, ChipError, told)
    return mapping


def _tiles(mapping: Mapping) -> None:
    taken: dict[Tile, str] = {}
    for cell, tile in zip(mapping.netlist.cells, mapping.tiles, strict=True):
        _there(mapping.fabric, tile, cell.name)
        host = OPCODES[cell.opcode].host
        if host == "switch":
            continue
        here = "memory" if mapping.fabric.is_memory(tile.column) else "processing"
        told = f"{cell.name} ({cell.opcode.name}) needs a {host} tile, but {tile} is a {here} tile"
        require(host == here, ChipError, told)
        require(tile not in taken, ChipError, f"tile {tile} has both {taken.get(tile)} and {cell.name}")
        taken[tile] = cell.name


def _there(fabric: Fabric, tile: Tile, who: str) -> None:
    inside = 0 <= tile.row < fabric.rows and 0 <= tile.column < fabric.columns
    told = f"{who} is on tile {tile}, which {fabric.name} ({fabric.rows} x {fabric.columns}) has not"
    require(inside, ChipError, told)


def _ends(netlist: Netlist) -> Ends:
    sources, readers = [-1] * len(netlist.channels), [-1] * len(netlist.channels)
    for at, cell in enumerate(netlist.cells):
        for ends, channels, what in ((readers, cell.inputs, "readers"), (sources, cell.outputs, "sources")):
            for channel in channels:
                if channel == -1 and ends is sources:
                    continue
                known = 0 <= channel < len(ends)
                require(known, ChipError, f"{cell.name} names channel {channel}, which there is not")
                require(ends[channel] < 0, ChipError, f"channel {channel} has two {what}: {cell.name} is one")
                ends[channel] = at
    for ends, what in ((sources, "source"), (readers, "reader")):
        require(-1 not in ends, ChipError, f"channel {ends.index(-1) if -1 in ends else ''} has no {what}")
    return sources, readers


def _routes(mapping: Mapping, ends: Ends) -> None:
    used: dict[Link, int] = {}
    for at, route in enumerate(mapping.routes):
        source, reader = (mapping.tiles[end[at]] for end in ends)
        told = f"channel {at} goes from {source} to {reader}, but its route is {list(map(str, route.tiles))}"
        require(route.tiles and (route.tiles[0], route.tiles[-1]) == (source, reader), ChipError, told)
        told = f"channel {at} is on track {route.track}, but there are 0 to {mapping.fabric.tracks - 1}"
        require(0 <= route.track < mapping.fabric.tracks, ChipError, told)
        for tile in route.tiles:
            _there(mapping.fabric, tile, f"channel {at}")
        for here, there in pairwise(route.tiles):
            near = abs(here.row - there.row) + abs(here.column - there.column) == 1
            require(near, ChipError, f"channel {at} leaps from {here} to {there}")
        for link in route.links():
            told = (
                f"channels {used.get(link)} and {at} share track {link.track} from {link.tile} to {link.to}"
            )
            require(link not in used, ChipError, told)
            used[link] = at


def _forks(mapping: Mapping, ends: Ends) -> None:
    """A fork with its source in another tile is a switch's, and switches keep the track."""
    for at, (cell, tile) in enumerate(zip(mapping.netlist.cells, mapping.tiles, strict=True)):
        if cell.opcode is not Opcode.FORK:
            continue
        told = f"{cell.name} is set to {cell.params[0]} ways, but has {len(cell.outputs)}"
        require(cell.params == (len(cell.outputs),) and len(cell.outputs) > 1, ChipError, told)
        most = (1 << OPCODES[Opcode.FORK].parameters[0].bits) - 1
        told = f"{cell.name} has {len(cell.outputs)} ways, and its words have room for {most}"
        require(len(cell.outputs) <= most, ChipError, told)
        inlet = mapping.routes[cell.inputs[0]]
        source = mapping.netlist.cells[ends[0][cell.inputs[0]]]
        if inlet.hops == 0 and source.opcode is not Opcode.FORK:
            continue
        for channel in cell.outputs:
            outlet = mapping.routes[channel]
            told = f"{cell.name} at {tile} changes from track {inlet.track} to {outlet.track} (cell {at})"
            require(outlet.track == inlet.track, ChipError, told)
