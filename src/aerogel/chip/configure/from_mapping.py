"""A mapping as a design: which switch passes what on, and where each input listens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from aerogel.chip.configure.decode import Names
from aerogel.chip.configure.design import (
    Design,
    FromCell,
    FromTrack,
    Input,
    Out,
    Place,
    Placed,
    Side,
    Source,
    Tile,
)
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.mapping.mapping import Mapping
from aerogel.chip.mapping.mapping import Tile as Spot
from aerogel.core.errors import ChipError, require


def design_of(mapping: Mapping) -> Design:
    """The design of a mapping; ChipError where two channels drive one track."""
    return _Reading(mapping).design()


def names_of(design: Design) -> Names:
    """What the cells of a design are called: words do not say it."""
    return {(place, slot): cell.name for place, slot, cell in design.cells()}


@dataclass
class _Reading:
    mapping: Mapping
    slots: dict[int, int] = field(default_factory=dict[int, int])
    sources: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    switches: dict[Place, dict[Out, Source]] = field(default_factory=dict[Place, dict[Out, Source]])

    def design(self) -> Design:
        netlist = self.mapping.netlist
        cells: dict[Place, list[tuple[int, Placed]]] = {}
        for at, cell in enumerate(netlist.cells):
            for port, channel in enumerate(cell.outputs):
                self.sources[channel] = at, port
            if cell.opcode is not Opcode.FORK:
                own = cells.setdefault(_place(self.mapping.tiles[at]), [])
                self.slots[at] = len(own)
                own.append((len(own), Placed(cell.opcode, cell.params, (), cell.name)))
        for channel in range(len(netlist.channels)):
            self.drive(channel)
        for at, cell in enumerate(netlist.cells):
            if cell.opcode is not Opcode.FORK:
                inputs = tuple(Input(self.arriving(c), netlist.channels[c].kind) for c in cell.inputs)
                own = cells[_place(self.mapping.tiles[at])]
                slot, placed = own[self.slots[at]]
                own[slot] = slot, replace(placed, inputs=inputs)
        places = sorted({*cells, *self.switches})
        tiles = [
            (p, Tile(tuple(cells.get(p, ())), tuple(sorted(self.switches.get(p, {}).items()))))
            for p in places
        ]
        segments = tuple(replace(segment, words=0, base=None) for segment in netlist.segments)
        return Design(tuple(tiles), segments, netlist.values)

    def drive(self, channel: int) -> None:
        """Sets every switch that a channel leaves a tile by."""
        route = self.mapping.routes[channel]
        source = self.leaving(channel)
        for here, there in zip(route.tiles, route.tiles[1:], strict=False):
            side = _side(here, there)
            out = Out(side, route.track)
            known = self.switches.setdefault(_place(here), {}).setdefault(out, source)
            require(
                known == source,
                ChipError,
                f"track {route.track} to the {side.name.lower()} of tile {here} is driven by two channels",
            )
            source = FromTrack(side.opposite, route.track)

    def leaving(self, channel: int) -> Source:
        """Where a channel's tokens come from at its first tile: an output, or what feeds the fork there."""
        cell, port = self.sources[channel]
        if cell in self.slots:
            return FromCell(self.slots[cell], port)
        return self.arriving(self.mapping.netlist.cells[cell].inputs[0])

    def arriving(self, channel: int) -> Source:
        """Where a channel's tokens come from at its last tile."""
        route = self.mapping.routes[channel]
        if route.hops:
            return FromTrack(_side(route.tiles[-2], route.tiles[-1]).opposite, route.track)
        return self.leaving(channel)


def _place(spot: Spot) -> Place:
    return Place(spot.row, spot.column)


def _side(here: Spot, there: Spot) -> Side:
    """The side of ``here`` on which ``there`` is."""
    for side in Side:
        if _place(here).beside(side) == _place(there):
            return side
    raise ChipError(f"a route goes from tile {here} to {there}, which are no neighbours")
