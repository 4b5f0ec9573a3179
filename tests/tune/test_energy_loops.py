"""Which loops there are, what each counts as done, and buffers that stay where they are meant to."""

from __future__ import annotations

from time import sleep

import pytest

from aerogel.core.caches import Cache
from aerogel.core.target import current
from aerogel.tune import energy_loops
from aerogel.tune.energy_loops import EXTRA, MeteredLoop, loops, places

K, M = 1 << 10, 1 << 20
SERVER = (Cache(1, 32 * K, 1), Cache(2, 512 * K, 1), Cache(3, 32 * M, 8))


@pytest.fixture(scope="module")
def made() -> dict[str, MeteredLoop]:
    # Little ones: what is counted is the same.
    patch = pytest.MonkeyPatch()
    patch.setattr(energy_loops, "_MOST_MEMORY_BYTES", 4 * M)
    patch.setattr(energy_loops, "_LEAST_MEMORY_BYTES", 1 * M)
    found = loops(current(), 2, (Cache(1, 32 * K, 1), Cache(2, 512 * K, 1)))
    patch.undo()
    return {loop.name: loop for loop in found}


def test_half_of_each_cache_and_more_than_all() -> None:
    """A thread's part of half the cache; of what several threads share, its share."""
    assert places(SERVER, 1) == {"L1": 16 * K, "L2": 256 * K, "L3": 16 * M, "memory": 128 * M}
    assert places(SERVER, 8) == {"L1": 16 * K, "L2": 256 * K, "L3": 2 * M, "memory": 16 * M}


def test_a_cache_hardly_larger_than_the_one_before_is_left_out() -> None:
    assert "L3" not in places((Cache(1, 32 * K, 1), Cache(2, 2 * M, 1), Cache(3, 32 * M, 8)), 8)
    assert list(places((Cache(1, 32 * K, 1),), 1)) == ["L1", "memory"]


def test_memory_beyond_a_huge_cache_is_left_out() -> None:
    assert "memory" not in places((Cache(1, 32 * K, 1), Cache(3, 1152 * M, 96)), 4)


def test_every_term_alone_and_some_together(made: dict[str, MeteredLoop]) -> None:
    assert list(made) == [
        "asleep", "awake, 1 thread", "awake, 2 threads", "fp32, 1 thread", "fp32, 2 threads",
        "fp64, 1 thread", "fp64, 2 threads", "int8, 1 thread", "int8, 2 threads",
        "L1, 1 thread", "L1, 2 threads", "L1 and 5 multiply-adds a load, 2 threads",
        "L2, 1 thread", "L2, 2 threads", "L2 and 5 multiply-adds a load, 2 threads",
        "memory, 1 thread", "memory, 2 threads", "memory and 5 multiply-adds a load, 2 threads",
        "fp32, 2 threads, with naps",
    ]  # fmt: skip
    assert [loop.name for loop in made.values() if loop.held_out] == [
        name for name in made if "naps" in name or "load" in name
    ]


def test_what_is_done_is_counted(made: dict[str, MeteredLoop]) -> None:
    one, two = made["L2, 1 thread"], made["L2, 2 threads"]
    assert two.bytes["L2"] == 2 * one.bytes["L2"] and one.bytes["L2"] % (256 * K // 4 // 96 * 96) == 0
    # A multiply-add for every number of 4 bytes.
    assert one.operations["fp32"] == one.bytes["L2"] / 2
    more = made["L2 and 5 multiply-adds a load, 2 threads"]
    assert more.operations["fp32"] == (1 + EXTRA) * two.operations["fp32"] and more.bytes == two.bytes
    assert made["fp64, 2 threads"].operations.keys() == {"fp64"}
    assert made["int8, 1 thread"].operations.keys() == {"int8"}
    assert not made["asleep"].operations and not made["asleep"].bytes
    assert made["awake, 1 thread"].operations["fp32"] < made["fp32, 1 thread"].operations["fp32"] / 5


def test_they_run(made: dict[str, MeteredLoop], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    monkeypatch.setattr(energy_loops.time, "sleep", lambda _: sleep(0))
    for loop in made.values():
        loop.call()
