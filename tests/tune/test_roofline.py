"""The limit of a layer: what its formula says, for every packing."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.formats import bitmap
from aerogel.formats.panel import pack
from aerogel.tune.peaks import Peaks
from aerogel.tune.roofline import roofline

PEAKS = Peaks(threads=2, flops=1e9, dots=4e9, loads=1e8, bytes=1e10)


def test_it_counts_dense_blocks_beside_sparse_ones() -> None:
    """4 x 8 in blocks of 4: one block dense, one with a single column; 5 loads a vector."""
    weight = np.zeros((4, 8), np.float32)
    weight[:, :4] = weight[:, 6] = 1
    limits = roofline(pack(weight, "panel", 4), 16, 16, PEAKS, moved=1)
    assert limits["loads"] == pytest.approx(5 / (PEAKS.loads * PEAKS.threads))


def test_of_a_dense_layer() -> None:
    """8 x 10 weights, 33 columns in 3 vectors of 16: 80 multiply-adds a column, 20 loads a vector."""
    packed = pack(np.ones((8, 10), np.float32), "panel", 10)
    limits = roofline(packed, 33, 16, PEAKS, moved=1000)
    assert limits == pytest.approx(
        {"arithmetic": 2 * 80 * 33 / 2e9, "loads": 20 * 3 / 2e8, "memory": 1000 / 1e10}
    )


def test_of_sparse_layers_counts_non_zeros_only() -> None:
    weight = np.zeros((8, 10), np.float32)
    weight[:4, 2] = weight[5, 7] = weight[6, 9] = 1
    panel = roofline(pack(weight, "panel", 10), 16, 16, PEAKS, 0)
    assert panel == pytest.approx({"arithmetic": 2 * 6 * 16 / 2e9, "loads": 3 / 2e8, "memory": 0})
    # Every place of a quad loads for itself, padding too.
    quad = pack(weight, "quad", 10)
    assert roofline(quad, 16, 16, PEAKS, 0)["loads"] == pytest.approx(quad.indices.size / 2e8)


@pytest.mark.parametrize(("number", "vectors", "rate"), [("fp32", 4, 2e9), ("int8", 1, 8e9)])
def test_of_rows_for_few_columns(number: str, vectors: int, rate: float) -> None:
    """5 rows are 2 panels of 4, 70 columns 2 words; of a word, the vectors of 4 rows and of 3 columns."""
    weight = np.zeros((5, 70), np.int8)
    weight[:, 3] = weight[0, 69] = 1
    packed = (
        bitmap.pack(weight.astype(np.float32), "fp32", "bitmap", 16)
        if number == "fp32"
        else bitmap.pack_integers(weight, np.ones(5, np.float32), "bitmap", 16)
    )
    assert roofline(packed, 3, 16, PEAKS, 1000) == pytest.approx(
        {"arithmetic": 2 * 6 * 3 / rate, "loads": 2 * 2 * vectors * 7 / 2e8, "memory": 1000 / 1e10}
    )
