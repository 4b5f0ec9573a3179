"""The tables that the simulator's machine code works on: what stands where. All words are i64.

- ``state``: what there is one of; the names below are its places.
- ``cells``: a record of ``CELL`` words for each cell; ``channels``: one of ``CHANNEL`` words for each
  channel, after one that nobody reads, which takes the tokens of outputs that go nowhere.
- ``ring``: the places for tokens of each channel, a power of two of them, ``SLOT`` words each.
- ``due``: for each of the next cycles, a bit for each cell that is to be looked at then.
- ``memory``: the segments, one after the other; values as the bits of doubles.
- ``windows``: for each segment that a tile has a window on: the line it came to last, the number of lines,
  then each one's number and the cycle its first word is there.
- ``work``: workspaces of reducers and queues of buffers.
- ``trace``: ``EVENT`` words for each token: cycle, channel, what it is, payload.

A token's kind: 0 a payload, 1 empty, 2 done, ``STOP + 16 * level + inner`` a stop.
"""

from __future__ import annotations

from enum import IntEnum

PAYLOAD, EMPTY, DONE, STOP = 0, 1, 2, 16
DEEPER, SHALLOWER_BOTH = 17, 17
LEVEL = 16
MOST_STOP = STOP + LEVEL * 14
"""Stops from here on cannot get one level deeper."""


class S(IntEnum):
    """Places in ``state``."""

    NOW = 0
    UNTIL = 1
    LIVE = 2
    FAULT = 3
    FAULT_CELL = 4
    DETAIL = 5
    QUIET = 6
    LAST = 7
    VISITS = 8
    VALUES = 9
    LINE = 10
    LINKS = 11
    LATENCY = 12
    WORD_BITS = 13
    MASK = 14
    GROUPS = 15
    LINK_WORDS = 16
    BACK_WORDS = 17
    FETCHED = 18
    SENT = 19
    READY = 20
    RESULT = 21
    TRACE_FROM = 22
    TRACE_TO = 23
    TRACE_COUNT = 24
    TRACE_ROOM = 25


STATE = len(S)
INPUTS = OUTPUTS = 16


class C(IntEnum):
    """Places in a cell's record. ``IN``, ``OUT``: where the records of its channels begin."""

    OPCODE = 0
    OUTS = 1
    P0 = 2
    P1 = 3
    P2 = 4
    IDENTITY = 5
    PHASE = 6
    AT = 7
    END = 8
    FIBER = 9
    MARK = 10
    DATA = 11
    EXTRA = 12
    MORE = 13
    BASE0 = 14
    SIZE0 = 15
    WINDOW0 = 16
    BASE1 = 17
    SIZE1 = 18
    WINDOW1 = 19
    RESIDENT = 20
    FREE = 21
    WORK = 22
    SINCE = 23
    WHY = 24
    NEED_IN = 25
    NEED_OUT = 26
    BUSY = 27
    WAITED = 28  # for input, output, memory: three words
    READS = 31
    WRITES = 32
    OPERATIONS = 33
    HALTED = 34
    IN = 40
    OUT = 56


CELL = 72
REGISTERS = (C.PHASE, C.AT, C.END, C.FIBER, C.MARK, C.DATA, C.EXTRA, C.MORE)


class H(IntEnum):
    """Places in a channel's record. ``HEAD``, ``TAIL``: tokens taken and put so far."""

    HEAD = 0
    TAIL = 1
    CAPACITY = 2
    LATENCY = 3
    READER = 4
    SOURCE = 5
    POPPED = 6
    BASE = 7
    MASK = 8
    NUMBER = 9
    COUNTS = 10  # payloads, empties, dones, stops: four words


CHANNEL = 16
SLOT = 4
EVENT = 4
VALUES = ("f64", "f32", "bf16", "int16")
"""Named by their place in ``S.VALUES``."""
INPUT, OUTPUT, MEMORY, ACT, FAULT = 0, 1, 2, 3, 4
"""What a cell comes to in a visit; the first three are why it waits."""
DEADLOCK = 100
"""In ``S.FAULT``, beside the faults that cells find."""
