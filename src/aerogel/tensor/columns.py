"""Text files of numbers in columns, read a part at a time, on whole buffers rather than line by line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError
from aerogel.tensor.scan import scanned

PART_BYTES = 1 << 22
"""What is read at a time: so that what a compressed file unpacks to is never held whole."""
_LINE_BYTES = 1 << 16
# Larger numbers may not fit 64 bits: none counts a coordinate.
_DIGITS = 18

_TOKEN, _BLANK, _NEWLINE, _WRONG = range(4)
_KINDS = np.full(256, _WRONG, np.uint8)
_KINDS[list(b"0123456789+-.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] = _TOKEN
_KINDS[list(b" \t\r")] = _BLANK
_KINDS[ord("\n")] = _NEWLINE

Values = Literal["float", "int", "none"]


@dataclass(frozen=True, slots=True)
class Rows:
    """What a part of a file holds: ``ids`` [n, k] int64, ``values`` [n], and the line of each row."""

    ids: NDArray[np.int64]
    values: NDArray[Any]
    lines: NDArray[np.int64]


class Lines:
    """A text file, packed by gzip or not, that knows which line it is at."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path = path
        self.line = 0
        self._file = file
        self._rest = b""

    def fail(self, message: str, line: int | None = None) -> FormatError:
        """An error that says where; to be raised."""
        return FormatError(f"{self.path}, line {self.line if line is None else line}: {message}")

    def next(self) -> str | None:
        """The next line without its end; None after the last one."""
        raw = self._read(lambda: self._file.readline(_LINE_BYTES + 1))
        if not raw:
            return None
        self.line += 1
        if len(raw) > _LINE_BYTES:
            raise self.fail("it is too long to be text with numbers")
        # Names in comments may be written in any code.
        return raw.decode("utf-8", "replace").rstrip("\r\n")

    def give_back(self, line: str) -> None:
        """The next line is ``line`` once more, for ``parts``."""
        self._rest = line.encode() + b"\n"
        self.line -= 1

    def parts(self) -> Iterator[tuple[int, bytes]]:
        """The rest in parts of whole lines, each with the number of its first line."""
        rest, self._rest = self._rest, b""
        while True:
            read = self._read(lambda: self._file.read(PART_BYTES))
            text = rest + read
            cut = len(text) if not read else text.rfind(b"\n") + 1
            if not cut and len(text) > _LINE_BYTES:
                raise self.fail("it is too long to be text with numbers", self.line + 1)
            part, rest = text[:cut], text[cut:]
            if part:
                first = self.line + 1
                self.line += part.count(b"\n") + (not part.endswith(b"\n"))
                yield first, part
            if not read:
                return

    def _read(self, get: Callable[[], bytes]) -> bytes:
        try:
            return get()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(f"{self.path} is no sound gzip file: {error}") from error
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error


@contextmanager
def text_file(path: Path) -> Generator[Lines]:
    """The lines of a file; one whose name ends in ``.gz`` is unpacked on the way."""
    try:
        file: Any = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        yield Lines(file, path)


def rows_of(lines: Lines, counts: int, values: Values, comment: bytes) -> Iterator[Rows]:
    """The numbers behind the header: in each line ``counts`` coordinates and, unless "none", a value.

    Blank lines and those that start with ``comment`` are skipped. FormatError, with the line, for all else.
    """
    for first, part in lines.parts():
        text = _without(part, comment) if comment in part else part
        yield _rows(lines, first, text, counts, values)


def _without(part: bytes, comment: bytes) -> bytes:
    kept = (b"" if line.lstrip().startswith(comment) else line for line in part.split(b"\n"))
    return b"\n".join(kept)


def _rows(lines: Lines, first: int, part: bytes, counts: int, values: Values) -> Rows:
    plain = scanned(part, counts, valued=values == "float") if counts and values != "int" else None
    if plain is not None:
        ids, numbers, line = plain
        return Rows(ids, numbers if values == "float" else np.ones(len(ids)), line + first)
    return _rows_with_care(lines, first, part, counts, values)


def _rows_with_care(lines: Lines, first: int, part: bytes, counts: int, values: Values) -> Rows:
    """As ``_rows``, for whatever may stand in a file."""
    buffer = np.frombuffer(part, np.uint8)
    kinds = _KINDS[buffer]
    newlines = np.flatnonzero(kinds == _NEWLINE)
    if (kinds == _WRONG).any():
        at = int((kinds == _WRONG).argmax())
        wrong = f"it holds {bytes([buffer[at]])!r}, which stands in no number"
        raise lines.fail(wrong, first + int(np.searchsorted(newlines, at)))
    token = np.zeros(len(buffer) + 2, np.bool_)
    token[1:-1] = kinds == _TOKEN
    edges = np.flatnonzero(token[1:] != token[:-1])
    begins, ends = edges[::2], edges[1::2]
    wide = counts + (values != "none")
    at_line = np.searchsorted(newlines, begins)
    _check_counts(lines, first, at_line, wide)
    rows = len(begins) // wide
    begins, ends = begins.reshape(rows, wide), ends.reshape(rows, wide)
    numbers = first + at_line[::wide]
    ids = np.empty((rows, counts), np.int64)
    for column in range(counts):
        ids[:, column] = _coordinates(lines, buffer, begins[:, column], ends[:, column], numbers)
    if values == "none":
        return Rows(ids, np.ones(rows), numbers)
    return Rows(ids, _numbers(lines, part.split()[counts::wide], values, numbers), numbers)


def _check_counts(lines: Lines, first: int, at_line: NDArray[Any], wide: int) -> None:
    """Every line that is not blank has ``wide`` tokens."""
    rows = len(at_line) // wide
    if len(at_line) == rows * wide:
        grid = at_line.reshape(rows, wide)
        if (grid[:, 0] == grid[:, -1]).all() and (grid[1:, 0] != grid[:-1, 0]).all():
            return
    found = np.bincount(at_line)
    wrong = (found != 0) & (found != wide)
    at = int(wrong.argmax())
    raise lines.fail(f"it has {found[at]} numbers, where {wide} are expected", first + at)


def _coordinates(
    lines: Lines, buffer: NDArray[np.uint8], begins: NDArray[Any], ends: NDArray[Any], numbers: NDArray[Any]
) -> NDArray[np.int64]:
    """Decimal numbers without a sign, digit by digit for all of them at once."""
    lengths = ends - begins
    found = np.zeros(len(begins), np.int64)
    wrong = lengths > _DIGITS
    for digit in range(min(int(lengths.max(initial=0)), _DIGITS)):
        live = lengths > digit
        value = buffer[np.minimum(begins + digit, len(buffer) - 1)] - np.uint8(ord("0"))
        wrong |= live & (value > 9)
        found = np.where(live, found * 10 + value, found)
    if wrong.any():
        at = int(wrong.argmax())
        text = bytes(buffer[begins[at] : ends[at]])[:40].decode()
        raise lines.fail(f"{text!r} is no coordinate: a whole number from 1 on is expected", int(numbers[at]))
    return found


def _numbers(lines: Lines, tokens: list[bytes], values: Values, numbers: NDArray[Any]) -> NDArray[Any]:
    kind, dtype = (float, np.float64) if values == "float" else (int, np.int64)
    try:
        return np.fromiter(map(kind, tokens), dtype, len(tokens))
    except (ValueError, OverflowError):
        for token, line in zip(tokens, numbers, strict=True):
            try:
                dtype(kind(token))
            except (ValueError, OverflowError) as error:
                what = "number" if values == "float" else "integer of 64 bits"
                raise lines.fail(f"{token[:40].decode()!r} is no {what}", int(line)) from error
        raise


def require_range(lines: Lines, rows: Rows, shape: tuple[int, ...]) -> None:
    """FormatError for a coordinate that is not 1 .. the extent of its mode."""
    for mode, size in enumerate(shape):
        ids = rows.ids[:, mode]
        wrong = (ids < 1) | (ids > size)
        if wrong.any():
            at = int(wrong.argmax())
            hint = ": coordinates count from 1" if ids[at] == 0 else ""
            line = int(rows.lines[at])
            raise lines.fail(f"coordinate {ids[at]} of mode {mode} is outside 1 .. {size}{hint}", line)


def whole(lines: Lines, text: str, counts: tuple[int, ...], what: str) -> list[int]:
    """The whole numbers of a line of the header, as many as one of ``counts`` says."""
    words = text.split()
    sound = all(word.isascii() and word.isdigit() and len(word) <= _DIGITS for word in words)
    if not sound or len(words) not in counts:
        wanted = " or ".join(map(str, counts))
        raise lines.fail(f"{text[:60]!r} is no {what}: {wanted} whole numbers are expected")
    return [int(word) for word in words]


def joined(parts: list[NDArray[Any]], empty: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else empty
