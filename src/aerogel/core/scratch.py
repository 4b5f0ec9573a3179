"""Memory for what is only needed while something is computed, kept from one call to the next.

Fresh memory is handed out page by page as it is first touched, which takes longer than working in it.
"""

from __future__ import annotations

import threading
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# What each thread of the caller's keeps at most.
KEPT_BYTES = 64 << 20
# What is no larger comes from where Python takes its memory, which keeps it anyway.
SMALL_BYTES = 32 << 10


class _Kept(threading.local):
    def __init__(self) -> None:
        self.free: list[NDArray[np.uint8]] = []


_kept = _Kept()


class Scratch:
    """Hands out arrays, contents undefined, that are taken back when the ``with`` ends: keep none of them."""

    def __enter__(self) -> Self:
        self._used: list[NDArray[np.uint8]] = []
        return self

    def array(self, count: int, dtype: Any) -> NDArray[Any]:
        """``count`` elements."""
        size = count * np.dtype(dtype).itemsize
        if size <= SMALL_BYTES:
            return np.empty(count, dtype)
        # The smallest that is large enough, but no memory for much more than is asked.
        fits = [raw for raw in _kept.free if size <= raw.nbytes <= 4 * size + 4096]
        if fits:
            raw = min(fits, key=lambda raw: raw.nbytes)
            _kept.free = [other for other in _kept.free if other is not raw]
        else:
            raw = np.empty(size, np.uint8)
        self._used.append(raw)
        return raw[:size].view(dtype)

    def __exit__(self, *_: object) -> None:
        if not self._used:
            return
        # The latest first: what does not fit under the limit goes.
        total, kept = 0, list[NDArray[np.uint8]]()
        for raw in [*self._used, *_kept.free]:
            if total + raw.nbytes <= KEPT_BYTES:
                total += raw.nbytes
                kept.append(raw)
        _kept.free = kept
