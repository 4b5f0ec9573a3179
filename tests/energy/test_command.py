"""Commands under the meter: their status, their output, their signals and all they start."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.energy.metered import FakeMeter, Meters, measured, unmeasured
from tests.energy.trees import laptop

from aerogel.core.errors import InputError
from aerogel.energy import command
from aerogel.energy.attribution import Span
from aerogel.energy.block import meter
from aerogel.energy.command import Idle, run_metered, watch_idle
from aerogel.energy.models import Estimate

PYTHON = [sys.executable, "-S", "-c"]
BURN = "import time; e = time.process_time() + {0}\nwhile time.process_time() < e: pass\n"


def test_status_and_output_are_the_commands_own(capfd: pytest.CaptureFixture[str]) -> None:
    ran = run_metered([*PYTHON, "print('hello'); raise SystemExit(3)"])
    assert ran.status == 3
    assert capfd.readouterr().out == "hello\n"
    assert ran.reading.seconds > 0
    assert json.loads(json.dumps(ran.to_json()))["status"] == 3


def test_the_whole_tree_is_charged_and_not_this_process() -> None:
    nested = f"import subprocess, sys\n{BURN.format(0.1)}\nsubprocess.run({[*PYTHON, BURN.format(0.15)]!r})"
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass  # what this process has used before is no matter
    ran = run_metered([*PYTHON, nested])
    assert 0.25 <= ran.reading.cpu_seconds < 1.0
    assert ran.attribution is not None
    charged = sum(part.cpu_seconds or 0.0 for part in ran.attribution.parts)
    assert charged == pytest.approx(ran.reading.cpu_seconds, abs=0.03)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come back on Linux alone")
def test_what_outlives_the_command_is_charged_up_to_its_end_and_mentioned() -> None:
    pytest.importorskip("psutil")
    child = BURN.format(0.2) + "print('burnt', flush=True); time.sleep(60)"
    # The command ends when its orphan has burnt; the orphan's pid comes through the pipe's name.
    script = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen({[*PYTHON, child]!r}, stdout=subprocess.PIPE, start_new_session=True)\n"
        "p.stdout.readline(); print(p.pid, flush=True); import os; os._exit(0)"
    )
    reading, writing = os.pipe()
    try:
        ran = run_metered([*PYTHON, script], stdout=writing)
        orphan = int(os.read(reading, 100))
    finally:
        os.close(reading)
        os.close(writing)
    try:
        assert ran.running == 1
        assert ran.reading.cpu_seconds >= 0.19
    finally:
        os.kill(orphan, signal.SIGKILL)
        os.waitpid(orphan, 0)


def test_a_signal_that_ends_the_command_is_its_status() -> None:
    assert run_metered([*PYTHON, "import os; os.kill(os.getpid(), 9)"]).status == 128 + 9


def send_when_handled(number: int) -> threading.Thread:
    """Send this process a signal as soon as it is ready for it."""
    own = signal.getsignal(number)

    def send() -> None:
        while signal.getsignal(number) is own:
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_asks_us_to_end_asks_the_command(number: int) -> None:
    own = signal.getsignal(number)
    sender = send_when_handled(number)
    ran = run_metered([*PYTHON, "import time; time.sleep(60)"])
    sender.join()
    assert ran.status == 128 + number
    assert signal.getsignal(number) is own


def test_an_interrupt_is_left_to_the_command() -> None:
    sender = send_when_handled(signal.SIGINT)
    ran = run_metered([*PYTHON, "import time; time.sleep(0.5)"])
    sender.join()
    assert ran.status == 0 and ran.reading.seconds >= 0.5


def test_it_runs_outside_of_the_main_thread_too() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run_metered([*PYTHON, "raise SystemExit(4)"])))
    thread.start()
    thread.join()
    assert found[0].status == 4


def test_no_command_and_a_missing_one_are_said() -> None:
    with pytest.raises(InputError, match="there is no command"):
        run_metered([])
    with pytest.raises(InputError, match="'no-such-program' cannot be run: No such file"):
        run_metered(["no-such-program", "x"])


def machine(root: Path, busy_s: float) -> None:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/stat").write_text(f"cpu {round(busy_s * 100)} 0 0 500 0 0 0 0 0 0\n")


def test_a_meter_of_the_machine_is_shared_with_the_rest_of_it(tmp_path: Path) -> None:
    """RAPL counts 30 J in a block in which the machine worked 10 times as long as the command."""
    tree, package, dram = laptop(tmp_path)
    machine(tmp_path, 100.0)

    def make(**options: Any) -> Any:
        inner = meter(**options)

        class Around(FakeMeter):
            def __enter__(self) -> Any:
                inner.__enter__()
                return self

            def __exit__(self, *_: object) -> None:
                tree.add(package, 25.0)
                tree.add(dram, 5.0)
                used = options["cpu_time"]()
                machine(tmp_path, 100.0 + 10 * used)
                inner.__exit__(None, None, None)

        return Around(lambda: inner.reading)

    idle = Idle(Span(1.0, 1.0, 1.0), "given")
    ran = run_metered([*PYTHON, BURN.format(0.3)], idle=idle, make_meter=make, root=tmp_path)
    assert ran.reading.method == "measured"
    assert ran.reading.joules == pytest.approx(30.0)
    assert ran.attribution is not None
    idling = ran.reading.seconds * 1.0
    assert ran.attribution.own.value == pytest.approx((30.0 - idling) / 10, rel=0.05)
    assert sum(part.joules.value or 0.0 for part in ran.attribution.parts) == pytest.approx(30.0)
    assert {part.kind for part in ran.attribution.parts} >= {"idle", "process", "others"}


def test_a_model_tells_idling_by_itself() -> None:
    meters = Meters(unmeasured(10.0, 4.0), idle=Estimate(None, 2.0, 1000.0))
    ran = run_metered([*PYTHON, "pass"], make_meter=meters)
    assert ran.attribution is not None
    assert ran.attribution.parts[0].joules == Span(None, 2.0, 1000.0)
    assert ran.attribution.own.high == pytest.approx(998.0)


def test_idle_power_is_what_a_quiet_machine_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path, 5.0)
    monkeypatch.setattr(command.time, "sleep", lambda _: None)
    found = watch_idle(2.0, make_meter=Meters(measured(20.0, seconds=2.0, open_=0.1)), root=tmp_path)
    assert found.watts == Span(10.0, 9.0, 11.0)
    assert found.source == "watched for 2 s by RAPL package-0, 0 % busy meanwhile"


def test_a_busy_machine_gives_an_upper_bound_of_idle_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(tmp_path, 5.0)
    monkeypatch.setattr(command.time, "sleep", lambda _: machine(tmp_path, 5.0 + (os.cpu_count() or 1)))
    found = watch_idle(2.0, make_meter=Meters(measured(20.0, seconds=2.0)), root=tmp_path)
    assert found.watts == Span(None, 0.0, 10.0)
    assert "50 % busy meanwhile: not idle" in found.source


def test_idle_power_takes_a_meter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a meter: no RAPL"):
        watch_idle(0.01, make_meter=Meters(unmeasured()), root=tmp_path)
    with pytest.raises(InputError, match="cannot be watched"):
        watch_idle(0.0)


def test_without_psutil_the_total_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    ran = run_metered([*PYTHON, BURN.format(0.1)])
    assert not ran.detailed
    assert ran.reading.cpu_seconds >= 0.1
    assert ran.attribution is not None
    assert [part.kind for part in ran.attribution.parts] == ["idle", "unseen"]
    assert ran.attribution.parts[1].cpu_seconds == pytest.approx(ran.reading.cpu_seconds)
