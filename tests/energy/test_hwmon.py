"""hwmon trees: which sensors are known, what they cover, what their power adds up to, what is left out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.energy.trees import as_ordinary_user, laptop, open_folder

import aerogel as ag
from aerogel.core.errors import MeasureError
from aerogel.energy import files, hwmon
from aerogel.energy.source import Following, Where


class Clock:
    def __init__(self) -> None:
        self.now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hwmon, "perf_counter", clock)
    return clock


def chip(root: Path, number: int, name: str, device: str = "", **shown: object) -> Path:
    """A folder of hwmon with files of these names, and a device on a bus."""
    folder = root / "sys/class/hwmon" / f"hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for file, value in shown.items():
        (folder / file).write_text(f"{value}\n")
    if device:
        (root / "sys/devices" / device).mkdir(parents=True, exist_ok=True)
        (folder / "device").symlink_to(root / "sys/devices" / device)
    return folder


def radeon(root: Path, **shown: object) -> Path:
    return chip(
        root, 3, "amdgpu", "0000:03:00.0", **{"power1_average": 40_000_000, "power1_cap": 2e8, **shown}
    )


def test_a_computers_own_meter(tmp_path: Path, clock: Clock) -> None:
    shown = {"power1_average": 200_000_000, "power1_average_interval": 2000, "power1_accuracy": "95.0%"}
    folder = chip(tmp_path, 0, "power_meter", "ACPI000D:00", power1_is_battery=0, **shown)
    found = hwmon.survey(Where(tmp_path))
    assert (found.obstacle, found.channels, found.covers) == (
        "",
        ("ACPI power meter ACPI000D:00",),
        ("machine",),
    )
    following = found.begin()
    ramp(following, clock, folder / "power1_average", [200.0] * 20 + [400.0] * 20)
    counted = following.finish()
    (part,) = counted.parts
    # Half a second each; the step lies between two looks.
    assert part.joules == pytest.approx(10 * 200 + 10 * 400, rel=0.01)
    assert part.low == pytest.approx((10.5 * 200 + 9.5 * 400 - 2 * 400) * 0.95, rel=0.01)
    assert part.high > part.joules * 1.05
    assert counted.about == "hwmon ACPI power meter ACPI000D:00 (power is looked at every 0.5 s)"


def ramp(following: Following, clock: Clock, file: Path, watts: list[float]) -> None:
    for now in watts:
        clock.now_s += 0.5
        file.write_text(f"{now * 1e6:.0f}\n")
        following.look()


@pytest.mark.parametrize(
    ("accuracy", "error"), [("95.0%", 0.05), ("2.5%", 0.025), ("0.0%", 0.0), ("4294967.295%", 0.0)]
)
def test_the_error_a_meter_states(tmp_path: Path, accuracy: str, error: float) -> None:
    folder = chip(tmp_path, 0, "power_meter", power1_average=1, power1_accuracy=accuracy)
    (sensor,) = hwmon.DRIVERS["power_meter"](folder)
    assert sensor.error == pytest.approx(error)


def test_a_battery_is_no_meter_of_the_computer(tmp_path: Path) -> None:
    chip(tmp_path, 0, "power_meter", power1_average=1, power1_is_battery=1)
    found = hwmon.survey(Where(tmp_path))
    assert found.left_out == ("hwmon0 (power_meter)",) and not found.present


def test_a_meter_that_shows_nothing_is_not_a_computer_that_takes_nothing(
    tmp_path: Path, clock: Clock
) -> None:
    chip(tmp_path, 0, "power_meter", "ACPI000D:00", power1_average=0)
    following = hwmon.survey(Where(tmp_path)).begin()
    clock.now_s += 0.5
    with pytest.raises(MeasureError, match=r"ACPI power meter ACPI000D:00 showed nothing"):
        following.finish()


def test_two_meters_of_the_computer_are_none(tmp_path: Path) -> None:
    """Two power supplies, or one within the other? Nobody says."""
    for number in (0, 1):
        chip(tmp_path, number, "power_meter", f"ACPI000D:0{number}", power1_average=1)
    found = hwmon.survey(Where(tmp_path))
    assert found.channels == ()
    assert found.left_out == ("ACPI power meter ACPI000D:00", "ACPI power meter ACPI000D:01")


def test_a_graphics_card(tmp_path: Path, clock: Clock) -> None:
    folder = radeon(tmp_path)
    found = hwmon.survey(Where(tmp_path))
    assert (found.channels, found.covers) == (("amdgpu 0000:03:00.0",), ("gpu:0000:03:00.0",))
    following = found.begin()
    ramp(following, clock, folder / "power1_average", [40.0] * 20)
    (part,) = following.finish().parts
    assert part.joules == pytest.approx(400.0)
    assert (part.low, part.high) == pytest.approx((360.0, 600.0))  # an average of a second, at most 200 W


def test_a_momentary_value_is_preferred(tmp_path: Path) -> None:
    folder = radeon(tmp_path, power1_input=50_000_000)
    (sensor,) = hwmon.DRIVERS["amdgpu"](folder)
    assert (sensor.read(), sensor.files, sensor.window_s) == (50.0, (folder / "power1_input",), 0.1)


@pytest.mark.parametrize("shown", [{"in1_label": "vddnb"}, {"power1_cap": ""}])
def test_graphics_in_the_cpu_include_the_cpu(tmp_path: Path, shown: dict[str, object]) -> None:
    radeon(tmp_path, **shown)
    found = hwmon.survey(Where(tmp_path))
    assert (found.channels, found.covers) == (("amdgpu 0000:03:00.0, CPU included",), ("cpu",))


def test_an_energy_counter_of_intel(tmp_path: Path, clock: Clock) -> None:
    folder = chip(tmp_path, 2, "xe", "0000:04:00.0", energy1_input=5_000_000)
    following = hwmon.survey(Where(tmp_path)).begin()
    clock.now_s += 10.0
    (folder / "energy1_input").write_text("305000000\n")
    following.look()
    (part,) = following.finish().parts
    assert (part.joules, part.covers) == (pytest.approx(300.0), "gpu:0000:04:00.0")
    assert (part.low, part.high) == pytest.approx((270.0, 330.0))


def test_a_counter_that_falls_was_reset(tmp_path: Path, clock: Clock) -> None:
    folder = chip(tmp_path, 2, "i915", "0000:04:00.0", energy1_input=5_000_000)
    following = hwmon.survey(Where(tmp_path)).begin()
    (folder / "energy1_input").write_text("5\n")
    with pytest.raises(MeasureError, match=r"i915 0000:04:00.0 went down: its driver was loaded anew"):
        following.finish()


def test_a_counter_that_sleeps_is_not_counted_as_nothing(tmp_path: Path, clock: Clock) -> None:
    radeon(tmp_path)
    chip(tmp_path, 2, "xe", "0000:04:00.0", energy1_input=5_000_000)
    following = hwmon.survey(Where(tmp_path)).begin()
    clock.now_s += 1.0
    counted = following.finish()
    assert [part.label for part in counted.parts] == ["amdgpu 0000:03:00.0"]
    assert counted.notes == ("xe 0000:04:00.0 showed nothing, asleep or not connected: not counted",)


def test_a_jetson_module(tmp_path: Path, clock: Clock) -> None:
    shown = {"in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 2000}
    chip(tmp_path, 1, "ina3221", "1-0040", **shown, in2_label="VDD_SOC", in2_input=5000, curr2_input=500)
    found = hwmon.survey(Where(tmp_path))
    assert (found.channels, found.covers) == (("module VDD_IN",), ("machine",))
    following = found.begin()
    clock.now_s += 4.0
    assert following.finish().parts[0].joules == pytest.approx(40.0)


def test_sensors_of_other_drivers_are_named_and_left_out(tmp_path: Path) -> None:
    chip(tmp_path, 0, "corsairpsu", power1_input=3)
    chip(tmp_path, 1, "coretemp", temp1_input=40_000)
    found = hwmon.survey(Where(tmp_path))
    assert (found.left_out, found.present) == (("hwmon0 (corsairpsu)",), False)
    assert found.obstacle == "no sensor of power here that is known, only hwmon0 (corsairpsu)"


def test_nothing_there(tmp_path: Path) -> None:
    found = hwmon.survey(Where(tmp_path))
    assert (found.obstacle, found.present) == ("no sensor of power here that is known", False)


def test_a_closed_file_comes_with_the_command() -> None:
    with open_folder() as root:
        folder = radeon(root)
        (folder / "power1_average").chmod(0o400)
        with as_ordinary_user():
            found = hwmon.survey(Where(root))
    file = folder / "power1_average"
    assert found.obstacle == f"amdgpu 0000:03:00.0: {file} may not be read by this user"
    assert found.advice == f"until the next boot: sudo chmod a+r {file}"


def test_a_device_that_is_asleep_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its driver says EPERM, which is no matter of rights."""
    folder = radeon(tmp_path)
    chip(tmp_path, 2, "xe", "0000:04:00.0", energy1_input=5_000_000)
    read = files.read_text

    def asleep(path: Path) -> str:
        if path == folder / "power1_average":
            raise PermissionError(1, "Operation not permitted")
        return read(path)

    monkeypatch.setattr(files, "read_text", asleep)
    found = hwmon.survey(Where(tmp_path))
    assert (found.obstacle, found.advice, found.channels) == ("", "", ("xe 0000:04:00.0",))
    assert found.left_out[0].endswith("power1_average cannot be read: Operation not permitted")


def test_a_sensor_that_fails_in_between_is_followed_through(tmp_path: Path, clock: Clock) -> None:
    folder = radeon(tmp_path)
    following = hwmon.survey(Where(tmp_path)).begin()
    clock.now_s += 0.5
    (folder / "power1_average").write_text("garbage")
    following.look()
    clock.now_s += 0.5
    (folder / "power1_average").write_text("40000000")
    counted = following.finish()
    assert counted.parts[0].joules == pytest.approx(40.0)
    assert "could not be read 1 times" in counted.notes[0] and "garbage" in counted.notes[0]


def test_a_sensor_that_fails_for_long_is_told(tmp_path: Path, clock: Clock) -> None:
    radeon(tmp_path)
    following = hwmon.survey(Where(tmp_path)).begin()
    clock.now_s += 5.1
    with pytest.raises(MeasureError, match=r"amdgpu 0000:03:00.0 was not read for 5.1 s"):
        following.finish()


def test_the_computers_meter_stands_in_for_a_cpu_without_one(tmp_path: Path) -> None:
    chip(tmp_path, 0, "power_meter", "ACPI000D:00", power1_average=100_000_000)
    radeon(tmp_path)
    with ag.meter(root=tmp_path) as m:
        time.sleep(0.1)
    assert (m.method, m.reading.covers) == ("measured", "whole computer")
    assert [part.summed for part in m.reading.parts] == [True, False, False]
    assert m.joules == pytest.approx(100 * m.seconds, rel=0.5)


def test_the_computers_meter_is_shown_beside_those_of_its_parts(tmp_path: Path) -> None:
    tree, package, dram = laptop(tmp_path)
    chip(tmp_path, 0, "power_meter", "ACPI000D:00", power1_average=100_000_000)
    radeon(tmp_path, in1_label="vddnb")
    with ag.meter(root=tmp_path) as m:
        tree.add(package, 4.0)
        tree.add(dram, 1.0)
    assert m.joules == pytest.approx(5.0) and m.reading.covers == "CPU packages + memory"
    summed = {part.label: part.summed for part in m.reading.parts if part.source != "estimate"}
    assert summed == {
        "package-0": True,
        "package-0 dram": True,
        "ACPI power meter ACPI000D:00": False,
        "amdgpu 0000:03:00.0, CPU included": False,
    }
