"""The picture: well-formed, everything in it once and inside its frame."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from tests.chip.mapping.netlists import product

from aerogel.chip.fabric.read import load
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.mapping.draw import COLOURS, svg
from aerogel.chip.mapping.mapping import Mapping
from aerogel.chip.mapping.place_and_route import place_and_route

ONYX, SMALL = load("onyx-like"), load("onyx-small")
NAMESPACE = {"s": "http://www.w3.org/2000/svg"}
PRODUCT = place_and_route(product(), ONYX)


def _drawn(mapping: Mapping, *, whole: bool = False) -> ET.Element:
    return ET.fromstring(svg(mapping, whole=whole))


@pytest.mark.parametrize("whole", [True, False])
def test_every_cell_and_channel_is_there_once(whole: bool) -> None:
    root = _drawn(PRODUCT, whole=whole)
    titles = [t.text or "" for t in root.iterfind(".//s:title", NAMESPACE)]
    for cell, tile in zip(PRODUCT.netlist.cells, PRODUCT.tiles, strict=True):
        if cell.opcode is not Opcode.FORK:
            assert sum(f"tile {tile}," in t and f": {cell.name}," in t for t in titles) == 1
    for at, channel in enumerate(PRODUCT.netlist.channels):
        found = [t for t in titles if t.startswith(f"channel {at}: ")]
        assert len(found) == (1 if channel.hops or _into_cell(at) else 0)
    forks = [cell for cell in PRODUCT.netlist.cells if cell.opcode is Opcode.FORK]
    assert len(forks) == len(root.findall(".//s:circle", NAMESPACE)) > 0


def _into_cell(channel: int) -> bool:
    return any(channel in c.inputs and c.opcode is not Opcode.FORK for c in PRODUCT.netlist.cells)


@pytest.mark.parametrize("whole", [True, False])
def test_nothing_leaves_the_frame_and_ways_turn_at_switches_only(whole: bool) -> None:
    root = _drawn(PRODUCT, whole=whole)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    ways = [
        p.attrib["d"] for p in root.iterfind(".//s:path[@class='way']", NAMESPACE) if "L" in p.attrib["d"]
    ]
    assert ways
    for way in ways:
        for x, y in re.findall(r"([\d.]+) ([\d.]+)", way):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_links_are_drawn_apart() -> None:
    """Two channels never share a stretch: each link has its own place between two switches."""
    root = _drawn(PRODUCT)
    seen: set[tuple[str, ...]] = set()
    for path in root.iterfind(".//s:path[@class='way']", NAMESPACE):
        points = re.findall(r"[\d.]+ [\d.]+", path.attrib["d"])[1:-1]
        for pair in zip(points[::2], points[1::2], strict=False):
            assert pair not in seen
            seen.add(pair)
    assert seen


def test_the_part_in_use_is_smaller_than_the_whole() -> None:
    part, all_ = _drawn(PRODUCT), _drawn(PRODUCT, whole=True)
    tiles = [len(root.findall(".//s:rect[@rx='3']", NAMESPACE)) for root in (part, all_)]
    assert tiles[0] < tiles[1] == 512
    assert re.search(r"onyx-like: rows \d+ to \d+ of 16, columns", part.attrib["aria-label"])
    assert all_.attrib["aria-label"] == "onyx-like"


def test_copies_are_named_and_kinds_have_their_colours() -> None:
    two = place_and_route(product(), ONYX, 2)
    root = _drawn(two)
    assert root.attrib["aria-label"].startswith("onyx-like, 2 copies")
    strokes = {p.attrib["stroke"] for p in root.iterfind(".//s:path[@class='way']", NAMESPACE)}
    assert strokes == {COLOURS[channel.kind] for channel in two.netlist.channels}


def test_names_of_the_user_do_no_harm() -> None:
    cells = product().cells
    odd = Netlist(
        tuple(type(c)(c.opcode, c.params, c.inputs, c.outputs, f"<b>&{c.name}") for c in cells),
        product().channels,
        product().segments,
    )
    root = _drawn(place_and_route(odd, ONYX))
    assert "<b>&" in "".join(root.itertext())


def test_a_netlist_of_nothing_is_an_empty_fabric() -> None:
    empty = place_and_route(Netlist((), (), ()), SMALL)
    assert len(_drawn(empty).findall(".//s:rect[@rx='3']", NAMESPACE)) == 32
