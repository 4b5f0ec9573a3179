"""Files of named arrays: what is written is read, by others too; what is damaged or hostile is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.core.errors import FormatError, InputError
from aerogel.formats import container
from aerogel.formats.container import read, write

ARRAYS: dict[str, np.ndarray] = {
    "bytes": np.arange(7, dtype=np.uint8),
    "numbers": np.arange(12, dtype=np.float32).reshape(3, 4),
    "nothing": np.zeros((0, 5), np.float64),
    "one": np.array(3, np.int64),
    "truth": np.array([True, False, True]),
    "halves": np.arange(5, dtype=np.float16),
    'caffè "x"\n': np.array([-1, 2], np.int8),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "file", ARRAYS, {"key": "a text", "ö": ""})
    return tmp_path / "file"


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(found[name], array)


def test_what_is_written_is_read(path: Path) -> None:
    contents = read(path)
    same(dict(contents.arrays), ARRAYS)
    assert contents.metadata == {"key": "a text", "ö": ""}


def test_every_dtype(tmp_path: Path) -> None:
    arrays = {name: np.ones(3, name) for name in container._NAMES}
    write(tmp_path / "file", arrays, {})
    same(dict(read(tmp_path / "file").arrays), arrays)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6), st.integers(0, 2**32))
def test_any_shapes(tmp_path_factory: pytest.TempPathFactory, shapes: list[list[int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    arrays = {f"a{i}": random.integers(-9, 9, s).astype(np.int8) for i, s in enumerate(shapes)}
    path = tmp_path_factory.getbasetemp() / "any"
    write(path, arrays, {})
    same(dict(read(path).arrays), arrays)


def test_no_arrays_at_all(tmp_path: Path) -> None:
    write(tmp_path / "file", {}, {})
    assert read(tmp_path / "file").arrays == {}


def test_arrays_begin_on_multiples_of_64_bytes_and_cannot_be_written(path: Path) -> None:
    for array in read(path).arrays.values():
        assert array.size == 0 or array.__array_interface__["data"][0] % 64 == 0
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_the_safetensors_library_reads_it(path: Path) -> None:
    library = pytest.importorskip("safetensors")
    with library.safe_open(path, "numpy") as file:
        assert file.metadata() == {"key": "a text", "ö": ""}
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)


def test_what_the_safetensors_library_writes_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {name: array for name, array in ARRAYS.items() if array.ndim}
    library.save_file(arrays, tmp_path / "file", {"by": "others"})
    found = read(tmp_path / "file")
    same(dict(sorted(found.arrays.items())), dict(sorted(arrays.items())))
    assert found.metadata == {"by": "others"}


@pytest.mark.parametrize(
    "arrays",
    [
        {"__padding_1": np.zeros(3)}, {"__metadata__": np.zeros(3)}, {"x": np.zeros(3, np.complex64)},
        {"x": np.array(["a"], object)},
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_and_nothing_is_written(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        write(tmp_path / "file", arrays, {})
    assert list(tmp_path.iterdir()) == []


# --- damage ------------------------------------------------------------------------------------


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError):
            read(path)


def test_a_file_with_more_behind_it_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FormatError, match="1 bytes that belong to no array"):
        read(path)


def test_a_header_with_any_byte_flipped_is_refused_or_read_in_bounds(path: Path) -> None:
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for place in range(int.from_bytes(content[:8], "little") + 8):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << random.integers(8)
        path.write_bytes(spoilt)
        try:
            found = read(path)
        except FormatError:
            continue
        # Every byte of it can be touched.
        assert sum(len(a.tobytes()) for a in found.arrays.values()) <= len(content)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(InputError, match="is a pipe: give a file"):
            read(tmp_path / name)


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_what_is_no_file_is_bad_input(tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="could not be read"):
        read(tmp_path / what)


# --- hostile headers ---------------------------------------------------------------------------


def entry(begin: int, end: int, shape: Any = None, dtype: Any = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def crafted(path: Path, header: object, data: bytes = bytes(16), length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def deep(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


HOSTILE: dict[str, tuple[object, str]] = {
    "overlap": ({"a": entry(0, 10), "b": entry(8, 16)}, "hole or an overlap"),
    "twice the same": ({"a": entry(0, 16), "b": entry(0, 16)}, "hole or an overlap"),
    "hole": ({"a": entry(0, 4), "b": entry(8, 16)}, "hole or an overlap"),
    "hole in front": ({"a": entry(4, 16)}, "hole or an overlap"),
    "rest": ({"a": entry(0, 12)}, "belong to no array"),
    "past the end": ({"a": entry(0, 17)}, "outside the file"),
    "far past the end": ({"a": entry(0, 1 << 59)}, "outside the file"),
    "beyond 64 bits": ({"a": entry(0, 1 << 70)}, "impossible sizes"),
    "backwards": ({"a": entry(16, 0, [16])}, "outside the file"),
    "negative": ({"a": entry(-16, 0, [16])}, "impossible sizes"),
    "shape too large": ({"a": entry(0, 16, [17])}, "does not fill"),
    "shape too small": ({"a": entry(0, 16, [3], "F32")}, "does not fill"),
    "shape that overflows to right": ({"a": entry(0, 16, [1 << 32, 1 << 32, 16])}, "impossible sizes"),
    "empty and endless": ({"a": entry(0, 16), "b": entry(16, 16, [0, 1 << 59, 8])}, "impossible sizes"),
    "negative shape": ({"a": entry(0, 16, [-4, -4])}, "impossible sizes"),
    "half a shape": ({"a": entry(0, 16, [0.5, 32])}, "impossible sizes"),
    "truth as a shape": ({"a": entry(0, 16, [True, 16])}, "impossible sizes"),
    "shape of text": ({"a": entry(0, 16, "16")}, "impossible sizes"),
    "no shape": ({"a": {"dtype": "U8", "data_offsets": [0, 16]}}, "is damaged"),
    "shape null": ({"a": {"dtype": "U8", "shape": None, "data_offsets": [0, 16]}}, "is damaged"),
    "many dimensions": ({"a": entry(0, 16, [16, *[1] * 40])}, "impossible sizes"),
    "one offset": ({"a": {"dtype": "U8", "shape": [16], "data_offsets": [16]}}, "is damaged"),
    "three offsets": ({"a": {"dtype": "U8", "shape": [16], "data_offsets": [0, 8, 16]}}, "is damaged"),
    "unknown dtype": ({"a": entry(0, 16, dtype="F4")}, "is damaged"),
    "dtype of a list": ({"a": entry(0, 16, dtype=["U8"])}, "is damaged"),
    "entry of text": ({"a": "text"}, "is damaged"),
    "entry of nothing": ({"a": None}, "is damaged"),
    "entry of a list": ({"a": [1]}, "is damaged"),
    "list": ([], "no table"),
    "number": (3, "no table"),
    "nothing": (b"", "cannot be read"),
    "garbage": (b"\xff\x00garbage", "cannot be read"),
    "unclosed": (b'{"a":', "cannot be read"),
    "deep": (deep(100_000), "cannot be read"),
    "deep lists": (b"[" * 200_000, "cannot be read"),
    "long number": (b'{"a":' + b"9" * 10_000 + b"}", "cannot be read"),
    "name given twice": (
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[16]}}', "twice",
    ),
    "offsets given twice": (
        b'{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,1],"data_offsets":[0,16]}}', "twice",
    ),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "a": entry(0, 16)}, "metadata"),
    "metadata as text": ({"__metadata__": "a", "a": entry(0, 16)}, "metadata"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused(tmp_path: Path, name: str) -> None:
    header, message = HOSTILE[name]
    with pytest.raises(FormatError, match=message):
        read(crafted(tmp_path / "file", header))


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, 100_000_001, 1 << 32])
def test_a_header_longer_than_the_file_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(FormatError, match="claims a header of"):
        read(crafted(tmp_path / "file", {"a": entry(0, 16)}, length=length))


def test_a_header_longer_than_any_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write((container.MOST_HEADER_BYTES + 1).to_bytes(8, "little"))
        file.truncate(container.MOST_HEADER_BYTES + 100)  # sparse: takes no room
    with pytest.raises(FormatError, match="claims a header of"):
        read(path)


def test_numbers_between_multiples_of_their_size_are_read_all_the_same(tmp_path: Path) -> None:
    numbers = np.arange(4, dtype=np.float32)
    header = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    for spaces in range(8):
        found = read(crafted(tmp_path / "file", header + b" " * spaces, numbers.tobytes()))
        np.testing.assert_array_equal(found.arrays["a"] * 2, numbers * 2)


# --- writing goes wrong ------------------------------------------------------------------------


class Full:
    """A file on a disk that is full after ``room`` bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, part: Any) -> int:
        if self.room < len(part):
            raise OSError(28, "No space left on device")
        self.room -= len(part)
        return int(self.file.write(part))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 500, 900])
def test_a_full_disk_keeps_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    before, real = path.read_bytes(), os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda handle, mode: Full(real(handle, mode), room))
    with pytest.raises(InputError, match="No space left on device"):
        write(path, {"other": np.zeros(1000, np.uint8)}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def fail_late(*args: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full_at_the_last_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = path.read_bytes()
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail_late)
    with pytest.raises(InputError, match="the old file, if any, is kept"):
        write(path, {"other": np.zeros(10, np.uint8)}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be written"):
        write(tmp_path / "none" / "file", ARRAYS, {})


KILLED = """
import sys, numpy as np
from pathlib import Path
from aerogel.formats import container
class Stops:
    \"\"\"A file that waits for ever at its third part.\"\"\"
    def __init__(self, file): self.file, self.parts = file, 0
    def write(self, part):
        self.file.write(part)
        self.file.flush()
        self.parts += 1
        if self.parts == 3:
            print("writing", flush=True)
            sys.stdin.read()
real = container.replace_file
container.replace_file = lambda path, fill: real(path, lambda file: fill(Stops(file)))
container.write(Path(sys.argv[1]), {f"a{i}": np.ones(4000, np.uint8) for i in range(9)}, {})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_killed_while_writing_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        assert child.stdout.readline() == b"writing\n"
        parts = [p for p in path.parent.iterdir() if p != path]
        assert len(parts) == 1 and parts[0].stat().st_size > 0
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    assert path.read_bytes() == before
    same(dict(read(path).arrays), ARRAYS)
    # What was left over is in nobody's way.
    write(path, {"new": np.ones(2, np.int8)}, {})
    assert list(read(path).arrays) == ["new"]


SPOIL: dict[str, Callable[[Path], None]] = {
    "replaced": lambda path: write(path, {"other": np.zeros(9, np.uint8)}, {}),
    "removed": Path.unlink,
}


@pytest.mark.parametrize("name", SPOIL)
def test_what_was_read_stays_when_the_file_goes(path: Path, name: str) -> None:
    found = read(path)
    SPOIL[name](path)
    same(dict(found.arrays), ARRAYS)
