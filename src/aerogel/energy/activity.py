"""What a computer did in a while, in the terms of the energy roofline: time, operations by number type,
bytes by the memory level they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STATIC, AWAKE = "static", "awake"
LEVELS = ("L1", "L2", "L3", "memory")
"""Nearest first."""


@dataclass(frozen=True, slots=True)
class Activity:
    """``awake_s``: seconds of threads that were awake, all together (two for one second: 2);
    ``operations``: by the type of the numbers ("fp32", "fp64", "int8"), a multiply-add counting as two;
    ``bytes``: read or written by kernels, each once, at the level of LEVELS that it came from or went
    to."""

    seconds: float
    awake_s: float
    operations: Mapping[str, float] = field(default_factory=dict[str, float])
    bytes: Mapping[str, float] = field(default_factory=dict[str, float])

    def amounts(self) -> dict[str, float]:
        """By term of the energy roofline: seconds, thread seconds, operations, bytes; none that is 0."""
        found = {STATIC: self.seconds, AWAKE: self.awake_s}
        found |= {operation(kind): count for kind, count in self.operations.items()}
        found |= {byte(level): count for level, count in self.bytes.items()}
        return {term: amount for term, amount in found.items() if amount}

    def __add__(self, other: Activity) -> Activity:
        """One after the other."""
        return Activity(
            self.seconds + other.seconds,
            self.awake_s + other.awake_s,
            _added(self.operations, other.operations),
            _added(self.bytes, other.bytes),
        )


def operation(kind: str) -> str:
    """The term of an operation on numbers of a type: ``fp32 operation``."""
    return f"{kind} operation"


def byte(level: str) -> str:
    """The term of a byte from a level: ``byte of L2``."""
    return f"byte of {level}"


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in dict.fromkeys((*one, *other))}
