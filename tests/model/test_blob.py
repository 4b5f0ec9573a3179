"""Constants in one block: the same bytes whether they are put together at the end or spooled as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aerogel.core.errors import NativeError
from aerogel.model.blob import SLACK, Blob, Deferred

ARRAYS: dict[str, NDArray[Any]] = {
    "bytes": np.arange(70, dtype=np.uint8),
    "empty": np.zeros((0, 3), np.float32),
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "one": np.array([-7], np.int64),
}


class Recorder:
    """A spool in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, array: NDArray[Any], offset: int) -> None:
        assert offset >= len(self.data)
        self.data += bytes(offset - len(self.data)) + array.tobytes()


def filled(blob: Blob, *, deferred: bool = False) -> Blob:
    for name, array in ARRAYS.items():
        given = Deferred(array.dtype.name, array.shape, array.copy) if deferred else array
        assert blob.add(name, given) == name
    return blob


@pytest.mark.parametrize("deferred", [False, True])
def test_arrays_lie_where_the_layout_says(deferred: bool) -> None:
    blob = filled(Blob(), deferred=deferred)
    constants = blob.freeze()
    assert not constants.flags.writeable and constants.ctypes.data % 64 == 0
    assert constants.nbytes == blob.nbytes
    end = 0
    for name, entry in blob.layout.items():
        assert entry.offset % 64 == 0 and entry.offset >= end
        end = entry.offset + entry.nbytes
        np.testing.assert_array_equal(entry.within(constants), ARRAYS[name])
        assert np.shares_memory(entry.within(constants), constants) or not entry.nbytes
    assert constants.nbytes >= end + SLACK


@pytest.mark.parametrize("deferred", [False, True])
def test_a_spool_gets_the_same_bytes(deferred: bool) -> None:
    spool = Recorder()
    blob = filled(Blob(spool), deferred=deferred)
    frozen = filled(Blob()).freeze()
    assert blob.layout == filled(Blob()).layout
    assert frozen.tobytes().startswith(bytes(spool.data))
    assert not any(frozen[len(spool.data) :])


def test_what_is_deferred_is_made_once_and_only_if_it_is_needed() -> None:
    made: list[str] = []

    def make() -> NDArray[Any]:
        made.append("made")
        return np.ones(3, np.float32)

    blob = Blob()
    for _ in range(2):
        blob.add("later", Deferred("float32", (3,), make))
    assert not made
    blob.freeze()
    assert made == ["made"]


def test_one_name_is_one_constant() -> None:
    blob = Blob()
    blob.add("a", np.ones(3, np.float32))
    blob.add("a", np.ones(3, np.float32))
    for other in (np.zeros(3, np.float32), np.ones(4, np.float32), np.ones(3, np.int32)):
        with pytest.raises(NativeError, match="two different constants are called 'a'"):
            blob.add("a", other)
    with pytest.raises(NativeError, match="two different constants"):
        blob.add("a", Deferred("float32", (2,), lambda: np.ones(2, np.float32)))


def test_what_comes_otherwise_than_announced_is_refused() -> None:
    blob = Blob()
    blob.add("a", Deferred("float32", (3,), lambda: np.ones(2, np.float32)))
    with pytest.raises(NativeError, match="a constant came as float32"):
        blob.freeze()


def test_an_empty_blob_has_room_to_read() -> None:
    assert Blob().freeze().nbytes == SLACK
