"""Level kinds: how one mode of a tensor is stored. A new kind is one file here, and one line in LEVELS."""

from aerogel.formats.levels.bitmap import Bitmap
from aerogel.formats.levels.compressed import Compressed
from aerogel.formats.levels.dense import Dense
from aerogel.formats.levels.level import Element, Entry, Level, Parent, Segment, View
from aerogel.formats.levels.singleton import Singleton

LEVELS: dict[str, Level] = {
    "dense": Dense(),
    "compressed": Compressed(),
    "compressed_nonunique": Compressed(unique=False),
    "singleton": Singleton(),
    "singleton_nonunique": Singleton(unique=False),
    "bitmap": Bitmap(),
}
"""Every kind by the name it is asked for."""

__all__ = [
    "LEVELS",
    "Bitmap",
    "Compressed",
    "Dense",
    "Element",
    "Entry",
    "Level",
    "Parent",
    "Segment",
    "Singleton",
    "View",
]
