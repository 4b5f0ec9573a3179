"""The switches for looking inside."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError
from aerogel.core.target import current
from aerogel.loop.nodes import F32, I64, Buf, BufferType, Call, Const, Function, Module, Store
from aerogel.loop.printer import show
from aerogel.native import compile, inspection
from aerogel.native.codegen import build, triple
from aerogel.native.fingerprint import fingerprint
from aerogel.native.llvm import ENTRY, module

Y = Buf("y", BufferType(DType.F32))


def two_functions(name: str) -> Module:
    inner = Function("inner", (Y,), (Store(Y, Const(0, I64), Const(1.0, F32)),))
    return Module(name, (inner, Function("main", (Y,), (Call("inner", (Y,)),))))


def test_dump_writes_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_DUMP", str(tmp_path / "dump"))
    program = two_functions("a/b c")
    compile(program)
    stem = f"a_b_c-{current().name}-{fingerprint(program, current())[:8]}"
    texts = {path.name: path.read_text() for path in (tmp_path / "dump").iterdir()}
    assert sorted(texts) == sorted(f"{stem}.{end}" for end in ("loop", "ll", "opt.ll", "s"))
    assert texts[f"{stem}.loop"] == show(program)
    assert 'define void @"inner"' in texts[f"{stem}.ll"]
    assert "define void @inner" in texts[f"{stem}.opt.ll"]
    assert "inner:" in texts[f"{stem}.s"]


def test_dump_to_nowhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AEROGEL_DUMP", str(tmp_path / "file"))
    with pytest.raises(InputError, match="AEROGEL_DUMP"):
        compile(two_functions("nowhere"))


def test_dump_to_the_home_of_nobody_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_DUMP", "~nosuch/dump")
    with pytest.raises(InputError, match="AEROGEL_DUMP=~nosuch"):
        compile(two_functions("nobody"))


def test_perf_map_names_the_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_PERF", "1")
    monkeypatch.setattr(inspection, "perf_map", lambda: tmp_path / "perf.map")
    program = compile(two_functions("mapped"))
    lines = [line.split() for line in (tmp_path / "perf.map").read_text().splitlines()]
    assert {name for _, _, name in lines} == {f"aerogel:mapped:{f}" for f in ("inner", "main", ENTRY)}
    entry = next(int(address, 16) for address, _, name in lines if name.endswith(ENTRY))
    assert entry == program.address
    spans = sorted((int(address, 16), int(size, 16)) for address, size, _ in lines)
    assert all(start + size <= after for (start, size), (after, _) in itertools.pairwise(spans))


def test_perf_map_is_not_written_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "perf.map").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(inspection, "perf_map", lambda: tmp_path / "perf.map")
    inspection.write_perf_map("m", {"f": 1}, {"f": 1})
    assert "symbolic links" in caplog.text
    assert not (tmp_path / "victim").exists()


def test_a_program_runs_without_a_perf_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AEROGEL_PERF", "1")
    monkeypatch.setattr(inspection, "perf_map", lambda: tmp_path / "no" / "perf.map")
    y = np.zeros(1, np.float32)
    compile(two_functions("unmapped"))(y)
    assert y[0] == 1.0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "AEROGEL_PERF" in caplog.text


def test_function_sizes_of_an_object() -> None:
    code = build(module(two_functions("sizes"), current(), triple())).object
    sizes = inspection.function_sizes(code)
    assert set(sizes) == {"inner", "main", ENTRY}
    assert all(0 < size < 200 for size in sizes.values())
    assert inspection.function_sizes(b"not an object") == {}
