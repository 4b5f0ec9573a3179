"""The corpus of docstrings: the same every time, taken from sources without running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.bench.corpus import Passage, docstrings, paragraphs
from aerogel.core.errors import InputError

SOURCE = '''"""The module's own text,
which goes on here.

A second paragraph."""
raise SystemExit("never imported")
class Kind:
    """What a kind is, in words."""
    def method(self):
        """Does what a method does."""
    async def later(self):
        """Too short."""
def same():
    """Does what a method does."""
'''


def library(root: Path) -> Path:
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").write_text('"""A package of several modules."""', encoding="utf-8")
    (root / "one.py").write_text(SOURCE, encoding="utf-8")
    (root / "broken.py").write_text("def (:", encoding="utf-8")
    (root / "latin.py").write_bytes(b'# -*- coding: latin-1 -*-\n"""Caf\xe9s are places to drink."""')
    (root / "site-packages").mkdir()
    (root / "site-packages" / "other.py").write_text('"""Not of the standard library."""', encoding="utf-8")
    return root


def test_first_paragraphs_of_all_definitions_once_each_sorted(tmp_path: Path) -> None:
    assert docstrings(5, library(tmp_path)) == (
        Passage("A package of several modules.", "pack"),
        Passage("Cafés are places to drink.", "latin"),
        Passage("Does what a method does.", "one.Kind.method"),
        Passage("The module's own text, which goes on here.", "one"),
        Passage("What a kind is, in words.", "one.Kind"),
    )


def test_of_more_than_wanted_the_best_known_are_taken(tmp_path: Path) -> None:
    (library(tmp_path) / "_hidden.py").write_text('"""A module that nobody should use."""', encoding="utf-8")
    assert [p.name for p in docstrings(4, tmp_path)] == ["pack", "latin", "one", "one.Kind"]
    assert len(docstrings(6, tmp_path)) == 6


def test_too_few_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 5 docstrings of 6 wanted"):
        docstrings(6, library(tmp_path))


@pytest.mark.slow
def test_this_pythons_library_has_2000() -> None:
    found = docstrings(2000)
    assert len({p.text for p in found}) == 2000
    assert found == docstrings(2000)
    assert list(found) == sorted(found)


def test_paragraphs_are_all_but_those_to_judge_by(tmp_path: Path) -> None:
    kept = paragraphs([Passage("What a kind is, in words.", "one.Kind")], library(tmp_path))
    assert sorted(kept) == [
        "A package of several modules.",
        "Cafés are places to drink.",
        "Does what a method does.",
        "The module's own text, which goes on here.",
    ]
    (tmp_path / "two.py").write_text('"""Short.\n\nBut this paragraph is not."""', encoding="utf-8")
    assert "But this paragraph is not." in paragraphs((), tmp_path)
