"""Values that are only moved are moved as integers of their width: one kernel for all types of that width."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType

BITS = {1: DType.U8, 4: DType.I32, 8: DType.I64}
"""What moves a value of so many bytes."""


def bits_of(values: NDArray[Any]) -> tuple[NDArray[np.generic], DType]:
    """The same memory as integers, and their type."""
    dtype = BITS[values.itemsize]
    return values.view(dtype.numpy()), dtype
