"""``ag.meter()`` as people use it: measured, bounded, nested, failing, in threads, and misused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.energy.trees import Tree, as_ordinary_user, laptop, open_folder

import aerogel as ag
from aerogel.core.errors import InputError, MeasureError
from aerogel.energy.source import Counted, Part, Survey, Where, cpu_s
from aerogel.energy.sources import SOURCES


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AEROGEL_TDP_WATTS", "AEROGEL_TDP_THREADS", "AEROGEL_WALL_LOG"):
        monkeypatch.delenv(variable, raising=False)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_measured(tmp_path: Path) -> None:
    tree, package, dram = laptop(tmp_path)
    with ag.meter(root=tmp_path) as m:
        tree.add(package, 5.0)
        tree.add(dram, 1.0)
        time.sleep(0.05)
    assert m.joules == pytest.approx(6.0)
    assert m.low is not None and m.high is not None and m.low < 6.0 < m.high
    assert m.method == "measured"
    assert m.source == (
        "RAPL package-0 + package-0 dram (all of it, other processes included; "
        "makers state no error of the counters)"
    )
    assert m.seconds > 0.05
    assert isinstance(m.reading, ag.Reading)
    assert (m.reading.model, m.reading.obstacle, m.reading.advice) == (None, "", "")
    assert str(m).startswith("6 J [") and "measured by RAPL package-0" in str(m)
    assert "not measured" not in str(m)


def test_a_guest_is_told_that_it_sees_its_host_alone(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    tree.cpu(virtual=True)
    with ag.meter(root=str(tmp_path)) as m:
        tree.add(package, 5.0)
    assert "as shown to this virtual machine" in m.source


def test_without_a_meter_there_are_bounds_under_a_named_model(tmp_path: Path) -> None:
    with ag.meter(root=tmp_path) as m:
        burn(0.05)
    assert m.joules is None
    assert m.method == "not measured"
    assert m.reading.model == "watts-per-thread"
    assert m.low is not None and m.high is not None and 0 < m.low < m.high
    assert m.low >= 0.5 * 0.05
    assert "SPECpower" in m.source and "threads reserved" in m.source
    assert str(m).startswith("energy not measured, ")
    assert "power model watts-per-thread" in str(m) and "no meter: no RAPL counters here" in str(m)


def test_this_machine_is_honest() -> None:
    """Whatever runs the tests: a measured number, or none and the reason."""
    with ag.meter() as m:
        burn(0.1)
    assert m.cpu_seconds >= 0.09 and m.seconds >= 0.09
    assert m.low is not None and m.high is not None and 0 <= m.low < m.high
    if m.joules is not None:
        assert m.low <= m.joules <= m.high
    if m.method == "measured":
        assert m.reading.covers and any(part.summed for part in m.reading.parts)
    else:
        assert m.reading.obstacle and m.reading.model
    assert (m.joules is None) is (m.method == "not measured")


def test_a_design_power_gives_an_estimate(tmp_path: Path) -> None:
    with ag.meter(tdp_watts=280, tdp_threads=4096, root=tmp_path) as m:
        burn(0.05)
    assert m.method == "estimated"
    assert m.joules is not None and m.low is not None and m.high is not None
    assert m.low < m.joules < m.high
    assert m.joules >= 280 / 4096 * 0.05 * 0.99
    assert "load curve" in m.source
    assert "not measured but estimated" in str(m)


def test_a_meter_is_preferred_to_an_estimate(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    with ag.meter(tdp_watts=280, tdp_threads=4096, root=tmp_path) as m:
        tree.add(package, 5.0)
    assert m.method == "measured"


def test_an_estimate_says_why_nothing_was_measured() -> None:
    with open_folder() as root:
        _, package, _ = laptop(root)
        package.chmod(0o400)
        with as_ordinary_user(), ag.meter(tdp_watts=280, tdp_threads=4096, root=root) as m:
            pass
    assert m.method == "estimated"
    assert "sudo chmod a+r" in str(m) and m.reading.advice in str(m)


def test_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_TDP_WATTS", "280")
    monkeypatch.setenv("AEROGEL_TDP_THREADS", "4096")
    with ag.meter(root=tmp_path) as m:
        pass
    assert m.reading.model == "load-curve (280 W, 4096 threads)"


def test_bad_powers_are_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"tdp_watts=nan is not a finite number"):
        ag.meter(tdp_watts=float("nan"), root=tmp_path)
    monkeypatch.setenv("AEROGEL_TDP_WATTS", "lots")
    with pytest.raises(InputError, match=r"AEROGEL_TDP_WATTS='lots'"):
        ag.meter(root=tmp_path)


def test_a_counter_that_fails_in_the_block_gives_bounds_and_the_reason(tmp_path: Path) -> None:
    _, package, _ = laptop(tmp_path)
    with ag.meter(root=tmp_path) as m:
        package.write_text("garbage")
    assert (m.joules, m.method) == (None, "not measured")
    assert "holds 'garbage'" in m.reading.obstacle and m.high is not None


def test_a_failing_block_is_metered_all_the_same(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)

    def fail() -> None:
        tree.add(package, 5.0)
        raise KeyError

    measured, bounded = ag.meter(root=tmp_path), ag.meter(root=tmp_path / "nothing")
    with pytest.raises(KeyError), measured, bounded:
        fail()
    assert measured.joules == pytest.approx(5.0)
    assert (bounded.joules, bounded.method) == (None, "not measured")
    assert 0 < bounded.seconds < measured.seconds


ATTRIBUTES = ("joules", "low", "high", "method", "source", "seconds", "cpu_seconds", "reading")


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_reading_too_early_is_an_error_that_says_so(tmp_path: Path, name: str) -> None:
    m = ag.meter(root=tmp_path)
    with pytest.raises(MeasureError, match="has not begun"):
        getattr(m, name)
    with m, pytest.raises(MeasureError, match=r"has not ended: read the meter after"):
        getattr(m, name)
    assert getattr(m, name) is not None or name == "joules"


def test_text_and_json_too_early_are_errors(tmp_path: Path) -> None:
    with ag.meter(root=tmp_path) as m:
        with pytest.raises(MeasureError):
            str(m)
        with pytest.raises(MeasureError):
            m.to_json()
        assert "Meter" in repr(m)  # debuggers ask for it at any time


def test_a_meter_is_good_for_one_block(tmp_path: Path) -> None:
    with ag.meter(root=tmp_path) as m:
        with pytest.raises(MeasureError, match="used already"), m:
            pass
        with pytest.raises(MeasureError, match="has not ended"):
            _ = m.seconds
    with pytest.raises(MeasureError, match="used already"), m:
        pass
    assert m.seconds > 0


def test_nested_meters(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    with ag.meter(root=tmp_path) as outer:
        tree.add(package, 3.0)
        with ag.meter(root=tmp_path) as inner:
            tree.add(package, 2.0)
        tree.add(package, 1.0)
    assert inner.joules == pytest.approx(2.0)
    assert outer.joules == pytest.approx(6.0)
    assert outer.seconds > inner.seconds


def test_meters_in_several_threads(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    begun, counted = threading.Barrier(9), threading.Barrier(9)
    found: list[ag.Reading] = []

    def work() -> None:
        with ag.meter(root=tmp_path) as m:
            begun.wait(20)
            counted.wait(20)
        found.append(m.reading)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(20)
    tree.add(package, 4.0)
    counted.wait(20)
    for thread in threads:
        thread.join(20)
    assert [reading.joules for reading in found] == [pytest.approx(4.0)] * 8


def test_a_block_may_end_in_another_thread(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    m = ag.meter(root=tmp_path)
    m.__enter__()
    tree.add(package, 4.0)
    thread = threading.Thread(target=m.__exit__, args=(None, None, None))
    thread.start()
    thread.join(20)
    assert m.joules == pytest.approx(4.0)


def test_children_that_ended_are_counted(tmp_path: Path) -> None:
    code = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    with ag.meter(root=tmp_path) as m:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert m.cpu_seconds >= 0.2


def test_all_threads_are_counted() -> None:
    began = cpu_s()
    thread = threading.Thread(target=burn, args=(0.05,))
    thread.start()
    thread.join()
    assert cpu_s() - began >= 0.045


def test_json_holds_everything(tmp_path: Path) -> None:
    with ag.meter(root=tmp_path) as m:
        pass
    read = json.loads(json.dumps(m.to_json(), allow_nan=False))
    assert read["joules"] is None and read["method"] == "not measured"
    assert {*ATTRIBUTES, "model", "obstacle", "advice", "covers", "parts", "notes"} == {*read, "reading"}


def test_metering_needs_no_heavy_library() -> None:
    code = (
        "import sys, aerogel\nwith aerogel.meter() as m: pass\nstr(m)\n"
        "print([n for n in ('torch', 'llvmlite', 'numpy', 'transformers', 'rich') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_only_the_meters_that_are_named_are_read(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    with ag.meter(root=tmp_path, meters=["estimate"]) as m:
        tree.add(package, 5.0)
    assert m.method == "not measured" and m.reading.obstacle == "no meter of the CPU was asked"
    with ag.meter(root=tmp_path, meters=["nvml"]) as m:
        pass
    assert (m.joules, m.low, m.high, m.reading.model) == (None, None, None, None)
    assert str(m).startswith("energy not measured, unknown in ")
    with pytest.raises(InputError, match=r"no meter is called 'rapl2': there are rapl, nvml, hwmon"):
        ag.meter(root=tmp_path, meters=["rapl2", "rapl"])
    with pytest.raises(InputError, match="meters='rapl': give a list of names"):
        ag.meter(root=tmp_path, meters="rapl")


def test_parts_and_notes_are_in_the_reading(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    zones = [tree.zone(f"intel-rapl:{die}", "package-0", uj=7 * 10**9) for die in range(2)]
    with ag.meter(root=tmp_path) as m:
        for zone in zones:
            tree.add(zone, 5.0)
    assert m.joules == pytest.approx(5.0)
    assert m.reading.notes == ("intel-rapl:1 (package-0) mirrors intel-rapl:0 (package-0)",)
    read = m.to_json()
    assert read["parts"][0]["label"] == "package-0" and read["covers"] == "CPU packages"


def test_a_meter_of_its_own_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CONTRIBUTING promises: a survey in the table, and it is summed, shown and named."""

    class Dial:
        pause_s = float("inf")

        def look(self) -> None:
            pass

        def finish(self) -> Counted:
            return Counted((Part("dial", "a dial", "gpu:dial", 3.0, 2.5, 3.5),), "a dial on the case")

    def survey(where: Where) -> Survey:
        return Survey("dial", "a dial", ("a dial",), ("gpu:dial",), begin=Dial)

    laptop_tree, package, dram = laptop(tmp_path)
    monkeypatch.setitem(SOURCES, "dial", survey)
    with ag.meter(root=tmp_path) as m:
        laptop_tree.add(package, 4.0)
        laptop_tree.add(dram, 1.0)
    assert m.joules == pytest.approx(8.0) and m.source.endswith(" + a dial on the case")
    assert m.reading.covers == "CPU packages + memory + 1 GPU"
