"""The tables that the simulator's machine code works on: what stands where. All words are i64.

- ``state``: what there is one of; the names below are its places.
- ``cells``: a record of ``CELL`` words for each cell; ``channels``: one of ``CHANNEL`` words for each
  channel, after one that nobody reads, which takes the tokens of outputs that go nowhere.
- ``ring``: the places for tokens of each channel, a power of two of them, ``SLOT`` words each.
- ``due``: for each of the next cycles, a bit for each cell that is to be looked at then, in words of one
  opcode each; ``groups``: of each such word, the opcode and where the record of its first cell begins.
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
    """Places in a cell's record; what most visits touch lies in its first four lines of cache.

    - ``IN``, ``OUT``: where the records of its channels begin, ``PORT`` words from one port to the next.
    - ``SINCE``, ``WHY``: since which cycle it sleeps, and for what. ``LEFT``: the ports that it still sleeps
      for, inputs from bit 0, outputs from bit ``FOR_ROOM``; ``ANY``: all of them wake it, always. ``WAKE``:
      the first cycle in which those that it slept for have what it needs.
    - ``GROUP``, ``BIT``: its place in a row of ``due``. ``NEED_IN``, ``NEED_OUT``: what it waited for last.
    - ``HALTED``: the cycle after its last one; 0 while it goes on.
    """

    PHASE = 0
    AT = 1
    END = 2
    FIBER = 3
    MARK = 4
    DATA = 5
    EXTRA = 6
    MORE = 7
    P0 = 8
    P1 = 9
    P2 = 10
    WORK = 11
    BASE0 = 12
    SIZE0 = 13
    WINDOW0 = 14
    READS = 15
    IDENTITY = 16
    BASE1 = 17
    SIZE1 = 18
    WINDOW1 = 19
    RESIDENT = 20
    FREE = 21
    WRITES = 22
    OPERATIONS = 23
    SINCE = 24
    WHY = 25
    LEFT = 26
    WAKE = 27
    IN = 28
    OUT = 29
    WAITED = 60  # for input, output, memory: three words
    GROUP = 63
    BIT = 64
    NEED_IN = 65
    NEED_OUT = 66
    HALTED = 67
    OUTS = 68


CELL = 72
PORT = 2
FOR_ROOM = 16
ANY = -1
REGISTERS = (C.PHASE, C.AT, C.END, C.FIBER, C.MARK, C.DATA, C.EXTRA, C.MORE)


class H(IntEnum):
    """Places in a channel's record. ``HEAD``, ``TAIL``: tokens taken and put so far; ``POPPED``: the cycle in
    which one was taken last. ``READER``, ``SOURCE``: where the records of its cells begin, -1 for none, and
    what their ``LEFT`` has for this channel."""

    HEAD = 0
    TAIL = 1
    CAPACITY = 2
    POPPED = 3
    BASE = 4
    MASK = 5
    LATENCY = 6
    NUMBER = 7
    READER = 8
    READER_PORT = 9
    SOURCE = 10
    SOURCE_PORT = 11
    COUNTS = 12  # payloads, empties, dones, stops: four words


CHANNEL = 16
SLOT = 2
KIND_BITS = 16
"""A token's place is the cycle it arrives in, above so many bits for its kind; then its payload."""
EVENT = 4
VALUES = ("f64", "f32", "bf16", "int16")
"""Named by their place in ``S.VALUES``."""
INPUT, OUTPUT, MEMORY, ACT, FAULT = 0, 1, 2, 3, 4
"""What a cell comes to in a visit; the first three are why it waits."""
DEADLOCK = 100
"""In ``S.FAULT``, beside the faults that cells find."""
