"""What two runs of one netlist must have in common, and what a run must have in common with the
interpreter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.blocks import outputs
from aerogel.chip.graph.build import Plan
from aerogel.chip.graph.graph import Port
from aerogel.chip.graph.interpret import interpret
from aerogel.chip.graph.streams import Token
from aerogel.chip.machine.assemble import Assembled, assemble
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.machine.step import step
from aerogel.formats.storage import Storage

ALWAYS = (0, 1 << 40)


def assert_same_run(fast: Run, slow: Run) -> None:
    """Cycles, uses, counts, tokens and results; not how often cells were looked at."""
    assert fast.cycles == slow.cycles
    assert fast.cells == slow.cells
    assert fast.channels == slow.channels
    assert fast.counts == slow.counts
    assert [_shown(e) for e in fast.events] == [_shown(e) for e in slow.events]
    assert fast.results.keys() == slow.results.keys()
    for segment, array in fast.results.items():
        np.testing.assert_array_equal(array, slow.results[segment])


def _shown(event: Any) -> Any:
    """With a NaN, which is not itself, as a word."""
    nan = isinstance(event.token, float) and math.isnan(event.token)
    return replace(event, token="NaN") if nan else event


def both(made: Assembled, fabric: Fabric) -> Run:
    """A run in machine code, after it was seen to be that of the slow machine, token for token."""
    slow = step(made.netlist, made.arrays, fabric, limit=200_000, trace=ALWAYS)
    fast = simulate(made.netlist, made.arrays, fabric, limit=200_000, trace=ALWAYS)
    assert_same_run(fast, slow)
    return fast


def assert_as_interpreted(plan: Plan, tensors: Mapping[str, Any], fabric: Fabric) -> Run:
    """Both machines on a graph's netlist, and every stream as the interpreter has it (none with skips
    has)."""
    stored = plan.stored(tensors)
    made = assemble(plan.graph, stored, fabric)
    found = both(made, fabric)
    assert_streams(plan, stored, made, found, fabric)
    return found


def assert_streams(
    plan: Plan, stored: Mapping[str, Storage], made: Assembled, found: Run, fabric: Fabric
) -> None:
    traces = interpret(plan.graph, stored, word_bits=fabric.word_bits)
    seen: dict[int, list[Token]] = {}
    for event in found.events:
        seen.setdefault(event.channel, []).append(event.token)
    for at, cell in enumerate(made.netlist.cells):
        for port, channel in enumerate(cell.outputs):
            stream = traces.streams.get(Port(at, port))
            if channel >= 0 and stream is not None and not plan.options.skips:
                name = outputs(plan.graph.nodes[at].block)[port][0]
                assert seen[channel] == list(stream.tokens()), f"{cell.name}.{name}"
    names = [segment.name for segment in made.netlist.segments]
    for tensor, values in traces.values.items():
        np.testing.assert_array_equal(found.results[names.index(f"{tensor}.vals")], values)
    for (tensor, level), arrays in traces.levels.items():
        for what, array in zip(("pos", "crd"), arrays, strict=True):
            np.testing.assert_array_equal(found.results[names.index(f"{tensor}.{what}{level}")], array)
