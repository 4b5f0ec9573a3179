"""Arrays that end (or begin) at an inaccessible page, so that a kernel that leaves them faults.

For tests of kernels: a stray read elsewhere finds other memory and goes unnoticed.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import NativeError, require

_NO_ACCESS = 0


def guarded(
    array: NDArray[Any], slack: int = 0, *, align: int = 1, at: Literal["end", "start"] = "end"
) -> NDArray[Any]:
    """A writable copy of a 1-D array, flush against an inaccessible page.

    At ``"end"`` the page follows ``slack`` readable bytes after the last element; with ``align``, up to
    ``align - 1`` more, so that the copy starts at a multiple of it. At ``"start"`` it lies right before
    the first element. Readable bytes around the copy are 0xFF (NaN as floats).
    """
    require(align >= 1 and align & (align - 1) == 0, NativeError, f"align={align}: give a power of two")
    page = mmap.PAGESIZE
    room = -(-(array.nbytes + slack + align) // page) * page
    mapping = mmap.mmap(-1, room + 2 * page)
    every = np.frombuffer(mapping, np.uint8)
    base = every.__array_interface__["data"][0]
    every[page : page + room] = 0xFF
    if at == "start":
        offset = page
    else:
        offset = (page + room - slack - array.nbytes) // align * align
    copy = np.frombuffer(mapping, array.dtype, array.size, offset)
    copy[:] = array.reshape(-1)
    _forbid(base, page)
    _forbid(base + page + room, page)
    return copy


def _forbid(address: int, size: int) -> None:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if protect(address, size, _NO_ACCESS) != 0:
        raise NativeError(f"mprotect failed with errno {ctypes.get_errno()}: no guard page was made")
