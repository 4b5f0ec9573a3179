"""Packed weights of a linear layer, as the kernels stream them: ``panel`` and ``quad``.

Both cut a matrix W [rows, columns] into *groups* of 32 rows and *blocks* of columns; a kernel walks
group after group, in it block after block, so that a block of activations stays in the L1 cache while
all rows of a group use it. Four rows are worked on together and share the register file.

``panel``: four consecutive rows. Within (panel, block) the columns are sorted by their *mask*, the 4 bits
that say which of the rows are non-zero there, so each of the 15 masks has its own branch-free loop, and
one load of an activation serves all the rows of its mask. (Occupancy-mask register tiling: Sparse
Register Tiling, PLDI 2023.) Without zeros there is one mask and no index: the plain dense product.

``quad``: in each block the rows of a group are sorted by their number of non-zeros, and four neighbours
in that order walk their own columns in step: a single loop, whatever the sparsity. A row shorter than its
quad is padded with zeros at one of *its own* columns, so a pruned weight never meets an activation
(0 x inf stays 0); a row without any non-zero shares a quad only with its like.

An entry of W is a float32, or a *word* of four int8: 4 consecutive inputs of a row (see ``words``), zero
where all four are. Then ``columns`` counts words, everything else is the same: a panel's word column that is
whole is a block of 4 outputs x 4 inputs. Some CPUs need some words as two (see ``pairs``): such a column
comes twice.

Streams: ``values`` f32 or i32; ``columns`` u16 (index in the whole matrix); ``runs`` u16, what the kernel
loops over; ``starts`` i64 [groups + 1, 3], where each group begins in the three; ``work`` i64 [groups + 1],
the running sum of multiply-adds, by which threads share the groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require
from aerogel.formats.masked import pack_masked, unpack_masked
from aerogel.formats.packed import (
    DENSE,
    GENERAL,
    GROUP,
    HALVES,
    IN_ORDER,
    MASKS_OF_KIND,
    MAX_COLUMNS,
    MAX_WORDS,
    MENDED,
    PANEL,
    PARTS,
    RUN,
    WHOLE,
    WORD,
    Kind,
    Matrix,
    Packed,
    words,
)
from aerogel.formats.pairs import split
from aerogel.formats.quad import pack_quads, unpack_quads

__all__ = [
    "DENSE",
    "GENERAL",
    "GROUP",
    "HALVES",
    "IN_ORDER",
    "MASKS_OF_KIND",
    "MAX_COLUMNS",
    "MAX_WORDS",
    "MENDED",
    "PANEL",
    "PARTS",
    "RUN",
    "WHOLE",
    "WORD",
    "Kind",
    "Matrix",
    "Packed",
    "pack",
    "unpack",
    "words",
]


def pack(weight: Matrix, kind: Kind, block: int, *, dense: bool = False, pairs: bool = False) -> Packed:
    """Pack ``weight`` [rows, columns], float32 or int32 words; -0.0 counts as zero.

    ``block``: columns per block, at least 1. ``dense`` (panel only): zeros are stored like any other
    number. ``pairs``: words are stored so that sums of two products fit 16 bits, as kernels of a ``Layout``
    with ``pairs`` need them. InputError for another rank or dtype, for non-finite
    weights and for more than 65,536 columns (the indices are 16 bits wide).
    """
    require(
        weight.ndim == 2 and weight.dtype.name in ("float32", "int32"),
        InputError,
        "a packed weight is a matrix of float32, or of int8 in words of int32, got "
        f"{weight.dtype} of shape {weight.shape}",
    )
    rows, columns = weight.shape
    require(rows > 0 and columns > 0, InputError, f"cannot pack an empty weight of shape {weight.shape}")
    most, unit = (MAX_COLUMNS, "columns") if weight.dtype == np.float32 else (MAX_WORDS, "words of 4 inputs")
    require(columns <= most, InputError, f"a weight has {columns} {unit}: at most {most} can be packed")
    require(not dense or kind == "panel", InputError, "only panels can store a matrix densely")
    require(block >= 1, InputError, f"a block has at least 1 column, got {block}")
    require(
        bool(np.isfinite(weight).all()),
        InputError,
        "the weight holds NaN or infinity: repair it before packing",
    )
    # A block's columns are counted in 16 bits too.
    block = min(block, columns, MAX_COLUMNS - 1)
    rest: NDArray[np.int32] | None = None
    if pairs and weight.dtype == np.int32:
        weight, rest = split(weight.view(np.int32))
        rest = rest if rest.any() else None
    match kind:
        case "panel":
            # A word that is split keeps a part: none becomes zero.
            live = np.ones_like(weight, bool) if dense else weight != 0
            return pack_masked(weight, block, live, rest)
        case "quad":
            return pack_quads(weight, block, rest)


def unpack(packed: Packed) -> Matrix:
    """The matrix [rows, columns] again, exactly; FormatError if the streams do not fit each other."""
    try:
        match packed.kind:
            case "panel":
                out, used = unpack_masked(packed)
            case "quad":
                out, used = unpack_quads(packed)
    except (IndexError, ValueError) as error:
        raise FormatError(f"the streams of a {packed.kind} matrix do not fit each other: {error}") from error
    sizes = (packed.values.size, packed.indices.size, packed.runs.size)
    require(
        used == sizes,
        FormatError,
        f"a {packed.kind} matrix has streams of {sizes} entries, but {used} are used",
    )
    return out
