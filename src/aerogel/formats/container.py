"""A file of named arrays in safetensors layout: 8 bytes of header length, a JSON header, then the arrays.

Every array starts on a multiple of 64 bytes (the format forbids holes, so named padding fills them). A file
is written beside its target and renamed over it: a reader sees the old file or the new one, never a part.
It is read by mapping it; the header is checked in full before any array is made, so a hostile file is an
error, not a crash. Any reader of safetensors can open the result.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require
from aerogel.core.files import replace_file

ALIGNMENT = 64
# What the safetensors library accepts, too.
MOST_HEADER_BYTES = 100_000_000
PADDING = "__padding_"
# How much of a file is in memory at a time while it is hashed.
_PIECE = 4 << 20

_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32",
    "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}


@dataclass(frozen=True)
class Contents:
    """``arrays``: read-only views of the mapped file; ``metadata``: the header's texts."""

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, str]
    mapped: mmap.mmap = field(repr=False, compare=False)

    def let_go(self) -> None:
        """Take the pages that were read out of this process's memory. The arrays stay what they are: a page
        is read again, mostly from the system's cache, when it is touched."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)


def checksum(
    arrays: Mapping[str, NDArray[Any]], beside: bytes = b"", let_go: Callable[[], None] = lambda: None
) -> str:
    """SHA-256 over ``beside`` and names, dtypes, shapes and contents of the arrays, in order of name.
    ``let_go`` is called after every few MB."""
    digest = hashlib.sha256(beside)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.name, list(array.shape)]).encode())
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.nbytes else array
        for at in range(0, data.nbytes, _PIECE):
            digest.update(data[at : at + _PIECE].data)
            let_go()
    return digest.hexdigest()


# --- writing ------------------------------------------------------------------------------------


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Replace ``path`` by a file of ``arrays``; on any failure the old file stays and InputError says why."""
    header, order = _header(arrays, metadata)

    def fill(file: IO[bytes]) -> None:
        file.write(header)
        for part in order:
            file.write(part)

    replace_file(path, fill)


def _header(
    arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> tuple[bytes, list[memoryview | bytes]]:
    """The bytes before the data, and the data in order."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    order: list[memoryview | bytes] = []
    at = 0
    for number, (name, array) in enumerate(arrays.items()):
        known = array.dtype.name in _NAMES and not name.startswith(PADDING) and name != "__metadata__"
        require(
            known, InputError, f"array {name!r} of {array.dtype} cannot be stored under that name and dtype"
        )
        missing = -at % ALIGNMENT
        if missing:
            entries[f"{PADDING}{number}"] = {
                "dtype": "U8",
                "shape": [missing],
                "data_offsets": [at, at + missing],
            }
            order.append(bytes(missing))
            at += missing
        whole = np.ascontiguousarray(array)
        entries[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + whole.nbytes],
        }
        order.append(whole.reshape(-1).view(np.uint8).data if whole.nbytes else b"")
        at += whole.nbytes
    text = json.dumps(entries, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, order


# --- reading ------------------------------------------------------------------------------------


def read(path: Path) -> Contents:
    """Map ``path`` and check it in full; FormatError if it is no such file, InputError if unreadable."""
    # To open one could wait for ever.
    require(not path.is_fifo(), InputError, f"{path} is a pipe: give a file, which can be mapped")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            require(size >= 8, FormatError, f"{path} has {size} bytes: it is no safetensors file")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{path} could not be read: {error.strerror}") from error
    raw = np.frombuffer(mapped, np.uint8)
    length = int.from_bytes(raw[:8].tobytes(), "little")
    fits = length <= min(size - 8, MOST_HEADER_BYTES)
    require(fits, FormatError, f"{path} is truncated or damaged: it claims a header of {length} bytes")
    header = _parse(path, raw[8 : 8 + length].tobytes())
    metadata = header.pop("__metadata__", {})
    texts = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    require(texts, FormatError, f"{path} is damaged: its metadata is not a list of texts")
    return Contents(_arrays(path, header, raw[8 + length :]), metadata, mapped)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is damaged: its header cannot be read ({error})") from error
    require(isinstance(header, dict), FormatError, f"{path} is damaged: its header is no table")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    require(len(table) == len(pairs), FormatError, "the header names something twice")
    return table


def _arrays(path: Path, header: Mapping[str, Any], data: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """One view per entry; the entries must cover the data without holes or overlaps."""
    found: list[tuple[int, int, str, NDArray[Any]]] = []
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(path, name, entry)
        inside = 0 <= begin <= end <= data.size
        require(inside, FormatError, f"{path}: array {name!r} lies outside the file ({begin} to {end})")
        count = 1
        for n in shape:
            count *= n
        right = count * dtype.itemsize == end - begin
        require(
            right, FormatError, f"{path}: array {name!r} of shape {shape} does not fill {end - begin} bytes"
        )
        found.append((begin, end, name, data[begin:end].view(dtype).reshape(shape)))
    at = 0
    for begin, end, name, _ in sorted(found, key=lambda item: item[:2]):
        require(begin == at, FormatError, f"{path}: there is a hole or an overlap before array {name!r}")
        at = end
    require(at == data.size, FormatError, f"{path} has {data.size - at} bytes that belong to no array")
    return {name: array for _, _, name, array in found if not name.startswith(PADDING)}


def _entry(path: Path, name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    try:
        dtype = _DTYPES[entry["dtype"]]
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{path}: the entry of array {name!r} is damaged ({error!r})") from error
    numbers = (*shape, begin, end)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 60 for n in numbers)
    # NumPy refuses even an empty array whose other sizes multiply to more than an address can count.
    whole = whole and math.prod(max(n, 1) for n in shape) < 1 << 60
    require(whole and len(shape) <= 8, FormatError, f"{path}: array {name!r} has impossible sizes {numbers}")
    return dtype, shape, begin, end
