"""The opcodes of dense mode on the slow machine: addresses without tokens, products that pass operands on.

Streams of dense mode are values and then done: where a fiber ends, everyone knows by counting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aerogel.chip.graph.streams import DONE, Empty, Stop, Token
from aerogel.chip.machine.affine import LOOPS, Affine
from aerogel.chip.machine.arithmetic import OutOfRangeError, rounded
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode, Values
from aerogel.chip.machine.step_state import HALT, Act, Faulty, State, Wait


def _address(cell: State) -> Act:
    """The values at affine addresses; ``at`` is the address, ``store`` counts the loops."""
    if cell.phase == "done":
        return Act(give={0: DONE}, state=HALT)
    walk = Affine.of(cell.params[1:])
    at = walk.base if cell.phase == "idle" else cell.at
    counts = [0] * LOOPS if cell.phase == "idle" else list(cell.store["counts"])
    (value,) = cell.read(0, at)
    phase = "done"
    for loop in reversed(range(LOOPS)):
        extent, stride = walk.loops[loop]
        if counts[loop] + 1 < extent:
            counts[loop] += 1
            at += stride
            phase = "on"
            break
        counts[loop] = 0
        at -= (extent - 1) * stride
    return Act(give={0: value}, state={"phase": phase, "at": at, "store": {"counts": counts}}, reads=1)


def widened(total: float, values: Values) -> float:
    """A sum as an accumulator holds it: of bf16 in f32, of int16 in int32 (checked), else as values are."""
    match values:
        case "bf16" | "f32":
            return rounded(total, "f32")
        case "int16":
            if not abs(total) < 1 << 31:
                raise OutOfRangeError
            return total
        case "f64":
            return total


def _multiply_add(cell: State) -> Act:
    """Sums ``count`` products, passes operands on, and hands sums over: its own, then ``chain`` that come.

    ``at``: products so far; ``held``: a sum that is ready; ``mark``: how many are to be passed on still.
    """
    count, chain = cell.params
    act = _Both(cell)
    running, room = cell.phase == "idle", [cell.room(port) for port in range(3)]
    a, b = cell.peek(0), cell.peek(1)
    coming = cell.peek(2) if chain else None
    state: dict[str, Any] = {}
    handed = cell.held is None
    if cell.mark > 0:
        if coming is not None and _payload(coming) and act.give_one(0, coming, room=room[0]):
            act.take.append(2)
            state["mark"] = cell.mark - 1
    elif cell.held is not None:
        if act.give_one(0, cell.held, room=room[0]):
            state |= {"held": None, "mark": chain}
            handed = True
    elif not running and (not chain or coming is not None):
        if chain and coming is not DONE:
            raise Faulty(Fault.MISALIGNED)
        if act.give_one(0, DONE, room=room[0]):
            return Act(take=(2,) if chain else (), give={0: DONE}, state=HALT)
    last = cell.at + 1 == count
    if running and a is not None and b is not None:
        ends = _ends(cell, a, b)
        if (ends or handed or not last) and act.room(room):
            act.take += [0, 1]
            act.give |= {1: a, 2: b}
            state |= {"phase": "ended"} if ends else _sum(cell, a, b, last=last)
            act.operations = 0 if ends else 1
    if not act.take and not act.give:
        missing = [p for p, t in ((0, a), (1, b)) if running and t is None]
        missing += [2] if chain and coming is None and (cell.mark > 0 or not running) else []
        raise Wait("output" if act.full else "input", () if act.full else tuple(missing), tuple(act.full))
    return Act(tuple(act.take), act.give, state, operations=act.operations)


class _Both:
    """Two things at once, neither of which waits for the other: sums going out, products coming in."""

    def __init__(self, cell: State) -> None:
        self.cell = cell
        self.take: list[int] = []
        self.give: dict[int, Token] = {}
        self.full: list[int] = []
        self.operations = 0

    def give_one(self, port: int, token: Token, *, room: bool) -> bool:
        if room:
            self.give[port] = token
        else:
            self.full.append(port)
        return room

    def room(self, room: list[bool]) -> bool:
        """Whether both operands can be passed on."""
        self.full += [port for port in (1, 2) if not room[port]]
        return room[1] and room[2]


def _payload(token: Token) -> bool:
    if isinstance(token, Stop | Empty):
        raise Faulty(Fault.STRAY)
    if token is DONE:
        raise Faulty(Fault.MISALIGNED)
    return True


def _ends(cell: State, a: Token, b: Token) -> bool:
    if isinstance(a, Stop | Empty) or isinstance(b, Stop | Empty):
        raise Faulty(Fault.STRAY)
    if (a is DONE) != (b is DONE) or (a is DONE and cell.at):
        raise Faulty(Fault.MISALIGNED)
    return a is DONE


def _sum(cell: State, a: Token, b: Token, *, last: bool) -> dict[str, Any]:
    assert isinstance(a, int | float) and isinstance(b, int | float)
    try:
        total = widened((cell.total or 0.0) + float(a) * float(b), cell.values)
        if last:
            return {"at": 0, "total": 0.0, "held": rounded(total, cell.values)}
    except OutOfRangeError:
        raise Faulty(Fault.OVERFLOW) from None
    return {"at": cell.at + 1, "total": total}


DENSE: dict[Opcode, Callable[[State], Act]] = {
    Opcode.ADDRESS: _address,
    Opcode.MULTIPLY_ADD: _multiply_add,
}
