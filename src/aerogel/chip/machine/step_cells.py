"""What each opcode does in a cycle: one function each, from what a cell sees to what it does.

A function raises ``Wait`` where the cell cannot move, and ``Faulty`` where its tokens or data make no sense.
Each is a small state machine as hardware has it: at most one token from each input and into each output.
Here are the opcodes of coordinates and references; see ``step_values`` and ``step_more`` for the others.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.graph.streams import DONE, EMPTY, Done, Empty, Stop, Token
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.step_state import (
    HALT,
    Act,
    Faulty,
    State,
    Wait,
    below,
    deeper,
    is_payload,
    shallower,
    whole,
)


def _root(cell: State) -> Act:
    if cell.phase == "idle":
        return Act(give={0: 0}, state={"phase": "sent"})
    return Act(give={0: DONE}, state=HALT)


# --- scanners -----------------------------------------------------------------------------------------


def opened(cell: State, token: Token) -> tuple[int, int, int]:
    """First position, end, and words read, of the fiber that a reference names."""
    if isinstance(token, Empty):
        return 0, 0, 0
    reference = whole(token)
    if cell.cell.opcode is Opcode.SCAN_DENSE:
        size = cell.params[0]
        if not 0 <= reference < 1 << 40:
            raise Faulty(Fault.REFERENCE, reference)
        return reference * size, reference * size + size, 0
    if not 0 <= reference < cell.size(0) - 1:
        raise Faulty(Fault.REFERENCE, reference)
    first, end = cell.read(0, reference, reference + 1)
    if not 0 <= first <= end <= cell.size(1):
        raise Faulty(Fault.SPAN, first)
    return first, end, 2


def passed(cell: State, token: Stop | Done) -> Act:
    """What a scanner makes of a stop or done: with it ends its last fiber, if that is open still."""
    closing = cell.phase == "closing"
    if isinstance(token, Stop):
        if closing and token.inner:
            raise Faulty(Fault.MISALIGNED)
        stop = Stop(below(token)) if closing else deeper(token)
        return Act(take=(0,), give=cell.everywhere(stop), state={"phase": "idle"})
    if closing:
        return Act(give=cell.everywhere(Stop(0)), state={"phase": "idle"})
    return Act(take=(0,), give=cell.everywhere(DONE), state=HALT)


def _scan(cell: State) -> Act:
    """A fiber of coordinates and references for each reference.

    The next fiber is opened while the stop of the last is sent: nothing else wants the memory then.
    """
    if cell.phase == "open":
        crd, words = cell.at - cell.fiber, 0
        if cell.cell.opcode is not Opcode.SCAN_DENSE:
            (crd,), words = cell.read(1, cell.at), 1
        phase = "open" if cell.at + 1 < cell.end else "closing"
        return Act(give={0: crd, 1: cell.at}, state={"at": cell.at + 1, "phase": phase}, reads=words)
    (token,) = cell.heads(0)
    if isinstance(token, Stop | Done):
        return passed(cell, token)
    ends = cell.everywhere(Stop(0)) if cell.phase == "closing" else {}
    first, end, words = opened(cell, token)
    state = {"at": first, "fiber": first, "end": end, "phase": "open" if first < end else "closing"}
    return Act(take=(0,), give=ends, state=state, reads=words)


def _locate(cell: State) -> Act:
    crd, ref = cell.heads(0, 1)
    if not is_payload(crd):
        if crd != ref:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0, 1), give={0: crd, 1: crd}, state=HALT if crd is DONE else {})
    if isinstance(ref, Empty):
        return Act(take=(0, 1), give={0: crd, 1: EMPTY})
    if not is_payload(ref):
        raise Faulty(Fault.MISALIGNED)
    coordinate, reference, size = whole(crd), whole(ref), cell.params[0]
    if not 0 <= coordinate < size:
        raise Faulty(Fault.COORDINATE, coordinate)
    if not 0 <= reference < 1 << 40:
        raise Faulty(Fault.REFERENCE, reference)
    return Act(take=(0, 1), give={0: crd, 1: reference * size + coordinate})


def _repeat(cell: State) -> Act:
    """Input 0 is the signal, input 1 what is repeated; ``held`` is what is being repeated."""
    (signal,) = cell.heads(0)
    holding = cell.phase == "held"
    if isinstance(signal, Stop):
        return _repeat_stop(cell, signal, holding=holding)
    if isinstance(signal, Done):
        (other,) = cell.heads(1)
        if holding or other is not DONE:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0, 1), give={0: DONE}, state=HALT)
    if holding:
        assert cell.held is not None
        return Act(take=(0,), give={0: cell.held})
    token = _repeated(cell)
    return Act(take=(0, 1), give={0: token}, state={"held": token, "phase": "held"})


def _repeated(cell: State) -> Token:
    (token,) = cell.heads(1)
    if isinstance(token, Stop | Done):
        raise Faulty(Fault.MISALIGNED)
    return token


def _repeat_stop(cell: State, signal: Stop, *, holding: bool) -> Act:
    """A fiber of the signal ends: what was repeated for it has been taken, or is taken now if it is empty."""
    idle = {"phase": "idle"}
    if signal.inner == 0 and not holding:
        token = _repeated(cell)
        if signal.level == 0:
            return Act(take=(0, 1), give={0: signal})
        return Act(take=(1,), state={"held": token, "phase": "held"})
    if signal.level == 0:
        return Act(take=(0,), give={0: signal}, state=idle)
    (other,) = cell.heads(1)
    if (signal.inner > 0 and holding) or other != shallower(signal):
        raise Faulty(Fault.MISALIGNED)
    return Act(take=(0, 1), give={0: signal}, state=idle)


# --- merging ------------------------------------------------------------------------------------------


def _merge(cell: State) -> Act:
    """Coordinates of both sides, in order; each side's references go along with its coordinates."""
    left, right = cell.params[0], cell.params[1]
    a, b = 0, 1 + left
    sides = (tuple(range(a, a + 1 + left)), tuple(range(b, b + 1 + right)))
    first, second = cell.heads(a, b)
    union = cell.cell.opcode is Opcode.UNION
    takes_a, takes_b = turn(first, second)
    kept = union or (takes_a and takes_b)
    take = (*(sides[0] if takes_a else ()), *(sides[1] if takes_b else ()))
    tokens = dict(zip(take, cell.heads(*take), strict=True))
    crd = first if takes_a else second
    for side, taken in ((sides[0], takes_a), (sides[1], takes_b)):
        for port in side[1:] if taken else ():
            if is_payload(crd) != (not isinstance(tokens[port], Stop | Done)) or (
                not is_payload(crd) and tokens[port] != crd
            ):
                raise Faulty(Fault.MISALIGNED)
    if not kept:
        return Act(take=take)
    along = [*sides[0][1:], *sides[1][1:]]
    give = {0: crd} | {1 + at: tokens.get(port, EMPTY) for at, port in enumerate(along)}
    return Act(take=take, give=give, state=HALT if crd is DONE else {})


def turn(first: Token, second: Token) -> tuple[bool, bool]:
    """Which sides' coordinates come now."""
    if isinstance(first, Empty) or isinstance(second, Empty):
        raise Faulty(Fault.STRAY)
    if is_payload(first) and is_payload(second):
        x, y = whole(first), whole(second)
        return x <= y, y <= x
    if is_payload(first) or is_payload(second):
        if isinstance(first, Done) or isinstance(second, Done):
            raise Faulty(Fault.MISALIGNED)
        return is_payload(first), is_payload(second)
    if first != second:
        raise Faulty(Fault.MISALIGNED)
    return True, True


# --- plumbing -----------------------------------------------------------------------------------------


def _fork(cell: State) -> Act:
    (token,) = cell.heads(0)
    return Act(take=(0,), give=cell.everywhere(token), state=HALT if token is DONE else {})


def _buffer(cell: State) -> Act:
    """A queue in memory: takes one token and gives one in a cycle, each as it can."""
    token, held = cell.peek(0), len(cell.queue)
    takes, gives = token is not None and held < cell.params[0], bool(held) and cell.room(0)
    if not (takes or gives):
        if not held:
            raise Wait("input", inputs=(0,))
        raise Wait("output", outputs=(0,), inputs=(0,) if held < cell.params[0] else ())
    out = {0: cell.queue[0]} if gives else {}

    def move() -> None:
        if gives:
            cell.queue.popleft()
        if takes and token is not None:
            cell.queue.append(token)

    done = gives and cell.queue[0] is DONE
    return Act(
        take=(0,) if takes else (),
        give=out,
        state=HALT if done else {},
        reads=int(gives),
        writes=int(takes),
        then=move,
    )


CELLS: dict[Opcode, Callable[[State], Act]] = {
    Opcode.ROOT: _root,
    Opcode.SCAN_COMPRESSED: _scan,
    Opcode.SCAN_DENSE: _scan,
    Opcode.REPEAT: _repeat,
    Opcode.INTERSECT: _merge,
    Opcode.UNION: _merge,
    Opcode.LOCATE: _locate,
    Opcode.FORK: _fork,
    Opcode.BUFFER: _buffer,
}
