"""What is told of a run: shares and bottleneck, traces for wave viewers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.chip.machine.netlists import vector

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.machine.usage import bottleneck, report
from aerogel.chip.machine.vcd import vcd
from aerogel.core.errors import ChipError

FABRIC = Fabric("t")
NETLIST, ARRAYS = vector([0, 5], [1, 4, 6, 7, 8], [1.0, 2.0, 3.0, -0.5, 8.0])


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate(NETLIST, ARRAYS, FABRIC, trace=(0, 1000))


def test_the_report_has_every_cell_and_names_the_bottleneck(run: Run) -> None:
    text = report(NETLIST, run)
    for cell in NETLIST.cells:
        assert cell.name in text
    assert f"{sum(run.counts.tokens.values())} tokens through {len(NETLIST.channels)} channels" in text
    assert f"{run.cycles} cycles: {run.fill_cycles} to load memories" in text


def test_a_scanner_whose_arrays_do_not_fit_is_the_bottleneck() -> None:
    crd = list(range(0, 4000, 2))
    netlist, arrays = vector([0, len(crd)], crd, [1.0] * len(crd), room=4096)
    fabric = Fabric("far", memory_words=512, line_words=4, buffer_latency=200, links=1)
    run = simulate(netlist, arrays, fabric)
    found = bottleneck(run)
    assert found is not None
    assert found.name in ("scan", "array")
    assert "lines of the global buffer" in found.because


def test_the_busiest_cell_is_the_bottleneck(run: Run) -> None:
    found = bottleneck(run)
    assert found is not None
    assert found.busy == max(use.busy for use in run.cells) / run.array_cycles
    assert run.cells[found.cell].name == found.name


def test_a_trace_has_every_token_at_its_time(run: Run) -> None:
    text = vcd(NETLIST, run, clock_hertz=500e6)
    lines = text.splitlines()
    assert lines[0] == "$timescale 1 ps $end"
    assert sum(line.startswith("$var wire 64") for line in lines) == len(NETLIST.channels)
    assert sum(line.startswith("s") for line in lines) == len(run.events)
    assert sum(line.startswith("b") for line in lines) == len(run.events)
    times = [int(line[1:]) for line in lines if line.startswith("#")]
    assert times == sorted(set(times))
    assert all(time % 2000 == 0 for time in times)
    at = lines.index("#2000")
    # In cycle 1 the scanner opens its fiber and sends nothing; the root sends its end.
    assert lines[at + 1 : at + 3] == ['bz "', "sD #"]


def test_a_run_without_events_has_no_trace(run: Run) -> None:
    with pytest.raises(ChipError, match="has no events"):
        vcd(NETLIST, replace(run, events=()), clock_hertz=1e9)
