"""Matrix Market files (``.mtx``): https://math.nist.gov/MatrixMarket/formats.html

Coordinates count from 1. Of a symmetric matrix the lower triangle is kept, of a skew-symmetric one what is
below the diagonal. Entries that stand twice are summed. A pattern reads as ones (float64), as in SciPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import FormatError, UnsupportedError, require
from aerogel.formats.storage import Storage, dense
from aerogel.tensor.columns import Lines, Rows, Values, joined, require_range, rows_of, text_file, whole
from aerogel.tensor.listing import numerals
from aerogel.tensor.places import by_rows

_FIELDS: dict[str, Values] = {
    "real": "float",
    "double": "float",
    "integer": "int",
    "unsigned-integer": "int",
    "pattern": "none",
}
_SYMMETRIES = ("general", "symmetric", "skew-symmetric")


@dataclass(frozen=True, slots=True)
class _Header:
    layout: str
    field: Values
    symmetry: str


def read_matrix_market(path: Path) -> Storage:
    """A matrix in CSR (in DCSR where most rows are empty), or a dense one from the format ``array``."""
    with text_file(path) as lines:
        header = _header(lines)
        text = _size_line(lines)
        if header.layout == "array":
            rows, columns = whole(lines, text, (2,), "size of a matrix")
            return _array(lines, header, rows, columns)
        rows, columns, count = whole(lines, text, (3,), "size of a matrix and its number of entries")
        return _coordinate(lines, header, (rows, columns), count)


def _header(lines: Lines) -> _Header:
    first = lines.next()
    words = first.lower().split() if first else []
    if len(words) != 5 or words[0] != "%%matrixmarket" or words[1] != "matrix":
        raise lines.fail(
            "it is no Matrix Market header, such as '%%MatrixMarket matrix coordinate real general'"
        )
    layout, field, symmetry = words[2:]
    where = f"{lines.path}, line 1"
    if field == "complex" or symmetry == "hermitian":
        raise UnsupportedError(
            f"{where}: complex matrices are not supported: keep real and imaginary part apart"
        )
    require(
        layout in ("coordinate", "array"),
        FormatError,
        f"{where}: format {layout!r} is neither coordinate nor array",
    )
    require(field in _FIELDS, FormatError, f"{where}: field {field!r} is none of {', '.join(_FIELDS)}")
    require(
        symmetry in _SYMMETRIES,
        FormatError,
        f"{where}: symmetry {symmetry!r} is none of {', '.join(_SYMMETRIES)}",
    )
    sound = field != "pattern" or (layout == "coordinate" and symmetry != "skew-symmetric")
    require(sound, FormatError, f"{where}: a pattern has no values: neither array nor skew-symmetric fits")
    return _Header(layout, _FIELDS[field], symmetry)


def _size_line(lines: Lines) -> str:
    while (text := lines.next()) is not None:
        if text.strip() and not text.lstrip().startswith("%"):
            return text
    raise lines.fail("the file ends before the size of the matrix")


def _coordinate(lines: Lines, header: _Header, shape: tuple[int, int], count: int) -> Storage:
    _check_square(lines, header, shape)
    kind = np.dtype(np.int32 if max(shape) < 2**31 else np.int64)
    ids: list[NDArray[Any]] = []
    values: list[NDArray[Any]] = []
    told = f"the header declares {count} entries"
    for rows in _all_of(lines, rows_of(lines, 2, header.field, b"%"), count, told):
        require_range(lines, rows, shape)
        _check_triangle(lines, header, rows)
        ids.append((rows.ids.T - 1).astype(kind))
        values.append(rows.values)
    both = np.concatenate(ids, axis=1) if ids else np.zeros((2, 0), kind)
    numbers = joined(values, np.zeros(0, np.int64 if header.field == "int" else np.float64))
    if header.symmetry != "general":
        off = both[0] != both[1]
        sign = -1 if header.symmetry == "skew-symmetric" else 1
        both = np.concatenate([both, both[::-1, off]], axis=1)
        numbers = np.concatenate([numbers, sign * numbers[off]])
    return pack((both[0], both[1]), numbers, shape, by_rows(shape, numbers.size))


def _all_of(lines: Lines, blocks: Iterator[Rows], count: int, told: str) -> Iterator[Rows]:
    """``blocks`` of exactly ``count`` rows; where there are more or fewer, what ``told`` says is untrue."""
    found = 0
    for rows in blocks:
        found += len(rows.values)
        if found > count:
            raise lines.fail(f"{told}, and here is one more", int(rows.lines[count - found]))
        yield rows
    if found < count:
        raise lines.fail(f"{told}, but the file ends after {found}")


def _check_square(lines: Lines, header: _Header, shape: tuple[int, int]) -> None:
    if header.symmetry != "general" and shape[0] != shape[1]:
        raise lines.fail(f"a {header.symmetry} matrix is square, but this one has {shape[0]} x {shape[1]}")


def _check_triangle(lines: Lines, header: _Header, rows: Rows) -> None:
    if header.symmetry == "general":
        return
    strictly = header.symmetry == "skew-symmetric"
    row, column = rows.ids[:, 0], rows.ids[:, 1]
    wrong = column >= row if strictly else column > row
    if wrong.any():
        at = int(wrong.argmax())
        where = "below the diagonal" if strictly else "in the lower triangle"
        raise lines.fail(
            f"entry ({row[at]}, {column[at]}) is not {where}, which is all a {header.symmetry} file has: "
            "mark it general, or read it with scipy.io.mmread and pass it to aerogel.tensor",
            int(rows.lines[at]),
        )


def _array(lines: Lines, header: _Header, rows: int, columns: int) -> Storage:
    """Column by column, a number a line; of symmetric ones only from the diagonal down."""
    _check_square(lines, header, (rows, columns))
    strictly = header.symmetry == "skew-symmetric"
    wanted = rows * columns
    if header.symmetry != "general":
        wanted = rows * (rows - 1) // 2 if strictly else rows * (rows + 1) // 2
    told = f"the header declares {wanted} numbers for {rows} x {columns}"
    every = _all_of(lines, rows_of(lines, 0, header.field, b"%"), wanted, told)
    parts = [part.values for part in every]
    values = joined(parts, np.zeros(0, np.int64 if header.field == "int" else np.float64))
    if header.symmetry == "general":
        return dense(values.reshape(columns, rows).T)
    out = np.zeros((rows, columns), values.dtype)
    column, row = np.triu_indices(rows, 1 if strictly else 0)
    out[row, column] = values
    out[column, row] = -values if strictly else values
    return dense(out)


def write_matrix_market(file: IO[bytes], storage: Storage) -> None:
    """A matrix: ``array`` where it is dense, else ``coordinate``; booleans as a pattern of what is True."""
    require(
        storage.rank == 2,
        UnsupportedError,
        f"a Matrix Market file holds a matrix, this tensor has {storage.rank} modes: write a .tns or .npz",
    )
    for block in _text(storage):
        file.write(block.encode("ascii"))


def _text(storage: Storage) -> Iterator[str]:
    rows, columns = storage.shape
    kind = storage.values.dtype.kind
    field = {"f": "real", "i": "integer", "b": "pattern"}[kind]
    if storage.format.dense and kind != "b":
        yield f"%%MatrixMarket matrix array {field} general\n{rows} {columns}\n"
        grid = storage.values.reshape(storage.format.level_sizes(storage.shape))
        grid = grid if storage.format.order == (1, 0) else grid.T
        yield from numerals((), grid.reshape(-1))
        return
    ids, values = coordinates(storage)
    if kind == "b":
        ids = tuple(crd[values] for crd in ids)
        values = values[values]
    yield f"%%MatrixMarket matrix coordinate {field} general\n{rows} {columns} {len(values)}\n"
    yield from numerals(ids, None if kind == "b" else values)
