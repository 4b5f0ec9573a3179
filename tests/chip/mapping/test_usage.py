"""How much of a fabric is used: counted again from the mapping."""

from __future__ import annotations

from tests.chip.mapping.netlists import hops, product

from aerogel.chip.fabric.read import load
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.mapping.place_and_route import place_and_route
from aerogel.chip.mapping.region import Needs
from aerogel.chip.mapping.usage import usage

SMALL, ONYX = load("onyx-small"), load("onyx-like")


def test_usage_is_what_the_mapping_takes() -> None:
    mapping = place_and_route(product(), ONYX, 2)
    found = usage(mapping)
    assert (found.copies, found.cells, found.tiles) == (2, 26, Needs(14, 12))
    assert found.links == hops(mapping)
    assert found.hops == max(channel.hops for channel in mapping.netlist.channels)
    assert found.all_tiles == Needs(128, 384)
    assert found.lines()[0].startswith(
        "2 copies, 26 cells on 12 of 384 processing tiles and 14 of 128 memory"
    )


def test_links_are_counted_between_neighbours_both_ways() -> None:
    found = usage(place_and_route(product(), SMALL))
    assert found.all_links == 2 * 5 * (4 * 7 + 3 * 8)
    assert found.busiest is not None
    assert found.busiest[1] <= found.ways_out == 20


def test_nothing_uses_nothing() -> None:
    found = usage(place_and_route(Netlist((), (), ()), SMALL))
    assert (found.cells, found.links, found.busiest, len(found.lines())) == (0, 0, None, 2)
