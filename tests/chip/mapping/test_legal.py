"""The checker: each thing that can be wrong with a mapping is found, and named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.chip.mapping.netlists import product, wired

from aerogel.chip.fabric.read import load
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.mapping.legal import verify
from aerogel.chip.mapping.mapping import Mapping, Route, Tile
from aerogel.chip.mapping.nets import nets_of, routed
from aerogel.chip.mapping.place_and_route import place_and_route
from aerogel.core.errors import ChipError

ONYX = load()
GOOD = place_and_route(product(), ONYX)


def _tile(at: int, tile: Tile) -> Mapping:
    return replace(GOOD, tiles=(*GOOD.tiles[:at], tile, *GOOD.tiles[at + 1 :]))


def _route(at: int, tiles: tuple[Tile, ...], track: int) -> Mapping:
    route = Route(tiles, track)
    return replace(GOOD, routes=(*GOOD.routes[:at], route, *GOOD.routes[at + 1 :]))


def _cell(at: int, **changes: object) -> Mapping:
    cells = GOOD.netlist.cells
    cell = replace(cells[at], **changes)  # type: ignore[arg-type]
    return replace(GOOD, netlist=replace(GOOD.netlist, cells=(*cells[:at], cell, *cells[at + 1 :])))


def _number(*opcodes: Opcode) -> int:
    return next(at for at, cell in enumerate(GOOD.netlist.cells) if cell.opcode in opcodes)


def test_the_good_one_is_good() -> None:
    assert verify(GOOD) is GOOD


def test_cells_on_wrong_tiles() -> None:
    scan = _number(Opcode.SCAN_COMPRESSED)
    with pytest.raises(ChipError, match=r"needs a memory tile, but \(0, 0\) is a processing tile"):
        verify(_tile(scan, Tile(0, 0)))
    with pytest.raises(ChipError, match=r"tile \(16, 3\), which onyx-like \(16 x 32\) has not"):
        verify(_tile(scan, Tile(16, 3)))
    roots = [at for at, cell in enumerate(GOOD.netlist.cells) if cell.opcode is Opcode.ROOT]
    with pytest.raises(ChipError, match=r"has both root_0 and root_3"):
        verify(_tile(roots[1], GOOD.tiles[roots[0]]))


def test_a_fork_may_stand_beside_any_cell() -> None:
    fork = _number(Opcode.FORK)
    with pytest.raises(ChipError, match=r"channel \d+ goes from"):
        verify(_tile(fork, GOOD.tiles[0] if GOOD.tiles[fork] != GOOD.tiles[0] else GOOD.tiles[1]))


def test_routes_that_lead_elsewhere_or_leap() -> None:
    at = next(n for n, way in enumerate(GOOD.routes) if way.hops >= 1)
    way = GOOD.routes[at]
    start, end = way.tiles[0], way.tiles[-1]
    with pytest.raises(ChipError, match=f"channel {at} goes from"):
        verify(_route(at, way.tiles[:-1], way.track))
    with pytest.raises(ChipError, match=f"channel {at} goes from"):
        verify(_route(at, (), way.track))
    with pytest.raises(ChipError, match=f"channel {at} leaps"):
        verify(_route(at, (start, Tile(15 - start.row, 31 - start.column), end), way.track))
    with pytest.raises(ChipError, match=f"channel {at} leaps"):
        verify(_route(at, (start, *way.tiles), way.track))
    with pytest.raises(ChipError, match=f"channel {at} is on track 5, but there are 0 to 4"):
        verify(_route(at, way.tiles, 5))


def test_a_detour_has_other_latency() -> None:
    at = next(n for n, way in enumerate(GOOD.routes) if way.hops >= 1)
    way = GOOD.routes[at]
    longer = _route(at, (way.tiles[0], way.tiles[1], way.tiles[0], *way.tiles[1:]), way.track)
    with pytest.raises(ChipError, match=r"not of capacity, latency and hops|share track"):
        verify(longer)


def test_a_link_for_two() -> None:
    ends = [(way.tiles[0], way.tiles[-1]) for way in GOOD.routes]
    two = next(at for at, pair in enumerate(ends) if pair in ends[:at])
    one = ends.index(ends[two])
    doubled = _route(two, GOOD.routes[one].tiles, GOOD.routes[one].track)
    with pytest.raises(ChipError, match=f"channels {one} and {two} share track"):
        verify(doubled)


def test_channels_with_two_ends_or_none() -> None:
    alu = _number(Opcode.ALU)
    a, b = GOOD.netlist.cells[alu].inputs
    with pytest.raises(ChipError, match=f"channel {a} has two readers"):
        verify(_cell(alu, inputs=(a, a)))
    with pytest.raises(ChipError, match="has no source"):
        verify(_cell(alu, outputs=(-1,)))
    with pytest.raises(ChipError, match="has two sources"):
        verify(_cell(alu, outputs=(b,)))
    with pytest.raises(ChipError, match="names channel 99, which there is not"):
        verify(_cell(alu, inputs=(a, 99)))


def test_forks_that_change_track_or_count_wrongly() -> None:
    fork = _number(Opcode.FORK)
    with pytest.raises(ChipError, match="is set to 9 ways, but has 2"):
        verify(_cell(fork, params=(9,)))
    tiles = [Tile(0, 0), Tile(0, 2), Tile(1, 1)]
    ways = (Route((Tile(0, 0), Tile(0, 1), Tile(0, 2)), 1), Route((Tile(0, 0), Tile(0, 1), Tile(1, 1)), 1))
    reader = (Opcode.SCAN_DENSE, (4,), [(0, 0)], 2)
    parted = verify(routed(nets_of(wired([(Opcode.ROOT, (), [], 1), reader, reader])), ONYX, tiles, [ways]))
    outlet = parted.netlist.cells[3].outputs[1]
    assert parted.routes[outlet] == Route((Tile(0, 1), Tile(1, 1)), 1)
    routes = list(parted.routes)
    routes[outlet] = Route((Tile(0, 1), Tile(1, 1)), 2)
    with pytest.raises(ChipError, match=r"at \(0, 1\) changes from track 1 to 2"):
        verify(replace(parted, routes=tuple(routes)))


def test_channels_with_other_timing() -> None:
    channels = list(GOOD.netlist.channels)
    channels[2] = replace(channels[2], latency=channels[2].latency + 1)
    wrong = replace(GOOD, netlist=replace(GOOD.netlist, channels=tuple(channels)))
    with pytest.raises(ChipError, match=r"channel 2 of .* hops is not of capacity, latency and hops"):
        verify(wrong)


def test_places_for_all_cells_and_channels() -> None:
    with pytest.raises(ChipError, match="a mapping of"):
        verify(replace(GOOD, tiles=GOOD.tiles[1:]))
