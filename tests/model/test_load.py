"""A file loaded again: what was worked out is found, nothing is generated, and the bits are the same."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.model.graphs import Draft, quick, tokens

import aerogel
from aerogel.model import load as loading
from aerogel.model.program import Program

GIVEN = tokens((7, 3, 5))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    d = Draft()
    x = d.norm(d.add(d.embedding(8), d.embedding(8)))
    x = d.norm(d.add(d.linear(d.attend(x)), x))
    path = tmp_path_factory.mktemp("file") / "m.aero"
    quick(d.graph(x, d.normalize(d.pool(x)))).save(path)
    return path


@pytest.fixture(scope="module")
def home(path: Path) -> Path:
    """A cache folder in which the file has been loaded once."""
    home = path.parent / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEROGEL_CACHE_DIR", str(home))
        aerogel.load(path)
    return home


@pytest.fixture(autouse=True)
def _its_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(home))


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was not recalled."""
    seen: list[str] = []
    original = loading._from_kept

    def record(*args: object) -> object:
        seen.append("generated")
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "_from_kept", record)
    return seen


def same(one: Program, other: Program) -> None:
    for threads in (1, 2):
        a, b = one(**GIVEN, threads=threads), other(**GIVEN, threads=threads)
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def recipe(home: Path) -> Path:
    (found,) = (home / "packs").glob("*.recipe")
    return found


def test_a_recalled_program_is_the_generated_one(
    path: Path, generated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recalled = aerogel.load(path, threads=1)
    assert not generated
    monkeypatch.setattr(loading, "_recalled", lambda *_: None)
    again = aerogel.load(path, threads=1)
    assert generated
    same(recalled, again)
    assert recalled.built.compiled.key == again.built.compiled.key
    for field in ("steps", "arena", "constant_bytes", "plan", "target", "layout", "graph"):
        one, other = getattr(recalled.built, field), getattr(again.built, field)
        if field == "graph":
            assert replace(one, weights={}) == replace(other, weights={})
            assert list(one.weights) == list(other.weights)
        else:
            assert one == other, field
    assert [p.name for p in recalled.built.compiled.params] == [p.name for p in again.built.compiled.params]


def test_a_recalled_program_explains_and_saves_itself(path: Path, tmp_path: Path) -> None:
    program = aerogel.load(path, threads=1)
    assert len(program.explain().steps) == len(program.built.steps)
    program.save(tmp_path / "again.aero")
    assert (tmp_path / "again.aero").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("damage", ["", "{}", "x\nx", '{"code": "0", "constant_bytes": 3}\n00'])
def test_a_recipe_that_is_damaged_is_made_anew(
    path: Path, home: Path, generated: list[str], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    right, file = aerogel.load(path, threads=1), recipe(home)
    whole = file.read_bytes()
    file.write_text(damage)
    with caplog.at_level(logging.WARNING, "aerogel"):
        same(aerogel.load(path, threads=1), right)
    assert generated and "recipe is not read" in caplog.text
    assert file.read_bytes() == whole


def test_code_that_is_gone_is_generated(path: Path, home: Path) -> None:
    right = aerogel.load(path, threads=1)
    code = home / "code" / json.loads(recipe(home).read_bytes().partition(b"\n")[0])["code"]
    code.rename(home / "elsewhere")
    # In another process, where no program holds it.
    script = (
        "import sys, aerogel, logging\naerogel.load(sys.argv[1])\nprint('llvmlite.binding' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = [
        subprocess.run(command, capture_output=True, text=True, timeout=100, check=True) for _ in range(2)
    ]
    assert [d.stdout.strip() for d in done] == ["True", "False"]
    assert code.read_bytes() == (home / "elsewhere").read_bytes()
    (home / "elsewhere").unlink()
    same(aerogel.load(path, threads=1), right)


def test_stages_that_are_asked_for_are_generated(
    path: Path, generated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEROGEL_DUMP", str(tmp_path / "dump"))
    aerogel.load(path)
    assert generated


def test_a_recipe_that_cannot_be_kept_only_costs_time(path: Path, home: Path, generated: list[str]) -> None:
    right, file = aerogel.load(path, threads=1), recipe(home)
    whole = file.read_bytes()
    file.unlink()
    file.mkdir()
    same(aerogel.load(path, threads=1), right)
    assert generated
    file.rmdir()
    file.write_bytes(whole)
