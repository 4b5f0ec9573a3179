"""From a mapping through its words to the netlist that runs: the same cells, ways and latencies."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tests.chip.configure.samples import FABRIC

import aerogel as ag
from aerogel.chip.configure.decode import decode
from aerogel.chip.configure.design import Design, FromCell, FromTrack, Input, Out, Place, Placed, Side, Tile
from aerogel.chip.configure.elaborate import elaborate
from aerogel.chip.configure.encode import encode
from aerogel.chip.configure.from_mapping import design_of, names_of
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.build import build
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.mapping.place_and_route import place_and_route
from aerogel.core.errors import ChipError

LARGE = Fabric("large", rows=8, columns=16, input_queue=3)


def _ways(netlist: Netlist) -> Counter[tuple[object, ...]]:
    """From every output to every input behind it: the channels passed, and in how many each fork splits."""
    readers = {channel: at for at, cell in enumerate(netlist.cells) for channel in cell.inputs}
    found: Counter[tuple[object, ...]] = Counter()

    def follow(start: str, passed: tuple[object, ...], channel: int) -> None:
        cell = netlist.cells[readers[channel]]
        passed = (*passed, netlist.channels[channel])
        if cell.opcode is not Opcode.FORK:
            found[start, passed, cell.name, cell.inputs.index(channel)] += 1
            return
        for out in cell.outputs:
            follow(start, (*passed, cell.params), out)

    for cell in netlist.cells:
        for port, channel in enumerate(cell.outputs):
            if cell.opcode is not Opcode.FORK and channel >= 0:
                follow(f"{cell.name}.{port}", (), channel)
    return found


@pytest.mark.parametrize(
    ("text", "copies"),
    [("y(i) = A(i,j) * x(j)", 1), ("C(i,k) = A(i,j) * B(j,k)", 2), ("a = A(i,j) * B(i,j)", 1)],
)
def test_words_say_the_mapping(text: str, copies: int) -> None:
    tensors = {"A": ag.tensor(np.eye(4), "csr"), "B": ag.tensor(np.eye(4), "dcsr"), "x": np.ones(4)}
    tensors = {name: value for name, value in tensors.items() if f"{name}(" in text}
    plan = build(text, tensors)
    netlist = assemble(plan.graph, plan.stored(tensors), LARGE).netlist
    mapping = place_and_route(netlist, LARGE, copies)
    design = design_of(mapping)
    back = elaborate(decode(encode(design, LARGE), LARGE, names_of(design)), LARGE)
    assert _ways(back) == _ways(mapping.netlist)
    cells = {(cell.name, cell.opcode, cell.params) for cell in back.cells if cell.opcode is not Opcode.FORK}
    assert cells == {
        (c.name, c.opcode, c.params) for c in mapping.netlist.cells if c.opcode is not Opcode.FORK
    }
    assert [s.role for s in back.segments] == [s.role for s in mapping.netlist.segments]


ROOT = Placed(Opcode.ROOT, (), (), "root")
LEFT, RIGHT = Place(0, 0), Place(0, 1)
FAR = FromTrack(Side.WEST, 0)


def _two_tiles(kind: Kind, *, driven: bool = True, taken: bool = True) -> Design:
    """A root, and a dense scanner on the next tile."""
    source = FAR if taken else FromCell(0, 0)
    scan = Placed(Opcode.SCAN_DENSE, (5,), (Input(source, kind),), "scan")
    switches = ((Out(Side.EAST, 0), FromCell(0, 0)),) if driven else ()
    return Design(((LEFT, Tile(((0, ROOT),), switches)), (RIGHT, Tile(((0, scan),)))), (), "bf16")


def test_a_wire_of_one_hop() -> None:
    netlist = elaborate(_two_tiles(Kind.REFERENCE), FABRIC)
    (channel,) = netlist.channels
    assert (channel.hops, channel.latency, channel.capacity) == (1, 1, FABRIC.fifo_depth)
    assert [cell.name for cell in netlist.cells] == ["root", "scan"]
    assert netlist.cells[1].outputs == (-1, -1)
    (queued,) = elaborate(_two_tiles(Kind.REFERENCE), replace(FABRIC, input_queue=3)).channels
    assert queued.capacity == FABRIC.fifo_depth + 3


def test_what_is_wired_wrongly_is_said() -> None:
    with pytest.raises(ChipError, match=r"input 0 of scan takes what comes in from the west on track 0"):
        elaborate(_two_tiles(Kind.REFERENCE, driven=False), FABRIC)
    with pytest.raises(ChipError, match="leaves a track open"):
        elaborate(_two_tiles(Kind.REFERENCE, taken=False), FABRIC)


def test_a_stream_has_one_kind() -> None:
    """A repeater that takes a stream as both of its kinds."""
    both = (Input(FAR, Kind.COORDINATE), Input(FAR, Kind.REFERENCE))
    design = _two_tiles(Kind.REFERENCE)
    tile = Tile(((0, Placed(Opcode.REPEAT, (), both, "repeat")),))
    with pytest.raises(ChipError, match="taken as coordinate and as reference"):
        elaborate(replace(design, tiles=(design.tiles[0], (RIGHT, tile))), FABRIC)
