"""What of a computer is ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.energy.trees import Tree

from aerogel.energy.host import this_host


def test_this_computer_has_threads() -> None:
    host = this_host()
    assert 0 < host.reserved <= host.threads
    assert host.threads >= (os.cpu_count() or 1)


@pytest.mark.parametrize("virtual", [True, False])
def test_x86_tells_whether_it_is_virtual(tmp_path: Path, *, virtual: bool) -> None:
    host = this_host(Tree(tmp_path).cpu(virtual=virtual).root)
    assert host.virtual is virtual
    assert ("of this virtual machine" in host.show()) is virtual


def test_other_systems_do_not_tell(tmp_path: Path) -> None:
    assert this_host(tmp_path).virtual is None


def test_affinity_reserves_fewer_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    host = this_host(tmp_path)
    assert (host.threads, host.reserved) == (64, 3)
    assert host.show() == "3 of 64 threads reserved"


@pytest.mark.parametrize(
    ("cpu_max", "reserved"),
    [
        ("150000 100000", 1.5),
        ("50000 100000", 0.5),
        ("max 100000", 8),
        ("9900000 100000", 8),
        ("0 100000", 8),
        ("1 0", 8),
        ("\u00b2 100000", 8),
        ("", 8),
        ("1 2 3", 8),
    ],
)
def test_a_quota_reserves_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu_max: str, reserved: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert this_host(Tree(tmp_path).cgroup(cpu_max).root).reserved == reserved


def test_a_quota_of_a_group_above_binds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    tree = Tree(tmp_path).cgroup("400000 100000")
    (tmp_path / "proc/self/cgroup").write_text("0::/job/below\n")
    (tmp_path / "sys/fs/cgroup/job/below").mkdir()
    (tmp_path / "sys/fs/cgroup/job/below/cpu.max").write_text("600000 100000\n")
    assert this_host(tree.root).reserved == 4


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_version_1_has_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    group = tmp_path / "sys/fs/cgroup" / mount / "job"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("250000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/x\n3:cpu,cpuacct:/job\n")
    assert this_host(tmp_path).reserved == 2.5
    (group / "cpu.cfs_quota_us").write_text("-1\n")
    assert this_host(tmp_path).reserved == 8


def memory(root: Path, total_kb: int) -> None:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/meminfo").write_text(f"MemTotal:       {total_kb} kB\nMemFree:        1 kB\n")


def test_memory_is_reserved_like_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    memory(tmp_path, 64 << 20)
    host = this_host(tmp_path)
    assert host.memory_gb == 16
    assert host.show() == "2 of 8 threads and 16 GB reserved"


@pytest.mark.parametrize(
    ("limit", "gb"), [("4294967296", 4), ("max", 64), ("0", 64), ("many", 64), ("99999999999999", 64)]
)
def test_a_cgroup_limits_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, gb: float
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    tree = Tree(tmp_path).cgroup("max 100000")
    memory(tmp_path, 64 << 20)
    (tmp_path / "sys/fs/cgroup/job/memory.max").write_text(f"{limit}\n")
    assert this_host(tree.root).memory_gb == gb


def test_version_1_limits_memory_in_a_tree_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    memory(tmp_path, 64 << 20)
    group = tmp_path / "sys/fs/cgroup/memory/job"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/job\n")
    (group / "memory.limit_in_bytes").write_text("2147483648\n")
    assert this_host(tmp_path).memory_gb == 2
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert this_host(tmp_path).memory_gb == 64


@pytest.mark.parametrize("text", ["", "MemTotal: lots kB\n", "MemFree: 5 kB\n"])
def test_memory_that_is_not_told_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(text)
    assert this_host(tmp_path).memory_gb is None
