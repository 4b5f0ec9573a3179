"""Levels made from a list of coordinates that a kernel has written in order."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from aerogel.convert.pack import pack
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.lower.kernel import Listed
from aerogel.lower.scheduled import Scheduled


def storage_of(listed: Listed, scheduled: Scheduled, wanted: Format, sizes: Mapping[str, int]) -> Storage:
    """The result in the format ``wanted``."""
    out = scheduled.assignment.out.indices
    shape = tuple(sizes[i] for i in out)
    trailing = scheduled.out_indices[len(listed.indices) :]
    in_order = wanted.order == scheduled.out.order and not wanted.block
    if trailing and in_order and wanted.levels[-len(trailing) :] == scheduled.out.levels[-len(trailing) :]:
        return _with_blocks(listed, scheduled, wanted, shape)
    coordinates = dict(zip(listed.indices, listed.coordinates, strict=True))
    if trailing:
        # Blocks below each element: every coordinate in them is stored.
        block = prod(sizes[i] for i in trailing)
        coordinates = {i: np.repeat(crd, block) for i, crd in coordinates.items()}
        inner = np.indices([sizes[i] for i in trailing]).reshape(len(trailing), -1)
        for index, crd in zip(trailing, inner, strict=True):
            coordinates[index] = np.tile(crd.astype(scheduled.index.numpy()), len(listed.coordinates[0]))
    by_mode = [coordinates[i] for i in out]
    zero = scheduled.assignment.zero
    return pack(by_mode, listed.values, shape, wanted, duplicates="refuse", fill=zero)


def _with_blocks(listed: Listed, scheduled: Scheduled, wanted: Format, shape: tuple[int, ...]) -> Storage:
    """The levels above the blocks, made of the list alone; the blocks stay where the kernel put them."""
    heads = len(listed.indices)
    numbers = np.arange(len(listed.coordinates[0]), dtype=np.int64)
    straight = Format(wanted.levels[:heads], tuple(range(heads)))
    extents = [shape[mode] for mode in wanted.order[:heads]]
    above = pack(listed.coordinates, numbers, extents, straight, duplicates="refuse")
    levels = (*above.levels, *((),) * (len(shape) - heads))
    return Storage(wanted, shape, levels, listed.values, scheduled.assignment.zero, above.index)
