"""``aerogel doctor``: what it says of machines of several kinds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from aerogel.cli import checkup, main
from aerogel.cli.checkup import Finding, examine


def finding(name: str, root: Path) -> Finding:
    return {f.name: f for f in examine(root)}[name]


def rapl(root: Path, *names: str) -> list[Path]:
    zones = [root / "sys/class/powercap" / name / "energy_uj" for name in names]
    for zone in zones:
        zone.parent.mkdir(parents=True)
        zone.write_text("1\n")
    return zones


def test_this_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["ok"] is True
    assert {"cpu", "target", "threads", "cache", "libraries", "energy", "program"} == {
        f["name"] for f in read["findings"]
    }
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("ok    cpu")


def test_an_unknown_target_fails_and_the_rest_is_still_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEROGEL_TARGET", "itanium")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  target      AEROGEL_TARGET='itanium' is unknown" in shown
    assert "libraries" in shown


def test_a_slow_target_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AEROGEL_TARGET", "sse2")
    found = finding("target", tmp_path)
    assert (found.status, found.advice) == ("note", "unset AEROGEL_TARGET for the fastest")


def test_threads_say_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job\n")
    (tmp_path / "sys/fs/cgroup/job").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/job/cpu.max").write_text("150000 100000\n")
    monkeypatch.setenv("AEROGEL_NUM_THREADS", "1")
    found = finding("threads", tmp_path)
    assert found.text.startswith("1: affinity allows ")
    assert found.text.endswith("cgroup grants 1.5 cores, AEROGEL_NUM_THREADS=1")
    assert found.data["cgroup_cores"] == 1.5


def test_a_bad_thread_count_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AEROGEL_NUM_THREADS", "many")
    assert finding("threads", tmp_path).status == "failed"


def test_a_missing_library_is_noted_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkup, "LIBRARIES", {"numpy": "cli", "no-such-library": "bench"})
    found = finding("libraries", tmp_path)
    assert found.status == "note"
    assert found.advice == 'not installed: no-such-library. To add: pip install "aerogel[bench]"'
    assert found.text.startswith("numpy ")


def test_without_counters_energy_is_not_measured(tmp_path: Path) -> None:
    assert finding("energy", tmp_path).text.endswith("energy is not measured")


def test_readable_counters_are_fine(tmp_path: Path) -> None:
    rapl(tmp_path, "intel-rapl:0", "intel-rapl:0:1")
    found = finding("energy", tmp_path)
    assert (found.status, found.text) == ("ok", "RAPL readable, 2 zones")


def test_unreadable_counters_come_with_the_command_that_grants_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_zone, closed = rapl(tmp_path, "intel-rapl:0", "intel-rapl:1")
    # The tests may run as root, whom no file mode stops.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    found = finding("energy", tmp_path)
    assert (found.status, found.text) == ("note", "RAPL: 1 of 2 zones readable by this user")
    assert found.advice == f"until the next boot: sudo chmod a+r {closed}"
    assert found.data["readable"] == [str(open_zone)]


def test_a_system_without_a_thread_pool_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone = SimpleNamespace(AVAILABLE=False)
    monkeypatch.setattr(checkup, "PARKING", alone)
    monkeypatch.setattr(checkup.cores, "PARKING", alone)
    found = finding("threads", tmp_path)
    assert found.text.startswith("1: affinity allows ")
    assert "only one is supported on this system" in found.text


def test_an_unusable_cache_is_noted_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path / "file"))
    found = finding("cache", tmp_path)
    assert (found.status, found.data["usable"]) == ("note", False)
    assert "AEROGEL_CACHE_DIR" in found.text


def test_a_cache_that_is_nowhere_is_noted_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", "~nosuch/cache")
    found = finding("cache", tmp_path)
    assert (found.status, found.data) == ("note", {"folder": None, "usable": False})
    assert "set AEROGEL_CACHE_DIR" in found.text


def test_a_usable_cache_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path))
    (tmp_path / "code").mkdir(mode=0o700)
    (tmp_path / "code" / "entry").write_bytes(b"x" * 1000)
    found = finding("cache", tmp_path)
    assert (found.status, found.data["entries"], found.data["bytes"]) == ("ok", 1, 1000)


def test_a_wrong_answer_of_the_test_program_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkup, "compile", lambda module: lambda out, threads: None)
    found = finding("program", tmp_path)
    assert found.status == "failed"
    assert "a test program gave [0" in found.text
