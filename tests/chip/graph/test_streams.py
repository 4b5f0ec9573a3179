"""Streams: nested lists there and back, and what is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.chip.graph.streams import DONE, EMPTY, Stop, flat, nested, text
from aerogel.core.errors import ChipError

PAYLOADS = st.integers(0, 9) | st.none()


def lists(depth: int) -> st.SearchStrategy[Any]:
    return PAYLOADS if depth == 0 else st.lists(lists(depth - 1), max_size=3)


@settings(max_examples=40)
@given(st.integers(0, 4).flatmap(lambda depth: st.tuples(st.just(depth), lists(depth))))
def test_there_and_back(drawn: tuple[int, Any]) -> None:
    depth, whole = drawn
    assert nested(flat(whole, depth), depth) == whole


@settings(max_examples=40)
@given(st.integers(1, 3).flatmap(lambda depth: st.tuples(lists(depth), lists(depth), st.just(depth))))
def test_different_lists_are_different_streams(drawn: tuple[Any, Any, int]) -> None:
    one, other, depth = drawn
    assert (list(flat(one, depth)) == list(flat(other, depth))) == (one == other)


@pytest.mark.parametrize(
    ("whole", "depth", "written"),
    [
        (7, 0, "7 D"),
        (None, 0, "N D"),
        ([1, 2], 1, "1 2 S0 D"),
        ([], 1, "S0 D"),
        ([[1, 2], [], [3]], 2, "1 2 S0 S0 3 S1 D"),
        ([[]], 2, "S1 D"),
        ([], 2, "S1-1 D"),
        ([[[]], []], 3, "S1 S1-2 D"),
    ],
)
def test_as_papers_write_it(whole: Any, depth: int, written: str) -> None:
    assert text(flat(whole, depth)) == written


@pytest.mark.parametrize(
    ("tokens", "depth", "words"),
    [
        ([1, Stop(0)], 1, "ends without D"),
        ([1, DONE, 2], 0, "comes after the stream is done"),
        ([1, DONE], 1, "ends within a fiber"),
        ([1, Stop(1), DONE], 1, "ends fibers that are not open"),
        ([1, Stop(1, 1), DONE], 2, "ends fibers that are not open"),
        ([EMPTY, Stop(0), 3, DONE], 1, "ends within a fiber"),
    ],
)
def test_what_is_no_stream(tokens: list[Any], depth: int, words: str) -> None:
    with pytest.raises(ChipError, match=words):
        nested(tokens, depth)
