"""``aerogel doctor``: what it says of machines of several kinds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.energy.trees import Tree, as_ordinary_user, laptop, open_folder

from aerogel.cli import checkup, doctor, main
from aerogel.cli.checkup import Finding, examine
from aerogel.energy import SOURCES


def finding(name: str, root: Path) -> Finding:
    return {f.name: f for f in examine(root)}[name]


def test_this_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["ok"] is True
    checked = {"cpu", "target", "threads", "cache", "libraries", "energy", "program"}
    assert checked | {f"meter {name}" for name in SOURCES} == {f["name"] for f in read["findings"]}
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("ok    cpu")


def test_an_unknown_target_fails_and_the_rest_is_still_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEROGEL_TARGET", "itanium")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  target             AEROGEL_TARGET 'itanium' is unknown" in shown
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


def test_without_counters_energy_has_bounds_under_a_named_model(tmp_path: Path) -> None:
    found = finding("energy", tmp_path)
    assert found.status == "note"
    assert found.text.startswith("not measured: no RAPL counters here: a virtual machine")
    assert "Power model watts-per-thread: 0.1 W (idle) to 50 W per reserved thread" in found.text
    assert "AEROGEL_TDP_WATTS" in found.advice and "AEROGEL_TDP_THREADS" in found.advice
    assert found.data["reading"]["joules"] is None
    rapl = finding("meter rapl", tmp_path)
    assert (rapl.status, rapl.data["channels"]) == ("absent", [])


def test_a_design_power_is_used_where_there_is_no_meter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AEROGEL_TDP_WATTS", "280")
    monkeypatch.setenv("AEROGEL_TDP_THREADS", "4096")
    found = finding("energy", tmp_path)
    assert (found.status, found.advice) == ("note", "")
    assert "Power model load-curve (280 W, 4096 threads)" in found.text
    monkeypatch.setenv("AEROGEL_TDP_WATTS", "much")
    assert finding("energy", tmp_path).status == "failed"


def test_a_computer_that_can_be_calibrated_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AEROGEL_CALIBRATION", str(tmp_path / "none.json"))
    monkeypatch.delenv("AEROGEL_TDP_WATTS", raising=False)
    metal = Tree(tmp_path).cpu(virtual=False).root
    assert finding("energy", metal).advice.endswith("in a minute: aerogel measure calibrate")
    monkeypatch.setenv("AEROGEL_TDP_WATTS", "280")
    assert "calibrate" not in finding("energy", metal).advice


def test_counters_that_count_are_shown_with_the_power_they_show(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree, package, dram = laptop(tmp_path)

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        tree.add(package, 1.0)
        tree.add(dram, 0.1)

    monkeypatch.setattr(checkup, "sleep", sleep)
    found = finding("energy", tmp_path)
    assert (found.status, found.advice) == ("ok", "")
    assert found.text.startswith("RAPL package-0 + package-0 dram (all of it, other processes included")
    watts = found.data["reading"]["joules"] / found.data["reading"]["seconds"]
    assert 0 < watts <= 22 and found.text.endswith(f"; {watts:.3g} W just now")
    assert [part["label"] for part in found.data["reading"]["parts"]][:2] == ["package-0", "package-0 dram"]
    rapl = finding("meter rapl", tmp_path)
    assert rapl.status == "ok" and rapl.data["channels"] == ["package-0", "package-0 dram"]
    assert "intel-rapl:1 (psys)" in rapl.data["left_out"] and "left out, since it overlaps" in rapl.text


def test_counters_that_stand_still_are_no_meters(tmp_path: Path) -> None:
    laptop(tmp_path)
    found = finding("energy", tmp_path)
    assert found.status == "note"
    assert "package-0 stood still" in found.text


def test_unreadable_counters_come_with_the_command_that_grants_them() -> None:
    with open_folder() as root:
        Tree(root).zone("intel-rapl:0", "package-0")
        Tree(root).zone("intel-rapl:1", "package-1").chmod(0o400)
        with as_ordinary_user():
            found = checkup._energy(root)
    assert found.status == "note"
    assert "may not be read by this user" in found.text
    closed = f"{root}/sys/class/powercap/intel-rapl:1/energy_uj"
    assert found.advice == f"until the next boot: sudo chmod a+r {closed}"


def test_every_source_says_what_keeps_it_from_measuring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine with closed counters, a GPU without its library, and a wall meter's log that is not there."""
    with open_folder() as root:
        _, package, _ = laptop(root)
        package.chmod(0o400)
        (root / "dev").mkdir()
        (root / "dev/nvidiactl").touch()
        monkeypatch.setenv("AEROGEL_WALL_LOG", str(root / "plug.csv"))
        monkeypatch.setitem(sys.modules, "pynvml", None)
        everything = doctor.examine
        with as_ordinary_user():
            monkeypatch.setattr(doctor, "examine", lambda: everything(root))
            assert main(["doctor"]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    closed = f"{root}/sys/class/powercap/intel-rapl:0/energy_uj"
    assert shown[shown.index(f"note meter rapl package-0: {closed} may not be read by this user") + 1] == (
        f"-> until the next boot: sudo chmod a+r {closed}"
    )
    gpu = "note meter nvml there is an NVIDIA GPU, but nvidia-ml-py is not installed"
    assert shown[shown.index(gpu) + 1] == '-> pip install "aerogel[meters]"'
    assert any(line.startswith("note meter wall the log of the wall meter cannot be read") for line in shown)
    assert "- meter powermetrics no powermetrics here: it is a part of macOS" in shown
    assert any(line.startswith("ok meter estimate") for line in shown)


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
