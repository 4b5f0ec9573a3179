"""Sliced rows: where entries lie, how much is filled up, what a damaged packing is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aerogel.core.errors import FormatError, InputError
from aerogel.formats.bitmap import pack, pack_integers, pack_nibbles, unpack
from aerogel.formats.rows import PADDING_BYTES, PackedRows


def random(rows: int, columns: int, zeros: float) -> np.ndarray:
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((rows, columns)).astype(np.float32)
    weight[rng.random((rows, columns)) < zeros] = 0
    return weight


def of_integers(weight: np.ndarray) -> PackedRows:
    return pack_integers(weight.astype(np.int8), np.ones(len(weight), np.float32), "sliced", 4)


def test_the_longest_rows_of_a_block_come_first() -> None:
    """Sixteen rows of 4 lanes: four slices. Row 5 has five columns, row 2 has one, row 9 one of block 1."""
    weight = np.zeros((16, 300), np.int8)
    weight[5, [3, 7, 20, 250, 255]] = 1, 2, 3, 4, 5
    weight[2, 100], weight[9, 299] = 6, 7
    item = of_integers(weight)
    assert (item.panels, item.words) == (1, 8)
    steps = item.masks.tolist()
    assert steps == [2, 1], "two steps of the first slice of block 0, one of block 1"
    ranks = item.mask_bytes.reshape(2, 16)
    assert (ranks[0, 5], ranks[0, 2], ranks[0, 0], ranks[1, 9]) == (0, 1, 2, 0)
    entries = item.values[:-PADDING_BYTES].reshape(3, 2, 4, 4)  # [step, columns or values, lane, entry]
    assert entries[0, :, 0].tolist() == [[3, 7, 20, 250], [1, 2, 3, 4]]
    assert entries[0, :, 1].tolist() == [[100, 0, 0, 0], [6, 0, 0, 0]]
    assert entries[1, :, 0].tolist() == [[255, 0, 0, 0], [5, 0, 0, 0]]
    assert entries[2, :, 0].tolist() == [[43, 0, 0, 0], [7, 0, 0, 0]]
    assert not entries[:, :, 2:].any()
    np.testing.assert_array_equal(unpack(item), weight.astype(np.float32))


@pytest.mark.parametrize(("number", "places"), [("fp32", [0, 4, 8, 12]), ("bf16", [0, 1, 8, 9])])
def test_entries_lie_where_interleaving_their_bytes_puts_them(number: Any, places: list[int]) -> None:
    weight = np.zeros((16, 64), np.float32)
    weight[0, [10, 11, 12, 13]] = 1, 2, 3, 4
    item = pack(weight, number, "sliced", 4)
    columns, values = item.values[:16], item.values[16:-PADDING_BYTES]
    assert columns[places].tolist() == [10, 11, 12, 13] and np.count_nonzero(columns) == 4
    if number == "fp32":
        # The k-th entries of all lanes are together.
        assert values.view(np.float32).reshape(4, 4)[:, 0].tolist() == [1, 2, 3, 4]
    else:
        halves = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(2, 4, 2)
        assert halves[:, 0].reshape(-1).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("zeros", "filled"), [(0.7, 1.07), (0.9, 1.18), (0.95, 1.28)])
def test_how_much_is_filled_up(zeros: float, filled: float) -> None:
    item = pack(random(1024, 2048, zeros), "fp32", "sliced", 16)
    assert item.multiplied / item.nonzeros == pytest.approx(filled, abs=0.015)
    entries = item.values.nbytes - PADDING_BYTES
    assert entries == 5 * item.multiplied


def test_what_a_kernel_loads() -> None:
    item = pack(random(128, 512, 0.9), "fp32", "sliced", 16)
    inputs = 2 * 2 * 16  # panels, blocks, vectors of inputs of a block
    weights = (item.values.nbytes - PADDING_BYTES) // 64
    assert item.x_vectors == inputs
    assert (item.loads(1), item.loads(3)) == (inputs + weights, 3 * (inputs + weights))


def test_rows_that_are_in_no_order_are_refused() -> None:
    item = pack(random(64, 256, 0.5), "fp32", "sliced", 16)
    ranks = item.mask_bytes.copy()
    ranks[0] = ranks[1]
    with pytest.raises(FormatError, match="not in an order"):
        unpack(replace(item, mask_bytes=ranks))


def test_nibbles_are_not_sliced() -> None:
    with pytest.raises(InputError, match="int4 is not stored sliced: give bitmap or nested"):
        pack_nibbles(np.ones((4, 32), np.int8), np.ones((4, 1), np.float32), "sliced", 16)
