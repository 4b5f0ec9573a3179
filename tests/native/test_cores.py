"""How many threads: affinity, cgroup quota (both versions), the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from aerogel.core import sysctl
from aerogel.core.errors import InputError
from aerogel.native import cores


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "rubbish\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1 0\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "\u00b2 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "3:cpu:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "\u00b2\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cores.quota(write(tmp_path, files)) == quota


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(cores, "affinity", lambda: 8)
    monkeypatch.setattr(cores, "_granted", lambda: None)
    return monkeypatch


@pytest.mark.parametrize(
    ("granted", "wanted", "limit"),
    [
        (None, None, 8),
        (2.5, None, 3),
        (0.5, None, 1),
        (None, "3", 3),
        (2.0, "3", 2),
        (None, "10000", 8),
        (100.0, " ", 8),
    ],
)
def test_limit(machine: pytest.MonkeyPatch, granted: float | None, wanted: str | None, limit: int) -> None:
    machine.setattr(cores, "_granted", lambda: granted)
    if wanted is not None:
        machine.setenv("AEROGEL_NUM_THREADS", wanted)
    assert cores.limit() == limit


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5", "\u00b2", "9" * 5000])
def test_senseless_counts_are_refused(machine: pytest.MonkeyPatch, wanted: str) -> None:
    machine.setenv("AEROGEL_NUM_THREADS", wanted)
    with pytest.raises(InputError, match="AEROGEL_NUM_THREADS"):
        cores.limit()


def test_tests_may_oversubscribe(machine: pytest.MonkeyPatch) -> None:
    machine.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    assert cores.limit() == cores.MOST


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_affinity_counts() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores.affinity() == 1
        assert cores.limit() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(("fast", "found"), [(6, 6), (None, os.cpu_count())])
def test_on_macos_the_fast_cores_count(fast: int | None, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity")
    known = {b"hw.perflevel0.logicalcpu": fast}
    monkeypatch.setattr(sysctl, "whole_number", known.get)
    assert cores.affinity() == found
