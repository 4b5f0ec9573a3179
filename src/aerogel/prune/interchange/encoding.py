"""A tensor as a file holds it: the smallest of four encodings, none of which loses a non-zero.

A tensor is its *bits* here, unsigned integers [rows, columns], so that bfloat16 and 8-bit floats, which NumPy
lacks, are stored as exactly as float32. Its first dimension are the rows, all others the columns.

- ``dense``: all of them, row-major.
- ``bitmap``: ``bits``, one per element, row-major over the whole, least significant first, unused bits 0;
  then ``values``, the non-zeros.
- ``csr``: ``counts``, the non-zeros of each row; ``columns`` of all of them, ascending in each row, in the
  smallest unsigned type that holds them; ``values``. For the very sparse: with columns of 2 bytes, under a
  sixteenth.
- ``n_of_m``: of every m consecutive columns n are stored, zeros among them where fewer are non-zero. Which n
  is a number below binomial(m, n), the place of the choice among all choices in lexical order; as many of
  these as fit are the digits, to the base binomial(m, n), lowest first, of each of the 64-bit ``words``. So
  2:4 takes 64 bits for 24 groups, 2/3 bit an element, where a bitmap takes 1.

Only where the tensor is at most ``MOST_EXPANSION`` times as large as its encoding, so that a small file
cannot ask for unlimited memory. A zero of either sign is stored as no number at all, and comes back as +0.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, require
from aerogel.formats.canonical import MOST_DIMENSIONS, MOST_ELEMENTS, MOST_EXPANSION

PART_BYTES = 100
"""About what the name, type and place of one more array take in a file's header."""
GROUPS = (4, 8, 16)
"""The m of ``n_of_m``: those of hardware and papers; 12,870 choices, of 8 of 16, are the most."""

Bits = NDArray[np.unsignedinteger[Any]]
Live = NDArray[np.bool_]


@dataclass(frozen=True)
class Encoded:
    """``of``: (n, m) of ``n_of_m``, else None; ``parts``: the named 1-D arrays, ``values`` as bits."""

    encoding: str
    shape: tuple[int, ...]
    parts: Mapping[str, NDArray[Any]]
    of: tuple[int, int] | None = None

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts.values())

    @property
    def cost(self) -> int:
        """Bytes in a file, the header's included."""
        return self.nbytes + PART_BYTES * len(self.parts)


def smallest(bits: Bits, live: Live) -> Encoded:
    """The encoding of ``bits`` that takes the fewest bytes in a file; what is not ``live`` is zero."""
    shape = bits.shape
    dense = Encoded("dense", shape, {"values": bits.reshape(-1)})
    if bits.ndim == 0 or bits.size == 0:
        return dense
    matrix, alive = bits.reshape(shape[0], -1), live.reshape(shape[0], -1)
    options = [dense, *(made for make in _MAKE for made in make(matrix, alive, shape))]
    fair = [o for o in options if bits.nbytes <= MOST_EXPANSION * max(1, o.nbytes)]
    return min(fair, key=lambda option: option.cost)


def _bitmap(matrix: Bits, live: Live, shape: tuple[int, ...]) -> list[Encoded]:
    parts = {"bits": np.packbits(live, bitorder="little"), "values": matrix[live]}
    return [Encoded("bitmap", shape, parts)]


def _csr(matrix: Bits, live: Live, shape: tuple[int, ...]) -> list[Encoded]:
    if 16 * int(np.count_nonzero(live)) > live.size:
        return []  # a bitmap is smaller, and so is what it takes to find out
    columns = np.nonzero(live)[1].astype(np.min_scalar_type(matrix.shape[1] - 1))
    counts = live.sum(axis=1).astype(np.min_scalar_type(matrix.shape[1]))
    return [Encoded("csr", shape, {"counts": counts, "columns": columns, "values": matrix[live]})]


def _n_of_m(matrix: Bits, live: Live, shape: tuple[int, ...]) -> list[Encoded]:
    found: list[Encoded] = []
    bitmap = -(-live.size // 8) + int(np.count_nonzero(live)) * matrix.itemsize
    for m in (m for m in GROUPS if matrix.shape[1] % m == 0):
        groups = live.reshape(-1, m)
        n = int(groups.sum(axis=1, dtype=np.uint8).max())
        if not 1 <= n < m:
            continue
        # Choices take long to number: only where that pays.
        if 8 * -(-len(groups) // _digits(n, m)) + len(groups) * n * matrix.itemsize < bitmap:
            kept = exactly(groups, n)
            parts = {"words": _words(kept, n), "values": matrix.reshape(-1, m)[kept]}
            found.append(Encoded("n_of_m", shape, parts, (n, m)))
    return found


_MAKE: tuple[Callable[[Bits, Live, tuple[int, ...]], list[Encoded]], ...] = (_bitmap, _csr, _n_of_m)


def exactly(groups: Live, n: int) -> Live:
    """``groups`` [count, m] with zeros taken along, the first ones, where a group has fewer than ``n``."""
    missing = n - groups.sum(axis=1, keepdims=True)
    return groups | (~groups & (np.cumsum(~groups, axis=1) <= missing))


@cache
def _choices(n: int, m: int) -> NDArray[np.uint32]:
    """The masks of all choices of n of m, bit i for place i, in lexical order of the places."""
    return np.array([sum(1 << i for i in places) for places in combinations(range(m), n)], np.uint32)


@cache
def _digits(n: int, m: int) -> int:
    """How many choices fit into 64 bits."""
    base, digits = math.comb(m, n), 1
    while base ** (digits + 1) <= 1 << 64:
        digits += 1
    return digits


def _words(kept: Live, n: int) -> NDArray[np.uint64]:
    """The 64-bit words of ``kept`` [groups, m], n in each group."""
    m = kept.shape[1]
    choices, digits = _choices(n, m), _digits(n, m)
    place = np.zeros(1 << m, np.uint64)
    place[choices] = np.arange(choices.size, dtype=np.uint64)
    masks = kept @ (1 << np.arange(m, dtype=np.uint32))
    ranks = place[masks]
    by_word = np.pad(ranks, (0, -ranks.size % digits)).reshape(-1, digits)
    words = np.zeros(len(by_word), np.uint64)
    for digit in range(digits - 1, -1, -1):
        words = words * np.uint64(choices.size) + by_word[:, digit]
    return words


# --- reading ------------------------------------------------------------------------------------


def decode(encoded: Encoded) -> Bits:
    """The bits again, in their shape; FormatError where the parts do not fit the shape or each other."""
    made = _READ.get(encoded.encoding)
    known = ", ".join(_READ)
    require(made is not None, FormatError, f"encoding {encoded.encoding!r} is unknown: there are {known}")
    assert made is not None
    read, wanted = made
    found = set(encoded.parts)
    require(
        found == wanted, FormatError, f"{encoded.encoding} has parts {sorted(found)}, needs {sorted(wanted)}"
    )
    flat = all(part.ndim == 1 and part.dtype.kind == "u" for part in encoded.parts.values())
    require(flat, FormatError, f"{encoded.encoding}: its parts must be lists of unsigned integers")
    _check_shape(encoded)
    return read(encoded).reshape(encoded.shape)


def _check_shape(encoded: Encoded) -> None:
    shape, values = encoded.shape, encoded.parts["values"]
    possible = all(n >= 0 for n in shape) and len(shape) <= MOST_DIMENSIONS
    possible = possible and math.prod(max(n, 1) for n in shape) <= MOST_ELEMENTS
    require(possible, FormatError, f"shape {shape} is impossible")
    claimed = math.prod(shape) * values.itemsize
    fair = claimed <= MOST_EXPANSION * max(1, encoded.nbytes)
    told = f"{encoded.nbytes} bytes claim to stand for {claimed}: the file is damaged or hostile"
    require(fair, FormatError, told)
    if encoded.encoding != "dense":
        require(len(shape) >= 1, FormatError, f"{encoded.encoding} needs rows: the shape is {shape}")


def _read_dense(encoded: Encoded) -> Bits:
    values = encoded.parts["values"]
    _expect("values", values.size, math.prod(encoded.shape))
    return values


def _read_bitmap(encoded: Encoded) -> Bits:
    size, bits = math.prod(encoded.shape), encoded.parts["bits"]
    require(bits.dtype == np.uint8, FormatError, f"bits are bytes, not {bits.dtype}")
    _expect("bits", bits.size, -(-size // 8))
    unused = int(bits[-1]) >> (size % 8) if size % 8 else 0
    require(unused == 0, FormatError, "a bit past the last element is set")
    return _scattered(np.unpackbits(bits, count=size, bitorder="little").view(bool), encoded.parts["values"])


def _read_csr(encoded: Encoded) -> Bits:
    rows, wide = encoded.shape[0], math.prod(encoded.shape[1:])
    # Sums of unsigned 64-bit counts could wrap round to the right number.
    counts, columns, values = (encoded.parts[part] for part in ("counts", "columns", "values"))
    require(
        counts.itemsize <= 4 and columns.itemsize <= 4, FormatError, "counts and columns have at most 32 bits"
    )
    _expect("counts", counts.size, rows)
    _expect("columns", columns.size, int(counts.sum(dtype=np.uint64)))
    _expect("values", values.size, columns.size)
    owner = np.repeat(np.arange(rows), counts)
    place = owner * wide + columns.astype(np.int64)
    inside = columns.size == 0 or int(columns.max()) < wide
    require(inside, FormatError, f"a column is beyond the last, {wide - 1}")
    require(bool((np.diff(place) > 0).all()), FormatError, "the columns of a row do not ascend")
    out = np.zeros(rows * wide, values.dtype)
    out[place] = values
    return out


def _read_n_of_m(encoded: Encoded) -> Bits:
    n, m = encoded.of or (0, 0)
    require(m in GROUPS and 1 <= n < m, FormatError, f"{n} of {m} is none of those that are written")
    wide, words = math.prod(encoded.shape[1:]), encoded.parts["words"]
    require(wide % m == 0, FormatError, f"{wide} columns are not whole groups of {m}")
    groups = math.prod(encoded.shape) // m
    choices, digits = _choices(n, m), _digits(n, m)
    require(words.dtype == np.uint64, FormatError, f"words have 64 bits, not those of {words.dtype}")
    _expect("words", words.size, -(-groups // digits))
    base, left = np.uint64(choices.size), words
    ranks = np.empty((words.size, digits), np.uint64)
    for digit in range(digits):
        left, ranks[:, digit] = np.divmod(left, base)
    unused = ranks.reshape(-1)[groups:]
    require(not left.any() and not unused.any(), FormatError, "a word holds more than its groups' choices")
    masks = choices[ranks.reshape(-1)[:groups]]
    kept = (masks[:, None] >> np.arange(m, dtype=np.uint32) & np.uint32(1)).astype(bool)
    return _scattered(kept.reshape(-1), encoded.parts["values"])


def _scattered(live: Live, values: Bits) -> Bits:
    _expect("values", values.size, int(np.count_nonzero(live)))
    out = np.zeros(live.size, values.dtype)
    out[live] = values
    return out


def _expect(name: str, found: int, wanted: int) -> None:
    require(found == wanted, FormatError, f"{name} has {found} entries, needs {wanted}")


_READ: dict[str, tuple[Callable[[Encoded], Bits], set[str]]] = {
    "dense": (_read_dense, {"values"}),
    "bitmap": (_read_bitmap, {"bits", "values"}),
    "csr": (_read_csr, {"counts", "columns", "values"}),
    "n_of_m": (_read_n_of_m, {"words", "values"}),
}
"""How each encoding is read, and its parts."""
ENCODINGS = tuple(_READ)
