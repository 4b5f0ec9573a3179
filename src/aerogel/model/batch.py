"""What one call computes on: the caller's arrays checked, and their tokens packed one after the other.

Padding is never computed. A sequence runs from its first to its last token with mask 1 (from position 0 where
the model pools the first token); tokens inside with mask 0 ("holes") stay, but are neither keys nor pooled.

Every call comes by here, and a small one takes 0.3 ms: messages are made only where they are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.model.graph import (
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    Lookup,
    Pool,
)

# Token numbers are 32-bit in the kernels.
MOST_TOKENS = 1 << 24


@dataclass(frozen=True)
class Batch:
    """``ids``: i32 [lookups, tokens]; ``offsets``: i32 [sequences + 1]; ``destination``: i32 [tokens], the
    token's place in the ``padded`` batch, ``sequences`` x ``length``; ``kept``: f32 [tokens], its mask;
    ``leading``: leading sizes of the caller's arrays; ``features``: row-major inputs by name."""

    tokens: int
    sequences: int
    rows: int
    padded: int
    length: int
    leading: tuple[int, ...]
    holes: bool
    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]
    destination: NDArray[np.int32]
    kept: NDArray[np.float32]
    features: Mapping[str, NDArray[np.float32]]


def batch(graph: Graph, lookups: tuple[Lookup, ...], given: Mapping[str, Any]) -> Batch:
    """Check the caller's arrays (NumPy) against the graph's inputs and pack them; errors name the input."""
    if any(i.kind == "ids" for i in graph.inputs):
        return _tokens(graph, lookups, given)
    return _features(graph, given)


def _array(spec: Input, value: object) -> NDArray[Any]:
    """``value`` as an array; InputError if it is none, a ragged list say."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"input {spec.name!r} is no array of numbers: {error}") from error


# --- rows of features -------------------------------------------------------------------------


def _features(graph: Graph, given: Mapping[str, Any]) -> Batch:
    leading: tuple[int, ...] | None = None
    features: dict[str, NDArray[np.float32]] = {}
    for spec in graph.inputs:
        array = _array(spec, given[spec.name])
        require(
            array.dtype.kind == "f" and array.ndim >= 1 and array.shape[-1] == spec.limit,
            InputError,
            f"input {spec.name!r} is {array.dtype} of shape {array.shape}: "
            f"it needs floats with {spec.limit} features last",
        )
        require(leading in (None, array.shape[:-1]), InputError, f"input {spec.name!r}: leading sizes differ")
        leading = array.shape[:-1]
        # In order and on a multiple of four bytes, as kernels read it; infinite where float32 ends.
        with np.errstate(over="ignore"):
            features[spec.name] = np.require(array, np.float32, ["C", "A"]).reshape(-1)
    leading = leading or ()
    rows = int(np.prod(leading, dtype=np.int64))
    require(rows <= MOST_TOKENS, InputError, f"{rows} rows at once are too many: at most {MOST_TOKENS}")
    none = np.zeros(0, np.int32)
    return Batch(
        tokens=0,
        sequences=0,
        rows=rows,
        padded=0,
        length=0,
        leading=leading,
        holes=False,
        ids=none,
        offsets=np.zeros(1, np.int32),
        destination=none,
        kept=np.zeros(0, np.float32),
        features=features,
    )


# --- sequences of tokens ----------------------------------------------------------------------


def _ids(spec: Input, given: Mapping[str, Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
    # A copy, so that what was checked is what is looked up, whatever another thread does to the caller's.
    array = _array(spec, given[spec.name]).copy()
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise InputError(
            f"input {spec.name!r} is {array.dtype} of shape {array.shape}: "
            "it needs integers of shape (batch, sequence)"
        )
    if shape is not None and array.shape != shape:
        raise InputError(f"input {spec.name!r} has shape {array.shape}, but the ids before it {shape}")
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= spec.limit:
            raise InputError(
                f"input {spec.name!r} holds ids {low} to {high}: they must lie in 0 to {spec.limit - 1}"
            )
    return array


def _mask(spec: Input, given: Mapping[str, Any], shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """True where a token counts; None where all do."""
    value = given.get(spec.name)
    if value is None:
        return None
    array = _array(spec, value)
    if array.shape != shape or array.dtype.kind not in "iubf":
        raise InputError(
            f"input {spec.name!r} is {array.dtype} of shape {array.shape}: it needs 0 and 1 of shape {shape}"
        )
    ones = array == 1
    if bool(ones.all()):
        return None
    if not bool((ones | (array == 0)).all()):
        raise InputError(f"input {spec.name!r} holds other numbers than 0 and 1")
    empty = np.flatnonzero(~ones.any(axis=1))
    if empty.size:
        raise InputError(f"input {spec.name!r} is all zero in row {empty[0]}: a sequence needs a token")
    return ones


def _tokens(graph: Graph, lookups: tuple[Lookup, ...], given: Mapping[str, Any]) -> Batch:
    arrays: dict[str, NDArray[Any]] = {}
    shape: tuple[int, ...] | None = None
    for spec in graph.inputs:
        if spec.kind == "ids" and (given.get(spec.name) is not None or not spec.optional):
            arrays[spec.name] = _ids(spec, given, shape)
            shape = arrays[spec.name].shape
    if shape is None:
        raise InputError("the model needs at least one array of token ids")
    for spec in graph.inputs:
        if spec.kind == "ids" and spec.name not in arrays:
            arrays[spec.name] = np.zeros(shape, np.int32)
    count, length = shape
    if count and not length:
        name = next(iter(arrays))
        raise InputError(f"input {name!r} has shape {shape}: a sequence needs a token")
    if graph.max_length is not None and length > graph.max_length:
        raise InputError(
            f"input {next(iter(arrays))!r} has {length} tokens a sequence: "
            f"this model takes at most {graph.max_length}"
        )
    if count * length > MOST_TOKENS:
        raise InputError(f"a batch of shape {shape} is too large: split it")
    mask = None
    for spec in graph.inputs:
        if spec.kind == "mask":
            mask = _mask(spec, given, shape)
    from_zero = mask is not None and any(isinstance(o, Pool) and o.kind == "first" for o in graph.ops)
    packing = _pack(mask, count, length, from_zero=from_zero)
    offsets, destination, kept, holes = packing
    ids = np.empty((len(lookups), destination.size), np.int32)
    for row, lookup in enumerate(lookups):
        ids[row] = _rows_of(lookup, arrays, destination, length)
    return Batch(
        tokens=destination.size,
        sequences=count,
        rows=count,
        padded=count * length,
        length=length,
        leading=(count,),
        holes=holes,
        ids=ids,
        offsets=offsets,
        destination=destination,
        kept=kept,
        features={},
    )


def _pack(
    mask: NDArray[np.bool_] | None, count: int, length: int, *, from_zero: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], bool]:
    """(offsets, destination, kept, holes) of the tokens to compute."""
    if mask is None:
        offsets = np.arange(0, count * length + 1, max(length, 1), dtype=np.int32)[: count + 1]
        destination = np.arange(count * length, dtype=np.int32)
        return offsets, destination, np.ones(count * length, np.float32), False
    last = length - np.argmax(mask[:, ::-1], axis=1)
    first = np.zeros_like(last) if from_zero else np.argmax(mask, axis=1)
    at = np.arange(length)
    inside = (at >= first[:, None]) & (at < last[:, None])
    offsets = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int32)
    destination = np.flatnonzero(inside).astype(np.int32)
    kept = mask.ravel()[destination].astype(np.float32)
    return offsets, destination, kept, not bool(kept.all())


def _rows_of(
    lookup: Lookup, arrays: Mapping[str, NDArray[Any]], destination: NDArray[np.int32], length: int
) -> NDArray[Any]:
    """The row of an embedding table for every packed token."""
    match lookup:
        case FromInput(name):
            return arrays[name].ravel()[destination]
        case FromPosition(offset):
            return destination % length + offset
        case FromUnpadded(name, padding):
            real = arrays[name] != padding
            counted = np.cumsum(real, axis=1) * real + padding
            return counted.ravel()[destination]
        case FromConstant(row):
            return np.full(destination.size, row)
        case _:
            assert_never(lookup)
