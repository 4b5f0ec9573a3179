"""Rows on the slow machine: the matrix reducer, levels joined and split. See ``step_cells``.

A row's coordinate comes in input 0, and is taken as the first of its fiber, in the other inputs, is.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.graph.streams import DONE, Done, Stop, Token
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.step_state import (
    HALT,
    Act,
    Faulty,
    State,
    below,
    deeper,
    is_payload,
    shallower,
    whole,
)
from aerogel.chip.machine.step_values import accumulate, next_in_use

MOST_ROWS = 1 << 31
"""More than words of any fabric tell apart."""


def _matrix_reduce(cell: State) -> Act:
    """As the vector reducer, with a row (``fiber``) taken from input 0 as the first of its fiber comes.

    As it sends, ``mark`` says whether a row is open, and ``end`` whether any was sent.
    """
    if cell.phase == "flushing":
        return _flush_matrix(cell)
    inner, val = cell.heads(1, 2)
    if isinstance(inner, Stop | Done):
        act = _within_rows(cell, inner, val, cell.params[1])
        if act is not None:
            return act
        assert isinstance(inner, Stop)
        return _matrix_stop(cell, inner)
    if not is_payload(inner) or isinstance(val, Stop | Done):
        raise Faulty(Fault.MISALIGNED)
    taking = cell.phase == "idle"
    row = _row_of(cell, cell.params[1]) if taking else cell.fiber
    column = whole(inner)
    if not 0 <= column < cell.params[2]:
        raise Faulty(Fault.COORDINATE, column)
    take = (0, 1, 2) if taking else (1, 2)
    act = accumulate(cell, row * cell.params[2] + column, val, take)
    return Act(act.take, {}, {"phase": "row", "fiber": row}, act.reads, act.writes, act.operations, act.then)


def _row_of(cell: State, rows: int) -> int:
    """The coordinate in input 0, of a row below ``rows``."""
    (outer,) = cell.heads(0)
    if not is_payload(outer):
        raise Faulty(Fault.MISALIGNED)
    row = whole(outer)
    if not 0 <= row < rows:
        raise Faulty(Fault.COORDINATE, row)
    return row


def _within_rows(cell: State, inner: Stop | Done, val: Token, rows: int) -> Act | None:
    """What becomes of a stop of a row that is not the last, which sends nothing, and of done; None at the
    end of the rows, whose stop in input 0 fits."""
    if inner != val:
        raise Faulty(Fault.MISALIGNED)
    open_ = cell.phase == "row"
    if isinstance(inner, Stop) and inner.inner == 0 and not open_:
        _row_of(cell, rows)
        if inner.level == 0:
            return Act(take=(0, 1, 2))
        return Act(take=(0,), state={"phase": "row"})
    if isinstance(inner, Stop) and inner.level == 0:
        return Act(take=(1, 2), state={"phase": "idle"})
    (outer,) = cell.heads(0)
    if isinstance(inner, Done):
        if outer is not DONE:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0, 1, 2), give=cell.everywhere(DONE), state=HALT)
    if outer != shallower(inner) or (inner.inner and open_):
        raise Faulty(Fault.MISALIGNED)
    return None


def _matrix_stop(cell: State, stop: Stop) -> Act:
    if stop.level == 1:
        return Act(take=(0, 1, 2), state={"phase": "idle"})
    if stop.inner > 2:
        return Act(take=(0, 1, 2), give=_ended(stop, stop.inner - 1), state={"phase": "idle"})
    first = min(cell.store) if cell.store else 0
    return Act(state={"phase": "flushing", "at": first, "mark": 0, "end": 0})


def _ended(stop: Stop, inner: int) -> dict[int, Token]:
    below = Stop(stop.level - 1, inner)
    return {0: shallower(below), 1: below, 2: below}


def _flush_matrix(cell: State) -> Act:
    _, stop, _ = cell.heads(0, 1, 2)
    assert isinstance(stop, Stop)
    if not cell.store:
        give = _ended(stop, 0 if cell.end else 1)
        return Act(take=(0, 1, 2), give=give, state={"phase": "idle"})
    columns = cell.params[2]
    found, place = next_in_use(cell, cell.params[1] * columns)
    if not found:
        return Act(state={"at": place})
    row = place // columns
    same = bool(cell.mark) and row == cell.fiber
    if cell.mark and not same:
        return Act(give={1: Stop(0), 2: Stop(0)}, state={"at": place, "mark": 0})

    def clear() -> None:
        del cell.store[place]

    give = {} if same else {0: row}
    give |= {1: place - row * columns, 2: cell.store[place]}
    state = {"at": place + 1, "mark": 1, "fiber": row, "end": 1}
    return Act(give=give, state=state, reads=1, writes=1, then=clear)


# --- levels as one, and two again ------------------------------------------------------------------------


def _join(cell: State) -> Act:
    """Rows read as the matrix reducer reads them; out goes ``row * size + inner``."""
    inner, val = cell.heads(1, 2)
    if isinstance(inner, Stop | Done):
        act = _within_rows(cell, inner, val, MOST_ROWS)
        if act is not None:
            return act
        assert isinstance(inner, Stop)
        return Act(take=(0, 1, 2), give=cell.everywhere(shallower(inner)), state={"phase": "idle"})
    if not is_payload(inner) or isinstance(val, Stop | Done):
        raise Faulty(Fault.MISALIGNED)
    taking, size = cell.phase == "idle", cell.params[0]
    row, column = _row_of(cell, MOST_ROWS) if taking else cell.fiber, whole(inner)
    if not 0 <= column < size:
        raise Faulty(Fault.COORDINATE, column)
    give: dict[int, Token] = {0: row * size + column, 1: val}
    return Act(take=(0, 1, 2) if taking else (1, 2), give=give, state={"phase": "row", "fiber": row})


def _split(cell: State) -> Act:
    """``mark``: a row is open; ``fiber``: which. Its stop goes out before the first of the next."""
    crd, val = cell.heads(0, 1)
    if isinstance(crd, Stop | Done):
        if crd != val:
            raise Faulty(Fault.MISALIGNED)
        if isinstance(crd, Done):
            return Act(take=(0, 1), give=cell.everywhere(DONE), state=HALT)
        if crd.inner and cell.mark:
            raise Faulty(Fault.MISALIGNED)
        stop = Stop(below(crd)) if cell.mark else deeper(crd)
        return Act(take=(0, 1), give={0: crd, 1: stop, 2: stop}, state={"mark": 0})
    if not is_payload(crd) or isinstance(val, Stop | Done):
        raise Faulty(Fault.MISALIGNED)
    row, column = divmod(whole(crd), cell.params[0])
    if not cell.mark:
        return Act(take=(0, 1), give={0: row, 1: column, 2: val}, state={"mark": 1, "fiber": row})
    if row == cell.fiber:
        return Act(take=(0, 1), give={1: column, 2: val})
    return Act(give={1: Stop(0), 2: Stop(0)}, state={"mark": 0})


ROWS: dict[Opcode, Callable[[State], Act]] = {
    Opcode.MATRIX_REDUCE: _matrix_reduce,
    Opcode.JOIN: _join,
    Opcode.SPLIT: _split,
}
