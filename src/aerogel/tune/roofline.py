"""The least time a linear layer could take: the nonzero roofline.

The largest of three times: multiply-adds of the non-zeros (of integers, of the words of 4 that are not all
zero) over the peak rate of the threads used; vector loads that the packing needs over the measured load rate;
bytes moved, each once, over the measured memory bandwidth.
"""

from __future__ import annotations

import numpy as np

from aerogel.formats.panel import WORD, Packed
from aerogel.formats.rows import PackedRows
from aerogel.tune.peaks import Peaks


def roofline(
    packed: Packed | PackedRows, columns: int, lanes: int, top: Peaks, moved: int
) -> dict[str, float]:
    """The three times, in seconds, that a layer cannot beat on ``top.threads`` threads."""
    if isinstance(packed, PackedRows):
        return _of_rows(packed, columns, top, moved)
    vectors = -(-columns // lanes)
    whole = packed.values.dtype == np.float32
    rate, operations = (top.flops, 2.0) if whole else (top.dots, 2.0 * WORD)
    return {
        "arithmetic": operations * packed.nonzeros * columns / (rate * top.threads),
        "loads": packed.loads * vectors / (top.loads * top.threads),
        "memory": moved / top.bytes,
    }


def _of_rows(packed: PackedRows, columns: int, top: Peaks, moved: int) -> dict[str, float]:
    """Rows for few columns: a vector of every row, of every column's inputs once for the rows of a panel."""
    rate = top.dots if packed.number == "int8" else top.flops
    return {
        "arithmetic": 2.0 * packed.nonzeros * columns / (rate * top.threads),
        "loads": packed.loads(columns) / (top.loads * top.threads),
        "memory": moved / top.bytes,
    }
