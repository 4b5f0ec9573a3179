"""A corpus that every machine has: the docstrings of Python's standard library, read but never imported."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aerogel.core.errors import InputError, require

_SKIPPED = frozenset({
    "site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "encodings",
    "ensurepip", "pydoc_data", "tkinter", "__pycache__",
})  # fmt: skip
"""Not the library itself, or texts that are not prose."""
_LEAST_WORDS, _MOST_CHARACTERS = 5, 400


@dataclass(frozen=True, slots=True, order=True)
class Passage:
    """``text``: a docstring's first paragraph on one line; ``name``: what it is of, ``json.dumps`` say."""

    text: str
    name: str


def docstrings(count: int, root: Path | None = None) -> tuple[Passage, ...]:
    """``count`` distinct passages, sorted by text: those of the best known names, and for the same library
    always the same. ``root``: where the library's sources are. InputError if there are too few."""
    folder = Path(sysconfig.get_path("stdlib")) if root is None else root
    found: dict[str, Passage] = {}
    for file in _sources(folder):
        for passage in _passages(file, folder):
            # Of equal texts the first name in order stands for all.
            found.setdefault(passage.text, passage)
    enough = len(found) >= count
    require(
        enough, InputError, f"{folder} has {len(found)} docstrings of {count} wanted: give another Python"
    )
    return tuple(sorted(sorted(found.values(), key=_obscurity)[:count]))


def paragraphs(excluded: Iterable[Passage] = (), root: Path | None = None) -> tuple[str, ...]:
    """Every distinct paragraph of every docstring but the texts of ``excluded``, best known names first: to
    calibrate and train on, while the excluded are kept to judge by."""
    folder = Path(sysconfig.get_path("stdlib")) if root is None else root
    judged = {passage.text for passage in excluded}
    found: dict[str, Passage] = {}
    for file in _sources(folder):
        for passage in _passages(file, folder, first_only=False):
            found.setdefault(passage.text, passage)
    return tuple(p.text for p in sorted(found.values(), key=_obscurity) if p.text not in judged)


def _obscurity(passage: Passage) -> tuple[bool, int, str]:
    """Public names before private ones, functions of a module before methods of its classes."""
    parts = passage.name.split(".")
    return any(part.startswith("_") for part in parts), len(parts), passage.name


def _sources(folder: Path) -> list[Path]:
    files = folder.rglob("*.py")
    return sorted(f for f in files if _SKIPPED.isdisjoint(f.relative_to(folder).parts))


def _passages(file: Path, folder: Path, *, first_only: bool = True) -> Iterator[Passage]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in strings
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # a template, or a file for another version: not ours to judge
    parts = file.relative_to(folder).with_suffix("").parts
    for name, text in _texts(tree, ".".join(p for p in parts if p != "__init__")):
        for paragraph in text.strip().split("\n\n")[: 1 if first_only else None]:
            line = " ".join(paragraph.split())
            if len(line.split()) >= _LEAST_WORDS and len(line) <= _MOST_CHARACTERS:
                yield Passage(line, name)


def _texts(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
) -> Iterator[tuple[str, str]]:
    """(name, docstring) of ``node`` and of what is defined in it."""
    text = ast.get_docstring(node)
    if text:
        yield name, text
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _texts(child, f"{name}.{child.name}")
