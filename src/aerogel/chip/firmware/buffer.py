"""The global buffer's space: what is in it, what may go, and where the next array fits."""

from __future__ import annotations

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
            del self._held[unpinned]
        self._held[key] = span
        return span

    def release(self, key: Hashable) -> None:
        """Its room is free again."""
        self._held.pop(key, None)

    def _gap(self, size: int) -> Span | None:
        first = 0
        for span in sorted(self._held.values(), key=lambda span: span.first):
            if span.first - first >= size:
                return Span(first, first + size)
            first = max(first, -(-span.last // _ALIGNED) * _ALIGNED)
        return Span(first, first + size) if first + size <= self.size else None
