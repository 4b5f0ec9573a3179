"""What can go wrong in a run, and what is said about it: never a read outside an array, never a guess."""

from __future__ import annotations

from enum import IntEnum


class Fault(IntEnum):
    """Why a run stopped; numbers are what the simulator's machine code reports."""

    NONE = 0
    MISALIGNED = 1
    REFERENCE = 2
    SPAN = 3
    COORDINATE = 4
    FULL = 5
    DEPTH = 6
    OVERFLOW = 7
    STRAY = 8


MEANINGS = {
    Fault.MISALIGNED: "its inputs have stops at different places: the graph is wired wrongly",
    Fault.REFERENCE: "reference {detail} is outside its array: an operand does not fit the graph's formats",
    Fault.SPAN: "a fiber from {detail} on is not within its array: pos and crd do not belong together",
    Fault.COORDINATE: "coordinate {detail} is outside the extent it is set to",
    Fault.FULL: "its result needs more than the {detail} words there is room for: give the segment more",
    Fault.DEPTH: "a stop ends more levels than a stream has, or fewer than this cell takes away",
    Fault.OVERFLOW: "a result is out of range for int16: use bf16 or f32, or scale the operands",
    Fault.STRAY: "a token came that this input never has: the graph is wired wrongly",
}
"""``detail``: the number that comes with the fault."""
