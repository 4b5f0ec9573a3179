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


def storage_of(
    listed: Listed, scheduled: Scheduled, wanted: Format | None, sizes: Mapping[str, int]
) -> Storage:
    """The result in the format ``wanted``, or in the schedule's own."""
    out = scheduled.assignment.out.indices
    shape = tuple(sizes[i] for i in out)
    form = scheduled.out if wanted is None else wanted
    trailing = scheduled.out_indices[len(listed.indices) :]
    coordinates = dict(zip(listed.indices, listed.coordinates, strict=True))
    values = listed.values
    if trailing:
        # Blocks below each element: every coordinate in them is stored.
        block = prod(sizes[i] for i in trailing)
        coordinates = {i: np.repeat(crd, block) for i, crd in coordinates.items()}
        inner = np.indices([sizes[i] for i in trailing]).reshape(len(trailing), -1)
        for index, crd in zip(trailing, inner, strict=True):
            coordinates[index] = np.tile(crd.astype(scheduled.index.numpy()), len(listed.coordinates[0]))
    by_mode = [coordinates[i] for i in out]
    zero = scheduled.assignment.zero
    return pack(by_mode, values, shape, form, duplicates="refuse", fill=zero)
