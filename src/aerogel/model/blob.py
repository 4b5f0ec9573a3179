"""All constants of a program in one aligned block of memory: packed weights, biases, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import NativeError, require
from aerogel.core.memory import CACHE_LINE, aligned
from aerogel.loop.nodes import I64, Buf, BufferType, Const, LetView

# Bytes a kernel may read past the end of what it is given, and what vector loads of a tail need.
SLACK = 64

BLOB = Buf("weights", BufferType(DType.U8, const=True, align=CACHE_LINE))


@dataclass
class Blob:
    """Collects arrays under names; ``freeze`` lays them out."""

    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    _offsets: dict[str, int] = field(default_factory=dict[str, int])
    _size: int = 0

    def add(self, name: str, array: NDArray[Any]) -> str:
        """Reserve room for ``array``; the same name twice must mean the same contents."""
        if name in self._arrays:
            same = self._arrays[name] is array or np.array_equal(self._arrays[name], array)
            require(same, NativeError, f"two different constants are called {name!r}")
        else:
            self._arrays[name] = array
            self._offsets[name] = self._size
            self._size = -(-(self._size + array.nbytes) // CACHE_LINE) * CACHE_LINE
        return name

    def view(self, name: str, local: str) -> tuple[Buf, LetView]:
        """Loop IR that names the array ``local`` inside a function that has BLOB."""
        array = self._arrays[name]
        dtype = DType.of(array.dtype)
        buf = Buf(local, BufferType(dtype, const=True, align=dtype.itemsize))
        return buf, LetView(buf, BLOB, Const(self._offsets[name], I64), Const(array.size, I64))

    def freeze(self) -> NDArray[np.uint8]:
        """The bytes, read-only."""
        out = aligned(self._size + SLACK, np.uint8)
        for name, array in self._arrays.items():
            start = self._offsets[name]
            out[start : start + array.nbytes] = np.ascontiguousarray(array).view(np.uint8).ravel()
        out.setflags(write=False)
        return out

    def placed(self, array: NDArray[Any], constants: NDArray[np.uint8]) -> NDArray[Any]:
        """``array`` as it lies in the frozen ``constants``; itself if it is not in there."""
        name = next((name for name, known in self._arrays.items() if known is array), None)
        return array if name is None else self._within(name, constants)

    def move(self, constants: NDArray[np.uint8]) -> None:
        """Hold views of the frozen ``constants`` instead of the originals, which may then go."""
        self._arrays = {name: self._within(name, constants) for name in self._arrays}

    def _within(self, name: str, constants: NDArray[np.uint8]) -> NDArray[Any]:
        start, array = self._offsets[name], self._arrays[name]
        return constants[start : start + array.nbytes].view(array.dtype).reshape(array.shape)

    def sizes(self) -> Mapping[str, int]:
        """Bytes of each array."""
        return {name: array.nbytes for name, array in self._arrays.items()}
