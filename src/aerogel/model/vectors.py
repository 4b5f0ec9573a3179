"""Vectors of texts after the network: cut, scaled to length 1, made of fewer bits, compared. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, assert_never, cast, get_args

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.model.sentence_settings import SIMILARITIES, Similarity

Vectors = NDArray[np.float32]
Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# Below this a vector counts as zero, and stays so.
_LEAST = np.float32(1e-12)


def normalized(vectors: Vectors) -> Vectors:
    """Each row divided by its length, or by 1e-12 where that is more."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _LEAST)


def quantized(vectors: Vectors, precision: Precision) -> NDArray[Any]:
    """[texts, features] as ``precision``.

    ``int8`` and ``uint8``: each feature's range over these very texts in 255 steps, so that vectors of two
    calls do not compare; it takes 2 texts or more. ``ubinary``: 8 signs a byte, features first to last from
    the highest bit on, 1 for a number above 0; ``binary``: the same less 128. InputError where 8 bits are
    asked of one text.
    """
    match precision:
        case "float32":
            return vectors
        case "int8" | "uint8":
            return _eight_bits(vectors, precision)
        case "ubinary":
            return np.packbits(vectors > 0, axis=-1)
        case "binary":
            return (np.packbits(vectors > 0, axis=-1).astype(np.int16) - 128).astype(np.int8)
        case _:
            assert_never(precision)


def _eight_bits(vectors: Vectors, precision: Literal["int8", "uint8"]) -> NDArray[Any]:
    told = f"precision={precision!r} takes its range from the texts of a call: give 2 texts or more"
    require(len(vectors) > 1, InputError, told)
    low = vectors.min(axis=0)
    step = (vectors.max(axis=0) - low) / np.float32(255)
    # Where all texts have the same number there is no range: the lowest code, as for its lower end.
    steps = np.divide(vectors - low, step, out=np.zeros_like(vectors), where=step > 0)
    codes = np.clip(np.floor(steps), 0, 255).astype(np.uint8)
    return codes if precision == "uint8" else (codes.astype(np.int16) - 128).astype(np.int8)


# --- comparing: larger is more alike ------------------------------------------------------------


def _cosine(a: Vectors, b: Vectors) -> Vectors:
    return normalized(a) @ normalized(b).T


def _dot(a: Vectors, b: Vectors) -> Vectors:
    return a @ b.T


def _euclidean(a: Vectors, b: Vectors) -> Vectors:
    # Differences of one row at a time: expanding the square would lose what is alike.
    return -np.stack([np.linalg.norm(b - row, axis=-1) for row in a])


def _manhattan(a: Vectors, b: Vectors) -> Vectors:
    return -np.stack([np.abs(b - row).sum(axis=-1) for row in a])


_ALL: dict[Similarity, Callable[[Vectors, Vectors], Vectors]] = {
    "cosine": _cosine,
    "dot": _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}
_PAIRS: dict[Similarity, Callable[[Vectors, Vectors], Vectors]] = {
    "cosine": lambda a, b: (normalized(a) * normalized(b)).sum(axis=-1),
    "dot": lambda a, b: (a * b).sum(axis=-1),
    "euclidean": lambda a, b: -np.linalg.norm(a - b, axis=-1),
    "manhattan": lambda a, b: -np.abs(a - b).sum(axis=-1),
}


def similarities(a: object, b: object, kind: Similarity) -> Vectors:
    """[rows of a, rows of b]: each with each. A single vector is one row. Distances are negative.
    InputError where there is nothing to compare."""
    left, right = _rows(a), _rows(b)
    if 0 in (len(left), len(right)):
        return np.zeros((len(left), len(right)), np.float32)
    _require(left.shape[1] == right.shape[1], left, right)
    return _ALL[kind](left, right)


def pairwise(a: object, b: object, kind: Similarity) -> Vectors:
    """[rows]: the first of ``a`` with the first of ``b``, and so on; one number for two single vectors, and
    a single one is paired with every row."""
    left, right = _array(a), _array(b)
    single = 1 in (left.ndim, right.ndim)
    alike = left.shape[-1:] == right.shape[-1:] and (single or len(left) == len(right))
    _require(alike and 0 not in (left.ndim, right.ndim), left, right)
    return np.asarray(_PAIRS[kind](left, right), np.float32)


def require_similarity(name: object) -> Similarity:
    """A name of ``SIMILARITIES``, or an enumeration that has it as its value; None is cosine. InputError."""
    found: Any = "cosine" if name is None else getattr(name, "value", name)
    known = found in SIMILARITIES
    require(known, InputError, unknown("similarity", found, SIMILARITIES))
    return found


def _rows(vectors: object) -> Vectors:
    found = _array(vectors)
    _require(found.ndim in (1, 2), found, found)
    if found.size == 0:
        return np.zeros((0, 0), np.float32)
    return np.atleast_2d(found)


def _array(vectors: Any) -> Vectors:
    """Vectors as float32: an array, a tensor, or a list of either."""
    if isinstance(vectors, list | tuple):
        rows = [_array(row) for row in cast("list[object]", vectors)]
        require(len({r.shape for r in rows}) < 2, InputError, "the vectors of a list are not equally long")
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)
    try:
        plain = vectors.detach().float().cpu() if hasattr(vectors, "detach") else vectors
        return np.asarray(plain, np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"a {type(vectors).__name__} is no vectors of numbers: {error}") from error


def _require(fits: object, a: Vectors, b: Vectors) -> None:
    told = f"vectors of shapes {a.shape} and {b.shape} cannot be compared: give rows that are equally long"
    require(fits, InputError, told)
