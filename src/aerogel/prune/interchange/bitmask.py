"""One weight in the two sparse layouts of compressed-tensors, which nobody maintains now. Imports torch.

``sparse-bitmask``, of a weight [R, C]: ``compressed`` [non-zeros], row-major; ``bitmask`` uint8
[R, ceil(C / 8)], one bit per weight, least significant first; ``row_offsets`` int64 [R], how many non-zeros
come before each row; ``shape`` int64 [2].

``sparse-24-bitmask``, of a weight with at most 2 non-zeros in every 4 consecutive columns: two of every four
are stored, zeros among them where fewer are non-zero; ``compressed`` [R, C / 2], ``bitmask`` as above,
``shape`` int64 [2, 1], no ``row_offsets``.

Source: the documentation of compression in SparseML and compressed-tensors. Older files call the parts
``layer.weight.PART``, newer ones ``layer.PART``; ``compressed`` and ``row_offsets`` may have a dimension more
than they need. All are read; the newer names are written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, require
from aerogel.formats.canonical import MOST_DIMENSIONS, MOST_ELEMENTS
from aerogel.prune.interchange.bits import SPARSE, bits_of, from_bits, live
from aerogel.prune.interchange.encoding import exactly

BITMASK, TWO_FOUR = "sparse-bitmask", "sparse-24-bitmask"
LAYOUTS = (BITMASK, TWO_FOUR)
PARTS = ("compressed", "bitmask", "shape", "row_offsets")


def parts_of(weight: torch.Tensor, layout: str) -> dict[str, torch.Tensor]:
    """The parts of ``weight`` [R, C], which ``fits`` ``layout``."""
    bits = bits_of(weight)
    alive = live(weight, bits)
    if layout == TWO_FOUR:
        alive = exactly(alive.reshape(-1, 4), 2).reshape(bits.shape)
    values = from_bits(bits[alive], weight.dtype)
    mask = torch.from_numpy(np.packbits(alive, axis=-1, bitorder="little"))
    shape = torch.tensor(list(weight.shape), dtype=torch.int64)
    if layout == TWO_FOUR:
        half = values.reshape(weight.shape[0], weight.shape[1] // 2)
        return {"compressed": half, "bitmask": mask, "shape": shape.reshape(-1, 1)}
    counts = alive.sum(axis=1)
    offsets = torch.from_numpy(np.cumsum(counts) - counts)
    return {"compressed": values, "bitmask": mask, "shape": shape, "row_offsets": offsets}


def fits(weight: torch.Tensor, layout: str) -> bool:
    """Can ``weight`` be stored so without losing a number, in fewer bytes than it has?"""
    if weight.ndim != 2 or weight.numel() == 0 or weight.dtype not in SPARSE.values():
        return False
    rows, columns = weight.shape
    alive = live(weight, bits_of(weight))
    if layout == TWO_FOUR:
        return columns % 4 == 0 and int(alive.reshape(-1, 4).sum(axis=1).max()) <= 2
    stored = int(np.count_nonzero(alive)) * weight.element_size() + rows * (-(-columns // 8) + 8) + 16
    return stored < weight.nbytes


def weight_of(parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The weight again, in its shape; FormatError where the parts do not fit each other."""
    missing = [part for part in PARTS[:3] if part not in parts]
    require(not missing, FormatError, f"it has no {' and no '.join(missing)}: the file is not whole")
    values, shape = parts["compressed"], _shape(parts["shape"])
    require(
        values.dtype in SPARSE.values(), FormatError, f"compressed is {values.dtype}, which is no weight's"
    )
    alive = _alive(parts["bitmask"], shape)
    counts = alive.sum(axis=-1).reshape(-1)
    _expect("compressed", values.numel(), int(counts.sum()), "bits in bitmask")
    if "row_offsets" in parts:
        found = _whole("row_offsets", parts["row_offsets"]).reshape(-1)
        same = np.array_equal(found, np.cumsum(counts) - counts)
        require(same, FormatError, "row_offsets are not the sums of the bits of the rows before")
    elif values.ndim == 2:
        paired = shape[-1] % 4 == 0 and bool((alive.reshape(-1, 4).sum(axis=1) == 2).all())
        paired = paired and 2 * values.shape[1] == shape[-1]
        require(paired, FormatError, "it has no row_offsets, but is not 2 of every 4 either")
    bits = bits_of(values)
    out = np.zeros(alive.size, bits.dtype)
    out[alive.reshape(-1)] = bits.reshape(-1)
    return from_bits(out, values.dtype).reshape(shape)


def _shape(given: torch.Tensor) -> tuple[int, ...]:
    """As a row or as a column."""
    sizes = tuple(int(n) for n in _whole("shape", given).reshape(-1)[: MOST_DIMENSIONS + 1])
    possible = 1 <= len(sizes) <= MOST_DIMENSIONS and all(0 <= n <= MOST_ELEMENTS for n in sizes)
    possible = possible and math.prod(max(n, 1) for n in sizes) <= MOST_ELEMENTS
    require(possible, FormatError, f"its shape, {list(sizes)}, is impossible")
    return sizes


def _whole(name: str, given: torch.Tensor) -> NDArray[Any]:
    whole = not given.dtype.is_floating_point and not given.dtype.is_complex and given.dtype != torch.bool
    require(whole, FormatError, f"{name} is {given.dtype}: it must be whole numbers")
    return given.numpy()


def _alive(mask: torch.Tensor, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """[shape] from the packed bits."""
    require(mask.dtype == torch.uint8, FormatError, f"bitmask is {mask.dtype}: it must be bytes")
    rows, wide = math.prod(shape[:-1]), -(-shape[-1] // 8)
    # Before anything is made of the shape, which may claim what no memory holds.
    _expect("bitmask", mask.numel(), rows * wide, f"bytes for shape {list(shape)}")
    packed = mask.numpy().reshape(rows, wide)
    past = shape[-1] % 8
    unused = bool((packed[:, -1] >> past).any()) if past and packed.size else False
    require(not unused, FormatError, "a bit past the last column is set")
    return np.unpackbits(packed, axis=-1, count=shape[-1], bitorder="little").view(bool).reshape(shape)


def _expect(name: str, found: int, wanted: int, what: str) -> None:
    require(found == wanted, FormatError, f"{name} has {found} entries, but there are {wanted} {what}")
