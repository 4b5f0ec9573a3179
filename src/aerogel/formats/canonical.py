"""Weights as a file holds them: the same on every CPU, and the smallest of three encodings of their kind.

- ``dense``: the numbers, row-major.
- ``bitmap``: one bit per element, row-major, least significant bit first, unused bits 0; then the non-zeros.
  A bit cannot point out of range, so checking it is counting bits.
- ``delta4``: a 4-bit step to each next non-zero, row-major over the whole matrix, two to a byte (low half
  first); then the non-zeros. Step d < 15 skips d zeros and takes a value; 15 skips 15 zeros and takes none.
  An unused last half is 15. Only where the matrix is at most MOST_EXPANSION times as large as its encoding,
  so that a small file cannot ask for unlimited memory.
- ``rows8`` (lossy: embedding tables, layers of integers): int8 [rows, columns] and a float32 scale per row,
  max |row| / 127; value = scale x integer, so no element is off by more than half a scale.
- ``bitmap8``: as rows8, but one bit per element, and only the non-zero integers.
- ``words8``: as rows8, but one bit per *word* of 4 consecutive integers of a row, and only the words that are
  not all zero; a row's last word is filled up with zeros.

Bytes per element at density d: bitmap 4 d + 1/8, delta4 about 4.6 d below a quarter; rows8 1, bitmap8 d +
1/8, words8 d + 1/32 where zeros come in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require

Encoding = Literal["dense", "bitmap", "delta4", "rows8", "bitmap8", "words8"]
INTEGERS: tuple[Encoding, ...] = ("rows8", "bitmap8", "words8")
"""Encodings of 8-bit integers with a scale per row."""
WORD = 4
SKIP = 15
# 4 bytes per element come from 1/8 byte of bitmap, or where values are far apart from 1/30 byte of steps.
MOST_EXPANSION = 256
# What NumPy can hold, even where one size is 0.
MOST_ELEMENTS, MOST_DIMENSIONS = 1 << 40, 8
# A larger one takes -128 beyond what float32 can hold.
LARGEST_SCALE = np.finfo(np.float32).max / 128


@dataclass(frozen=True)
class Encoded:
    """One tensor: how it is encoded, its shape, and the named 1-D arrays that hold it."""

    encoding: Encoding
    shape: tuple[int, ...]
    parts: Mapping[str, NDArray[Any]]

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts.values())


# The parts of each encoding, with their dtypes.
PARTS: dict[Encoding, dict[str, str]] = {
    "dense": {"values": "float32"},
    "bitmap": {"bits": "uint8", "values": "float32"},
    "delta4": {"steps": "uint8", "values": "float32"},
    "rows8": {"integers": "int8", "scales": "float32"},
    "bitmap8": {"bits": "uint8", "integers": "int8", "scales": "float32"},
    "words8": {"bits": "uint8", "integers": "int8", "scales": "float32"},
}


def encode(array: NDArray[np.float32]) -> Encoded:
    """The smallest lossless encoding; -0.0 becomes 0.0. InputError unless float32 and finite."""
    _require_finite(array)
    flat = np.ascontiguousarray(array).reshape(-1)
    live = flat != 0
    values = flat[live]
    options: list[Encoded] = [Encoded("dense", array.shape, {"values": flat})]
    # A bitmap saves when more than 1/32 is zero; anything above is not worth building one.
    if values.size < flat.size * 31 // 32:
        bits = _bits(live)
        options.append(Encoded("bitmap", array.shape, {"bits": bits, "values": values}))
        if values.size < flat.size // 4:
            delta = Encoded("delta4", array.shape, {"steps": _steps(np.flatnonzero(live)), "values": values})
            if flat.nbytes <= MOST_EXPANSION * delta.nbytes:
                options.append(delta)
    return min(options, key=lambda option: option.nbytes)


def encode_rows8(array: NDArray[np.float32]) -> Encoded:
    """Integers of 8 bits with a scale per row, for a table [rows, columns]. InputError where a number is not
    finite, or within a hundredth of the largest that float32 can hold."""
    _require_finite(array)
    require(array.ndim == 2, InputError, f"a table has two dimensions, this has shape {array.shape}")
    scales = np.abs(array).max(axis=1, initial=0.0).astype(np.float32) / np.float32(127)
    _require_scales(scales)
    # A subnormal scale would overflow its inverse; such a row is zero for every purpose.
    scales[scales < np.finfo(np.float32).tiny] = 0
    inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales > 0)
    integers = np.rint(array * inverse[:, None]).clip(-127, 127).astype(np.int8)
    return Encoded("rows8", array.shape, {"integers": integers.reshape(-1), "scales": scales})


def encode_integers(integers: NDArray[np.int8], scales: NDArray[np.float32]) -> Encoded:
    """The smallest encoding of int8 [rows, columns] with a float32 scale per row, not negative and at most
    LARGEST_SCALE; InputError otherwise."""
    require(integers.ndim == 2 and integers.dtype == np.int8, InputError, "integers are an int8 matrix")
    fits = scales.dtype == np.float32 and scales.shape == integers.shape[:1]
    fits = fits and bool((np.isfinite(scales) & (scales >= 0)).all())
    require(fits, InputError, "every row of integers has one float32 scale, finite and not negative")
    _require_scales(scales)
    flat, words = np.ascontiguousarray(integers).reshape(-1), _in_words(integers)
    live, live_words = flat != 0, (words != 0).any(axis=1)
    options = [
        Encoded("rows8", integers.shape, {"integers": flat, "scales": scales}),
        Encoded("bitmap8", integers.shape, {"bits": _bits(live), "integers": flat[live], "scales": scales}),
        Encoded(
            "words8",
            integers.shape,
            {"bits": _bits(live_words), "integers": words[live_words].reshape(-1), "scales": scales},
        ),
    ]
    return min(options, key=lambda option: option.nbytes)


def integers_of(encoded: Encoded) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 [rows, columns] and the scales [rows] of one of ``INTEGERS``; FormatError as for ``decode``."""
    check(encoded)
    rows, columns = encoded.shape
    found, scales = encoded.parts["integers"], encoded.parts["scales"]
    match encoded.encoding:
        case "rows8":
            return found.reshape(rows, columns), scales
        case "bitmap8":
            out = np.zeros(rows * columns, np.int8)
            out[_live(encoded, out.size)] = found
            return out.reshape(rows, columns), scales
        case "words8":
            wide = -(-columns // WORD)
            words = np.zeros((rows * wide, WORD), np.int8)
            words[_live(encoded, rows * wide)] = found.reshape(-1, WORD)
            return np.ascontiguousarray(words.reshape(rows, wide * WORD)[:, :columns]), scales
        case _:
            raise FormatError(f"{encoded.encoding} holds no integers")


def _in_words(integers: NDArray[np.int8]) -> NDArray[np.int8]:
    """[rows * ceil(columns / 4), 4], a row's last word filled up with zeros."""
    missing = -integers.shape[1] % WORD
    whole = np.pad(integers, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(integers)
    return whole.reshape(-1, WORD)


def _bits(live: NDArray[Any]) -> NDArray[np.uint8]:
    return np.packbits(live, bitorder="little")


def _live(encoded: Encoded, count: int) -> NDArray[np.bool_]:
    return np.unpackbits(encoded.parts["bits"], count=count, bitorder="little").view(bool)


def decode(encoded: Encoded) -> NDArray[np.float32]:
    """The float32 array again; FormatError if the parts do not fit the shape or each other."""
    check(encoded)
    parts = encoded.parts
    match encoded.encoding:
        case "dense":
            # In a file of another writer, numbers may lie between multiples of their size.
            return np.require(parts["values"].reshape(encoded.shape), requirements="A")
        case "rows8" | "bitmap8" | "words8":
            integers, scales = integers_of(encoded)
            return integers.astype(np.float32) * scales[:, None]
        case "bitmap":
            size = math.prod(encoded.shape)
            out = np.zeros(size, np.float32)
            out[_live(encoded, size)] = parts["values"]
            return out.reshape(encoded.shape)
        case "delta4":
            out = np.zeros(math.prod(encoded.shape), np.float32)
            out[_places(parts["steps"])] = parts["values"]
            return out.reshape(encoded.shape)


def check(encoded: Encoded) -> None:
    """FormatError unless the parts are what ``encoding`` and ``shape`` call for, and all values finite."""
    wanted = PARTS.get(encoded.encoding)
    require(wanted is not None, FormatError, f"encoding {encoded.encoding!r} is unknown: {', '.join(PARTS)}")
    assert wanted is not None
    parts = encoded.parts
    found = {name: part.dtype.name for name, part in parts.items()}
    require(found == wanted, FormatError, f"{encoded.encoding} has parts {found}, needs {wanted}")
    shape_ok = all(n >= 0 for n in encoded.shape) and len(encoded.shape) <= MOST_DIMENSIONS
    shape_ok = shape_ok and math.prod(max(n, 1) for n in encoded.shape) <= MOST_ELEMENTS
    flat = all(p.ndim == 1 for p in parts.values())
    require(shape_ok and flat, FormatError, f"shape {encoded.shape} or the rank of a part is impossible")
    size = math.prod(encoded.shape)
    floats = "scales" if encoded.encoding in INTEGERS else "values"
    require(bool(np.isfinite(parts[floats]).all()), FormatError, f"the {floats} hold NaN or infinity")
    match encoded.encoding:
        case "dense":
            _expect("values", parts["values"].size, size)
        case "rows8":
            _check_rows(encoded)
            _expect("integers", parts["integers"].size, size)
        case "bitmap8":
            _check_rows(encoded)
            _expect("integers", parts["integers"].size, _check_bits(parts["bits"], size))
        case "words8":
            _check_rows(encoded)
            words = encoded.shape[0] * -(-encoded.shape[1] // WORD)
            _expect("integers", parts["integers"].size, WORD * _check_bits(parts["bits"], words))
        case "bitmap":
            _expect("values", parts["values"].size, _check_bits(parts["bits"], size))
        case "delta4":
            fits = 4 * size <= MOST_EXPANSION * encoded.nbytes
            require(fits, FormatError, f"{encoded.nbytes} bytes stand for {size} elements: too few")
            _check_steps(parts["steps"], parts["values"].size, size)


def _check_rows(encoded: Encoded) -> None:
    """A matrix with a usable scale per row?"""
    two = len(encoded.shape) == 2
    require(two, FormatError, f"{encoded.encoding} needs two dimensions, not {encoded.shape}")
    scales = encoded.parts["scales"]
    _expect("scales", scales.size, encoded.shape[0])
    usable = (scales >= 0) & (scales <= LARGEST_SCALE)
    require(bool(usable.all()), FormatError, "a scale is negative, or too large for its integers")


def _check_bits(bits: NDArray[np.uint8], size: int) -> int:
    """How many of ``size`` bits are set; none may be past them."""
    _expect("bits", bits.size, -(-size // 8))
    unused = int(bits[-1]) >> (size % 8) if size % 8 else 0
    require(unused == 0, FormatError, "a bit past the last element is set")
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def _expect(name: str, found: int, wanted: int) -> None:
    require(found == wanted, FormatError, f"{name} has {found} entries, needs {wanted}")


def _check_steps(steps: NDArray[np.uint8], values: int, size: int) -> None:
    halves = _halves(steps)
    taken = int(np.count_nonzero(halves != SKIP))
    _expect("values", values, taken)
    # Every half moves by its number; one that takes a value moves past it too.
    end = int(halves.sum(dtype=np.int64)) + taken
    if halves.size and halves[-1] == SKIP:
        end -= SKIP  # padding of the last byte moves past nothing
    require(end <= size, FormatError, f"the steps lead to element {end}, but there are {size}")


def _require_finite(array: NDArray[np.float32]) -> None:
    require(array.dtype == np.float32, InputError, f"a weight is float32, not {array.dtype}")
    require(bool(np.isfinite(array).all()), InputError, "the weight holds NaN or infinity: repair it first")


def _require_scales(scales: NDArray[np.float32]) -> None:
    largest, most = float(scales.max(initial=0.0)), float(LARGEST_SCALE)
    why = f"a number reaches {largest * 127:.4g}: 8 bits with a scale hold those up to {most * 127:.4g}"
    require(largest <= most, InputError, why)


def _halves(steps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([steps & np.uint8(15), steps >> np.uint8(4)], axis=1).reshape(-1)


def _steps(places: NDArray[np.intp]) -> NDArray[np.uint8]:
    """4-bit steps to the given ascending places."""
    gaps = np.diff(places, prepend=-1) - 1
    skips = gaps // SKIP
    # Value i comes after all earlier values and all skips up to and including its own.
    at = np.arange(places.size) + np.cumsum(skips)
    count = int(at[-1]) + 1 if places.size else 0
    halves = np.full(count + count % 2, SKIP, np.uint8)
    halves[at] = gaps % SKIP
    return halves[0::2] | (halves[1::2] << np.uint8(4))


def _places(steps: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where the values go; steps have been checked."""
    halves = _halves(steps)
    takes = halves != SKIP
    moved = np.cumsum(halves, dtype=np.int64) + np.cumsum(takes) - takes
    return moved[takes]
