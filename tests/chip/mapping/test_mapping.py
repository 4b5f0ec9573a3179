"""From netlists to mappings: legal by a checker of its own, the same connections, and shorter than chance."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chip.mapping.netlists import drawn, hops, meaning, product, wired

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.fabric.read import load
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.mapping.legal import verify
from aerogel.chip.mapping.mapping import Mapping, Route, Tile
from aerogel.chip.mapping.nets import nets_of, routed
from aerogel.chip.mapping.place import place
from aerogel.chip.mapping.place_and_route import place_and_route
from aerogel.chip.mapping.region import needs, on_memory, whole
from aerogel.chip.mapping.route import Congestion, route
from aerogel.core.errors import ChipError

ONYX, SMALL = load("onyx-like"), load("onyx-small")


@given(st.integers(2, 20), st.integers(0, 1000), st.sampled_from([0.0, 0.4, 0.9]))
@settings(max_examples=20, deadline=None)
def test_a_mapping_is_legal_and_connects_what_the_netlist_does(count: int, seed: int, fan: float) -> None:
    netlist = drawn(count, seed, fan=fan)
    mapping = verify(place_and_route(netlist, ONYX))
    assert meaning(mapping.netlist) == meaning(netlist)
    assert (mapping.netlist.segments, mapping.netlist.values) == (netlist.segments, netlist.values)


def test_the_same_netlist_gives_the_same_mapping() -> None:
    netlist = drawn(15, 4)
    assert place_and_route(netlist, ONYX) == place_and_route(netlist, ONYX)


def test_a_mapping_of_a_mapping_is_itself() -> None:
    once = place_and_route(product(), ONYX)
    again = place_and_route(once.netlist, ONYX)
    assert meaning(again.netlist) == meaning(once.netlist)
    assert again.tiles[:13] == once.tiles[:13]


def test_latency_and_room_are_those_of_the_way() -> None:
    deep = replace(ONYX, fifo_depth=3)
    mapping = place_and_route(product(), deep)
    for channel, way in zip(mapping.netlist.channels, mapping.routes, strict=True):
        assert channel.hops == len(way.tiles) - 1
        assert channel.latency == max(1, channel.hops)
        assert channel.capacity == 3 * channel.latency


def test_a_queue_of_an_input_is_a_tiles_and_no_forks() -> None:
    mapping = place_and_route(product(), replace(ONYX, input_queue=5))
    forks = {at for cell in mapping.netlist.cells if cell.opcode is Opcode.FORK for at in cell.inputs}
    assert forks
    for at, channel in enumerate(mapping.netlist.channels):
        assert channel.capacity == 2 * channel.latency + (0 if at in forks else 5)


def test_annealing_more_than_halves_the_wires_of_placement_by_chance() -> None:
    netlist = drawn(30, 2)
    nets = nets_of(netlist)
    chance = random.Random(1)
    region = whole(ONYX)
    spots = [Tile(r, c) for r in range(ONYX.rows) for c in range(ONYX.columns)]
    chance.shuffle(spots)
    by_kind = {kind: [t for t in spots if ONYX.is_memory(t.column) is kind] for kind in (True, False)}
    tiles = [by_kind[on_memory(cell)].pop() for cell in nets.cells]
    ways = route(nets, tiles, region)
    assert not isinstance(ways, Congestion)
    by_chance = verify(routed(nets, ONYX, tiles, ways))
    assert hops(place_and_route(netlist, ONYX)) < 0.5 * hops(by_chance)


def test_neighbours_stand_side_by_side_where_there_is_nothing_else() -> None:
    chain: list[tuple[Opcode, tuple[int, ...], list[tuple[int, int]], int]] = [(Opcode.ROOT, (), [], 1)]
    chain += [(Opcode.LOCATE, (8,), [(at, 0), (at, 1 if at else 0)], 2) for at in range(5)]
    nets = nets_of(wired(chain))
    tiles = place(nets, whole(SMALL))
    # No more than one of them has the column of memories between itself and the next.
    apart = [abs(here.row - there.row) + abs(here.column - there.column) for here, there in pairwise(tiles)]
    assert sum(apart) <= len(apart) + 1


def test_a_fork_is_where_ways_part_and_shares_the_wires_before() -> None:
    """A source in the corner and two readers far away, beside each other: one way nearly all along."""
    netlist = wired([(Opcode.ROOT, (), [], 1), *[(Opcode.SCAN_DENSE, (4,), [(0, 0)], 2)] * 2])
    nets = nets_of(netlist)
    tiles = [Tile(0, 0), Tile(0, 8), Tile(0, 9)]
    ways = route(nets, tiles, whole(ONYX))
    assert not isinstance(ways, Congestion)
    mapping = verify(routed(nets, ONYX, tiles, ways))
    assert hops(mapping) == 9
    (fork,) = (
        t for c, t in zip(mapping.netlist.cells, mapping.tiles, strict=True) if c.opcode is Opcode.FORK
    )
    assert fork == Tile(0, 8)


def test_a_fork_beside_its_source_may_take_two_tracks() -> None:
    netlist = wired([(Opcode.ROOT, (), [], 1), *[(Opcode.SCAN_DENSE, (4,), [(0, 0)], 2)] * 2])
    nets = nets_of(netlist)
    tiles = [Tile(1, 1), Tile(1, 2), Tile(1, 0)]
    ways = [(Route((Tile(1, 1), Tile(1, 2)), 4), Route((Tile(1, 1), Tile(1, 0)), 2))]
    mapping = verify(routed(nets, ONYX, tiles, ways))
    assert mapping.tiles[3] == Tile(1, 1)
    assert [c.hops for c in mapping.netlist.channels] == [0, 1, 1]
    assert [c.latency for c in mapping.netlist.channels] == [1, 1, 1]


def test_one_track_is_enough_for_a_chain_and_not_for_a_crowd() -> None:
    thin = replace(SMALL, tracks=1)
    chain: list[tuple[Opcode, tuple[int, ...], list[tuple[int, int]], int]] = [(Opcode.ROOT, (), [], 1)]
    chain += [(Opcode.ARRAY if at % 3 else Opcode.ALU_FUNCTION, (0,), [(at, 0)], 1) for at in range(11)]
    verify(place_and_route(wired(chain), thin))
    with pytest.raises(ChipError, match=r"wires find no way on onyx-small, tracks = 1: .* around tiles"):
        place_and_route(_crowd(), thin)


def _crowd() -> Netlist:
    """23 intersecters, each fed by four others, whichever."""
    chance = random.Random(0)
    cells: list[tuple[Opcode, tuple[int, ...], list[tuple[int, int]], int]] = [(Opcode.ROOT, (), [], 1)]
    cells += [
        (Opcode.INTERSECT, (1, 1), [(chance.randrange(at), 0) for _ in range(4)], 3) for at in range(1, 24)
    ]
    return wired(cells)


# --- what does not fit -----------------------------------------------------------------------------


def test_what_does_not_fit_says_what_is_short_and_who_takes_it() -> None:
    scans = wired([(Opcode.ROOT, (), [], 1), *[(Opcode.SCAN_COMPRESSED, (0, 1), [(0, 0)], 2)] * 9])
    with pytest.raises(
        ChipError, match="needs 9 memory tiles, onyx-small has 8: 9 SCAN_COMPRESSED; split the expression"
    ):
        place_and_route(scans, SMALL)
    alus = wired([(Opcode.ROOT, (), [], 1), *[(Opcode.ALU, (2,), [(0, 0), (0, 0)], 1)] * 24])
    with pytest.raises(
        ChipError, match="needs 25 processing tiles, onyx-small has 24: 24 ALU, 1 ROOT; split the"
    ):
        place_and_route(alus, SMALL)


# --- several copies --------------------------------------------------------------------------------


def test_copies_stand_side_by_side_with_segments_of_their_own() -> None:
    one, four = place_and_route(product(), ONYX), verify(place_and_route(product(), ONYX, 4))
    assert four.copies == 4
    assert len(four.tiles) % 4 == len(four.routes) % 4 == 0
    size, wires = len(four.tiles) // 4, len(four.routes) // 4
    for copy in range(4):
        cells = four.netlist.cells[copy * size : (copy + 1) * size]
        for cell, first in zip(cells, four.netlist.cells, strict=False):
            assert cell.name == first.name.replace("#0", f"#{copy}")
            assert [c - copy * wires for c in cell.inputs] == list(first.inputs)
    read = {c.params[0] for c in four.netlist.cells if c.opcode is Opcode.SCAN_COMPRESSED}
    assert read == {0, 3, 6, 9}
    assert [s.name for s in four.netlist.segments[:4]] == ["A.pos#0", "A.crd#0", "A.vals#0", "A.pos#1"]
    assert meaning(one.netlist)[1] == meaning(Netlist(*_first_of(four)))[1]


def _first_of(mapping: Mapping) -> tuple[object, ...]:
    netlist, n = mapping.netlist, mapping.copies
    return (
        netlist.cells[: len(netlist.cells) // n],
        netlist.channels[: len(netlist.channels) // n],
        netlist.segments[: len(netlist.segments) // n],
    )


def test_as_many_as_fit_are_more_than_any_number_asked_too_high() -> None:
    most = verify(place_and_route(product(), ONYX, None))
    need = needs(nets_of(product()).cells)
    bound = min(ONYX.memory_tiles // need.memory, ONYX.processing_tiles // need.processing)
    assert bound * 0.7 <= most.copies <= bound
    with pytest.raises(ChipError, match=r"needs \d+ memory tiles, onyx-like has 128: 1000 copies of"):
        place_and_route(product(), ONYX, 1000)
    assert place_and_route(product(), ONYX, None, most=5).copies == 5
    assert place_and_route(product(), ONYX, None, most=1000) == most
    with pytest.raises(ChipError, match="0 copies are none"):
        place_and_route(product(), ONYX, 0)


def test_copies_stop_where_segments_have_no_numbers_left() -> None:
    netlist = product()
    many = replace(netlist, segments=netlist.segments + netlist.segments[:1] * 61)
    assert place_and_route(many, ONYX, None).copies == 4
    with pytest.raises(ChipError, match="5 copies of 64 segments are 320: 256 have numbers"):
        place_and_route(many, ONYX, 5)


def test_copies_that_have_tiles_but_no_room_side_by_side() -> None:
    """Ten memories, in two columns, for three times three: no shape with three stands there three times."""
    odd = Fabric("odd", rows=5, columns=8)
    netlist = wired([(Opcode.ROOT, (), [], 1), *[(Opcode.ARRAY, (2,), [(0, 0)], 1)] * 3])
    assert needs(nets_of(netlist).cells).memory * 3 < odd.memory_tiles
    with pytest.raises(ChipError, match="3 copies do not fit odd side by side, though it has the tiles"):
        place_and_route(netlist, odd, 3)
    assert place_and_route(netlist, odd, None).copies == 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [40, 120, 300])
def test_large_netlists(count: int) -> None:
    netlist = drawn(count, count)
    fabric = ONYX if count < 300 else load("onyx-large")
    mapping = verify(place_and_route(netlist, fabric))
    assert meaning(mapping.netlist) == meaning(netlist)
    verify(place_and_route(netlist, fabric, None))
