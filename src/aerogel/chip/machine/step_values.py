"""The opcodes of values and results on the slow machine: arithmetic, reducers, droppers, writers."""

from __future__ import annotations

import struct
from collections.abc import Callable

from aerogel.chip.graph.arithmetic import KEPT, SKIP, absent
from aerogel.chip.graph.streams import DONE, EMPTY, Done, Empty, Stop, Token
from aerogel.chip.machine.arithmetic import FUNCTION, OPERATION, OutOfRangeError, filled, identity, rounded
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.opcodes import FUNCTIONS, OPERATIONS
from aerogel.chip.machine.step_state import (
    HALT,
    Act,
    Faulty,
    State,
    Wait,
    is_payload,
    number,
    shallower,
    whole,
)

# --- values -------------------------------------------------------------------------------------------


def _array(cell: State) -> Act:
    (token,) = cell.heads(0)
    if isinstance(token, Stop | Done):
        return Act(take=(0,), give={0: token}, state=HALT if token is DONE else {})
    if isinstance(token, Empty):
        return Act(take=(0,), give={0: EMPTY})
    reference = whole(token)
    if not 0 <= reference < cell.size(0):
        raise Faulty(Fault.REFERENCE, reference)
    (value,) = cell.read(0, reference)
    return Act(take=(0,), give={0: float(value)}, reads=1)


def _alu(cell: State) -> Act:
    a, b = cell.heads(0, 1)
    if isinstance(a, Stop | Done) or isinstance(b, Stop | Done):
        if a != b:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0, 1), give={0: a}, state=HALT if a is DONE else {})
    if absent(OPERATIONS[cell.params[0]], left=isinstance(a, Empty), right=isinstance(b, Empty)):
        return Act(take=(0, 1), give={0: EMPTY})
    value = _fold(cell, number(a), number(b))
    return Act(take=(0, 1), give={0: value}, operations=1)


def _alu_constant(cell: State) -> Act:
    (a,) = cell.heads(0)
    if isinstance(a, Stop | Done):
        return Act(take=(0,), give={0: a}, state=HALT if a is DONE else {})
    constant, reverse = float_of(cell.params[1]), bool(cell.params[2])
    value = _fold(cell, *((constant, number(a)) if reverse else (number(a), constant)))
    gone = value == 0.0 or absent(OPERATIONS[cell.params[0]], left=not reverse, right=reverse)
    return Act(take=(0,), give={0: EMPTY if isinstance(a, Empty) and gone else value}, operations=1)


def float_of(bits: int) -> float:
    """The float32 that a parameter of 32 bits is."""
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def _alu_function(cell: State) -> Act:
    (a,) = cell.heads(0)
    if isinstance(a, Stop | Done):
        return Act(take=(0,), give={0: a}, state=HALT if a is DONE else {})
    if isinstance(a, Empty) and FUNCTIONS[cell.params[0]] in KEPT:
        return Act(take=(0,), give={0: EMPTY})
    value = _rounded(cell, FUNCTION[FUNCTIONS[cell.params[0]]](number(a)))
    return Act(take=(0,), give={0: value}, operations=1)


def _fill(cell: State) -> Act:
    (a,) = cell.heads(0)
    value = filled(float_of(cell.params[0]), cell.values) if isinstance(a, Empty) else a
    return Act(take=(0,), give={0: value}, state=HALT if a is DONE else {})


def _reduce(cell: State) -> Act:
    """The sum of a fiber goes out at its stop; the stop itself, one level less, a cycle later."""
    (token,) = cell.heads(0)
    if isinstance(token, Done):
        return Act(take=(0,), give={0: DONE}, state=HALT)
    start, sparse = identity(OPERATIONS[cell.params[0]], cell.values), bool(cell.params[1])
    if sparse and isinstance(token, Empty):
        return Act(take=(0,))
    if not isinstance(token, Stop):
        total = start if cell.total is None else cell.total
        return Act(take=(0,), state={"total": _fold(cell, total, number(token))}, operations=1)
    if token.inner or cell.phase == "closing":
        if token.level == 0:
            raise Faulty(Fault.DEPTH)
        return Act(take=(0,), give={0: shallower(token)}, state={"phase": "idle"})
    nothing: Token = EMPTY if sparse else start
    last = token.level == 0
    state = {"total": None, "phase": "idle" if last else "closing"}
    given = nothing if cell.total is None else cell.total
    return Act(take=(0,) if last else (), give={0: given}, state=state)


OCCUPANCY_BITS = 64
"""Coordinates whose occupancy a reducer sees at once as it looks for the next one in use."""


def _vector_reduce(cell: State) -> Act:
    """Adds into a word for each coordinate; when the fiber of fibers ends, sends those in use, ascending."""
    if cell.phase == "flushing":
        return _flush(cell)
    crd, val = cell.heads(0, 1)
    if isinstance(crd, Done | Stop):
        if crd != val:
            raise Faulty(Fault.MISALIGNED)
        if isinstance(crd, Done):
            return Act(take=(0, 1), give={0: DONE, 1: DONE}, state=HALT)
        if crd.level == 0:
            return Act(take=(0, 1))
        if crd.inner > 1:
            return Act(take=(0, 1), give=cell.everywhere(shallower(crd)))
        if not cell.store:
            return Act(take=(0, 1), give=cell.everywhere(Stop(crd.level - 1)))
        return Act(state={"phase": "flushing", "at": min(cell.store)})
    if not is_payload(crd) or isinstance(val, Stop | Done):
        raise Faulty(Fault.MISALIGNED)
    coordinate, extent = whole(crd), cell.params[1]
    if not 0 <= coordinate < extent:
        raise Faulty(Fault.COORDINATE, coordinate)
    return accumulate(cell, coordinate, val, (0, 1))


def accumulate(cell: State, place: int, token: Token, take: tuple[int, ...]) -> Act:
    """One more value for a word of the workspace. An operation only where there is one already; what is
    Empty takes no part in most folds."""
    if isinstance(token, Empty) and OPERATIONS[cell.params[0]] in SKIP:
        return Act(take=take)
    value = number(token)
    old = cell.store.get(place)
    new = value if old is None else _fold(cell, old, value)

    def keep() -> None:
        cell.store[place] = new

    return Act(take=take, reads=1, writes=1, operations=int(old is not None), then=keep)


def next_in_use(cell: State, end: int) -> tuple[bool, int]:
    """Whether there is a place in use from ``at`` on among those seen at once, and it, or where to go on."""
    group = cell.at // OCCUPANCY_BITS
    limit = min((group + 1) * OCCUPANCY_BITS, end)
    found = [place for place in cell.store if cell.at <= place < limit]
    return bool(found), min(found) if found else (group + 1) * OCCUPANCY_BITS


def _flush(cell: State) -> Act:
    (stop, _) = cell.heads(0, 1)
    assert isinstance(stop, Stop)
    if not cell.store:
        return Act(take=(0, 1), give=cell.everywhere(Stop(stop.level - 1)), state={"phase": "idle"})
    found, place = next_in_use(cell, cell.params[1])
    if not found:
        return Act(state={"at": place})

    def clear() -> None:
        del cell.store[place]

    give: dict[int, Token] = {0: place, 1: cell.store[place]}
    return Act(give=give, state={"at": place + 1}, reads=1, writes=1, then=clear)


# --- results ------------------------------------------------------------------------------------------


def _store(cell: State, port: int, at: int, value: float) -> Callable[[], None]:
    """Appends a word to a result, once there is room on the way to it."""
    if at >= cell.size(port):
        raise Faulty(Fault.FULL, cell.size(port))
    if cell.world.memory.writable(cell.number, at, cell.world.now) > cell.world.now:
        raise Wait("memory")

    def keep() -> None:
        cell.world.arrays[cell.place.segments[port]].append(value)
        cell.world.memory.written(cell.number, at, cell.world.now)

    return keep


def _write_values(cell: State) -> Act:
    (token,) = cell.heads(0)
    if isinstance(token, Stop | Done):
        return Act(take=(0,), state=HALT if token is DONE else {})
    keep = _store(cell, 0, cell.at, number(token))
    return Act(take=(0,), state={"at": cell.at + 1}, writes=1, then=keep)


def _write_level(cell: State) -> Act:
    """``at``: coordinates so far; ``end``: words of pos so far. The 0 that pos begins with is stored
    first."""
    if cell.end == 0:
        return Act(state={"end": 1}, writes=1, then=_store(cell, 0, 0, 0))
    (token,) = cell.heads(0)
    if isinstance(token, Done):
        return Act(take=(0,), state=HALT)
    if isinstance(token, Empty):
        raise Faulty(Fault.STRAY)
    if isinstance(token, Stop):
        if token.inner:
            return Act(take=(0,))
        keep = _store(cell, 0, cell.end, cell.at)
        return Act(take=(0,), state={"end": cell.end + 1}, writes=1, then=keep)
    keep = _store(cell, 1, cell.at, whole(token))
    return Act(take=(0,), state={"at": cell.at + 1}, writes=1, then=keep)


def _drop(cell: State) -> Act:
    """Coordinates with values that are 0, or with empty fibers, left out. See ``_drop_fiber``."""
    if not cell.params[0]:
        return _drop_fiber(cell)
    outer, value = cell.heads(0, 1)
    if isinstance(outer, Stop | Done) or isinstance(value, Stop | Done):
        if outer != value:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0, 1), give={0: outer, 1: outer}, state=HALT if outer is DONE else {})
    if not is_payload(outer):
        raise Faulty(Fault.STRAY)
    return Act(take=(0, 1), give={} if number(value) == 0.0 else {0: outer, 1: value})


def _drop_fiber(cell: State) -> Act:
    """``phase``: ``kept`` within a fiber that has coordinates, ``dropped`` after an empty one whose
    coordinate is taken. ``mark``: a fiber was kept, and its stop waits until it is known whether another
    follows."""
    (token,) = cell.heads(1)
    if isinstance(token, Stop):
        return _drop_stop(cell, token)
    if isinstance(token, Done):
        (outer,) = cell.heads(0)
        if outer is not DONE:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0, 1), give={0: DONE, 1: DONE}, state=HALT)
    if isinstance(token, Empty):
        raise Faulty(Fault.STRAY)
    if cell.mark:
        return Act(give={1: Stop(0)}, state={"mark": 0})
    if cell.phase == "kept":
        return Act(take=(1,), give={1: token})
    return Act(take=(0, 1), give={0: _outer(cell), 1: token}, state={"phase": "kept"})


def _outer(cell: State) -> Token:
    (outer,) = cell.heads(0)
    if not is_payload(outer):
        raise Faulty(Fault.MISALIGNED)
    return outer


def _drop_stop(cell: State, stop: Stop) -> Act:
    idle = {"phase": "idle"}
    if stop.inner == 0 and cell.phase == "idle":
        _outer(cell)
        return Act(take=(0, 1)) if stop.level == 0 else Act(take=(0,), state={"phase": "dropped"})
    if stop.level == 0:
        return Act(take=(1,), state=idle | {"mark": 1})
    (outer,) = cell.heads(0)
    open_ = cell.phase != "idle" or cell.mark
    if outer != shallower(stop) or (stop.inner and open_):
        raise Faulty(Fault.MISALIGNED)
    inner = stop if cell.phase == "kept" or cell.mark else Stop(stop.level, max(stop.inner, 1))
    return Act(take=(0, 1), give={0: outer, 1: inner}, state=idle | {"mark": 0})


def _fold(cell: State, a: float, b: float) -> float:
    return _rounded(cell, OPERATION[OPERATIONS[cell.params[0]]](a, b))


def _rounded(cell: State, value: float) -> float:
    try:
        return rounded(value, cell.values)
    except OutOfRangeError as error:
        raise Faulty(Fault.OVERFLOW) from error


VALUES: dict[Opcode, Callable[[State], Act]] = {
    Opcode.ARRAY: _array,
    Opcode.ALU: _alu,
    Opcode.ALU_CONSTANT: _alu_constant,
    Opcode.ALU_FUNCTION: _alu_function,
    Opcode.REDUCE: _reduce,
    Opcode.FILL: _fill,
    Opcode.VECTOR_REDUCE: _vector_reduce,
    Opcode.DROP: _drop,
    Opcode.WRITE_LEVEL: _write_level,
    Opcode.WRITE_VALUES: _write_values,
}
