"""Texts from a file: .txt, .jsonl, .csv or .tsv, in UTF-8. Needs no torch."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from aerogel.core.errors import InputError, require

COLUMNS = ("text", "sentence", "content")
"""The keys or columns that hold the text: the first of these that is there."""
MOST_BYTES = 2**20
"""The longest line that is read: longer ones are no list of texts."""
_QUOTING = "quote a text that holds commas, tabs or quotation marks, and double the marks in it"

Lines = Iterator[tuple[int, str]]


def read_texts(path: Path, limit: int | None = None) -> list[str]:
    """The first ``limit`` texts of a file, None for all; blank ones are left out, ends are stripped.

    ``.txt``: one text per line. ``.jsonl``: each line a JSON string, or an object that has the text under one
    of ``COLUMNS``. ``.csv`` and ``.tsv``: the column of one of these names in the first line, else the only
    column. InputError, naming file and line, for what cannot be read so, and for a file without texts.
    """
    require(
        limit is None or (type(limit) is int and limit > 0),
        InputError,
        f"limit={limit!r} texts are none: give 1 or more, or None for all",
    )
    _require_file(path)
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: texts are not read from {path.suffix or 'no ending'!r}: give {_endings()}")
    texts = list(islice((text for text in read(path, _lines(path)) if text), limit))
    require(texts, InputError, f"{path} holds no text: give at least one")
    return texts


def _require_file(path: Path) -> None:
    try:
        there, file = path.exists(), path.is_file()
    except OSError as error:  # a folder that may not be searched, a name that is too long
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    require(there, InputError, f"there is no {path}: give {_endings()}")
    require(file, InputError, f"{path} is not a file: give {_endings()}")


def _endings() -> str:
    return f"a file of texts that ends in {', '.join(READERS)}"


def _lines(path: Path) -> Lines:
    """(number from 1, line without its end), decoded one by one so that an error names its line."""
    try:
        with path.open("rb") as file:
            number = 0
            # One byte more than allowed tells a line that is too long, without reading all of it.
            while raw := file.readline(MOST_BYTES + 1):
                number += 1
                yield number, _decoded(path, number, raw)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _decoded(path: Path, number: int, raw: bytes) -> str:
    where = f"{path}, line {number}"
    require(
        len(raw) <= MOST_BYTES,
        InputError,
        f"{where} is longer than {MOST_BYTES:,} bytes: split it into texts, one per line",
    )
    try:
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 ({error.reason}): save the file as UTF-8") from error
    require("\0" not in line, InputError, f"{where} holds a NUL character: this is no text file in UTF-8")
    return line


def _txt(path: Path, lines: Lines) -> Iterator[str]:
    for _, line in lines:
        # A carriage return alone ends a line, too: very old files have no other ends.
        for text in line.split("\r"):
            yield text.strip()


def _jsonl(path: Path, lines: Lines) -> Iterator[str]:
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            read = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON ({error}): each line must be one JSON value") from error
        yield _json_text(read, where)


def _json_text(read: object, where: str) -> str:
    named = ""
    if isinstance(read, dict):
        key = next((name for name in COLUMNS if name in read), None)
        if key is None:
            keys = ", ".join(map(repr, islice(read, 8))) or "none"
            raise InputError(f"{where} has the keys {keys}: name the text {_or_list()}")
        read, named = read[key], f" under {key!r}"
    if not isinstance(read, str):
        kind = "null" if read is None else type(read).__name__
        raise InputError(f"{where} has a {kind}{named}: give a string, or an object that holds one")
    try:
        read.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} has half a surrogate pair{named}: write the whole character") from error
    return read.strip()


def _or_list() -> str:
    return f"{', '.join(map(repr, COLUMNS[:-1]))} or {COLUMNS[-1]!r}"


def _table(delimiter: str) -> Callable[[Path, Lines], Iterator[str]]:
    def read(path: Path, lines: Lines) -> Iterator[str]:
        rows = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
        column, width = 0, 0
        for row in _rows(path, rows):
            if not width:
                width = len(row)
                header = [name.strip().lower() for name in row]
                found = next((header.index(name) for name in COLUMNS if name in header), None)
                if found is not None:
                    column = found
                    continue
                require(width == 1, InputError, _no_column(path, row))
            where = f"{path}, line {rows.line_num}"
            fits = f"{where} has {len(row)} columns, the first line {width}: {_QUOTING}"
            require(len(row) == width, InputError, fits)
            yield row[column].strip()

    return read


def _rows(path: Path, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows that are not blank; InputError for what is no table."""
    number = 0
    try:
        for row in rows:
            number += 1
            if row:
                yield row
    except csv.Error as error:
        raise InputError(f"{path}, row {number + 1} is no row of a table ({error}): {_QUOTING}") from error


def _no_column(path: Path, row: list[str]) -> str:
    names = ", ".join(repr(name[:40]) for name in row[:8])
    return f"{path}: its first line has the columns {names}: name the one with the texts {_or_list()}"


READERS = {".txt": _txt, ".jsonl": _jsonl, ".csv": _table(","), ".tsv": _table("\t")}
