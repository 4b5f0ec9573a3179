"""Objects loaded into this process: symbols to addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakValueDictionary

from aerogel.native.place import place

# The function of a module that takes an argument block: what a program is entered through.
ENTRY = "aerogel.entry"


class Loaded:
    """Machine code in memory while this object lives; ``addresses`` has one entry per wanted symbol."""

    __slots__ = ("__weakref__", "_kept", "addresses")

    def __init__(self, code: bytes, symbols: Iterable[str]) -> None:
        wanted = tuple(symbols)
        placed = place(code, wanted)
        self._kept: object = placed
        if placed is not None:
            self.addresses: Mapping[str, int] = placed.addresses
            return
        from aerogel.native.linking import link  # LLVM, which most processes need not load

        self._kept, self.addresses = link(code, wanted)


# Code in memory that some program still uses, by key.
in_use: WeakValueDictionary[str, Loaded] = WeakValueDictionary()
