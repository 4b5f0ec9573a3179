"""What loading a file leaves behind for the next time, and what happens when that is not what it was."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.model.graphs import rows_of

import aerogel
from aerogel.core.target import Target, available, current
from aerogel.formats.bitmap import unpack
from aerogel.formats.rows import PackedRows
from aerogel.model import artefact as files
from aerogel.model import assemble as compiling
from aerogel.model import packs
from aerogel.model.compile import build
from aerogel.model.graph import Graph, Output
from aerogel.model.load import run_artefact
from aerogel.model.program import Program
from aerogel.native import cache
from aerogel.tune.choose import DENSE, SPARSE
from aerogel.tune.plan import Candidate, LayerPlan, Plan

X = np.random.default_rng(5).standard_normal((20, 24)).astype(np.float32)


@pytest.fixture(autouse=True)
def _own_cache(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs of its own for each test; machine code is shared, since only the first need wait for it."""
    code = tmp_path_factory.getbasetemp() / "packs-code" / "code"
    code.mkdir(mode=0o700, parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "load", partial(_load, code))
    monkeypatch.setattr(cache, "store", partial(_store, code))


def _load(folder: Path, key: str) -> bytes | None:
    return (folder / key).read_bytes() if (folder / key).exists() else None


def _store(folder: Path, key: str, code: bytes) -> None:
    (folder / key).write_bytes(code)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    path = tmp_path / "model.aero"
    build(rows(40), plan="quick").save(path)
    return path


def rows(width: int) -> Graph:
    draft = rows_of(24)
    graph = draft.graph(draft.linear(draft.linear("x", width), 9))
    for name, weight in graph.weights.items():
        if weight.ndim == 2:
            weight[np.random.default_rng(len(name)).random(weight.shape) < 0.7] = 0
    return graph


def kept_file(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache" / "packs").glob("*.pack")
    return found


def answer(program: Program) -> NDArray[np.float32]:
    return program(X)


def test_the_second_load_neither_times_nor_packs(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = aerogel.load(artefact)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was kept")

    monkeypatch.setattr(compiling, "choose", never)
    monkeypatch.setattr(compiling, "pack_as", never)
    second = aerogel.load(artefact)
    assert second.plan == first.plan
    np.testing.assert_array_equal(answer(second), answer(first))


def test_a_plan_that_is_asked_for_is_not_taken_from_the_cache(artefact: Path) -> None:
    aerogel.load(artefact)
    assert aerogel.load(artefact, plan="quick").plan.columns == 0


def test_a_damaged_file_is_packed_anew(artefact: Path, tmp_path: Path) -> None:
    right = answer(aerogel.load(artefact))
    path = kept_file(tmp_path)
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for at in random.integers(0, len(whole), 4):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        np.testing.assert_allclose(answer(aerogel.load(artefact)), right, rtol=1e-5, atol=1e-6)
    path.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_allclose(answer(aerogel.load(artefact)), right, rtol=1e-5, atol=1e-6)


def test_every_flipped_byte_is_noticed(artefact: Path, tmp_path: Path) -> None:
    aerogel.load(artefact)
    checksum = files.load(artefact).checksum
    path = kept_file(tmp_path)
    whole = path.read_bytes()
    assert packs.restore(checksum, current()) is not None
    for at in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        assert packs.restore(checksum, current()) is None
    for size in (0, 39, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert packs.restore(checksum, current()) is None


def signed(tail: dict[str, Any], constants: bytes) -> bytes:
    """A kept file whose checksum fits, whatever it holds."""
    text = json.dumps(tail).encode()
    whole = constants + text + len(text).to_bytes(8, "little")
    return whole + hashlib.sha256(whole).digest()


def change(tail: dict[str, Any], keys: list[Any], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(tail))
    at = copy
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return copy


def test_a_tail_that_lies_is_refused_though_its_checksum_fits(artefact: Path, tmp_path: Path) -> None:
    aerogel.load(artefact)
    checksum = files.load(artefact).checksum
    path = kept_file(tmp_path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-40:-32], "little")
    tail, constants = json.loads(whole[-40 - length : -40]), whole[: -40 - length]
    assert signed(tail, constants) == whole
    values = "step 1 many values"
    layer = next(iter(tail["layers"]))
    lies: list[tuple[list[Any], Any]] = [
        (["size"], len(whole)), (["size"], "all"), (["size"], -1), (["size"], float("inf")),
        (["size"], 1 << 62), (["layout"], []), (["layout", values], [0, "float32"]),
        (["layout", values, 0], len(constants) - 64), (["layout", values, 0], -64),
        (["layout", values, 0], 8), (["layout", values, 1], "float64"), (["layout", values, 1], "nonsense"),
        (["layout", values, 2], [1 << 40]), (["layout", values, 2], [-1]), (["layout", values, 2], [1 << 62]),
        (["layout", values, 0], 1 << 62), (["layout", values, 2], [1 << 32] * 3), (["plan"], {}),
        (["layers"], 3),
        (["layers", layer, "number"], 77), (["layers", layer, "roles"], {}),
        (["layers", layer, "roles", "many", "kind"], "other"),
        (["layers", layer, "roles", "many", "block"], 0), (["layers", layer, "roles", "many", "rows"], 1.5),
        (["layers", layer, "roles", "many"], {"kind": "panel"}),
    ]  # fmt: skip
    for keys, value in lies:
        path.write_bytes(signed(change(tail, keys, value), constants))
        assert packs.restore(checksum, current()) is None, (keys, value)
    deep = b"[" * 100_000
    deep = constants + deep + len(deep).to_bytes(8, "little")
    path.write_bytes(deep + hashlib.sha256(deep).digest())
    assert packs.restore(checksum, current()) is None
    path.write_bytes(whole)
    assert packs.restore(checksum, current()) is not None


def for_few(weights: Mapping[str, Any], target: Target, **_: object) -> Plan:
    """Nested rows for up to 5 columns."""
    few = Candidate("nested", 0)
    return Plan(target.fingerprint, 128, tuple(LayerPlan(n, SPARSE[0], few, {}, {}, 5) for n in weights))


def test_rows_for_few_columns_are_kept_too(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "choose", for_few)
    first = aerogel.load(artefact)
    monkeypatch.setattr(compiling, "choose", None)
    monkeypatch.setattr(compiling, "pack_matrix", None)
    for again in (aerogel.load(artefact), run_artefact(files.load(artefact), plan=first.plan)):
        assert again.plan == first.plan
        for columns in (1, 5, 6, 20):
            np.testing.assert_array_equal(again(X[:columns]), first(X[:columns]))
        for name, kept in again.built.packed.items():
            few = kept.few
            assert isinstance(few, PackedRows) and kept.few_columns == 5 and few.form == "nested"
            np.testing.assert_array_equal(unpack(few), unpack(first.built.packed[name].few))


def test_a_tail_that_lies_about_rows_is_refused(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "choose", for_few)
    aerogel.load(artefact)
    checksum, path = files.load(artefact).checksum, kept_file(tmp_path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-40:-32], "little")
    tail, constants = json.loads(whole[-40 - length : -40]), whole[: -40 - length]
    layer = next(iter(tail["layers"]))
    few = ["layers", layer, "roles", "few"]
    lies: list[tuple[list[Any], Any]] = [
        ([*few, "form"], "other"), ([*few, "number"], "bf16"), ([*few, "number"], "int8"),
        ([*few, "dtype"], "uint16"), ([*few, "lanes"], 5), ([*few, "rows"], -1), ([*few, "nonzeros"], None),
        (["layers", layer, "few_columns"], 9), (["layers", layer, "few_columns"], 0),
        (["layers", layer, "few_columns"], "all"), (["layout", "step 1 few masks", 1], "int64"),
        (["layers", layer, "roles", "many"], tail["layers"][layer]["roles"]["few"]),
        (["plan", "layers", 0, "few_columns"], 9),
    ]  # fmt: skip
    for keys, value in lies:
        path.write_bytes(signed(change(tail, keys, value), constants))
        assert packs.restore(checksum, current()) is None, (keys, value)
    path.write_bytes(whole)
    assert packs.restore(checksum, current()) is not None


def test_a_link_is_not_followed(artefact: Path, tmp_path: Path) -> None:
    aerogel.load(artefact)
    checksum = files.load(artefact).checksum
    path = kept_file(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert packs.restore(checksum, current()) is None


def test_constants_are_the_kept_file_mapped_and_the_bits_those_of_memory(
    artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First load, later load, and a load that keeps nothing: the same constants, the same answers."""
    first = aerogel.load(artefact)
    again = aerogel.load(artefact)
    plain = aerogel.load(artefact, plan=replace(first.plan, columns=7))
    monkeypatch.setattr(packs, "restore", lambda *_: None)
    memory = aerogel.load(artefact, plan=first.plan)
    for other in (again, plain, memory):
        assert other.plan.fingerprint == first.plan.fingerprint
        size = min(other.nbytes, first.nbytes)
        np.testing.assert_array_equal(other.built.constants[:size], first.built.constants[:size])
        np.testing.assert_array_equal(answer(other), answer(first))
    assert all(not isinstance(p.built.constants.base, np.ndarray) for p in (first, again, plain))
    assert isinstance(memory.built.constants.base, np.ndarray)


def test_a_plan_like_the_kept_one_packs_nothing(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = aerogel.load(artefact)
    monkeypatch.setattr(compiling, "pack_as", None)
    aerogel.load(artefact, plan=first.plan)
    other = replace(first.plan, layers=tuple(replace(e, many=DENSE, few=DENSE) for e in first.plan.layers))
    if other.fingerprint != first.plan.fingerprint:
        with pytest.raises(TypeError):
            aerogel.load(artefact, plan=other)


def test_other_outputs_use_what_was_kept(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aerogel.load(artefact)
    monkeypatch.setattr(compiling, "pack_as", None)
    found = files.load(artefact)
    inner = next(op.out.name for op in found.graph.ops if op.out.features == 40)
    more = replace(found.graph, outputs=(*found.graph.outputs, Output("inner", inner)))
    both = run_artefact(replace(found, graph=more))(X)
    np.testing.assert_array_equal(both["out0"], answer(aerogel.load(artefact)))
    assert both["inner"].shape == (20, 40)


@pytest.mark.parametrize("call", ["write", "replace"])
def test_a_disk_that_is_full_costs_only_the_keeping(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    right = answer(aerogel.load(artefact, plan="quick"))
    real = packs.Spool._append

    def append(self: packs.Spool, data: bytes) -> None:
        if self._size > 1000:
            self._file = SimpleNamespace(write=full)
        real(self, data)

    if call == "write":
        monkeypatch.setattr(packs.Spool, "_append", append)
    else:
        monkeypatch.setattr(packs, "_mapped", full)
    np.testing.assert_allclose(answer(aerogel.load(artefact)), right, rtol=1e-5, atol=1e-6)
    assert not list((tmp_path / "cache" / "packs").iterdir())


FULL = """
import resource, sys
import numpy as np, aerogel
x = np.ones((3, 24), np.float32)
right = aerogel.load(sys.argv[1], plan="quick")(x)
for most in (100, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    np.testing.assert_allclose(aerogel.load(sys.argv[1])(x), right, rtol=1e-5, atol=1e-6)
"""


def test_a_disk_that_takes_no_more_at_any_point_costs_only_the_keeping(
    artefact: Path, tmp_path: Path
) -> None:
    """A limit of the system for the size of files: what is buffered fails at the end, and on closing too."""
    pytest.importorskip("resource", reason="this system has no limits")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(artefact)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "cache" / "packs").iterdir())


def test_the_oldest_go_where_files_take_too_much(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aerogel.load(artefact)
    old = kept_file(tmp_path)
    build(rows(7), plan="quick").save(tmp_path / "other.aero")
    monkeypatch.setattr(packs, "MOST_BYTES", 100)
    aerogel.load(tmp_path / "other.aero")
    assert kept_file(tmp_path) != old


def test_another_file_or_target_finds_nothing(artefact: Path) -> None:
    aerogel.load(artefact)
    checksum = files.load(artefact).checksum
    assert packs.restore("0" * 64, current()) is None
    for other in available()[1:]:
        assert packs.restore(checksum, other) is None


def test_without_a_usable_cache_it_loads_all_the_same(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = answer(aerogel.load(artefact))
    (tmp_path / "taken").write_text("a file, not a folder")
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "taken"))
    np.testing.assert_allclose(answer(aerogel.load(artefact)), right, rtol=1e-5, atol=1e-6)
