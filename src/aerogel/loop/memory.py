"""The interpreter's memory: buffers whose every access is checked against bounds and other threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import BufferType
from aerogel.loop.values import ComputeError, Value, scalar

Array = NDArray[Any]


@dataclass(slots=True)
class Shadow:
    """Who first touched each byte of a region since the last barrier: thread number + 1, 0 for nobody.

    Threads run one after another from barrier to barrier. So when a thread writes, whoever else has read
    the byte is done, and the first reader is either itself, with no other before it, or a conflict.
    """

    writer: Array
    reader: Array
    touched: bool = False

    @staticmethod
    def of(nbytes: int) -> Shadow:
        return Shadow(np.zeros(nbytes, np.int32), np.zeros(nbytes, np.int32))

    def barrier(self) -> None:
        """Forget: what came before a barrier does not race with what comes after."""
        if self.touched:
            self.writer.fill(0)
            self.reader.fill(0)
            self.touched = False


@dataclass(slots=True)
class Region:
    """A run of memory that views share: an argument or an ``Alloc``. ``shadow``: None if not watched."""

    name: str
    shadow: Shadow | None = None


@dataclass(slots=True)
class View:
    """Elements of one dtype in a region, from byte ``start`` on. ``data`` shares the region's memory."""

    data: Array
    region: Region
    dtype: DType
    name: str
    start: int = 0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.data)

    @property
    def end(self) -> int:
        """One past its last byte in the region."""
        return self.start + self.data.nbytes

    # --- access -----------------------------------------------------------------------------

    def load(self, index: int, thread: int) -> Value:
        if not 0 <= index < self.size:
            self._out_of_range("load", index, index)
        if self.region.shadow is not None:
            self._read(index, index + 1, thread)
        return scalar(self.data[index], self.dtype)

    def store(self, index: int, value: Value, thread: int) -> None:
        if not 0 <= index < self.size:
            self._out_of_range("store", index, index)
        if self.region.shadow is not None:
            self._write(index, index + 1, thread)
        self.data[index] = value

    def vload(self, index: int, lanes: int, thread: int) -> Array:
        if not (index >= 0 and index + lanes <= self.size):
            self._out_of_range("load", index, index + lanes - 1)
        if self.region.shadow is not None:
            self._read(index, index + lanes, thread)
        return self.data[index : index + lanes].copy()

    def vstore(self, index: int, value: Array, thread: int) -> None:
        lanes = len(value)
        if not (index >= 0 and index + lanes <= self.size):
            self._out_of_range("store", index, index + lanes - 1)
        if self.region.shadow is not None:
            self._write(index, index + lanes, thread)
        self.data[index : index + lanes] = value

    def masked_load(self, index: int, mask: Array, thread: int) -> Array:
        out = np.zeros(len(mask), self.data.dtype)
        out[mask] = [self.load(index + int(lane), thread) for lane in np.flatnonzero(mask)]
        return out

    def masked_store(self, index: int, value: Array, mask: Array, thread: int) -> None:
        for lane in np.flatnonzero(mask):
            self.store(index + int(lane), value[lane], thread)

    def view(self, type_: BufferType, name: str, offset: int, count: int) -> View:
        """``count`` elements of another type from byte ``offset`` of this one on."""
        nbytes = count * type_.dtype.itemsize
        if not (offset >= 0 and count >= 0 and offset + nbytes <= self.data.nbytes):
            raise ComputeError(
                f"view {name!r} of {count} {type_.dtype.short} at byte {offset}"
                f" does not fit {self.name!r} of {self.data.nbytes} bytes"
            )
        start = self.start + offset
        if start % type_.align:
            raise ComputeError(f"view {name!r} claims alignment {type_.align}, but starts at byte {start}")
        data = self.data[offset : offset + nbytes].view(type_.dtype.numpy())
        return View(data, self.region, type_.dtype, name, start)

    # --- checks -----------------------------------------------------------------------------

    def _out_of_range(self, what: str, first: int, last: int) -> None:
        where = f"index {first}" if first == last else f"indices {first} to {last}"
        raise ComputeError(f"{what} at {where} of buffer {self.name!r}, which has {self.size} elements")

    def _bytes(self, first: int, stop: int) -> slice:
        width = self.dtype.itemsize
        return slice(self.start + first * width, self.start + stop * width)

    def _read(self, first: int, stop: int, thread: int) -> None:
        shadow, span = self.region.shadow, self._bytes(first, stop)
        assert shadow is not None
        self._conflict(shadow.writer[span], first, "written", thread, "read")
        shadow.touched = True
        reader = shadow.reader[span]
        reader[reader == 0] = thread + 1

    def _write(self, first: int, stop: int, thread: int) -> None:
        shadow, span = self.region.shadow, self._bytes(first, stop)
        assert shadow is not None
        self._conflict(shadow.writer[span], first, "written", thread, "written")
        self._conflict(shadow.reader[span], first, "read", thread, "written")
        shadow.touched = True
        shadow.writer[span] = thread + 1

    def _conflict(self, log: Array, first: int, was: str, thread: int, is_: str) -> None:
        found = np.flatnonzero((log != 0) & (log != thread + 1))
        if len(found):
            index, who = first + int(found[0]) // self.dtype.itemsize, int(log[found[0]]) - 1
            raise ComputeError(
                f"race on element {index} of buffer {self.name!r}: {was} by thread {who} and {is_} by"
                f" thread {thread} with no barrier between"
            )


def scratch(type_: BufferType, name: str, count: int) -> View:
    """Memory for an ``Alloc``, all bits set: NaN as a float, -1 or the greatest as an integer."""
    data = np.full(count * type_.dtype.itemsize, 0xFF, np.uint8)
    if type_.dtype is DType.BOOL:
        # Only 0 and 1 are bools.
        data.fill(1)
    return View(data.view(type_.dtype.numpy()), Region(name), type_.dtype, name)


def overlapping(views: list[tuple[View, bool]]) -> tuple[View, View] | None:
    """Two views that share a byte, one of them mutable (the flag says const), if there are any."""
    for i, (a, a_const) in enumerate(views):
        for b, b_const in views[:i]:
            shared = a.region is b.region and max(a.start, b.start) < min(a.end, b.end)
            if shared and not (a_const and b_const):
                return b, a
    return None
