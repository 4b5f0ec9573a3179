"""The global buffer's space: what is in it, what may go, and where the next array fits."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Hashable
from collections.abc import Set as AbstractSet

from aerogel.chip.firmware.device import Span

_ALIGNED = 8


class Space:
    """Arrays by key, the least recently used first. First fit; what is not pinned makes way."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: OrderedDict[Hashable, Span] = OrderedDict()
        # Those that take room, by their first byte.
        self._spans: list[tuple[int, int]] = []

    def find(self, key: Hashable) -> Span | None:
        """Where an array is, if it is there; it counts as used."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key]

    def take(self, key: Hashable, size: int, pinned: AbstractSet[Hashable]) -> Span | None:
        """Room for an array; None where there is none, even with all gone that is not pinned."""
        while (span := self._gap(size)) is None:
            unpinned = next((held for held in self._held if held not in pinned), None)
            if unpinned is None:
                return None
            self.release(unpinned)
        self._held[key] = span
        if size:
            insort(self._spans, (span.first, span.last))
        return span

    def release(self, key: Hashable) -> None:
        """Its room is free again."""
        span = self._held.pop(key, None)
        if span is not None and span.last > span.first:
            del self._spans[bisect_left(self._spans, (span.first, span.last))]

    def clear(self) -> None:
        """All of it is free again."""
        self._held.clear()
        self._spans.clear()

    def _gap(self, size: int) -> Span | None:
        first = 0
        for begins, ends in self._spans:
            if begins - first >= size:
                return Span(first, first + size)
            first = max(first, -(-ends // _ALIGNED) * _ALIGNED)
        return Span(first, first + size) if first + size <= self.size else None
