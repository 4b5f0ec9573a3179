"""A design as the netlist it makes: streams are followed from their cell through the switches they pass."""

from __future__ import annotations

from dataclasses import dataclass, field

from aerogel.chip.configure.design import Design, FromCell, FromTrack, Out, Place, Source
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode
from aerogel.chip.machine.ports import port_counts
from aerogel.core.errors import ChipError, refuse, require


@dataclass(frozen=True, slots=True)
class _Pin:
    """An input of a cell, by the cell's number."""

    cell: int
    port: int


_Point = tuple[Place, Source]
"""What can be taken at a tile."""
_Taker = Out | _Pin


def elaborate(design: Design, fabric: Fabric) -> Netlist:
    """The netlist of a design.

    A stream that several take is split by a fork in the switch where their ways part. A channel over h hops
    takes max(1, h) cycles and holds what the fabric has room for on it. Cells are numbered in the order
    of tiles and slots, forks after them. ChipError for a track that nothing drives, or that ends nowhere.
    """
    return _Elaboration(design, fabric).netlist()


@dataclass
class _Elaboration:
    design: Design
    fabric: Fabric
    takers: dict[_Point, list[_Taker]] = field(default_factory=dict[_Point, list[_Taker]])
    kinds: dict[_Pin, Kind] = field(default_factory=dict[_Pin, Kind])
    inputs: list[list[int]] = field(default_factory=list[list[int]])
    outputs: list[list[int]] = field(default_factory=list[list[int]])
    channels: list[Channel] = field(default_factory=list[Channel])
    forks: list[Cell] = field(default_factory=list[Cell])
    used: set[_Point] = field(default_factory=set[_Point])

    def netlist(self) -> Netlist:
        placed = list(self.design.cells())
        for _, _, cell in placed:
            into, out = port_counts(cell.opcode, cell.params)
            self.inputs.append([-1] * into)
            self.outputs.append([-1] * out)
        self.gather()
        for at, (place, slot, cell) in enumerate(placed):
            for port in range(len(self.outputs[at])):
                point: _Point = (place, FromCell(slot, port))
                if point in self.takers:
                    self.outputs[at][port] = self.channel(point, f"{cell.name}.{port}")
        self.check_driven()
        made = [
            Cell(cell.opcode, cell.params, tuple(self.inputs[at]), tuple(self.outputs[at]), cell.name)
            for at, (_, _, cell) in enumerate(placed)
        ]
        cells = (*made, *self.forks)
        return Netlist(cells, tuple(self.channels), self.design.segments, self.design.values)

    def gather(self) -> None:
        """Who takes what at each tile: tracks that leave it in their order, then inputs in theirs."""
        at = 0
        for place, tile in self.design.tiles:
            for out, source in tile.switches:
                self.takers.setdefault((place, source), []).append(out)
            for _, cell in tile.cells:
                for port, given in enumerate(cell.inputs):
                    pin = _Pin(at, port)
                    self.kinds[pin] = given.kind
                    self.takers.setdefault((place, given.source), []).append(pin)
                at += 1

    def channel(self, point: _Point, name: str) -> int:
        """The number of a new channel from ``point`` on, to where it ends or branches, and all behind it."""
        hops = 0
        while True:
            self.used.add(point)
            takers = self.takers.get(point)
            where = f"{name} reaches tile {point[0]} as {point[1]}, where nothing takes it"
            require(takers, ChipError, f"{where}: the configuration leaves a track open")
            assert takers
            if len(takers) > 1 or isinstance(takers[0], _Pin):
                break
            point, hops = self.beyond(point[0], takers[0]), hops + 1
        number = len(self.channels)
        latency = max(1, hops)
        room = self.fabric.room(latency, into_tile=len(takers) == 1)
        self.channels.append(Channel(Kind.VALUE, room, latency, hops))
        kind = self.end(takers, point[0], number, name)
        self.channels[number] = Channel(kind, room, latency, hops)
        return number

    def end(self, takers: list[_Taker], place: Place, number: int, name: str) -> Kind:
        """Connects channel ``number`` to what takes it at ``place``; the kind of its stream."""
        if len(takers) == 1 and isinstance(takers[0], _Pin):
            pin = takers[0]
            self.inputs[pin.cell][pin.port] = number
            return self.kinds[pin]
        at = len(self.forks)
        self.forks.append(Cell(Opcode.FORK, (len(takers),), (number,), (), ""))
        ways = [self.way(taker, place, name) for taker in takers]
        self.forks[at] = Cell(
            Opcode.FORK, (len(takers),), (number,), tuple(ways), f"fork of {name} at {place}"
        )
        kinds = {self.channels[way].kind for way in ways}
        require(
            len(kinds) == 1,
            ChipError,
            f"{name} is taken as {' and as '.join(sorted(kind.name.lower() for kind in kinds))}: "
            "a stream has one kind of payload",
        )
        return kinds.pop()

    def way(self, taker: _Taker, place: Place, name: str) -> int:
        """The number of a new channel from a fork at ``place`` to one of those who take its stream."""
        if isinstance(taker, Out):
            number = self.channel(self.beyond(place, taker), name)
            channel = self.channels[number]
            latency = channel.hops + 1
            room = channel.capacity + (latency - channel.latency) * self.fabric.fifo_depth
            self.channels[number] = Channel(channel.kind, room, latency, latency)
            return number
        self.channels.append(Channel(self.kinds[taker], self.fabric.room(1, into_tile=True), 1, 0))
        self.inputs[taker.cell][taker.port] = len(self.channels) - 1
        return len(self.channels) - 1

    def beyond(self, place: Place, out: Out) -> _Point:
        """Where a track that leaves a tile comes in."""
        return place.beside(out.side), FromTrack(out.side.opposite, out.track)

    def check_driven(self) -> None:
        """Whoever takes something has been reached from an output of a cell."""
        for (place, source), takers in self.takers.items():
            if (place, source) not in self.used:
                who = "a track" if isinstance(takers[0], Out) else self.name_of(takers[0])
                refuse(ChipError, f"at tile {place} {who} takes {source}, where no stream comes from")

    def name_of(self, pin: _Pin) -> str:
        """The cell of an input, for messages."""
        name = [cell.name for _, _, cell in self.design.cells()][pin.cell]
        return f"input {pin.port} of {name}"
