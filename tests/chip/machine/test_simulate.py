"""The simulator against the slow machine, cycle for cycle, and both against the interpreter, token for
token."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chip.machine.sameness import assert_as_interpreted, both

import aerogel as ag
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.blocks import Array, Parallelize, Root, Scan, Serialize, WriteLevel, WriteValues
from aerogel.chip.graph.build import Options, build
from aerogel.chip.graph.streams import Kind
from aerogel.chip.graph.wiring import Wiring
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.simulate import simulate
from aerogel.core.errors import ChipError

ROOMY = Fabric("roomy", values="f64")
NARROW = Fabric("narrow", values="f64", memory_words=128, line_words=4, links=2, buffer_latency=5)
"""Where few arrays fit a tile, and lines are slow to come."""
EXTENTS = {"i": 4, "j": 5, "k": 6, "l": 3}
FORMATS = {0: "dense", 1: "sv", 2: "dcsr", 3: "csf"}
PRODUCT = "X(i,j) = A(i,k) * B(k,j)"
CASES: dict[str, tuple[str, tuple[str, ...], Options, Fabric]] = {
    "spmv": ("x(i) = A(i,j) * b(j)", ("i", "j"), Options(), ROOMY),
    "gustavson": (PRODUCT, ("i", "k", "j"), Options(), NARROW),
    "outer product": (PRODUCT, ("k", "i", "j"), Options(), ROOMY),
    "skips": (PRODUCT, ("i", "j", "k"), Options(skips=True), NARROW),
    "bits": (PRODUCT, ("i", "j", "k"), Options(bits=True), NARROW),
    "lanes": (PRODUCT, ("i", "k", "j"), Options(lanes=3), ROOMY),
    "sum of three": ("X(i,j) = A(i,j) + B(i,j) + C(i,j)", ("i", "j"), Options(), ROOMY),
    "union of bits": ("X(i,j) = A(i,j) + B(i,j)", ("i", "j"), Options(bits=True), ROOMY),
    "sampled": ("X(i,j) = D(i,j) * A(i,k) * B(j,k)", ("i", "j", "k"), Options(), ROOMY),
    "tensor": ("X(i,l) = T(i,j,k) * C(j,l) * D(k,l)", ("i", "j", "k", "l"), Options(), ROOMY),
    "three dimensions": ("X(i,j,l) = T(i,j,k) * C(k,l)", ("k", "l", "i", "j"), Options(), ROOMY),
    "united fibers": ("X(i,j) = A(i,k) * B(k,j) + C(i,j)", ("k", "i", "j"), Options(), NARROW),
    "intersected fibers": ("X(i,j) = C(i,j) * relu(A(i,k) * B(k,j))", ("k", "j", "i"), Options(), ROOMY),
    "fibers of fibers": (
        "X(i,j,l) = T(i,j,l) * relu(A(i,k) * B(k,j) * C(k,l))",
        ("k", "i", "j", "l"),
        Options(),
        ROOMY,
    ),
    "quotient": ("x(i) = sum(j, A(i,j) * b(j)) / c(i) - relu(c(i))", ("i", "j"), Options(), ROOMY),
    "paired": ("X(i,j) = pair(A(i,k) * B(k,j), C(i,j)) + (C(i,j) > 2)", ("i", "j", "k"), Options(), ROOMY),
    "scalar": ("a = A(i,j) * B(i,j)", ("i", "j"), Options(), ROOMY),
}


def operands(text: str, seed: int, density: float) -> dict[str, Any]:
    """A tensor of small whole numbers for every operand named in ``text``."""
    chance = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for name, indices in re.findall(r"(\w)\(([a-z,]+)\)", text.split("=")[1]):
        shape = tuple(EXTENTS[index] for index in indices.split(","))
        dense = chance.integers(1, 5, shape) * (chance.random(shape) < density)
        found[name] = ag.tensor(dense.astype(float), format=FORMATS[len(shape)])
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("density", [0.1, 0.5])
def test_runs_as_interpreted(name: str, density: float) -> None:
    text, order, options, fabric = CASES[name]
    tensors = operands(text, 3, density)
    assert_as_interpreted(build(text, tensors, order, options=options), tensors, fabric)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_runs_as_interpreted_whatever_the_operands(name: str) -> None:
    text, order, options, _ = CASES[name]
    for seed, density, fabric in product(range(4), (0.0, 0.3, 1.0), (ROOMY, NARROW)):
        tensors = operands(text, seed, density)
        assert_as_interpreted(build(text, tensors, order, options=options), tensors, fabric)


@settings(max_examples=12, deadline=None)
@given(
    rows=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=9),
    ways=st.integers(1, 4),
    level=st.integers(0, 1),
)
def test_what_is_dealt_to_lanes_comes_back(rows: list[list[bool]], ways: int, level: int) -> None:
    dense = np.array(rows, float) * (1 + np.arange(3 * len(rows)).reshape(-1, 3))
    stored = ag.tensor(dense, format="csr").storage
    wiring = Wiring()
    (root,) = wiring.add(Root(), "root")
    _, ref = wiring.add(Scan("A", 0, "dense", size=len(rows)), "rows", root)
    crd, ref = wiring.add(Scan("A", 1), "columns", ref)
    crds = wiring.add(Parallelize(ways, Kind.COORDINATE, level), "deal_crd", crd)
    refs = wiring.add(Parallelize(ways, Kind.REFERENCE, level), "deal_ref", ref)
    vals = [wiring.add(Array("A"), f"array_{at}", lane)[0] for at, lane in enumerate(refs)]
    (crd,) = wiring.add(Serialize(ways, Kind.COORDINATE, level), "gather_crd", *crds)
    (val,) = wiring.add(Serialize(ways, Kind.VALUE, level), "gather_val", *vals)
    wiring.add(WriteLevel("X", 1), "write_crd", crd)
    wiring.add(WriteValues("X"), "write_val", val)
    # A lane's fiber ends when it is known what follows: the others must have room for theirs meanwhile.
    deep = Fabric("deep", values="f64", fifo_depth=32)
    made = assemble(wiring.graph(), {"A": stored}, deep)
    run = both(made, deep)
    names = [segment.name for segment in made.netlist.segments]
    pos, crds_of = stored.levels[1]
    np.testing.assert_array_equal(run.results[names.index("X.pos1")], pos)
    np.testing.assert_array_equal(run.results[names.index("X.crd1")], crds_of)
    np.testing.assert_array_equal(run.results[names.index("X.vals")], stored.values)


def test_queues_of_one_token_are_slower_and_no_less_right() -> None:
    text = CASES["sum of three"][0]
    tensors = operands(text, 1, 0.6)
    plan = build(text, tensors, ("i", "j"))
    deep = assert_as_interpreted(plan, tensors, ROOMY)
    shallow = assert_as_interpreted(plan, tensors, Fabric("one", values="f64", fifo_depth=1))
    assert shallow.array_cycles > 1.3 * deep.array_cycles


def test_counts_say_what_was_done() -> None:
    text = "x(i) = A(i,j) * b(j)"
    tensors = operands(text, 2, 1.0)
    run = assert_as_interpreted(build(text, tensors, ("i", "j")), tensors, ROOMY)
    products = EXTENTS["i"] * EXTENTS["j"]
    assert run.counts.operations == {"mul": products, "add": products}
    assert sum(run.counts.tokens.values()) == sum(channel.tokens for channel in run.channels)
    assert run.counts.tokens == run.counts.hops
    assert run.counts.cycles == run.cycles
    for use in run.cells:
        assert use.busy + use.waiting_input + use.waiting_output + use.waiting_memory <= run.array_cycles


def test_a_limit_and_a_trace_of_some_cycles() -> None:
    tensors = operands(PRODUCT, 4, 0.5)
    made = assemble(build(PRODUCT, tensors).graph, build(PRODUCT, tensors).stored(tensors), ROOMY)
    with pytest.raises(ChipError, match="not done after 20 cycles"):
        simulate(made.netlist, made.arrays, ROOMY, limit=20)
    whole = simulate(made.netlist, made.arrays, ROOMY, trace=(0, 10**9)).events
    some = simulate(made.netlist, made.arrays, ROOMY, trace=(10, 20)).events
    assert some == tuple(event for event in whole if 10 <= event.cycle < 20)
