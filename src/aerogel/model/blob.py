"""All constants of a program in one aligned block of memory: packed weights, biases, tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import NativeError, require
from aerogel.core.memory import CACHE_LINE, aligned
from aerogel.loop.nodes import I64, Buf, BufferType, Const, LetView

# Bytes a kernel may read past the end of what it is given, and what vector loads of a tail need.
SLACK = 64

BLOB = Buf("weights", BufferType(DType.U8, const=True, align=CACHE_LINE))


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an array lies in the constants, and what it is. ``dtype``: NumPy's name for it."""

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)

    def within(self, constants: NDArray[np.uint8]) -> NDArray[Any]:
        """The array, as a view of ``constants``."""
        return constants[self.offset : self.offset + self.nbytes].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Deferred:
    """An array that is not there yet: ``make()`` gives it. Its shape and dtype are known before."""

    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], NDArray[Any]]


class Spool(Protocol):
    """Takes constants as they come, so that they need not be in memory together."""

    def write(self, array: NDArray[Any], offset: int) -> None: ...


@dataclass
class Blob:
    """Collects arrays under names, and says where each will lie.

    With a ``spool`` every array is written there at once. Without one they are kept until ``freeze`` puts
    them together, those deferred unmade: who has the same constants already never makes them."""

    spool: Spool | None = None
    _layout: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _sources: dict[str, NDArray[Any] | Deferred] = field(default_factory=dict[str, NDArray[Any] | Deferred])
    _size: int = 0

    @property
    def layout(self) -> Mapping[str, Entry]:
        return self._layout

    @property
    def nbytes(self) -> int:
        """Of the whole block, with what may be read past its end."""
        return self._size + SLACK

    def add(self, name: str, array: NDArray[Any] | Deferred) -> str:
        """Reserve room for ``array``; the same name twice must mean the same contents."""
        dtype = array.dtype if isinstance(array, Deferred) else array.dtype.name
        known = self._layout.get(name)
        if known is not None:
            same = (known.dtype, known.shape) == (dtype, array.shape) and self._alike(name, array)
            require(same, NativeError, f"two different constants are called {name!r}")
            return name
        entry = self._layout[name] = Entry(self._size, dtype, tuple(array.shape))
        if self.spool is None:
            self._sources[name] = array
        else:
            self.spool.write(_made(array, entry), entry.offset)
        self._size = -(-(self._size + entry.nbytes) // CACHE_LINE) * CACHE_LINE
        return name

    def _alike(self, name: str, array: NDArray[Any] | Deferred) -> bool:
        """Do the contents agree, as far as they are there to be compared?"""
        kept = self._sources.get(name)
        if kept is array or not isinstance(kept, np.ndarray) or isinstance(array, Deferred):
            return True
        return bool(np.array_equal(kept, array))

    def view(self, name: str, local: str) -> tuple[Buf, LetView]:
        """Loop IR that names the array ``local`` inside a function that has BLOB."""
        entry = self._layout[name]
        dtype = DType.of(np.dtype(entry.dtype))
        buf = Buf(local, BufferType(dtype, const=True, align=dtype.itemsize))
        return buf, LetView(buf, BLOB, Const(entry.offset, I64), Const(math.prod(entry.shape), I64))

    def freeze(self) -> NDArray[np.uint8]:
        """The bytes, read-only. Every array is let go as soon as it is copied, so this works once."""
        out = aligned(self.nbytes, np.uint8)
        for name in list(self._sources):
            entry = self._layout[name]
            entry.within(out)[...] = _made(self._sources.pop(name), entry)
        out.setflags(write=False)
        return out


def _made(array: NDArray[Any] | Deferred, entry: Entry) -> NDArray[Any]:
    made = array.make() if isinstance(array, Deferred) else array
    fits = (made.dtype.name, made.shape) == (entry.dtype, entry.shape)
    require(fits, NativeError, f"a constant came as {made.dtype} {made.shape}, not as {entry}")
    return made
