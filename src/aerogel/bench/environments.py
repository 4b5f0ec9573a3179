"""Environments of their own for runtimes whose libraries clash with ours: made when asked for, then kept.

An environment is a folder with a Python interpreter in it and what pip installed there. Making one is the
only thing here that uses the network, through pip as the user has set it up.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aerogel.core.errors import CacheError, MissingDependencyError, require
from aerogel.core.folders import replace_folder, require_place
from aerogel.core.suggest import unknown
from aerogel.native.cache import private_folder

_MADE = "aerogel-environment.json"
_TAIL_LINES = 8
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Environment:
    """``requirements``: as pip takes them; ``pythons``: versions that have them, best first; ``size_bytes``:
    about what it takes on the disk; ``variables``: set for what runs there; ``about``: what else to know."""

    name: str
    requirements: tuple[str, ...]
    pythons: tuple[tuple[int, int], ...]
    size_bytes: int
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    about: str = ""

    @property
    def folder(self) -> Path:
        """Where it lies, made or not: in the user's cache."""
        return private_folder("environments") / self.name

    @property
    def python(self) -> Path:
        """Its interpreter, made or not."""
        return self.folder / "bin" / "python"


ENVIRONMENTS: dict[str, Environment] = {
    "deepsparse": Environment(
        "deepsparse",
        # Libraries of its time, but for those that later versions of were seen to work.
        ("deepsparse==1.8.0", "sparsezoo==1.8.1", "onnx==1.14.1", "numpy==1.26.4"),
        ((3, 11), (3, 10)),
        490_000_000,
        # Without this it reports its use to its makers, and asks where it is.
        {"NM_DISABLE_ANALYTICS": "True"},
        "DeepSparse 1.8.0 is its last version, for x86-64 Linux, under its makers' own licence, which is no "
        "open-source one",
    ),
    "einsum": Environment(
        "einsum",
        (
            "numba==0.68.1",
            "sparse==0.19.3",
            "python-graphblas==2025.2.0",
            "suitesparse-graphblas==9.4.5.0",
            "scipy==1.17.1",
            "numpy==2.4.6",
        ),
        ((3, 11), (3, 12), (3, 13)),
        520_000_000,
        about="The libraries that benchmarks/einsum.py compares sparse algebra with; numba pins its own LLVM",
    ),
}


def environment(name: str) -> Environment:
    """MissingDependencyError for a name that is not in ``ENVIRONMENTS``."""
    require(name in ENVIRONMENTS, MissingDependencyError, unknown("environment", name, ENVIRONMENTS))
    return ENVIRONMENTS[name]


def interpreter(wanted: Environment) -> Path:
    """The environment's Python; MissingDependencyError, which says how to make it, where it is not there or
    is not what this version asks for."""
    made = _made(wanted)
    if made is None or not wanted.python.is_file():
        raise MissingDependencyError(
            f"{wanted.name} runs in an environment of its own, which is not made yet: run once\n"
            f"aerogel bench --prepare {wanted.name}"
        )
    same = made.get("requirements") == list(wanted.requirements)
    again = f"{wanted.folder} holds other versions than are asked for: aerogel bench --prepare {wanted.name}"
    require(same, MissingDependencyError, again)
    return wanted.python


def announcement(wanted: Environment) -> str:
    """What making it will install, where, and how much that is."""
    libraries = ", ".join(wanted.requirements)
    return (
        f"installing {libraries} and what they need into {wanted.folder}: about "
        f"{wanted.size_bytes / 1e6:.0f} MB, from the package index that pip is set up for. {wanted.about}."
    )


def prepare(wanted: Environment, tell: Tell) -> dict[str, Any]:
    """Make the environment anew: all of it, or what was there stays. ``tell`` hears what is being done.

    The result: name, folder, python, and the version of everything installed. MissingDependencyError where no
    fitting Python is found or pip fails, with what it said last.
    """
    base = _base_python(wanted)
    try:
        require_place(wanted.folder, wanted.size_bytes)
        replace_folder(wanted.folder, lambda folder: _fill(folder, base, wanted, tell))
    except CacheError as error:
        raise MissingDependencyError(f"{wanted.name} has no place for its environment: {error}") from error
    return {"name": wanted.name, "folder": str(wanted.folder), **(_made(wanted) or {})}


def _fill(folder: Path, base: Path, wanted: Environment, tell: Tell) -> None:
    tell(f"making an environment for {wanted.name} with {base}")
    bare = [] if wanted.requirements else ["--without-pip"]
    _run([str(base), "-m", "venv", *bare, str(folder)], wanted, tell)
    python = str(folder / "bin" / "python")
    versions: dict[str, str] = {}
    if wanted.requirements:
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "install", *wanted.requirements], wanted, tell)
        listed = json.loads(_run([*pip, "list", "--format", "json"], wanted, _silent))
        versions = {found["name"]: found["version"] for found in listed}
    made = {"requirements": list(wanted.requirements), "versions": versions}
    (folder / _MADE).write_text(json.dumps(made, indent=1), encoding="utf-8")


def _run(command: list[str], wanted: Environment, tell: Tell) -> str:
    """Its output; each line that says what comes next is told."""
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith("Collecting "):
                    tell(f"{wanted.name}: {line.split()[1]}")
                elif line.startswith("Installing collected"):
                    tell(f"{wanted.name}: installing them")
    except OSError as error:
        raise MissingDependencyError(f"{wanted.name}: {command[0]} cannot be run: {error}") from error
    tail = "\n".join(line for line in lines if not line.startswith("WARNING"))
    said = "\n".join(tail.splitlines()[-_TAIL_LINES:])
    require(
        process.returncode == 0,
        MissingDependencyError,
        f"{wanted.name} could not be installed (exit status {process.returncode}): {said}",
    )
    return tail


def _base_python(wanted: Environment) -> Path:
    """An interpreter of a version that has the libraries: this one, or one on the PATH."""
    if sys.version_info[:2] in wanted.pythons:
        return Path(sys.executable)
    for major, minor in wanted.pythons:
        if (found := shutil.which(f"python{major}.{minor}")) is not None:
            return Path(found)
    versions = " or ".join(f"{major}.{minor}" for major, minor in wanted.pythons)
    raise MissingDependencyError(
        f"{wanted.name} needs Python {versions}, and none is on the PATH: install one, then try again"
    )


def _made(wanted: Environment) -> dict[str, Any] | None:
    try:
        read = json.loads((wanted.folder / _MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError, CacheError):
        return None
    return read if isinstance(read, dict) else None


def _silent(line: str) -> None:
    """For a command whose output is its result."""
