"""More opcodes of the slow machine: skips, bit vectors, lanes. See ``step_cells``."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.graph.streams import DONE, EMPTY, Done, Empty, Stop, Token
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.step_cells import opened, passed, turn
from aerogel.chip.machine.step_state import (
    HALT,
    Act,
    Faulty,
    State,
    Wait,
    below,
    deeper,
    is_payload,
    whole,
)

REFERENCE_BITS = 31
"""A reference that goes with a word of bits carries the word, so many bits up."""


# --- skips --------------------------------------------------------------------------------------------


def _scan_skip(cell: State) -> Act:
    """A scanner that leaps over coordinates below ``mark``, the last skip it got for the fiber it is in.

    A skip is taken in any cycle it is there, whatever else happens, so that who sends it is never held up.
    Skips have a stop for each stop that was sent: one of an earlier fiber comes too late, and is dropped.
    """
    skip = cell.peek(1)
    if cell.phase == "after":
        (skip,) = cell.heads(1)
        return Act(take=(1,), state=HALT if skip is DONE else {})
    try:
        act = _scan_on(cell)
        full = tuple(port for port in act.give if not cell.room(port))
        if full:
            raise Wait("output", outputs=full)
    except Wait:
        if skip is None:
            raise
        act = Act()
    return act if skip is None else _with_skip(cell, act, skip)


def _with_skip(cell: State, act: Act, skip: Token) -> Act:
    """The move, and the skip taken along with it."""
    state = dict(act.state)
    if isinstance(skip, Stop):
        state["seen"] = cell.seen + 1
    elif is_payload(skip) and cell.phase == "open" and cell.seen == cell.sent and whole(skip) > cell.mark:
        # What was known of an end of the search was about a lower skip.
        state |= {"mark": whole(skip), "high": -1, "stride": 1}
    if state.get("phase", "open") != "open":
        state["mark"] = 0
    return Act((*act.take, 1), act.give, state, act.reads)


def _scan_on(cell: State) -> Act:
    """As ``_scan``, but for what is below the skip."""
    if cell.phase == "open":
        return _leap(cell)
    (token,) = cell.heads(0)
    closing = cell.phase == "closing"
    sent = {"sent": cell.sent + 1, "mark": 0}
    if isinstance(token, Stop):
        if closing and token.inner:
            raise Faulty(Fault.MISALIGNED)
        stop = Stop(below(token)) if closing else deeper(token)
        return Act(take=(0,), give=cell.everywhere(stop), state={"phase": "idle"} | sent)
    ends = cell.everywhere(Stop(0)) if closing else {}
    if isinstance(token, Done):
        if closing:
            return Act(give=ends, state={"phase": "idle"} | sent)
        return Act(take=(0,), give=cell.everywhere(DONE), state={"phase": "after"})
    first, end, words = opened(cell, token)
    phase = "open" if first < end else "closing"
    state = {"at": first, "end": end, "phase": phase, "mark": 0, "stride": 1, "high": -1}
    return Act(take=(0,), give=ends, state=state | (sent if closing else {}), reads=words)


def _leap(cell: State) -> Act:
    """Looks further and further ahead until a coordinate is not below the skip, then halves what is
    between."""
    found = cell.high == cell.at
    probe = cell.at
    if not found:
        near, halfway = min(cell.at + cell.stride, cell.end) - 1, (cell.at + cell.high) // 2
        probe = near if cell.high < 0 else halfway
    (crd,) = cell.read(1, probe)
    if crd < cell.mark and not found:
        stride = cell.stride * 2 if cell.high < 0 else cell.stride
        phase = "closing" if probe + 1 == cell.end else "open"
        return Act(state={"at": probe + 1, "stride": stride, "phase": phase}, reads=1)
    if probe > cell.at:
        return Act(state={"high": probe}, reads=1)
    phase = "open" if cell.at + 1 < cell.end else "closing"
    state = {"at": cell.at + 1, "phase": phase, "high": -1, "stride": 1}
    return Act(give={0: crd, 1: cell.at}, state=state, reads=1)


def _intersect_skip(cell: State) -> Act:
    """An intersection that tells a side what to leap to: the other's coordinate, or all that is left."""
    left, right = cell.params[0], cell.params[1]
    a, b = 0, 1 + left
    sides = (tuple(range(a, a + 1 + left)), tuple(range(b, b + 1 + right)))
    first, second = cell.heads(a, b)
    takes_a, takes_b = turn(first, second)
    take = (*(sides[0] if takes_a else ()), *(sides[1] if takes_b else ()))
    tokens = dict(zip(take, cell.heads(*take), strict=True))
    crd = first if takes_a else second
    for port in take:
        token = tokens[port]
        same = not isinstance(token, Stop | Done) if is_payload(crd) else token == crd
        if not same:
            raise Faulty(Fault.MISALIGNED)
    skips = (1 + left + right, 2 + left + right)
    if not (takes_a and takes_b):
        behind, other = (skips[0], second) if takes_a else (skips[1], first)
        most = (1 << cell.world.fabric.word_bits) - 1
        hint: Token = other if is_payload(other) else most
        return Act(take=take, give={behind: hint} if cell.room(behind) else {})
    along = [*sides[0][1:], *sides[1][1:]]
    give = {0: crd} | {1 + at: tokens[port] for at, port in enumerate(along)}
    if not is_payload(crd):
        give |= dict.fromkeys(skips, crd)
    return Act(take=take, give=give, state=HALT if crd is DONE else {})


# --- bit vectors --------------------------------------------------------------------------------------


def _scan_bits(cell: State) -> Act:
    """``fiber``: the reference of the next word's first set bit; ``mark``: the fiber is empty."""
    words = cell.params[1]
    if cell.phase == "open":
        word, reads = 0, 0
        if not cell.mark:
            (word,), reads = cell.read(0, cell.at), 1
        give: dict[int, Token] = {0: word, 1: word << REFERENCE_BITS | cell.fiber}
        phase = "open" if cell.at + 1 < cell.end else "closing"
        following = cell.fiber + int(word).bit_count()
        return Act(give=give, state={"at": cell.at + 1, "fiber": following, "phase": phase}, reads=reads)
    (token,) = cell.heads(0)
    if isinstance(token, Stop | Done):
        return passed(cell, token)
    ends = cell.everywhere(Stop(0)) if cell.phase == "closing" else {}
    phase = "open" if words else "closing"
    if isinstance(token, Empty):
        state = {"at": 0, "end": words, "fiber": 0, "mark": 1, "phase": phase}
        return Act(take=(0,), give=ends, state=state)
    reference = whole(token)
    if not 0 <= reference < cell.size(0) // (words + 1):
        raise Faulty(Fault.REFERENCE, reference)
    start = reference * (words + 1)
    (base,) = cell.read(0, start)
    state = {"at": start + 1, "end": start + 1 + words, "fiber": base, "mark": 0, "phase": phase}
    return Act(take=(0,), give=ends, state=state, reads=1)


def _bit_merge(cell: State) -> Act:
    a, ref_a, b, ref_b = tokens = cell.heads(0, 1, 2, 3)
    everything = (0, 1, 2, 3)
    if any(isinstance(token, Stop | Done) for token in tokens):
        if any(token != a for token in tokens):
            raise Faulty(Fault.MISALIGNED)
        return Act(take=everything, give=cell.everywhere(a), state=HALT if a is DONE else {})
    if any(isinstance(token, Empty) for token in tokens):
        raise Faulty(Fault.STRAY)
    both = cell.cell.opcode is Opcode.BIT_INTERSECT
    word = whole(a) & whole(b) if both else whole(a) | whole(b)
    return Act(take=everything, give={0: word, 1: ref_a, 2: ref_b})


def _bit_expand(cell: State) -> Act:
    """``at``: words of the fiber before this one; ``mark``: bits of this one that are done with."""
    ports = tuple(range(1 + cell.params[0]))
    bits, *sides = cell.heads(*ports)
    if isinstance(bits, Stop | Done):
        if any(side != bits for side in sides):
            raise Faulty(Fault.MISALIGNED)
        return Act(take=ports, give=cell.everywhere(bits), state={"at": 0} | (HALT if bits is DONE else {}))
    if not all(is_payload(token) for token in (bits, *sides)):
        raise Faulty(Fault.MISALIGNED)
    following = {"at": cell.at + 1, "mark": 0}
    left = whole(bits) >> cell.mark << cell.mark
    if not left:
        return Act(take=ports, state=following)
    bit = (left & -left).bit_length() - 1
    give: dict[int, Token] = {0: cell.at * cell.world.fabric.word_bits + bit}
    for port, side in enumerate(sides, 1):
        word, first = whole(side) >> REFERENCE_BITS, whole(side) & (1 << REFERENCE_BITS) - 1
        before = word & (1 << bit) - 1
        give[port] = first + before.bit_count() if word >> bit & 1 else EMPTY
    last = not left & left - 1
    return Act(take=ports if last else (), give=give, state=following if last else {"mark": bit + 1})


# --- lanes --------------------------------------------------------------------------------------------


def _parallelize(cell: State) -> Act:
    """Deals fibers of a level to lanes. ``at``: whose turn it is.

    The stop of a fiber that was dealt is kept back (``lanes``: its inner level, by lane) until it is known
    whether the lane gets another: the fiber around may end with it.
    """
    (token,) = cell.heads(0)
    ways, level = cell.params
    lane = cell.at
    following = {"at": (lane + 1) % ways}
    if isinstance(token, Done):
        return Act(take=(0,), give=cell.everywhere(DONE), state=HALT)
    if isinstance(token, Stop) and token.inner >= level:
        if cell.lanes:
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(0,), give=cell.everywhere(token), state={"at": 0})
    if lane in cell.lanes:
        rest = {other: inner for other, inner in cell.lanes.items() if other != lane}
        return Act(give={lane: Stop(level - 1, cell.lanes[lane])}, state={"lanes": rest})
    if not isinstance(token, Stop):
        return Act(take=(0,), give={lane: token}, state={} if level else following)
    if token.level < level - 1:
        return Act(take=(0,), give={lane: token})
    if token.level == level - 1:
        return Act(take=(0,), state=following | {"lanes": cell.lanes | {lane: token.inner}})
    give: dict[int, Token] = {way: Stop(token.level, cell.lanes.get(way, level)) for way in range(ways)}
    return Act(take=(0,), give=give | {lane: token}, state={"at": 0, "lanes": {}})


def _serialize(cell: State) -> Act:
    """Takes fibers of a level from lanes in turn. ``at``: whose turn; ``mark``: lanes that have ended, a bit
    each: the fiber around ends with the first lane in turn that has no more."""
    lane, (ways, level) = cell.at, cell.params
    (token,) = cell.heads(lane)
    following = {"at": (lane + 1) % ways}
    everyone = tuple(range(ways))
    if isinstance(token, Done) or (isinstance(token, Stop) and token.inner >= level):
        others = cell.heads(*everyone)
        if cell.mark or any(other != token for other in others):
            raise Faulty(Fault.MISALIGNED)
        return Act(take=everyone, give={0: token}, state={"at": 0} | (HALT if token is DONE else {}))
    if not isinstance(token, Stop):
        return Act(take=(lane,), give={0: token}, state={} if level else following)
    if token.level < level:
        return Act(take=(lane,), give={0: token}, state=following if token.level == level - 1 else {})
    then = (lane + 1) % ways
    ended = cell.mark | 1 << lane
    if ended >> then & 1:
        return Act(take=(lane,), give={0: token}, state={"at": 0, "mark": 0})
    (other,) = cell.heads(then)
    if isinstance(other, Stop) and other.inner >= level:
        rest = tuple(way for way in range(lane + 1, ways))
        if any(head != Stop(token.level, level) for head in cell.heads(*rest)):
            raise Faulty(Fault.MISALIGNED)
        return Act(take=(lane, *rest), give={0: token}, state={"at": 0, "mark": 0})
    return Act(take=(lane,), give={0: Stop(level - 1, token.inner)}, state={"at": then, "mark": ended})


MORE: dict[Opcode, Callable[[State], Act]] = {
    Opcode.SCAN_SKIP: _scan_skip,
    Opcode.INTERSECT_SKIP: _intersect_skip,
    Opcode.SCAN_BITS: _scan_bits,
    Opcode.BIT_INTERSECT: _bit_merge,
    Opcode.BIT_UNION: _bit_merge,
    Opcode.BIT_EXPAND: _bit_expand,
    Opcode.PARALLELIZE: _parallelize,
    Opcode.SERIALIZE: _serialize,
}
