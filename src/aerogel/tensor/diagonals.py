"""Diagonals of operands: what an access such as A(i,i) sees, as a tensor of its own."""

from __future__ import annotations

import numpy as np

from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, require
from aerogel.formats.storage import Storage, dense
from aerogel.formats.tensor_format import named


def diagonal(storage: Storage, along: tuple[int, ...]) -> Storage:
    """The tensor whose mode ``along[m]`` every mode m of ``storage`` runs along; ``()``: itself.

    Made once, as long as the storage lives. What is stored stays stored. InputError where modes that run
    along one differ in size.
    """
    if not along:
        return storage
    key = ("diagonal", along)
    found = storage.memo.get(key)
    if found is None:
        found = storage.memo[key] = _diagonal(storage, along)
    return found


def _diagonal(storage: Storage, along: tuple[int, ...]) -> Storage:
    first = [along.index(mode) for mode in range(max(along) + 1)]
    shape = tuple(storage.shape[mode] for mode in first)
    wanted = tuple(shape[mode] for mode in along)
    require(storage.shape == wanted, InputError, f"shape {storage.shape} has no diagonal along {along}")
    if storage.format.dense and not storage.format.block:
        form = storage.format
        levels = storage.values.reshape([storage.shape[mode] for mode in form.order])
        array = levels.transpose([form.order.index(mode) for mode in range(form.rank)])
        return dense(np.einsum(array, list(along), list(range(len(shape)))).copy(), storage.fill)
    places, values = coordinates(storage)
    kept = np.ones(len(values), np.bool_)
    for mode, to in enumerate(along):
        kept &= places[mode] == places[first[to]]
    left = [places[mode][kept] for mode in first]
    form = named("csf", len(shape))
    return pack(left, values[kept], shape, form, fill=storage.fill, index=storage.index)
