"""Netlists at random, and the product of a matrix and a vector by hand, for the tests of mapping."""

from __future__ import annotations

import random

from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Segment
from aerogel.chip.mapping.mapping import Mapping
from aerogel.chip.mapping.nets import Net, nets_of

# opcode, parameters, inputs, outputs
CHOICES: tuple[tuple[Opcode, tuple[int, ...], int, int], ...] = (
    (Opcode.SCAN_COMPRESSED, (0, 1), 1, 2),
    (Opcode.ARRAY, (2,), 1, 1),
    (Opcode.INTERSECT, (1, 1), 4, 3),
    (Opcode.REPEAT, (), 2, 1),
    (Opcode.ALU, (2,), 2, 1),
    (Opcode.LOCATE, (8,), 2, 2),
)
SEGMENTS = (Segment("A.pos", "pos", 9), Segment("A.crd", "crd", 20), Segment("A.vals", "vals", 20))


def wired(cells: list[tuple[Opcode, tuple[int, ...], list[tuple[int, int]], int]]) -> Netlist:
    """From (opcode, parameters, the output that feeds each input, number of outputs); forks are put in."""
    readers: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for at, (_, _, fed, _) in enumerate(cells):
        for port, source in enumerate(fed):
            readers.setdefault(source, []).append((at, port))
    channels = 0
    into: dict[tuple[int, int], int] = {}
    out: dict[tuple[int, int], int] = {}
    forks: list[Cell] = []
    for source, ends in readers.items():
        out[source] = channels
        channels += 1
        if len(ends) == 1:
            into[ends[0]] = out[source]
            continue
        ways = tuple(range(channels, channels + len(ends)))
        channels += len(ends)
        into.update(zip(ends, ways, strict=True))
        forks.append(Cell(Opcode.FORK, (len(ends),), (out[source],), ways, f"fork_{len(forks)}"))
    made = [
        Cell(
            opcode,
            params,
            tuple(into[at, port] for port in range(len(fed))),
            tuple(out.get((at, port), -1) for port in range(outputs)),
            f"{opcode.name.lower()}_{at}",
        )
        for at, (opcode, params, fed, outputs) in enumerate(cells)
    ]
    return Netlist((*made, *forks), (Channel(Kind.REFERENCE),) * channels, SEGMENTS)


def drawn(count: int, seed: int, *, fan: float = 0.3) -> Netlist:
    """``count`` cells at random, sources first; an input listens to what others read with chance ``fan``."""
    chance = random.Random(seed)
    cells: list[tuple[Opcode, tuple[int, ...], list[tuple[int, int]], int]] = [(Opcode.ROOT, (), [], 1)]
    unread, every = [(0, 0)], [(0, 0)]
    for at in range(1, count):
        opcode, params, inputs, outputs = chance.choice(CHOICES)
        fed: list[tuple[int, int]] = []
        for _ in range(inputs):
            fresh = unread[-4:] if unread and chance.random() > fan else every[-12:]
            fed.append(chance.choice(fresh))
            unread = [out for out in unread if out != fed[-1]]
        cells.append((opcode, params, fed, outputs))
        unread += [(at, port) for port in range(outputs)]
        every += [(at, port) for port in range(outputs)]
    return wired(cells)


def product() -> Netlist:
    """y(i) = A(i,j) * x(j), A in two compressed levels, x in one: by hand."""
    return wired(
        [
            (Opcode.ROOT, (), [], 1),
            (Opcode.SCAN_COMPRESSED, (0, 1), [(0, 0)], 2),
            (Opcode.SCAN_COMPRESSED, (0, 1), [(1, 1)], 2),
            (Opcode.ROOT, (), [], 1),
            (Opcode.REPEAT, (), [(1, 0), (3, 0)], 1),
            (Opcode.SCAN_COMPRESSED, (0, 1), [(4, 0)], 2),
            (Opcode.INTERSECT, (1, 1), [(2, 0), (2, 1), (5, 0), (5, 1)], 3),
            (Opcode.ARRAY, (2,), [(6, 1)], 1),
            (Opcode.ARRAY, (2,), [(6, 2)], 1),
            (Opcode.ALU, (2,), [(7, 0), (8, 0)], 1),
            (Opcode.REDUCE, (0, 0), [(9, 0)], 1),
            (Opcode.WRITE_LEVEL, (0, 1), [(1, 0)], 0),
            (Opcode.WRITE_VALUES, (2,), [(10, 0)], 0),
        ]
    )


def meaning(netlist: Netlist) -> tuple[list[tuple[object, ...]], list[Net]]:
    """What a netlist says once forks, numbers of channels and the order of readers are left out."""
    nets = nets_of(netlist)
    said = sorted(
        (net.source.cell, net.source.port, sorted((e.cell, e.port) for e in net.sinks)) for net in nets.nets
    )
    return [(c.opcode, c.params, c.name) for c in nets.cells], said  # type: ignore[return-value]


def hops(mapping: Mapping) -> int:
    return sum(channel.hops for channel in mapping.netlist.channels)
