"""Runs that cannot go on: deadlocks, wrong netlists, wrong data. Each is a report, the same from both
machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chip.machine.netlists import Arrays, shares, vector
from tests.chip.machine.sameness import ALWAYS, assert_same_run

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Values
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.report import DeadlockError
from aerogel.chip.machine.simulate import simulate
from aerogel.chip.machine.step import step
from aerogel.core.errors import ChipError

FABRIC = Fabric("t", memory_words=64, line_words=4)


def outcome(run: Callable[..., Run], netlist: Netlist, arrays: Arrays, fabric: Fabric) -> Run | str:
    try:
        return run(netlist, arrays, fabric, limit=5000, trace=ALWAYS)
    except ChipError as error:
        return str(error)


def same(netlist: Netlist, arrays: Arrays, fabric: Fabric = FABRIC) -> Run | str:
    """What comes of a netlist, having been seen to be the same from both machines."""
    fast, slow = (outcome(run, netlist, arrays, fabric) for run in (simulate, step))
    if isinstance(fast, Run) and isinstance(slow, Run):
        assert_same_run(fast, slow)
    else:
        assert fast == slow
    return fast


def test_a_deadlock_names_who_waits_for_what() -> None:
    netlist, arrays = shares(9)
    with pytest.raises(DeadlockError) as caught:
        simulate(netlist, arrays, FABRIC)
    assert same(netlist, arrays) == str(caught.value)
    text = str(caught.value)
    assert "fork (FORK) waits for room towards share (channel 4, full: 2 of 2)" in text
    assert "sum (REDUCE) waits for a token from fork (channel 5, empty)" in text
    assert "in a ring: " in text
    names = [netlist.cells[at].name for at in caught.value.ring]
    assert set(names) == {"fork", "share", "repeat", "sum"}
    blocked = {netlist.cells[one.cell].name for one in caught.value.waiting}
    assert blocked == {"scan", "array", "fork", "sum", "repeat", "share", "write"} | {"buffer_crd"}


def test_a_buffer_long_enough_for_the_fiber_is_the_cure() -> None:
    assert "deadlock" in str(same(*shares(9, buffer=2)))
    run = same(*shares(9, buffer=9))
    assert isinstance(run, Run)
    np.testing.assert_array_equal(run.results[1], np.arange(1.0, 10.0) / 45)


def _cell(netlist: Netlist, at: int, **changes: object) -> Netlist:
    cells = list(netlist.cells)
    cells[at] = replace(cells[at], **changes)
    return replace(netlist, cells=tuple(cells))


GOOD, ARRAYS = vector([0, 3], [1, 4, 6], [1.0, 2.0, 3.0])
SHORT = Cell(Opcode.FORK, (3,), (0,), (1, 2), "odd")
WRONG: dict[str, tuple[Netlist, Arrays, str]] = {
    "channel": (_cell(GOOD, 1, inputs=(9,)), ARRAYS, "scan names channel 9, of 4"),
    "reader": (_cell(GOOD, 2, inputs=(1,)), ARRAYS, "channel 1 has 2 readers"),
    "source": (_cell(GOOD, 2, outputs=(-1,)), ARRAYS, "channel 3 has 0 sources"),
    "ports": (_cell(GOOD, 2, inputs=(2, 1)), ARRAYS, "array .ARRAY. has 2 inputs"),
    "parameters": (_cell(GOOD, 2, params=()), ARRAYS, "array .ARRAY. has 0 parameters: it takes 1"),
    "segment": (_cell(GOOD, 2, params=(6,)), ARRAYS, "array: vals is 6, not below 6"),
    "role": (_cell(GOOD, 2, params=(0,)), ARRAYS, "its vals is segment 0 .A.pos0., which holds pos"),
    "result": (_cell(GOOD, 2, params=(5,)), ARRAYS, "array reads segment 5 .X.vals., which is a result"),
    "latency": (
        replace(GOOD, channels=(*GOOD.channels[:3], Channel(GOOD.channels[3].kind, 2, 0))),
        ARRAYS,
        "latency 0",
    ),
    "missing": (GOOD, (None, *ARRAYS[1:]), "segment 0 .A.pos0. is read, but has no array"),
    "number": (GOOD, ARRAYS[:5], "5 arrays for 6 segments"),
    "negative": (GOOD, (np.array([-1, 3]), *ARRAYS[1:]), "segment 0 .A.pos0. has words from -1 to 3"),
    "fractions": (GOOD, (np.array([0.0, 3.0]), *ARRAYS[1:]), "give whole numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_netlist_is_refused_before_it_runs(name: str) -> None:
    netlist, arrays, says = WRONG[name]
    for run in (simulate, step):
        with pytest.raises(ChipError, match=says):
            run(netlist, arrays, FABRIC)


def test_a_workspace_that_does_not_fit_is_refused() -> None:
    cells = (Cell(Opcode.VECTOR_REDUCE, (0, 58), (0, 1), (-1, -1), "reduce"),)
    with pytest.raises(ChipError, match="reduce needs 58 words, but a memory tile of t has 56 for it"):
        simulate(replace(GOOD, cells=cells), ARRAYS, FABRIC)


FAULTS: list[tuple[tuple[Netlist, Arrays], str]] = [
    (vector([0, 5], [1, 4, 6], [1.0, 2.0, 3.0]), "a fiber from 0 on is not within its array"),
    (vector([2, 1], [1, 4, 6], [1.0, 2.0, 3.0]), "a fiber from 2 on is not within its array"),
    (vector([0], [1], [1.0]), "reference 0 is outside its array"),
    (vector([0, 3], [1, 4, 6], [1.0, 2.0]), "array .ARRAY. stops: reference 2 is outside its array"),
    (vector([0, 3], [1, 4, 6], [1.0, 2.0, 3.0], room=2), "more than the 2 words there is room for"),
]


@pytest.mark.parametrize("case", range(len(FAULTS)))
def test_data_that_make_no_sense_are_reported(case: int) -> None:
    made, says = FAULTS[case]
    with pytest.raises(ChipError, match=says):
        simulate(*made, FABRIC)
    assert isinstance(same(*made), str)


@pytest.mark.parametrize(("values", "fits"), [("int16", False), ("f32", True)])
def test_int16_overflow_is_reported(values: Values, fits: bool) -> None:
    netlist, _ = shares(3, buffer=8)
    found = same(replace(netlist, values=values), (np.array([30000.0, 2000.0, 900.0]), None))
    if fits:
        assert isinstance(found, Run)
    else:
        assert "sum (REDUCE) stops: a result is out of range for int16" in str(found)


@settings(max_examples=60, deadline=None)
@given(
    pos=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    crd=st.lists(st.integers(0, 9), max_size=5),
    count=st.integers(0, 5),
    memory=st.sampled_from([16, 64]),
)
def test_whatever_the_arrays_hold_both_machines_say_the_same(
    pos: list[int], crd: list[int], count: int, memory: int
) -> None:
    fabric = replace(FABRIC, memory_words=memory, line_words=2, links=1)
    same(*vector(pos, crd, [1.0] * count, room=4), fabric)
