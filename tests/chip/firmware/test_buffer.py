"""Room in the global buffer."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.chip.firmware.buffer import Space


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 40)), max_size=30))
def test_arrays_never_meet_and_pinned_ones_stay(wanted: list[tuple[int, int]]) -> None:
    space, held, pinned = Space(100), {}, frozenset({0, 1})
    for key, size in wanted:
        span = space.find(key)
        assert span is None or held[key] == span
        if span is None:
            span = space.take(key, size, pinned)
            if span is None:
                continue
            assert span.last - span.first == size <= 100
            held[key] = span
        held = {k: s for k, s in held.items() if space.find(k) is not None}
        spans = sorted(held.values(), key=lambda s: s.first)
        assert all(a.last <= b.first for a, b in pairwise(spans))
        assert all(s.last <= 100 for s in spans)


def test_the_oldest_makes_way() -> None:
    space = Space(32)
    for key in "abcd":
        assert space.take(key, 8, frozenset()) is not None
    assert space.find("a") is not None
    assert space.take("e", 8, frozenset("b")) is not None
    assert space.find("c") is None and space.find("a") is not None and space.find("b") is not None
    assert space.take("f", 32, frozenset("b")) is None
    assert Space(8).take("g", 9, frozenset()) is None


def test_what_is_released_is_free() -> None:
    space = Space(8)
    space.take("a", 8, frozenset())
    space.release("a")
    assert space.take("b", 8, frozenset()) is not None
