"""``.npz`` and ``.npy`` files: as scipy.sparse.save_npz and numpy.savez write them. Never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from aerogel.convert.unpack import coordinates
from aerogel.core.errors import FormatError, InputError, UnsupportedError, require
from aerogel.formats.storage import Storage, dense
from aerogel.tensor.raw import usable
from aerogel.tensor.scipy_exchange import from_scipy

_LAYOUTS = ("csr", "csc", "bsr", "coo", "dia")
# Deflate cannot pack tighter; what claims to is made to fill the memory.
_MOST_PACKED = 1032


def read_npz(path: Path) -> Storage:
    """What scipy.sparse.save_npz wrote, checked; or the one array of a file that holds no other."""
    try:
        with zipfile.ZipFile(path) as archive:
            items = archive.infolist()
            arrays = {item.filename.removesuffix(".npy"): _member(archive, item, path) for item in items}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"{path} is no sound .npz file: {error}") from error
    if "format" in arrays:
        return _sparse(arrays, path)
    require(
        len(arrays) == 1,
        FormatError,
        f"{path} holds {len(arrays)} arrays ({', '.join(sorted(arrays)[:8])}): one, or a sparse matrix of "
        "SciPy, is expected; pick one with numpy.load and pass it to aerogel.tensor",
    )
    return dense(usable(next(iter(arrays.values())), str(path)))


def _member(archive: zipfile.ZipFile, item: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    where = f"{path}, {item.filename}"
    require(
        item.file_size <= _MOST_PACKED * (item.compress_size + 64),
        FormatError,
        f"{where} claims to unpack {item.compress_size} bytes to {item.file_size}: nothing packs so tight",
    )
    with archive.open(item) as file:
        return _array(file, item.file_size, where)


def read_npy(path: Path) -> Storage:
    """The array of a ``.npy`` file."""
    try:
        with path.open("rb") as file:
            return dense(usable(_array(file, path.stat().st_size, str(path)), str(path)))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _array(file: IO[bytes], size: int, where: str) -> NDArray[Any]:
    """One array of a file of ``size`` bytes; nothing is allocated before it is known to hold so much."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, kind = read(file)
    except (ValueError, TypeError, SyntaxError, EOFError) as error:
        raise FormatError(f"{where} is no array of NumPy: {error}") from error
    require(not kind.hasobject, FormatError, f"{where} holds Python objects, which could run code: not read")
    sound = all(isinstance(extent, int) and extent >= 0 for extent in shape)
    need = math.prod(shape) * kind.itemsize if sound else 0
    require(
        sound and need <= size,
        FormatError,
        f"{where} declares an array of shape {shape} and {kind}, but has {size} bytes",
    )
    data = file.read(need)
    require(len(data) == need, FormatError, f"{where} ends after {len(data)} of {need} bytes")
    flat = np.frombuffer(data, kind) if need else np.zeros(math.prod(shape), kind)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _sparse(arrays: Mapping[str, NDArray[Any]], path: Path) -> Storage:
    layout = arrays["format"]
    require(layout.shape == () and layout.dtype.kind in "SU", FormatError, f"{path}: format must be a name")
    name = layout.item().decode("ascii", "replace") if layout.dtype.kind == "S" else layout.item()
    require(name in _LAYOUTS, FormatError, f"{path}: format {name!r} is none of {', '.join(_LAYOUTS)}")
    keys = {"coo": ("coords",) if "coords" in arrays else ("row", "col"), "dia": ("offsets",)}
    wanted = ("data", "shape", *keys.get(name, ("indices", "indptr")))
    missing = [key for key in wanted if key not in arrays]
    require(not missing, FormatError, f"{path}: {', '.join(missing)} of a {name} matrix is missing")
    shape = arrays["shape"]
    require(
        shape.ndim == 1 and shape.dtype.kind in "iu" and len(shape) > 0,
        FormatError,
        f"{path}: shape must be a list of whole numbers",
    )
    rank = len(shape)
    require(
        rank == 2 or name in ("coo", "csr"), FormatError, f"{path}: a {name} matrix has 2 modes, not {rank}"
    )
    require(rank < 3 or name == "coo", FormatError, f"{path}: a {name} array has 1 or 2 modes, not {rank}")
    parts: dict[str, Any] = {key: arrays[key] for key in wanted if key != "shape"}
    if name == "coo":
        parts["coords"] = arrays["coords"] if "coords" in arrays else (arrays["row"], arrays["col"])
    return from_scipy(SimpleNamespace(format=name, shape=tuple(shape.tolist()), **parts), str(path))


def write_npz(file: IO[bytes], storage: Storage) -> None:
    """As scipy.sparse.save_npz does: CSR, CSC and BSR as they are, others as COO; dense as numpy.savez."""
    form = storage.format
    if form.dense:
        grid = storage.values.reshape(form.level_sizes(storage.shape)).transpose(np.argsort(form.order))
        np.savez_compressed(file, data=grid)
        return
    require(storage.fill == 0, UnsupportedError, f"the file has no place for the fill {storage.fill}")
    name = form.short.partition(":")[0]
    shape = np.array(storage.shape, np.int64)
    parts: dict[str, Any] = {"shape": shape, "_is_array": np.array(True)}  # noqa: FBT003
    if name in ("csr", "csc") or (name == "bsr" and form.order == (0, 1)):
        pos, crd = storage.levels[1]
        values = storage.values.reshape(-1, *form.block) if form.block else storage.values
        np.savez_compressed(
            file, format=np.array(name.encode()), indices=crd, indptr=pos, data=values, **parts
        )
        return
    ids, values = coordinates(storage)
    where = {"row": ids[0], "col": ids[1]} if len(ids) == 2 else {"coords": np.stack(ids)}
    np.savez_compressed(file, format=np.array(b"coo"), data=values, **where, **parts)
