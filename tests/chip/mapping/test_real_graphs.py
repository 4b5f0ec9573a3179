"""Graphs of expressions, placed and routed: results are those of the graph, and ways cost little time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.fabric.read import load
from aerogel.chip.graph.build import build
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.step import step
from aerogel.chip.mapping.legal import verify
from aerogel.chip.mapping.place_and_route import place_and_route

FABRIC = replace(load(), values="f64")
CASES = {
    "rows": ("C(i,j) = A(i,k) * B(k,j)", ("i", "k", "j")),
    "inner": ("C(i,j) = A(i,k) * B(k,j)", ("i", "j", "k")),
    "sum": ("C(i,j) = A(i,j) + B(i,j)", None),
}


@pytest.mark.parametrize("name", CASES)
def test_results_are_the_same_and_distance_costs_little(name: str) -> None:
    text, order = CASES[name]
    chance = np.random.default_rng(3)
    dense = [chance.random((9, 9)) * (chance.random((9, 9)) < 0.3) for _ in range(2)]
    operands = {key: ag.tensor(x, format="dcsr") for key, x in zip("AB", dense, strict=True)}
    plan = build(text, operands, order)
    made = assemble(plan.graph, plan.stored(operands), FABRIC)
    mapping = verify(place_and_route(made.netlist, FABRIC))
    ideal = step(made.netlist, made.arrays, FABRIC, limit=20_000)
    mapped = step(mapping.netlist, made.arrays, FABRIC, limit=20_000)
    assert ideal.results.keys() == mapped.results.keys()
    for segment, array in ideal.results.items():
        np.testing.assert_array_equal(array, mapped.results[segment])
    # Long ways hold more tokens, too: they delay the first one, and hold up none after it.
    hops = sum(channel.hops for channel in mapping.netlist.channels)
    assert mapped.array_cycles <= ideal.array_cycles + hops
