"""What loading a file leaves behind for the next time, and what happens when that is not what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.model.graphs import rows_of

import aerogel
from aerogel.core.target import available, current
from aerogel.model import compile as compiling
from aerogel.model import packs
from aerogel.model.compile import build
from aerogel.model.program import Program

X = np.random.default_rng(5).standard_normal((20, 24)).astype(np.float32)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    draft = rows_of(24)
    graph = draft.graph(draft.linear(draft.linear("x", 40), 9))
    for name, weight in graph.weights.items():
        if weight.ndim == 2:
            weight[np.random.default_rng(len(name)).random(weight.shape) < 0.7] = 0
    path = tmp_path / "model.aero"
    build(graph, plan="quick").save(path)
    return path


def kept_file(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache" / "packs").iterdir()
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
    for at in random.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        np.testing.assert_allclose(answer(aerogel.load(artefact)), right, rtol=1e-5, atol=1e-6)
    path.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_allclose(answer(aerogel.load(artefact)), right, rtol=1e-5, atol=1e-6)


def test_every_flipped_byte_of_the_streams_is_noticed(artefact: Path, tmp_path: Path) -> None:
    aerogel.load(artefact)
    checksum = compiling.load_artefact(artefact).checksum
    path = kept_file(tmp_path)
    whole = path.read_bytes()
    assert packs.restore(checksum, current()) is not None
    header = 8 + int.from_bytes(whole[:8], "little")
    for at in range(header, len(whole), 37):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        found = packs.restore(checksum, current())
        # Only padding between arrays, which nothing reads, may change unnoticed.
        assert found is None or whole[at] == 0


def test_another_file_or_target_finds_nothing(artefact: Path) -> None:
    aerogel.load(artefact)
    checksum = compiling.load_artefact(artefact).checksum
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
