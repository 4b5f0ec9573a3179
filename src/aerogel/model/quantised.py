"""A graph whose linear layers are computed in 8-bit integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError
from aerogel.formats.canonical import encode_integers, encode_rows8, integers_of
from aerogel.model.graph import Embedding, Graph, Weight, in_integers


def quantised(graph: Graph, scales: Mapping[str, NDArray[Any]] | None = None) -> Graph:
    """``graph`` with the weight of every linear layer as int8 with a scale per output, max |row| / 127.

    ``scales``: of weights by name, those whose grid was chosen before (by pruning with ``precision="int8"``);
    where all of a weight lies on it, it is taken over, and nothing is rounded. A table that is also looked
    up, as an embedding, keeps its numbers. InputError for a weight that is not finite, or next to it.
    """
    looked_up = {op.table for op in graph.ops if isinstance(op, Embedding)}
    weights: dict[str, Weight] = dict(graph.weights)
    for name in {op.weight for op in graph.linears()} - looked_up:
        if in_integers(weights[name]):
            continue
        try:
            weights[name] = encode_integers(*_integers(graph.weight(name), (scales or {}).get(name)))
        except InputError as error:
            raise InputError(f"weight {name!r}: {error}") from error
    return replace(graph, weights=weights)


def _integers(
    numbers: NDArray[np.float32], scale: NDArray[Any] | None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The integers and scales of a weight, on the given grid if it lies there."""
    if scale is not None and scale.shape == numbers.shape[:1] and bool((scale >= 0).all()):
        # A scale of another weight may be too small or too large to tell anything of this one.
        with np.errstate(over="ignore", invalid="ignore"):
            scale = scale.astype(np.float32)
            steps = np.divide(numbers, scale[:, None], out=np.zeros_like(numbers), where=scale[:, None] > 0)
            integers = np.rint(steps).clip(-127, 127).astype(np.int8)
            lies = np.array_equal(integers.astype(np.float32) * scale[:, None], numbers)
        if lies:
            return integers, scale
    return integers_of(encode_rows8(numbers))
