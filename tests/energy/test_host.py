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
