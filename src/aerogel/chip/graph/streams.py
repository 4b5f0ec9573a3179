"""Streams: what flows from block to block, one token a cycle at most.

A stream is a nested list written flat. Its tokens are payloads, stops, empties, and at last one ``Done``:

- ``Stop(n)`` ends a fiber and the n fibers around it of which it was the last: ``[[1, 2], [], [3]]`` is
  ``1 2 S0 S0 3 S1 D``, ``[1, 2]`` is ``1 2 S0 D``; of depth 0, a scalar, ``1 D``.
- ``Stop(n, inner)`` ends the levels from ``inner`` to n alone: a fiber of fibers that has none. So ``[]`` of
  depth 2 is ``S1-1 D`` and ``[[]]`` is ``S1 D``. The abstract machine as published has the same token for
  both, and a reducer cannot know whether it owes a zero; see ADR 0026.
- ``Empty`` stands for a payload that is not there: where a union finds a coordinate in one operand only,
  the other's reference is empty. A scanner makes an empty fiber of it, an array a zero.

Streams that belong together (the coordinates and the references of a fiber) have their stops at the same
places; a block that finds them elsewhere has been wired wrongly, which is an error and never a guess.
Source: Hsu et al., The Sparse Abstract Machine, ASPLOS 2023, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aerogel.core.errors import ChipError, require

Value = float | int | bool


class Kind(Enum):
    """What a stream's payloads are. ``BITS``: words of a bit vector, of ``Fabric.word_bits`` bits each."""

    COORDINATE = "crd"
    REFERENCE = "ref"
    VALUE = "val"
    REPEAT = "rep"
    BITS = "bv"


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the fibers of levels ``inner`` to ``level``, counted from the innermost one, 0."""

    level: int
    inner: int = 0

    def __repr__(self) -> str:
        return f"S{self.level}" if self.inner == 0 else f"S{self.inner}-{self.level}"


@dataclass(frozen=True, slots=True)
class Empty:
    def __repr__(self) -> str:
        return "N"


@dataclass(frozen=True, slots=True)
class Done:
    def __repr__(self) -> str:
        return "D"


EMPTY, DONE = Empty(), Done()
Token = Value | Stop | Empty | Done


def flat(nested: Any, depth: int) -> Iterator[Token]:
    """The stream of a nested list of ``depth`` levels (0: a scalar); None stands for an empty token."""
    if depth == 0:
        yield EMPTY if nested is None else nested
    else:
        yield from _fiber(list(nested), depth, 0)
    yield DONE


def _fiber(items: list[Any], depth: int, closing: int) -> Iterator[Token]:
    """A fiber and its stop, which also ends ``closing`` fibers around it."""
    if not items or depth == 1:
        yield from (EMPTY if item is None else item for item in items)
        yield Stop(depth - 1 + closing, depth - 1)
        return
    for at, item in enumerate(items):
        yield from _fiber(list(item), depth - 1, closing + 1 if at == len(items) - 1 else 0)


def nested(tokens: Iterable[Token], depth: int) -> Any:
    """The nested list of which ``tokens`` is the stream (None: empty); ChipError where it is none."""
    open_: list[list[Any]] = [[] for _ in range(depth)]
    found: list[Any] = []
    done = False
    for at, token in enumerate(tokens):
        require(not done, ChipError, f"token {at}, {token!r}, comes after the stream is done")
        match token:
            case Done():
                done = True
            case Stop():
                _close(open_, found, token, at, depth)
            case _:
                (open_[0] if depth else found).append(None if token is EMPTY else token)
    require(done, ChipError, "the stream ends without D")
    require(len(found) == 1 and not any(open_), ChipError, f"a stream of depth {depth} ends within a fiber")
    return found[0]


def _close(open_: list[list[Any]], found: list[Any], stop: Stop, at: int, depth: int) -> None:
    """Ends the fibers that ``stop`` ends. ``open_[k]``: the fiber of level k that is being read."""
    require(
        stop.inner <= stop.level < depth and not any(open_[: stop.inner]),
        ChipError,
        f"token {at}, {stop!r}, ends fibers that are not open in a stream of depth {depth}",
    )
    for level in range(stop.inner, stop.level + 1):
        whole, open_[level] = open_[level], []
        (open_[level + 1] if level + 1 < depth else found).append(whole)


def text(tokens: Iterable[Token]) -> str:
    """The stream as papers write it: ``1 2 S0 D``."""
    return " ".join(repr(token) for token in tokens)
