"""One block of memory for all buffers: none is written while another still needs the place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.graphs import Draft

from aerogel.model.arena import Arena, plan
from aerogel.model.fuse import fuse
from aerogel.model.steps import FeedStep, FetchStep, LinearStep, PairStep, Place, Step, reads, writes


def place(number: int, features: int, columns: str = "tokens") -> Place:
    return Place(f"b{number}", 0, features, features, columns)  # type: ignore[arg-type]


@st.composite
def step_lists(draw: st.DrawFn) -> list[Step]:
    """Feeds and pairs that read any buffers made before, at times in place, and fetches of some."""
    made: list[Place] = []
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 14))):
        out = place(number, draw(st.integers(1, 9)), draw(st.sampled_from(["tokens", "rows"])))
        if not made or draw(st.integers(0, 3)) == 0:
            steps.append(FeedStep(f"s{number}", out, "x"))
        else:
            if draw(st.integers(0, 5)) == 0:
                out = draw(st.sampled_from(made))
            a, b = (draw(st.sampled_from(made)) for _ in range(2))
            steps.append(PairStep(f"s{number}", out, a, b, "add", ""))
        made.append(out)
        if draw(st.integers(0, 4)) == 0:
            steps.append(FetchStep(f"f{number}", draw(st.sampled_from(made)), f"o{number}"))
    return steps


def span(arena: Arena, place: Place) -> slice:
    start = arena.offsets[place.buffer]
    return slice(start, start + place.total)


@given(step_lists())
def test_every_step_finds_what_was_written_for_it(steps: list[Step]) -> None:
    """Plays the steps on memory in which every feature says which buffer it belongs to."""
    arena = plan(steps)
    memory = {"tokens": np.zeros(arena.tokens, int), "rows": np.zeros(arena.rows, int)}
    number = {name: i + 1 for i, name in enumerate(arena.offsets)}
    for step in steps:
        for out in writes(step):
            assert memory[out.columns][span(arena, out)].size == out.total
            memory[out.columns][span(arena, out)] = number[out.buffer]
        # After the write: a step's output must not cover what it reads.
        for place in reads(step):
            assert (memory[place.columns][span(arena, place)] == number[place.buffer]).all(), step
    # What the caller is to have outlives every step.
    for step in steps:
        if isinstance(step, FetchStep):
            assert (memory[step.x.columns][span(arena, step.x)] == number[step.x.buffer]).all(), step


def test_memory_is_used_again() -> None:
    """A chain of any depth needs room for two."""
    steps: list[Step] = [FeedStep("s", place(0, 5), "x")]
    steps += [PairStep(f"p{i}", place(i + 1, 5), place(i, 5), place(i, 5), "add", "") for i in range(10)]
    arena = plan([*steps, FetchStep("f", place(10, 5), "y")])
    assert arena.tokens == 10 and arena.rows == 0


def test_depth_costs_no_memory() -> None:
    def features(layers: int) -> int:
        d = Draft()
        x = d.embedding()
        for _ in range(layers):
            x = d.norm(d.add(d.attend(x), x))
        return plan(fuse(d.graph(x))).tokens

    assert features(2) == features(12)


def test_what_shares_a_buffer_is_placed_once() -> None:
    d = Draft()
    steps = fuse(d.graph(d.attend(d.embedding())))
    arena = plan(steps)
    (product,) = (s for s in steps if isinstance(s, LinearStep))
    assert set(arena.offsets) == {"v0", product.out.buffer, "v4"}
    # Keys, queries and values beside what they are made from, or beside what is made of them.
    assert arena.tokens == 24 + 8


@pytest.mark.parametrize(("tokens", "rows", "size"), [(0, 0, 0), (1, 0, 64 * 7), (3, 2, 64 * (21 + 10))])
def test_bytes_follow_from_vectors(tokens: int, rows: int, size: int) -> None:
    assert Arena({}, 7, 5).nbytes(tokens, rows, 16) == size


def test_nothing_to_place() -> None:
    assert plan([]) == Arena({}, 0, 0)
