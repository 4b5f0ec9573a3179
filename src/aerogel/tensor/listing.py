"""Coordinates and values as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_A_TIME = 1 << 16


def numerals(ids: Sequence[NDArray[Any]], values: NDArray[Any] | None) -> Iterator[str]:
    """A line per value: coordinates, counted from 1, and the number, so that reading gives the same bits."""
    count = len(values) if values is not None else len(ids[0])
    for at in range(0, count, _ROWS_AT_A_TIME):
        here = slice(at, at + _ROWS_AT_A_TIME)
        columns: list[Iterator[str]] = [map(str, (crd[here].astype(np.int64) + 1).tolist()) for crd in ids]
        if values is not None:
            columns.append(_spelt(values[here]))
        yield "\n".join(map(" ".join, zip(*columns, strict=True))) + "\n"


def _spelt(values: NDArray[Any]) -> Iterator[str]:
    """The fewest digits that read back as the same number; of float32, at most nine."""
    if values.dtype == np.float32:
        return (f"{value:.9g}" for value in values.tolist())
    if values.dtype == np.bool_:
        values = values.astype(np.int64)
    return map(repr, values.tolist())
