"""A torch tensor as its bits and back: how types that NumPy lacks are stored exactly. Imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, require

_SIGN = {1: 0x7F, 2: 0x7FFF, 4: 0x7FFF_FFFF, 8: 0x7FFF_FFFF_FFFF_FFFF}
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)
"""Whose -0.0 is the sign bit alone; of the other 8-bit floats these are the bits of NaN."""
SPARSE = {str(dtype).removeprefix("torch."): dtype for dtype in (*FLOATS, torch.int8)}
"""What may be stored other than dense, by name."""


def bits_of(tensor: torch.Tensor) -> NDArray[np.unsignedinteger[Any]]:
    """The bits of a tensor of a type in ``SPARSE``, in its shape."""
    plain = tensor.detach().to("cpu").contiguous()
    size = plain.element_size()
    return plain.view(_SIGNED[size]).numpy().view(_UNSIGNED[size])


def live(tensor: torch.Tensor, bits: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.bool_]:
    """Where ``bits`` are those of a number that is not zero of either sign."""
    if not tensor.dtype.is_floating_point:
        return bits != 0
    return (bits & np.array(_SIGN[bits.itemsize], bits.dtype)) != 0


def from_bits(bits: NDArray[np.unsignedinteger[Any]], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of its own memory; FormatError where the bits are of another width than ``dtype``."""
    fits = bits.itemsize == dtype.itemsize
    require(fits, FormatError, f"values have {8 * bits.itemsize} bits, but {dtype} has {8 * dtype.itemsize}")
    signed = np.array(bits, order="C").view(f"i{bits.itemsize}")
    return torch.from_numpy(signed).view(dtype)
