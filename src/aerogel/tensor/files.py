"""``aerogel.read`` and ``aerogel.write``: a tensor in a file, told by its name."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.files import replace_file
from aerogel.formats.storage import Storage
from aerogel.tensor.coerce import operand
from aerogel.tensor.frostt import read_frostt, write_frostt
from aerogel.tensor.matrix_market import read_matrix_market, write_matrix_market
from aerogel.tensor.npz import read_npy, read_npz, write_npz
from aerogel.tensor.tensor import Tensor

_READ: dict[str, Callable[[Path], Storage]] = {
    ".mtx": read_matrix_market,
    ".tns": read_frostt,
    ".npz": read_npz,
    ".npy": read_npy,
}
_WRITE: dict[str, Callable[[IO[bytes], Storage], None]] = {
    ".mtx": write_matrix_market,
    ".tns": write_frostt,
    ".npz": write_npz,
}
_TEXT = (".mtx", ".tns")


def read(path: str | os.PathLike[str]) -> Tensor:
    """The tensor of a file: Matrix Market (``.mtx``), FROSTT (``.tns``), both also .gz, ``.npz`` or ``.npy``.

    A matrix becomes CSR, a ``.tns`` CSF, a sparse ``.npz`` what it holds; an array stays dense.
    FormatError, with the line, for a file that does not hold what it says; InputError for one that cannot be
    read.
    """
    path = Path(path)
    return Tensor(_READ[_kind(path, list(_READ))](path))


def write(path: str | os.PathLike[str], tensor: Any) -> None:
    """Keep a tensor (or anything ``aerogel.tensor`` takes) as Matrix Market, FROSTT or ``.npz``, by its name.

    Text may be packed (``.mtx.gz``). The old file, if any, stays until the new one is whole. Values read back
    are the same numbers; text reads as float64 or int64.
    """
    path = Path(path)
    fill = _WRITE[_kind(path, list(_WRITE))]
    storage = operand(tensor, "the tensor")
    require(
        storage.fill == 0 or storage.format.dense,
        UnsupportedError,
        f"{path}: files have 0 where nothing is stored, this tensor {storage.fill}: write t.to_numpy()",
    )

    def packed(file: IO[bytes]) -> None:
        if path.suffix == ".gz":
            with gzip.GzipFile(path.stem, "wb", fileobj=file, mtime=0) as inner:
                fill(inner, storage)  # type: ignore[arg-type]
        else:
            fill(file, storage)

    replace_file(path, packed)


def _kind(path: Path, known: list[str]) -> str:
    suffixes = path.suffixes
    packed = path.suffix == ".gz"
    kind = suffixes[-2] if packed and len(suffixes) > 1 else path.suffix
    sound = kind in known and (not packed or kind in _TEXT)
    require(
        sound,
        InputError,
        f"{path.name}: the name tells what a file holds, and ends in {', '.join(known)} (text also in .gz)",
    )
    return kind
