"""Arrays that start on a cache line: a vector load that straddles two lines costs double."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CACHE_LINE = 64


def aligned(count: int, dtype: Any = np.float32) -> NDArray[Any]:
    """``count`` zeros of ``dtype``, 1-D, starting at a multiple of CACHE_LINE bytes."""
    kind = np.dtype(dtype)
    size = count * kind.itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(kind)


def copy_aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A 1-D aligned copy of ``array``, row-major."""
    out = aligned(array.size, array.dtype)
    out[:] = array.ravel()
    return out
