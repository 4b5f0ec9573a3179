"""Arrays on cache lines."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.memory import CACHE_LINE, aligned, copy_aligned


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int64])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 1000])
def test_aligned(count: int, dtype: type) -> None:
    for _ in range(5):
        array = aligned(count, dtype)
        assert array.shape == (count,) and array.dtype == dtype and array.flags.writeable
        assert count == 0 or array.ctypes.data % CACHE_LINE == 0
        assert not array.any()


def test_a_copy_is_row_major_and_apart() -> None:
    source = np.arange(12, dtype=np.float32).reshape(3, 4).T
    copy = copy_aligned(source)
    assert copy.ctypes.data % CACHE_LINE == 0 and copy.tolist() == source.ravel().tolist()
    copy[:] = 0
    assert source.any()
    assert copy_aligned(np.zeros((0, 3), np.int64)).shape == (0,)
