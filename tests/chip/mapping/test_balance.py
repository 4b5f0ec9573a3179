"""Branches that meet again: every demand on time can be met afterwards, and streams no longer stand still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.chip.mapping.netlists import drawn, hops, meaning, wired

import aerogel as ag
from aerogel.chip.fabric.read import load
from aerogel.chip.graph.build import build
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.netlist import Netlist, Opcode
from aerogel.chip.machine.step import step
from aerogel.chip.mapping.balance import balanced
from aerogel.chip.mapping.fit import loose
from aerogel.chip.mapping.legal import verify
from aerogel.chip.mapping.mapping import Mapping
from aerogel.chip.mapping.nets import Ways, nets_of, routed
from aerogel.chip.mapping.place import place
from aerogel.chip.mapping.region import Region, whole
from aerogel.chip.mapping.route import Congestion, route

ONYX = replace(load(), values="f64")


def can_be_met(netlist: Netlist) -> bool:
    """Whether times exist with l <= t(reader) - t(source) <= c - 1: by longest ways between all cells."""
    count = len(netlist.cells)
    longest = np.full((count, count), -np.inf)
    np.fill_diagonal(longest, 0)
    for at, channel in enumerate(netlist.channels):
        source = next(n for n, cell in enumerate(netlist.cells) if at in cell.outputs)
        reader = next(n for n, cell in enumerate(netlist.cells) if at in cell.inputs)
        longest[source, reader] = max(longest[source, reader], channel.latency)
        longest[reader, source] = max(longest[reader, source], 1 - channel.capacity)
    for via in range(count):
        longest = np.maximum(longest, longest[:, via : via + 1] + longest[via : via + 1, :])
    return bool(np.all(np.diagonal(longest) <= 0))


def before_and_after(netlist: Netlist, region: Region) -> tuple[Mapping, Mapping]:
    nets = nets_of(netlist)
    tiles = place(nets, region)
    ways = route(nets, tiles, region)
    assert not isinstance(ways, Congestion)
    given_ways: list[Ways] = ways
    return routed(nets, region.fabric, tiles, ways), verify(balanced(nets, tiles, given_ways, region))


def diamond(length: int) -> Netlist:
    """One stream to an ALU, straight and through a chain of others."""
    cells: list[tuple[Opcode, tuple[int, ...], list[tuple[int, int]], int]] = [(Opcode.ROOT, (), [], 1)]
    cells += [(Opcode.ALU_FUNCTION, (0,), [(at, 0)], 1) for at in range(length)]
    return wired([*cells, (Opcode.ALU, (2,), [(0, 0), (length, 0)], 1)])


@pytest.mark.parametrize("length", [1, 3, 9])
def test_the_short_side_of_a_diamond_is_lengthened(length: int) -> None:
    before, after = before_and_after(diamond(length), whole(ONYX))
    assert can_be_met(after.netlist)
    assert meaning(after.netlist) == meaning(before.netlist)
    assert hops(after) >= hops(before)
    if length > 3:
        assert not can_be_met(before.netlist)


def test_most_demands_are_met_where_links_are_plenty() -> None:
    """Not all: a cycle is given up where its cheapest channel cannot grow: an output's own queue, say."""
    unmet = left = 0
    for seed in range(24):
        before, after = before_and_after(drawn(3 + seed % 10, seed), whole(replace(ONYX, tracks=12)))
        assert meaning(after.netlist) == meaning(before.netlist)
        unmet += not can_be_met(before.netlist)
        left += not can_be_met(after.netlist)
    assert unmet > 12
    assert left <= unmet // 2


def test_what_cannot_be_lengthened_stays_as_it_is() -> None:
    """A region of nothing but its two tiles leaves no way for a detour in more than one place."""
    thin = replace(ONYX, rows=1, columns=24, processing_columns=23, tracks=2)
    before, after = before_and_after(diamond(9), whole(thin))
    assert hops(after) >= hops(before)
    assert meaning(after.netlist) == meaning(before.netlist)


def test_queues_of_one_are_left_alone() -> None:
    before, after = before_and_after(diamond(9), whole(replace(ONYX, fifo_depth=1)))
    assert after == before


def test_an_expression_that_stood_still_nearly_half_the_time() -> None:
    """Rows' coordinates wait for what is computed of the rows: their channel has to hold those of several."""
    chance = np.random.default_rng(0)
    dense = [chance.random((20, 20)) * (chance.random((20, 20)) < 0.08) for _ in range(3)]
    operands = {key: ag.tensor(x, format="dcsr") for key, x in zip("ABC", dense, strict=True)}
    plan = build("D(i,j) = A(i,j) * B(i,j) + C(i,j)", operands)
    made = assemble(plan.graph, plan.stored(operands), ONYX)
    before, after = before_and_after(made.netlist, next(loose(nets_of(made.netlist).cells, ONYX)))
    slow, fast = (step(m.netlist, made.arrays, ONYX, limit=30_000) for m in (before, after))
    assert fast.array_cycles < 0.7 * slow.array_cycles
    for segment, array in slow.results.items():
        np.testing.assert_array_equal(array, fast.results[segment])
