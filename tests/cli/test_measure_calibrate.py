"""``aerogel measure calibrate``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.energy.servers import GUEST, METAL

import aerogel as ag
from aerogel.cli import main
from aerogel.cli import measure_calibrate as command
from aerogel.energy import block, calibrate
from aerogel.energy.host import Host


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("AEROGEL_TDP_WATTS", "AEROGEL_TDP_THREADS", "AEROGEL_WALL_LOG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AEROGEL_CALIBRATION", str(tmp_path / "calibration.json"))
    on(METAL, monkeypatch)


def on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (command, calibrate, block):
        monkeypatch.setattr(module, "this_host", lambda *_: host)


def calibrated(*words: str) -> int:
    return main(["measure", "calibrate", *words])


def test_typed_readings_are_used_from_then_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert calibrated("--idle-watts", "110", "--half-watts", "300", "--busy-watts", "620", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [point["watts"] for point in found["points"]] == [110, 300, 620]
    assert found["file"] == str(tmp_path / "calibration.json") and "assumed" in found["about"]
    with ag.meter(root=tmp_path) as m:
        pass
    assert m.method == "calibrated" and m.joules is not None
    assert "not measured but calibrated" in str(m) and "110 W idle, 620 W busy" in m.source
    assert calibrated("--forget") == 0 and "forgotten" in capsys.readouterr().out
    assert calibrated("--forget") == 0 and "there was no calibration" in capsys.readouterr().out
    with ag.meter(root=tmp_path) as m:
        pass
    assert m.method == "estimated"


def test_the_readings_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibrate.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(calibrate, "_BUSY", "import time; time.sleep(60)")
    on(Host(2, 2.0, virtual=False), monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("20\n45,5 W\nlots\n 70W\n"))
    assert calibrated("--wall") == 0
    shown = capsys.readouterr()
    assert "idle: what does the wall meter show" in shown.err and "2 threads are busy" in shown.err
    assert "'lots' is no power: type watts" in shown.err
    assert "45.5 W" in shown.out and "kept in" in shown.out
    monkeypatch.setattr("sys.stdin", io.StringIO("20\n"))
    assert calibrated("--wall") == 2 and "nobody types what" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--idle-watts", "20"], "belong together"),
        (["--busy-watts", "20"], "belong together"),
        (["--half-watts", "20"], "belong together"),
        (["--idle-watts", "50", "--busy-watts", "40"], "more busy than idle"),
        (["--seconds", "1"], "settle"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert calibrated(*words) == 2
    assert said in capsys.readouterr().err


def test_a_virtual_machine_has_no_power_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on(GUEST, monkeypatch)
    assert calibrated("--idle-watts", "20", "--busy-watts", "40") == 2
    assert "virtual machine" in capsys.readouterr().err
