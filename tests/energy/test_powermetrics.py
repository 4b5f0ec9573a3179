"""macOS powermetrics, played by a script that writes what it writes."""

from __future__ import annotations

import os
import plistlib
import sys
import textwrap
import time
from pathlib import Path

import pytest

import aerogel as ag
from aerogel.core.errors import MeasureError
from aerogel.energy import powermetrics
from aerogel.energy.powermetrics import Sample, counted, sample_of
from aerogel.energy.source import Where

PLAY = """
    import sys, time, plistlib
    before = time.perf_counter()
    for number in range({count}):
        time.sleep(0.02)
        now = time.perf_counter()
        watts = {{"cpu_energy": 5000, "gpu_energy": 2000, "ane_energy": 500}}
        sample = {{key: round(mw * (now - before)) for key, mw in watts.items()}}
        document = {{"elapsed_ns": round((now - before) * 1e9), "processor": sample, "hw_model": "Mac16,1"}}
        sys.stdout.buffer.write((b"\\0" if number else b"") + plistlib.dumps(document))
        sys.stdout.flush()
        before = now
    sys.stderr.write({said!r})
"""


def play(root: Path, count: int = 10_000, said: str = "") -> None:
    """5 W of CPU, 2 W of GPU and 0.5 W of Neural Engine, in samples of 20 ms."""
    script(root / powermetrics.TOOL, PLAY.format(count=count, said=said))


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -S\n{textwrap.dedent(text)}")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("AEROGEL_WALL_LOG", raising=False)


def test_a_mac_is_measured(tmp_path: Path) -> None:
    play(tmp_path)
    with ag.meter(root=tmp_path) as m:
        time.sleep(0.5)
    assert (m.method, m.reading.covers) == ("measured", "CPU packages + 1 GPU")
    assert m.joules == pytest.approx(7.5 * m.seconds, rel=0.15)
    assert m.low is not None and m.high is not None and m.low < m.joules < m.high
    assert [(part.label, part.summed) for part in m.reading.parts] == [
        ("CPU", True),
        ("GPU + Neural Engine", True),
        (m.reading.parts[2].label, False),
    ]
    assert "Apple calls the figures estimates" in m.source


def test_it_is_run_by_sudo_for_other_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(tmp_path)
    script(
        tmp_path / powermetrics.SUDO,
        "import sys, os\nif '-l' not in sys.argv: os.execv(sys.argv[2], sys.argv[2:])",
    )
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    following = powermetrics.survey(Where(tmp_path)).begin()
    time.sleep(0.1)
    assert following.finish().parts[0].joules is not None
    assert isinstance(following, powermetrics.Stream)
    following._process.wait(5)  # it ends by itself, since nobody reads it


def test_without_a_rule_for_sudo_the_command_that_makes_one_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path)
    script(tmp_path / powermetrics.SUDO, "raise SystemExit(1)")
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    monkeypatch.setattr(powermetrics.getpass, "getuser", lambda: "ada")
    found = powermetrics.survey(Where(tmp_path))
    assert (found.obstacle, found.present) == ("powermetrics must run as root", True)
    tool = tmp_path / powermetrics.TOOL
    assert found.advice == (
        f"echo 'ada ALL=(root) NOPASSWD: {tool} --samplers cpu_power\\,gpu_power -i 200 -f plist' "
        "| sudo tee /etc/sudoers.d/aerogel && sudo chmod 440 /etc/sudoers.d/aerogel && sudo visudo -c"
    )
    with ag.meter(root=tmp_path) as m:
        pass
    assert (m.reading.obstacle, m.reading.advice) == (found.obstacle, found.advice)


def test_other_systems_have_none(tmp_path: Path) -> None:
    found = powermetrics.survey(Where(tmp_path))
    assert (found.obstacle, found.present) == ("no powermetrics here: it is a part of macOS", False)


def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    play(tmp_path, count=0, said="powermetrics must be invoked as the superuser\n")
    with pytest.raises(MeasureError, match="powermetrics: powermetrics must be invoked as the superuser"):
        powermetrics.survey(Where(tmp_path)).begin()


def test_one_that_ends_in_the_block_is_no_number(tmp_path: Path) -> None:
    play(tmp_path, count=3)
    with ag.meter(root=tmp_path) as m:
        time.sleep(0.3)
    assert (m.joules, m.method) == (None, "not measured")
    assert m.reading.obstacle == "powermetrics: it ended by itself"


def test_one_that_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / powermetrics.TOOL, "import time\ntime.sleep(60)")
    monkeypatch.setattr(powermetrics, "_PATIENCE_S", 0.1)
    with pytest.raises(MeasureError, match=r"powermetrics gave no sample for 0.1 s"):
        powermetrics.survey(Where(tmp_path)).begin()


def test_one_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    tool = tmp_path / powermetrics.TOOL
    tool.parent.mkdir(parents=True)
    tool.write_text("")
    with pytest.raises(MeasureError, match="powermetrics cannot be started: "):
        powermetrics.survey(Where(tmp_path)).begin()


def test_samples_of_intel() -> None:
    found = sample_of({"elapsed_ns": 500_000_000, "processor": {"package_joules": 12.5}}, 10.0)
    assert found == Sample(9.5, 10.0, {"CPU package": 12.5})


@pytest.mark.parametrize(
    "document",
    [
        {"processor": {"cpu_energy": 5}},
        {"elapsed_ns": 0, "processor": {"cpu_energy": 5}},
        {"elapsed_ns": 5},
        {"elapsed_ns": 5, "processor": {"cpu_energy": -1}},
        {"elapsed_ns": 5, "processor": {"cpu_energy": "much"}},
        ["elapsed_ns"],
    ],
)
def test_other_formats_are_told(document: object) -> None:
    assert plistlib.dumps(document)
    with pytest.raises(MeasureError, match=r"a sample without (elapsed_ns|cpu_energy)"):
        sample_of(document, 10.0)


def test_samples_at_the_ends_count_by_their_share() -> None:
    samples = [Sample(float(second), second + 1.0, {"CPU": 10.0}) for second in range(5)]
    (part,) = counted(samples, 0.5, 3.75).parts
    assert (part.joules, part.low, part.high) == (32.5, 20.0, 40.0)


def test_what_a_sample_leaves_out_is_not_nothing() -> None:
    both = Sample(0.0, 1.0, {"CPU": 10.0, "GPU": 1.0})
    with pytest.raises(MeasureError, match=r"told of CPU and then CPU \+ GPU"):
        counted([both, Sample(1.0, 2.0, {"CPU": 10.0})], 0.0, 2.0)


def test_a_cpu_that_takes_nothing_is_not_measured() -> None:
    with pytest.raises(MeasureError, match="0 J of the CPU"):
        counted([Sample(0.0, 1.0, {"CPU": 0.0, "GPU": 1.0})], 0.0, 1.0)


def test_a_neural_engine_that_is_not_told_is_not_claimed() -> None:
    found = sample_of({"elapsed_ns": 10**9, "processor": {"cpu_energy": 500, "gpu_energy": 100}}, 1.0)
    assert found.joules == {"CPU": 0.5, "GPU": 0.1}


def test_samples_that_are_missing_are_told() -> None:
    samples = [Sample(float(second), second + 1.0, {"CPU": 10.0}) for second in (0, 1, 3, 4)]
    with pytest.raises(MeasureError, match=r"powermetrics left out 1 s of 4 s"):
        counted(samples, 0.5, 4.5)


def test_a_sample_that_comes_late_leaves_a_little_out() -> None:
    """It then seems to lie a little later than it does; what is left out is taken like the rest."""
    samples = [Sample(second + 0.05, second + 1.05, {"CPU": 10.0}) for second in range(5)]
    (part,) = counted(samples, 0.0, 4.5).parts
    assert (part.joules, part.low, part.high) == (pytest.approx(45.0), 40.0, pytest.approx(50.6, rel=1e-3))
