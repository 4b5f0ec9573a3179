"""Fibers that come by, made to fit coordinates that met others, on the slow machine. See ``step_cells``."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.graph.streams import DONE, Done, Empty, Stop, Token
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.step_state import HALT, Act, Faulty, State, is_payload


def _sift(cell: State) -> Act:
    """``phase``: ``passing`` or ``dropping`` within a fiber, whose coordinate is taken. ``mark``: of a fiber
    that went out, its stop's inner level and 1, kept back until it is known whether another follows.
    ``end``: the fiber ended with the stop that still waits in the last input: those around it end too."""
    if cell.phase != "idle":
        return _sift_fiber(cell)
    marks = cell.heads(*range(len(cell.cell.inputs) - 1))
    own = marks[0]
    if isinstance(own, Stop | Done):
        if any(mark != own for mark in marks):
            raise Faulty(Fault.MISALIGNED)
        return _sift_end(cell, own)
    if any(isinstance(mark, Stop | Done) for mark in marks) or (cell.end and is_payload(own)):
        raise Faulty(Fault.MISALIGNED)
    levels, union = cell.params[0], cell.cell.opcode is Opcode.SIFT_UNION
    passing, take = not any(isinstance(mark, Empty) for mark in marks), tuple(range(len(marks)))
    phase = "passing" if passing else "dropping" if is_payload(own) else "idle"
    if not (passing or union):
        return Act(take=take, state={"phase": phase})
    give: dict[int, Token] = {0: Stop(levels - 1, cell.mark - 1)} if cell.mark else {}
    return Act(take=take, give=give, state={"phase": phase, "mark": 0 if passing else levels})


def _sift_fiber(cell: State) -> Act:
    last, levels = len(cell.cell.inputs) - 1, cell.params[0]
    passing = cell.phase == "passing"
    (token,) = cell.heads(last)
    if not isinstance(token, Stop):
        if isinstance(token, Done):
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(last,), give={0: token} if passing else {})
    if token.inner >= levels:
        raise Faulty(Fault.MISALIGNED)
    if token.level < levels - 1:
        return Act(take=(last,), give={0: token} if passing else {})
    ends = token.level >= levels
    state = {"phase": "idle", "end": int(ends)} | ({"mark": token.inner + 1} if passing else {})
    return Act(take=() if ends else (last,), state=state)


def _sift_end(cell: State, own: Stop | Done) -> Act:
    """The coordinates' fiber ends: so must the fibers'."""
    last, levels = len(cell.cell.inputs) - 1, cell.params[0]
    everything = tuple(range(last + 1))
    (token,) = cell.heads(last)
    if isinstance(own, Done):
        if token is not DONE:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=everything, give={0: DONE}, state=HALT)
    level, inner = own.level + levels, own.inner + levels
    fits = isinstance(token, Stop) and token.level == level
    fits = fits and (own.inner == 0 if cell.end else token == Stop(level, inner))
    if not fits or (own.inner and cell.mark):
        raise Faulty(Fault.MISALIGNED)
    stop = Stop(level, cell.mark - 1 if cell.mark else inner)
    return Act(take=everything, give={0: stop}, state={"mark": 0, "end": 0})


SIFTS: dict[Opcode, Callable[[State], Act]] = {
    Opcode.SIFT_INTERSECT: _sift,
    Opcode.SIFT_UNION: _sift,
}
