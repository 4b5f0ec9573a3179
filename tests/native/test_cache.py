"""The code cache may make a program faster, never wrong."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import CacheError, LoopError
from aerogel.core.target import Target, available, current
from aerogel.loop.nodes import (
    BOOL,
    F32,
    I64,
    Barrier,
    Buf,
    BufferType,
    Const,
    Expr,
    Function,
    If,
    Module,
    Store,
    ThreadId,
)  # fmt: skip
from aerogel.native import cache, compile, engine
from aerogel.native.engine import in_use
from aerogel.native.fingerprint import fingerprint
from aerogel.native.runtime import runtime

Y = Buf("y", BufferType(DType.F32))


def store_module(value: float, name: str = "m") -> Module:
    """y[0] = value."""
    return Module(name, (Function("main", (Y,), (Store(Y, Const(0, I64), Const(value, F32)),)),))


def run(value: float) -> float:
    y = np.zeros(1, np.float32)
    compile(store_module(value))(y)
    return float(y[0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # What threads run between jobs is cached as well, when first needed: not here.
    runtime()
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "code"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The objects handed to LLVM's loader."""
    seen: list[bytes] = []
    original = engine.Loaded.__init__

    def record(self: engine.Loaded, code: bytes, symbols: object) -> None:
        seen.append(code)
        original(self, code, symbols)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.Loaded, "__init__", record)
    return seen


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were compiled, not found."""
    from aerogel.native import compiler as front

    seen: list[str] = []
    original = front.build

    def record(text: str, *, show: bool = False) -> object:
        seen.append(text)
        return original(text, show=show)

    monkeypatch.setattr(front, "build", record)
    return seen


def test_a_second_compile_builds_nothing(folder: Path, builds: list[str]) -> None:
    assert [run(2.5), run(2.5)] == [2.5, 2.5]
    assert len(builds) == 1
    assert [path.name for path in folder.iterdir()] == [fingerprint(store_module(2.5), current())]


def test_folders_and_entries_are_the_users_alone(folder: Path) -> None:
    run(1.0)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_every_flipped_byte_is_noticed_before_llvm_sees_it(
    folder: Path, builds: list[str], loads: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    run(3.5)
    (path,) = folder.iterdir()
    entry = path.read_bytes()
    good = loads[-1]
    key = path.name
    caplog.set_level(logging.CRITICAL, "aerogel")
    for at in range(len(entry)):
        path.write_bytes(entry[:at] + bytes([entry[at] ^ 1 << at % 8]) + entry[at + 1 :])
        assert cache.load(key) is None, f"byte {at} flipped was not noticed"
    # The whole way for a sample: rebuilt, replaced, right.
    for at in [*range(0, 48, 5), *range(48, len(entry), 97)]:
        path.write_bytes(entry[:at] + bytes([entry[at] ^ 0x40]) + entry[at + 1 :])
        before = len(builds)
        assert run(3.5) == 3.5
        assert len(builds) == before + 1
        assert loads[-1] == good
        assert path.read_bytes() == entry


@pytest.mark.parametrize("spoil", [b"", b"AERO", b"x" * 10_000])
def test_truncated_and_foreign_entries_are_rebuilt(folder: Path, builds: list[str], spoil: bytes) -> None:
    run(4.5)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for text in (spoil, whole[:-1], whole + b"\0"):
        path.write_bytes(text)
        assert run(4.5) == 4.5
        assert path.read_bytes() == whole


def test_code_of_another_program_is_refused(folder: Path, builds: list[str]) -> None:
    run(5.5)
    (path,) = folder.iterdir()
    wrong = folder / fingerprint(store_module(6.5), current())
    shutil.copy(path, wrong)
    assert run(6.5) == 6.5
    assert len(builds) == 2


def test_links_are_not_followed(folder: Path, builds: list[str], tmp_path: Path) -> None:
    run(7.5)
    (path,) = folder.iterdir()
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert run(7.5) == 7.5
    assert len(builds) == 2
    assert not path.is_symlink()


def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "other")
    with pytest.raises(CacheError, match="not a folder"):
        cache.private_folder("code")
    assert run(8.5) == 8.5
    assert not list((tmp_path / "other").iterdir())


def test_a_folder_of_someone_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(CacheError, match="belongs to user"):
        cache.private_folder("code")
    assert run(9.5) == 9.5


def test_an_unusable_folder_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert run(10.5) == 10.5
    assert "AEROGEL_CACHE_DIR" in caplog.text


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, goal: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert run(11.5) == 11.5
    assert not list(folder.iterdir())


def test_too_open_a_folder_is_closed(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    run(12.5)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AEROGEL_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / "aerogel"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_root() == tmp_path / "home/.cache/aerogel"


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, as in many containers."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "AEROGEL_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("own", [None, "~nosuch/cache"])
def test_a_user_without_a_home_does_without_a_cache(
    own: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    homeless(monkeypatch)
    if own is not None:
        monkeypatch.setenv("AEROGEL_CACHE_DIR", own)
    with pytest.raises(CacheError, match=f"no cache folder {own or '~/.cache'}.*set AEROGEL_CACHE_DIR"):
        cache.cache_root()
    assert run(14.5) == 14.5
    assert [record.getMessage()[:21] for record in caplog.records] == [
        "code cache not read: ", "code cache not writte",
    ]  # fmt: skip


def test_a_folder_beside_a_working_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("AEROGEL_CACHE_DIR", "beside")
    with pytest.raises(CacheError, match="no cache folder beside"):
        cache.cache_root()


def test_what_interrupted_processes_left_is_removed_after_a_day(folder: Path) -> None:
    cache.store("kept", b"code")
    yesterday = time.time() - 25 * 3600
    for name, modified in (("old.x.part", yesterday), ("new.x.part", time.time()), ("kept", yesterday)):
        (folder / name).touch()
        os.utime(folder / name, (modified, modified))
    cache.store("another", b"code")
    assert sorted(path.name for path in folder.iterdir()) == ["another", "kept", "new.x.part"]


def test_the_oldest_entries_go_when_the_cache_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = bytes(1000)
    for age, name in enumerate("abcd"):
        cache.store(name, code)
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    (folder / "folder").mkdir()
    size = (folder / "a").stat().st_size
    monkeypatch.setattr(cache, "MOST_BYTES", 3 * size)
    cache.store("e", code)
    # The two written first, d and c, have gone; reading keeps what it finds.
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "e", "folder"]
    assert [cache.load(name) for name in "abcde"] == [code, code, None, None, code]
    cache.store("e", code)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "e", "folder"]


def test_code_in_use_is_shared(folder: Path, loads: list[bytes]) -> None:
    first = compile(store_module(13.5))
    count = len(loads)
    second = compile(store_module(13.5))
    assert len(loads) == count
    assert first.address == second.address
    key = fingerprint(store_module(13.5), current())
    del first, second
    assert key not in in_use


# --- the key ----------------------------------------------------------------------------------


def key(value: Expr) -> str:
    cond = If(Const(True, BOOL), (Barrier(),))
    return fingerprint(Module("m", (Function("main", (Y,), (cond, Store(Y, ThreadId(), value))),)), current())


def test_keys_tell_apart_what_equality_does_not() -> None:
    found = {key(Const(value, F32)) for value in (0.0, -0.0, 0, 1.0, 1, True, 2.0)}
    assert len(found) == 7


def test_equal_modules_have_equal_keys() -> None:
    assert fingerprint(store_module(1.0), current()) == fingerprint(store_module(1.0), current())


def test_targets_have_their_own_code() -> None:
    keys = {fingerprint(store_module(1.0), target) for target in available()}
    bare = Target("avx512", "x86_64", 512, 32, ("sse2",))
    assert len({*keys, fingerprint(store_module(1.0), bare)}) == len(available()) + 1


def test_sharing_does_not_confuse_keys() -> None:
    """(a + b) with one node twice, and with two equal nodes, may differ; different sums must."""
    a, b = Const(1.0, F32), Const(2.0, F32)
    assert len({key(a + a), key(a + b), key(b + a), key(b + b), key((a + a) + a), key(a + (a + a))}) == 6


def test_nesting_without_end_is_an_error_not_a_crash() -> None:
    deep: Expr = Const(1.0, F32)
    for _ in range(100_000):
        deep = deep + deep
    with pytest.raises(LoopError, match="nests deeper"):
        compile(Module("m", (Function("main", (Y,), (Store(Y, Const(0, I64), deep),)),)))
