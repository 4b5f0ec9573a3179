"""Cache sizes from files as Linux shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aerogel.core.caches import Cache, caches


@pytest.fixture
def root(tmp_path: Path) -> Path:
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    rows = [
        ("1", "Data", "32K", "0"),
        ("1", "Instruction", "64K", "0"),
        ("3", "Unified", "32M", "0-3,8,16-17"),
        ("2", "Unified", "1536K", "0-1"),
    ]
    for number, values in enumerate(rows):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cache/index{number}"
        folder.mkdir(parents=True)
        for name, value in zip(("level", "type", "size", "shared_cpu_list"), values, strict=True):
            (folder / name).write_text(f"{value}\n")
    return tmp_path


def test_data_caches_nearest_first(root: Path) -> None:
    assert caches(root) == (Cache(1, 32 << 10, 1), Cache(2, 1536 << 10, 2), Cache(3, 32 << 20, 7))


def test_what_cannot_be_read_is_left_out(root: Path) -> None:
    for text in ("", "many", "K", "\xff"):
        for file in root.glob("sys/devices/system/cpu/*/cache/index2/size"):
            file.write_bytes(text.encode("latin-1"))
        assert [cache.level for cache in caches(root)] == [1, 2]


def test_other_systems_tell_nothing(tmp_path: Path) -> None:
    assert caches(tmp_path) == ()
