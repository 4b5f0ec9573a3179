"""Little tensors of every kind, each with the dense array it stands for."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from numpy.typing import NDArray

from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

DTYPES = ("float64", "float32", "int64", "int32", "bool")
FORMATS = {
    0: ("dense",),
    1: ("sv", "dense", "bitmap"),
    2: ("csr", "csc", "coo", "dcsr", "dense", "dense,bitmap", "compressed,dense", "coo@1,0", "bsr:1x1"),
    3: ("csf", "coo", "dense", "csf@2,0,1", "dense,compressed,compressed", "dense,dense,compressed@1,2,0"),
}


def spelt(name: str, rank: int) -> str:
    """``coo`` and ``csf`` in another order have no name: their level kinds do."""
    head, at, order = name.partition("@")
    if not at or "," in head:
        return name
    levels = {"csf": ["compressed"] * rank, "coo": ["compressed_nonunique", "singleton"]}[head]
    return f"{','.join(levels)}@{order}"


def array(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, density: float = 0.4) -> NDArray[Any]:
    """Small whole numbers, mostly 0: sums and products are exact in any order."""
    values = rng.integers(-4, 5, shape) * (rng.random(shape) < density)
    return np.asarray(values).astype(dtype)


@st.composite
def arrays(draw: Any, rank: int | None = None, dtypes: tuple[str, ...] = DTYPES) -> NDArray[Any]:
    modes = draw(st.integers(1, 3)) if rank is None else rank
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=modes, max_size=modes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return array(rng, shape, draw(st.sampled_from(dtypes)), draw(st.sampled_from([0.0, 0.2, 0.5, 1.0])))


@st.composite
def tensors(
    draw: Any, rank: int | None = None, dtypes: tuple[str, ...] = DTYPES
) -> tuple[Tensor, NDArray[Any]]:
    """A tensor in some format, and the array."""
    dense = draw(arrays(rank, dtypes))
    name = draw(st.sampled_from(FORMATS[dense.ndim]))
    return tensor(dense, spelt(name, dense.ndim)), dense


def same(found: Any, wanted: NDArray[Any]) -> None:
    """The same shape, type and numbers."""
    got = found.to_numpy() if isinstance(found, Tensor) else np.asarray(found)
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    assert got.dtype == wanted.dtype, (got.dtype, wanted.dtype)
    np.testing.assert_array_equal(got, wanted)
