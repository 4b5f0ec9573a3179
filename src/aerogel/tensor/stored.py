"""What every tensor of a user is: a storage that is known to be sound, and that nobody changes."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.formats.storage import Storage


@dataclass(frozen=True, slots=True, eq=False, repr=False, weakref_slot=True)
class Stored:
    """Holds a storage that was checked, or made here; its arrays are read-only from now on."""

    storage: Storage

    def __post_init__(self) -> None:
        self.storage.values.setflags(write=False)
        for arrays in self.storage.levels:
            for array in arrays:
                # Most are already: to look takes a quarter of the time.
                if array.flags.writeable:
                    array.setflags(write=False)
