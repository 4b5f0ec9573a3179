"""FROSTT files (``.tns``): a line per value, its coordinates, counted from 1, and then the value.

http://frostt.io/tensors/file-formats.html. The file does not say how large the tensor is: each mode reaches
as far as its coordinates do, unless a comment ``# shape: 3 4 5``, as written here, says more.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import UnsupportedError, require
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.tensor.columns import Lines, require_range, rows_of, text_file, whole
from aerogel.tensor.listing import numerals

_SHAPE = "# shape:"


def read_frostt(path: Path) -> Storage:
    """A tensor of float64 in CSF; values of equal coordinates are summed."""
    with text_file(path) as lines:
        shape, rank = _header(lines)
        bound = shape if shape is not None else (2**63 - 1,) * rank
        ids: list[NDArray[Any]] = []
        values: list[NDArray[Any]] = []
        for rows in rows_of(lines, rank, "float", b"#"):
            require_range(lines, rows, bound)
            ids.append(rows.ids.T - 1)
            values.append(rows.values)
        both = np.concatenate(ids, axis=1) if ids else np.zeros((rank, 0), np.int64)
        numbers = np.concatenate(values) if values else np.zeros(0)
        extents = shape if shape is not None else tuple(int(crd.max(initial=-1)) + 1 for crd in both)
        return pack(tuple(both), numbers, extents, named("csf", rank))


def _header(lines: Lines) -> tuple[tuple[int, ...] | None, int]:
    """The shape where a comment has it, and the number of modes, which the first values tell."""
    shape: tuple[int, ...] | None = None
    while (text := lines.next()) is not None:
        bare = text.strip()
        if bare.startswith(_SHAPE) and shape is None:
            words = bare.removeprefix(_SHAPE)
            shape = tuple(whole(lines, words, (len(words.split()),), "shape"))
        elif bare and not bare.startswith("#"):
            rank = len(bare.split()) - 1
            if rank < 1 or (shape is not None and len(shape) != rank):
                modes = "one or more" if shape is None else len(shape)
                raise lines.fail(f"it has {rank + 1} numbers: {modes} coordinates and a value are expected")
            lines.give_back(text)
            return shape, rank
    if shape is None:
        raise lines.fail("the file has no values, and says no shape")
    return shape, len(shape)


def write_frostt(file: IO[bytes], storage: Storage) -> None:
    """Every stored value, in the order in which it is stored."""
    require(storage.rank > 0, UnsupportedError, "a .tns file needs a mode: write a number to .npz")
    file.write(f"{_SHAPE} {' '.join(map(str, storage.shape))}\n".encode())
    for block in numerals(*coordinates(storage)):
        file.write(block.encode("ascii"))
