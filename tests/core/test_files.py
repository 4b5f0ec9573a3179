"""Reading JSON: whatever is wrong, the file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.core.errors import InputError
from aerogel.core.files import read_json, read_json_object


def test_what_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [1, 2]}')
    assert read_json(tmp_path / "x.json") == read_json_object(tmp_path / "x.json") == {"a": [1, 2]}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json is not JSON: "):
        read_json(tmp_path / "x.json")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read: No such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_json(tmp_path)


def test_an_object_is_not_a_list(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json must hold a JSON object"):
        read_json_object(tmp_path / "x.json")
