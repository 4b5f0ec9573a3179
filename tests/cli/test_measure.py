"""``aerogel measure``: a command under the meter, and a gate on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.energy.metered import measured, unmeasured

from aerogel.cli import main, measure_run
from aerogel.cli import measured as shared
from aerogel.energy.attribution import Span, attribute
from aerogel.energy.command import Idle, Ran
from aerogel.energy.process_tree import Process
from aerogel.energy.reading import Reading

HELLO = [sys.executable, "-S", "-c", "print('hello')"]
NOISE = (1.0, 1.01, 0.99, 1.005, 0.995)


def ran(reading: Reading, status: int = 0, processes: int = 1) -> Ran:
    own = tuple(Process(i, "work", reading.cpu_seconds / processes) for i in range(processes))
    idle = Span(0.1, 0.1, 0.1) if reading.method == "measured" else Span(None, 0.1, 0.2)
    found = attribute(reading, own, tree_s=reading.cpu_seconds, machine_s=None, idle_joules=idle)
    return Ran(status, reading, found, own, detailed=True, running=0)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """``runs(a, b)``: what running a command will give from now on; returns how it is asked for."""

    def prepare(*results: Ran) -> list[dict[str, Any]]:
        left, asked = list(results), list[dict[str, Any]]()

        def run_metered(words: list[str], **options: Any) -> Ran:
            asked.append({"words": words, **options})
            return left.pop(0)

        monkeypatch.setattr(shared, "run_metered", run_metered)
        return asked

    return prepare


def test_the_commands_output_and_status_are_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--", *HELLO[:3], "print('hello'); raise SystemExit(5)"]) == 5
    shown = capfd.readouterr()
    assert shown.out == "hello\n"
    first, *rest = shown.err.splitlines()
    assert " CPU s) " in first
    assert any(line.startswith("  idling") for line in rest) or "measured by" in first


def test_with_json_standard_output_is_one_document(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--json", "--items", "10", "--item", "token", "--", *HELLO]) == 0
    shown = capfd.readouterr()
    said = json.loads(shown.out)
    assert shown.err.strip() == "hello"
    assert (said["status"], said["items"], said["item"]) == (0, 10, "token")
    assert said["runs"][0]["reading"]["seconds"] > 0
    assert said["program"].startswith("python")
    assert "print" not in shown.out  # arguments may hold secrets


def test_run_is_what_measure_means(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = runs(ran(measured(10.0)), ran(measured(10.0)))
    assert main(["measure", "run", "--", "x", "--y"]) == main(["measure", "--", "x", "--y"]) == 0
    assert [one["words"] for one in asked] == [["x", "--y"]] * 2
    assert "10 J [10 J, 10 J] in 1 s" in capsys.readouterr().err


def test_several_runs_follow_one_that_warms_up(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = runs(*[ran(measured(joules)) for joules in (99.0, 10.0, 20.0, 30.0)])
    assert main(["measure", "--runs", "3", "--items", "10", "--", "x"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(asked) == 4
    assert lines[0].startswith("run 1 of 3: 10 J")
    assert lines[0].endswith("per item 1 J [1 J, 1 J]")
    assert not any("99 J" in line for line in lines)


def test_a_run_that_fails_ends_it_with_its_status(runs: Any) -> None:
    asked = runs(ran(measured(1.0)), ran(measured(1.0), status=3))
    assert main(["measure", "--runs", "5", "--", "x"]) == 3
    assert len(asked) == 2


def test_idle_power_is_watched_or_given(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Idle(Span(20.0, 19.0, 21.0), "watched for 3 s")
    monkeypatch.setattr(measure_run, "watch_idle", lambda seconds: replace(watched, source=f"{seconds} s"))
    asked = runs(ran(measured(1.0)), ran(measured(1.0)), ran(measured(1.0)))
    main(["measure", "--idle", "3", "--", "x"])
    main(["measure", "--idle-watts", "25", "--", "x"])
    main(["measure", "--", "x"])
    assert asked[0]["idle"].source == "3.0 s"
    assert asked[1]["idle"].watts == Span(25.0, 25.0, 25.0)
    assert asked[2]["idle"] is None


def test_whose_it_was_is_shown_the_busiest_first(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs(ran(measured(10.0, cpu_seconds=12.0), processes=12))
    main(["measure", "--", "x"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "Shared out by the command's CPU time, idling apart:"
    assert lines[2].split() == ["idling", "100", "mJ", "[100", "mJ,", "100", "mJ]"]
    assert sum("work (" in line for line in lines) == 8
    assert lines[-1] == "  and 4 more processes, each with less"


def test_what_could_not_be_told_is_said(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs(replace(ran(unmeasured()), detailed=False, running=2))
    main(["measure", "--", "x"])
    told = capsys.readouterr().err
    assert 'pip install "aerogel[meters]"' in told
    assert "2 of its processes still run" in told
    assert "energy not measured" in told


def save(path: Path, runs: Any, factor: float = 1.0) -> None:
    runs(ran(measured(1.0)), *(ran(measured(100 * factor * n)) for n in NOISE))
    assert main(["measure", "--runs", "5", "--items", "50", "--save", str(path), "--", "x"]) == 0


def test_the_gate_lets_the_same_pass_and_stops_what_takes_more(
    runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "energy.json"
    save(base, runs)
    assert f"a baseline of 5 runs; aerogel measure check --baseline {base}" in capsys.readouterr().err
    check = ["measure", "check", "--baseline", str(base)]
    asked = runs(ran(measured(1.0)), *(ran(measured(100 * n)) for n in NOISE))
    assert main([*check, "--", "x"]) == 0
    assert len(asked) == 6  # as often as the baseline did
    assert capsys.readouterr().out.startswith("ok: energy +0.0 % [")
    runs(ran(measured(1.0)), *(ran(measured(120 * n)) for n in NOISE))
    assert main([*check, "--", "x"]) == 1
    assert capsys.readouterr().out.startswith("FAILED: energy +20.0 % [")
    runs(ran(measured(1.0)), *(ran(measured(120 * n)) for n in NOISE))
    assert main([*check, "--tolerance", "0.3", "--json", "--", "x"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_two_files_are_compared_too(runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "old.json", runs)
    save(tmp_path / "new.json", runs, 2.0)
    words = [
        "measure",
        "check",
        "--baseline",
        str(tmp_path / "old.json"),
        "--current",
        str(tmp_path / "new.json"),
    ]
    assert main(words) == 1
    assert main([*words, "--by", "seconds"]) == 0
    assert main([*words, "--", "x"]) == 2
    assert "not both" in capsys.readouterr().err


def test_check_keeps_the_readings_of_now(runs: Any, tmp_path: Path) -> None:
    save(tmp_path / "old.json", runs)
    runs(ran(measured(1.0)), *(ran(measured(100 * n)) for n in NOISE))
    new = tmp_path / "new.json"
    main(["measure", "check", "--baseline", str(tmp_path / "old.json"), "--save", str(new), "--", "x"])
    assert len(json.loads(new.read_text())["readings"]) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["measure", "--items", "3"], "there is no command to measure"),
        (["measure", "--save", "f.json", "--runs", "2", "--", "x"], "knows little of the noise"),
        (["measure", "--", "no-such-program"], "'no-such-program' cannot be run"),
        (["measure", "check", "--baseline", "no.json", "--", "x"], "no.json cannot be read"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_baseline_and_nothing_to_compare_is_bad_input(
    runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "old.json", runs)
    assert main(["measure", "check", "--baseline", str(tmp_path / "old.json")]) == 2
    assert "nothing to compare" in capsys.readouterr().err
    runs(ran(measured(1.0), status=4))
    assert main(["measure", "check", "--baseline", str(tmp_path / "old.json"), "--", "x"]) == 2
    assert "x ended with status 4" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--tolerance", "-1"], ["--by", "carbon"], ["--runs", "0"]])
def test_wrong_options_are_bad_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["measure", "check", "--baseline", "x.json", *words, "--", "x"])
    assert ended.value.code == 2


def test_a_program_without_dashes_before_it_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["measure", "python", "train.py"])
    assert ended.value.code == 2
    assert "there is no command 'python': to run a program, put -- before it" in capsys.readouterr().err


def test_the_group_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["measure", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("run ", "check ", "calibrate ", "aerogel measure -- python train.py"):
        assert word in said
