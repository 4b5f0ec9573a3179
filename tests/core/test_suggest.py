"""What was meant: the nearest of what is known, and else what there is."""

from __future__ import annotations

import pytest

from aerogel.core.suggest import alike, meant, unknown

PLACES = ["rows", "columns", "tracks"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("row", "did you mean 'rows'?"),
        ("trakcs", "did you mean 'tracks'?"),
        ("zzz", "there are rows, columns, tracks"),
        ("", "there are rows, columns, tracks"),
    ],
)
def test_the_nearest_word_or_all_of_them(word: str, said: str) -> None:
    assert meant(word, PLACES) == said


def test_nothing_known_is_said() -> None:
    assert meant("rows", []) == "there are none"


def test_otherwise_stands_where_nothing_reads_alike_and_only_there() -> None:
    assert meant("zzz", PLACES, "leave it out") == "leave it out"
    assert meant("zzz", PLACES, "") == ""
    assert meant("row", PLACES, "leave it out") == "did you mean 'rows'?"


def test_several_are_joined_nearest_first() -> None:
    assert meant("h10", ["h200", "h100", "mi300"], most=2, least=0.4) == "did you mean 'h100' or 'h200'?"


def test_how_alike_words_must_be_is_the_callers() -> None:
    assert alike("tract", PLACES) == ["tracks"]
    assert alike("tract", PLACES, least=0.95) == []


def test_words_are_looked_through_once() -> None:
    """An iterator will do: the keys of a map, say, or a generator."""
    assert meant("zzz", iter(PLACES)) == "there are rows, columns, tracks"


def test_an_unknown_word_in_whole_messages() -> None:
    assert unknown("place", "colums", PLACES) == "place 'colums' is unknown: did you mean 'columns'?"
    all_of_them = "place 'x' is unknown: choose from rows, columns, tracks, or N:M"
    assert unknown("place", "x", iter(PLACES), "or N:M") == all_of_them
    assert unknown("place", None, PLACES).startswith("place None is unknown: choose from rows")
