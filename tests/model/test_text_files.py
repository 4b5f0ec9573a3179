"""Texts from files: what each kind of file gives, and what is said of a file that gives none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aerogel.core.errors import InputError
from aerogel.model.text_files import MOST_BYTES, read_texts


def written(folder: Path, name: str, contents: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


GOOD = {
    "lines.txt": ("one text\n\n  two, texts \r\nthree", ["one text", "two, texts", "three"]),
    "bom.txt": (b"\xef\xbb\xbfone\n\xc3\xa9t\xc3\xa9\n", ["one", "été"]),
    "old.txt": ("one\rtwo\rthree", ["one", "two", "three"]),
    "separators.txt": ("one\u2028still one\ntwo\x85still two\n", ["one\u2028still one", "two\x85still two"]),
    "UPPER.TXT": ("one\n", ["one"]),
    "strings.jsonl": ('"one"\n\n"two\\nlines"\n" "\n', ["one", "two\nlines"]),
    "objects.jsonl": ('{"id": 1, "text": "one"}\n{"sentence": "two"}\n{"content": "three"}\n',
                      ["one", "two", "three"]),
    "first_key_wins.jsonl": ('{"sentence": "no", "text": "yes"}', ["yes"]),
    "pairs.jsonl": ('"\\ud83d\\ude00"', ["😀"]),
    "header.csv": ('label, Text\n1,"one, two"\n\n0,"three\nfour"\n', ["one, two", "three\nfour"]),
    "sentence.tsv": ("sentence\tlabel\none, two\t1\nthree\t0\n", ["one, two", "three"]),
    "bom.csv": (b"\xef\xbb\xbftext\r\none\r\n", ["one"]),
    "single.csv": ("one\ntwo\n", ["one", "two"]),
    "single.tsv": ("one, two\nthree\n", ["one, two", "three"]),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_the_texts_of_each_kind_of_file(tmp_path: Path, name: str) -> None:
    contents, texts = GOOD[name]
    path = written(tmp_path, name, contents)
    assert read_texts(path) == texts
    assert read_texts(path, 1) == texts[:1]
    assert read_texts(path, 99) == texts


BAD = {
    "empty.txt": ("", "holds no text: give at least one"),
    "blank.txt": (" \n\t\n", "holds no text"),
    "empty.csv": ("", "holds no text"),
    "header_only.csv": ("text\n", "holds no text"),
    "latin.txt": (b"fine\nd\xe9j\xe0 vu\n", "line 2 is not UTF-8 .*save the file as UTF-8"),
    "utf16.txt": ("one\n".encode("utf-16"), "line 1 is not UTF-8"),
    "binary.txt": (b"one\na\x00b\n", "line 2 holds a NUL"),
    "long.txt": ("short\n" + "x" * (MOST_BYTES + 1), r"line 2 is longer than 1,048,576 bytes: split it"),
    "endless.jsonl": ('"' + "x" * MOST_BYTES, "line 1 is longer"),
    "broken.jsonl": ('"one"\n{"text": \n', "line 2 is not JSON .*each line must be one JSON value"),
    "array.jsonl": ('[\n"one"\n]', "line 1 is not JSON"),
    "deep.jsonl": ("[" * 100_000, "line 1 is not JSON"),
    "digits.jsonl": ("9" * 10_000, "line 1 is not JSON"),
    "keys.jsonl": ('{"query": "a", "label": 1}',
                   r"line 1 has the keys 'query', 'label': name the text 'text', 'sentence' or 'content'"),
    "no_keys.jsonl": ("{}", "has the keys none"),
    "number.jsonl": ('"one"\n3\n', "line 2 has a int: give a string"),
    "null.jsonl": ('{"text": null}', "line 1 has a null under 'text'"),
    "list.jsonl": ('["one"]', "line 1 has a list"),
    "half.jsonl": (r'{"text": "\ud83d"}', "line 1 has half a surrogate pair under 'text'"),
    "columns.csv": ("query,label\na,1\n",
                    r"columns 'query', 'label': name the one with the texts 'text', 'sentence' or 'content'"),
    "commas.csv": ("text\none\ntwo, three\n", r"line 3 has 2 columns, the first line 1: quote a text"),
    "short.csv": ("text,label\none,1\ntwo\n", "line 3 has 1 columns, the first line 2"),
    "open.csv": ('text\none\n"two\nthree\n', r"row 3 is no row of a table \(unexpected end of data\)"),
    "quotes.csv": ('text\n"one" more\n', "row 2 is no row of a table"),
    "field.csv": (f"text\n{'x' * 200_000}\n", r"row 2 is no row of a table \(field larger"),
    "texts.json": ('["one"]', r"texts are not read from '\.json': give a file .*\.txt, .*\.tsv"),
    "texts": ("one", "texts are not read from 'no ending'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_read_so_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    contents, message = BAD[name]
    path = written(tmp_path, name, contents)
    with pytest.raises(InputError, match=message) as caught:
        read_texts(path)
    assert str(path) in str(caught.value)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*none\.txt: give a file of texts"):
        read_texts(tmp_path / "none.txt")
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        read_texts(tmp_path / ("x" * 4000 + ".txt"))
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    with pytest.raises(InputError, match=r"folder\.txt is not a file"):
        read_texts(folder)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5])
def test_a_limit_is_a_count(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match=f"limit={limit}"):
        read_texts(written(tmp_path, "one.txt", "one\n"), limit)


def test_no_more_is_read_than_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "late.jsonl", json.dumps("one") + "\nnot JSON\n")
    assert read_texts(path, 1) == ["one"]


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "one.txt", "one\n")

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"one\.txt cannot be read: Permission denied"):
        read_texts(path)


def test_no_torch_is_needed() -> None:
    code = "import aerogel.model.text_files, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
