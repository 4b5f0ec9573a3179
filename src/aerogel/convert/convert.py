"""One storage to another format, by the shortest way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.assemble import Wanted
from aerogel.convert.blocks import blocks_route, from_blocks, to_blocks
from aerogel.convert.chunks import thread_count
from aerogel.convert.dense import from_dense, to_dense
from aerogel.convert.entries import Columns
from aerogel.convert.pack import by_level, check_fit, pack_surveyed
from aerogel.convert.survey import Survey, survey
from aerogel.convert.transpose import transpose, transposes
from aerogel.convert.unpack import coordinates
from aerogel.formats.storage import Fill, Storage, index_type
from aerogel.formats.tensor_format import Format


def convert(
    storage: Storage,
    format: Format,  # noqa: A002 (the word of the public face)
    *,
    threads: int | None = None,
) -> Storage:
    """The same tensor in ``format``; the same storage where it has it already.

    Explicit zeros stay stored, except out of a format whose last level stores every coordinate: there nothing
    tells them from padding, so what equals the fill is left out. Arrays may be shared with ``storage``.
    FormatError for a format that does not fit, UnsupportedError where memory is short.
    """
    if storage.format == format:
        return storage
    if transposes(storage.format, format):
        return transpose(storage, format, threads)
    check_fit(format, storage.shape)
    if format.dense:
        return to_dense(storage, format, threads)
    if storage.format.dense:
        return convert(from_dense(storage, threads), format, threads=threads)
    if blocks_route(storage.format, format):
        return (to_blocks if format.block else from_blocks)(storage, format, threads)
    modes, values = coordinates(storage, threads=threads)
    if storage.format.levels[-1].full:
        modes, values = _without_fill(modes, values, storage.fill)
    pieces = thread_count(len(values), threads)
    columns = by_level(modes, format)
    seen = _known(storage, format) or survey(columns, pieces)
    index = index_type(storage.shape, len(values))
    wanted = Wanted(format, storage.shape, storage.fill, index)
    return pack_surveyed(wanted, Columns(columns, values, kept=True), seen, "last", pieces)


def _known(storage: Storage, target: Format) -> Survey | None:
    """What needs no look: in the same order of modes, what is stored is sorted, and nothing stands twice."""
    source = storage.format
    if source.block or target.block or source.order != target.order:
        return None
    return Survey((), (), 0, unique=True)


def _without_fill(
    modes: tuple[NDArray[Any], ...], values: NDArray[Any], fill: Fill
) -> tuple[tuple[NDArray[Any], ...], NDArray[Any]]:
    one = np.asarray(fill, values.dtype)
    # A NaN is equal to nothing, itself among that.
    kept = values != one if one == one else values == values  # noqa: PLR0124
    if kept.all():
        return modes, values
    return tuple(mode[kept] for mode in modes), values[kept]
