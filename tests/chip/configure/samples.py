"""Designs at random, and one made by hand, for the tests of words."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from aerogel.chip.configure.design import (
    KINDS,
    VALUES,
    Design,
    FromCell,
    FromTrack,
    Input,
    Out,
    Place,
    Placed,
    Side,
    Tile,
)
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Opcode, Segment
from aerogel.chip.machine.opcodes import FUNCTIONS, OPCODES, OPERATIONS
from aerogel.chip.machine.ports import port_counts

FABRIC = Fabric("toy", rows=3, columns=4, tracks=2)
HOSTED = {
    host: [opcode for opcode, spec in OPCODES.items() if spec.host == host]
    for host in ("memory", "processing")
}


def sources(fabric: Fabric) -> st.SearchStrategy[FromTrack | FromCell]:
    tracks = st.builds(FromTrack, st.sampled_from(Side), st.integers(0, fabric.tracks - 1))
    return tracks | st.builds(FromCell, st.integers(0, 15), st.integers(0, 63))


def params(draw: Any, opcode: Opcode, segments: int) -> tuple[int, ...]:
    found: list[int] = []
    for spec in OPCODES[opcode].parameters:
        most = (1 << spec.bits) - 1
        if spec.segment:
            most = segments - 1
        elif spec.name == "op":
            most = len(FUNCTIONS if opcode is Opcode.ALU_FUNCTION else OPERATIONS) - 1
        found.append(draw(st.integers(0, most)))
    return tuple(found)


@st.composite
def designs(draw: Any, fabric: Fabric = FABRIC) -> Design:
    segments = draw(st.lists(st.sampled_from(("pos", "crd", "vals", "bits")), min_size=1, max_size=5))
    spots = st.tuples(st.integers(0, fabric.rows - 1), st.integers(0, fabric.columns - 1))
    places = draw(st.sets(spots, max_size=4))
    tiles: list[tuple[Place, Tile]] = []
    for row, column in sorted(places):
        hosted = HOSTED["memory" if fabric.is_memory(column) else "processing"]
        cells: list[tuple[int, Placed]] = []
        for slot in sorted(draw(st.sets(st.integers(0, 15), max_size=1))):
            opcode = draw(st.sampled_from(hosted))
            values = params(draw, opcode, len(segments))
            count = port_counts(opcode, values)[0]
            given = st.lists(
                st.builds(Input, sources(fabric), st.sampled_from(KINDS)), min_size=count, max_size=count
            )
            cells.append((slot, Placed(opcode, values, tuple(draw(given)), f"{row}/{column}/{slot}")))
        outs = [
            Out(side, track)
            for side in Side
            for track in range(fabric.tracks)
            if 0 <= row + side.step[0] < fabric.rows and 0 <= column + side.step[1] < fabric.columns
        ]
        driven = sorted(draw(st.sets(st.sampled_from(outs), max_size=3)))
        switches = tuple((out, draw(sources(fabric))) for out in driven)
        if cells or switches:
            tiles.append((Place(row, column), Tile(tuple(cells), switches)))
    written = [Segment(f"segment {at}", role, 0, draw(st.booleans())) for at, role in enumerate(segments)]
    return Design(tuple(tiles), tuple(written), fabric.values)


assert VALUES[0] == FABRIC.values
