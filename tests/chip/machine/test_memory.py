"""What a memory tile holds whole, and what windows on the global buffer cost, cycle by cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.chip.machine.netlists import Arrays, vector
from tests.chip.machine.sameness import ALWAYS, assert_same_run

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.memory import vector_capacity
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.machine.step import step
from aerogel.core.errors import ChipError

LARGE = Fabric("large", memory_words=4096, line_words=16, links=16, buffer_latency=8)
SMALL = replace(LARGE, name="small", memory_words=256)
COUNT = 640


def copied(fabric: Fabric, crd: np.ndarray | None = None) -> Run:
    """A vector of ``COUNT`` values, copied; both machines."""
    places = np.arange(COUNT) if crd is None else crd
    netlist, arrays = vector([0, COUNT], places.tolist(), [1.0] * COUNT, room=COUNT + 2)
    return run_both(netlist, arrays, fabric)


def run_both(netlist: Netlist, arrays: Arrays, fabric: Fabric) -> Run:
    fast = simulate(netlist, arrays, fabric, trace=ALWAYS)
    assert_same_run(fast, step(netlist, arrays, fabric, trace=ALWAYS))
    return fast


@pytest.fixture(scope="module")
def whole() -> Run:
    return copied(LARGE)


@pytest.fixture(scope="module")
def through_windows() -> Run:
    return copied(SMALL)


def test_arrays_that_fit_are_loaded_first_and_stored_last(whole: Run) -> None:
    # pos, crd and vals: 2 + 640 and 640 words on two tiles, 16 a cycle together, one a cycle each.
    assert whole.fill_cycles == 8 + COUNT + 2
    assert whole.drain_cycles == 8 + COUNT + 2
    assert whole.counts.buffer_reads == 2 * COUNT + 2
    assert whole.counts.buffer_writes == 2 * COUNT + 2
    assert all(use.waiting_memory == 0 for use in whole.cells)


def test_a_link_that_all_share_takes_longer(whole: Run) -> None:
    narrow = copied(replace(LARGE, links=1))
    assert narrow.fill_cycles == 8 + 2 * COUNT + 2
    assert narrow.array_cycles == whole.array_cycles


def test_a_window_keeps_up_with_a_walk(whole: Run, through_windows: Run) -> None:
    """Lines are asked for ahead: a walk waits at its begin, where the first two lines come one after the
    other."""
    assert through_windows.fill_cycles == 0
    assert through_windows.counts.buffer_reads >= 2 * COUNT
    assert whole.array_cycles < through_windows.array_cycles < whole.array_cycles + 60
    np.testing.assert_array_equal(through_windows.results[4], np.arange(COUNT))


def test_every_word_of_a_result_is_stored(through_windows: Run) -> None:
    assert through_windows.counts.buffer_writes == 2 * COUNT + 2


def test_a_slower_buffer_costs_misses_and_nothing_else(through_windows: Run) -> None:
    slow = copied(replace(SMALL, buffer_latency=80))
    assert slow.counts.buffer_reads == through_windows.counts.buffer_reads
    assert slow.array_cycles > through_windows.array_cycles + 72


def test_one_link_for_all_halves_the_pace(through_windows: Run) -> None:
    narrow = copied(replace(SMALL, links=1))
    assert narrow.array_cycles > 1.8 * through_windows.array_cycles


def test_lines_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ChipError, match="scan needs windows on 2 arrays, but 64 words of memory hold 2 lines"
    ):
        copied(replace(SMALL, memory_words=64))


def test_a_word_in_use_has_one_more_bit() -> None:
    assert vector_capacity(LARGE) == 4096 * 8 // 9
