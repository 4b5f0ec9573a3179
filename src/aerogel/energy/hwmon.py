"""Sensors of power and energy that Linux shows as hwmon: a computer's own power meter, GPUs of AMD and Intel.

``/sys/class/hwmon/hwmonN`` has a ``name``, the driver's, and files such as ``power1_average`` and
``power1_input`` (microwatts) or ``energy1_input`` (microjoules). What a sensor is of, only the driver tells,
so each is a line in ``DRIVERS``; a sensor of another driver is left out by name, for what it covers would be
a guess.

- ``power_meter`` (ACPI 4.0): what the firmware says the computer takes in; ``power1_accuracy`` is its error,
  and ``power1_average_interval`` the milliseconds it averages over. With ``power1_is_battery`` 1 it is a
  battery's.
- ``amdgpu``: the power of a GPU; of one in the same chip as the CPU, the CPU's with it (kernel
  documentation). Those show the voltage of their northbridge, or have no ``power1_cap``, and are taken for a
  CPU package.
- ``i915``, ``xe``: an energy counter of a whole GPU of Intel.
- ``ina3221``: volts and amperes of rails on a board; its rail VDD_IN is all that a Jetson module takes in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from aerogel.core.errors import MeasureError, require
from aerogel.energy.files import grant, read_number, read_text
from aerogel.energy.integral import Integral, Power
from aerogel.energy.source import CPU, GPU, MACHINE, PEAK, Awake, Counted, Part, Survey, Where

ABOUT = "sensors of power and energy that Linux shows as hwmon"
FOLDER = "sys/class/hwmon"
_LOOK_S = 0.5
_WINDOW_S = 1.0
"""Over how long an average goes, where the sensor does not say; assumed."""
_INSTANT_S = 0.1
"""How old a momentary value may be; assumed."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """label: "amdgpu 0000:03:00.0"; covers: see source.py. read: watts now, or joules so far where
    ``counts``.
    files: those it reads. window_s, error: over how long it averages, and how far it is off, as a share."""

    label: str
    covers: str
    read: Callable[[], float]
    files: tuple[Path, ...]
    counts: bool = False
    window_s: float = _INSTANT_S
    error: float = 0.0
    limit_watts: float | None = None


def survey(where: Where) -> Survey:
    """Sensors whose driver says what they are of; each has been read once."""
    sensors, left_out = _found(where.root)
    found = Survey("hwmon", ABOUT, left_out=left_out, covers=tuple(sensor.covers for sensor in sensors))
    if not sensors:
        other = f", only {', '.join(left_out)}" if left_out else ""
        nothing = f"no sensor of power here that is known{other}"
        return replace(found, covers=(MACHINE,), obstacle=nothing, present=False)
    failed = {sensor.label: why for sensor in sensors if (why := _failure(sensor))}
    sound = tuple(sensor for sensor in sensors if sensor.label not in failed)
    advice = grant(file for sensor in sensors if sensor.label in failed for file in sensor.files)
    if not sound:
        return replace(found, obstacle="; ".join(failed.values()), advice=advice)
    return replace(
        found,
        channels=tuple(sensor.label for sensor in sound),
        covers=tuple(sensor.covers for sensor in sound),
        left_out=(*left_out, *failed.values()),
        advice=advice,
        begin=lambda: Sensors(sound),
    )


def _failure(sensor: Sensor) -> str:
    try:
        sensor.read()
    except MeasureError as error:
        return str(error)
    return ""


def _found(root: Path) -> tuple[tuple[Sensor, ...], tuple[str, ...]]:
    """The sensors that are known, and the names of the others."""
    try:
        folders = sorted((root / FOLDER).iterdir(), key=lambda path: (len(path.name), path.name))
    except OSError:
        folders = []
    sensors: list[Sensor] = []
    left_out: list[str] = []
    for folder in folders:
        name = _said(folder / "name")
        files = [file.name for file in _files(folder)]
        if name in DRIVERS:
            found = tuple(DRIVERS[name](folder))
            sensors += found
            if files and not found:
                left_out.append(f"{folder.name} ({name})")
        elif any(re.fullmatch(r"power\d+_(input|average)|energy\d+_input", file) for file in files):
            left_out.append(f"{folder.name} ({name or 'without a name'})")
    whole = [sensor for sensor in sensors if sensor.covers == MACHINE]
    if len(whole) > 1:  # one may be a part of another: which is the whole, nobody says
        sensors = [sensor for sensor in sensors if sensor not in whole]
        left_out += [sensor.label for sensor in whole]
    return tuple(sensors), tuple(left_out)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _said(path: Path) -> str:
    """What a file says; "" where it says nothing."""
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> float | None:
    """A number in a file, with or without a percent sign; None where there is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", _said(path))
    return float(match[1]) if match else None


def _device(folder: Path) -> str:
    """What tells the device from others: its address on the bus."""
    try:
        return (folder / "device").resolve(strict=True).name
    except OSError:
        return folder.name


def _watts(path: Path, label: str) -> Callable[[], float]:
    return lambda: read_number(path, label) * 1e-6


def _acpi(folder: Path) -> Iterator[Sensor]:
    label = f"ACPI power meter {_device(folder)}"
    power = folder / "power1_average"
    if power.exists() and _number(folder / "power1_is_battery") != 1:
        interval_ms, accuracy = (
            _number(folder / "power1_average_interval"),
            _number(folder / "power1_accuracy"),
        )
        window_s = _WINDOW_S if not interval_ms else interval_ms * 1e-3
        error = _error(accuracy)
        yield Sensor(label, MACHINE, _watts(power, label), (power,), window_s=window_s, error=error)


def _error(accuracy: float | None) -> float:
    """As a share. Some firmware writes how true a reading is (95 %), some how false (5 %); 0 where it is
    silent."""
    if accuracy is None or accuracy > 100:
        return 0.0
    return (100 - accuracy if accuracy > 50 else accuracy) / 100


def _amdgpu(folder: Path) -> Iterator[Sensor]:
    address = _device(folder)
    for file, window_s in (("power1_input", _INSTANT_S), ("power1_average", _WINDOW_S)):
        power = folder / file
        if not power.exists():
            continue
        cap_uw = _number(folder / "power1_cap")
        if cap_uw is None or _said(folder / "in1_label") == "vddnb":
            label = f"amdgpu {address}, CPU included"
            yield Sensor(label, CPU, _watts(power, label), (power,), window_s=window_s)
        else:
            label = f"amdgpu {address}"
            limit = cap_uw * 1e-6
            covers = GPU + address
            yield Sensor(label, covers, _watts(power, label), (power,), window_s=window_s, limit_watts=limit)
        return


def _intel_gpu(folder: Path) -> Iterator[Sensor]:
    address, energy = _device(folder), folder / "energy1_input"
    label = f"{_said(folder / 'name')} {address}"
    if energy.exists():
        yield Sensor(label, GPU + address, _watts(energy, label), (energy,), counts=True)


def _ina3221(folder: Path) -> Iterator[Sensor]:
    for rail in (1, 2, 3):
        if _said(folder / f"in{rail}_label") == "VDD_IN":
            volts, amperes = folder / f"in{rail}_input", folder / f"curr{rail}_input"
            label = "module VDD_IN"

            def read(volts: Path = volts, amperes: Path = amperes, label: str = label) -> float:
                return read_number(volts, label) * read_number(amperes, label) * 1e-6

            yield Sensor(label, MACHINE, read, (volts, amperes))


DRIVERS: dict[str, Callable[[Path], Iterator[Sensor]]] = {
    "power_meter": _acpi,
    "amdgpu": _amdgpu,
    "i915": _intel_gpu,
    "xe": _intel_gpu,
    "ina3221": _ina3221,
}
"""What is known of a driver's sensors, by its name."""


class Sensors:
    """Sensors from their first look, which is now, to ``finish``."""

    pause_s = _LOOK_S

    def __init__(self, sensors: tuple[Sensor, ...]) -> None:
        """MeasureError where one cannot be read."""
        self._awake = Awake()
        self._all = [_Followed(sensor) for sensor in sensors]

    def look(self) -> None:
        for followed in self._all:
            followed.look()

    def finish(self) -> Counted:
        notes = [note for followed in self._all for note in followed.notes()]
        parts: list[Part] = []
        for followed in self._all:
            part = followed.finish()
            if part is None:
                notes.append(f"{followed.label} showed nothing, asleep or not connected: not counted")
            else:
                parts.append(part)
        self._awake.check()
        require(parts, MeasureError, "; ".join(notes))
        labels = " + ".join(part.label for part in parts)
        about = f"hwmon {labels} (power is looked at every {_LOOK_S:g} s)"
        return Counted(tuple(parts), about, tuple(notes))


class _Followed:
    """One sensor: a counter is read at the ends, power in between as well."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor, self._failures, self._why = sensor, 0, ""
        first = sensor.read()
        self._first = Power(perf_counter(), first)
        self._integral = Integral.begin(sensor.label, _LOOK_S, self._first)

    def look(self) -> None:
        if not self._sensor.counts:
            self._take()

    def _take(self) -> None:
        """A sensor that fails now and then is followed by the looks around."""
        try:
            value = self._sensor.read()
            self._integral = self._integral.then(Power(perf_counter(), value))
        except MeasureError as error:
            self._failures += 1
            self._why = str(error)

    @property
    def label(self) -> str:
        return self._sensor.label

    def finish(self) -> Part | None:
        """None where a counter stood still, or power was never more than 0. MeasureError where the last look
        fails, or there were too few."""
        sensor, value = self._sensor, self._sensor.read()
        if sensor.counts:
            return self._counted(value)
        self._integral = self._integral.then(Power(perf_counter(), value))
        if self._integral.most == 0:
            return None
        low, high = self._integral.bounds(sensor.window_s, sensor.limit_watts, sensor.error)
        return Part("hwmon", sensor.label, sensor.covers, self._integral.joules, low, high)

    def _counted(self, value: float) -> Part | None:
        sensor, seconds = self._sensor, perf_counter() - self._first.at_s
        joules = value - self._first.watts
        if joules < 0:
            raise MeasureError(f"{sensor.label} went down: its driver was loaded anew")
        if joules == 0:
            return None
        unsure = joules / max(seconds, sensor.window_s) * PEAK * sensor.window_s
        return Part("hwmon", sensor.label, sensor.covers, joules, max(0.0, joules - unsure), joules + unsure)

    def notes(self) -> tuple[str, ...]:
        if not self._failures:
            return ()
        return (f"{self._sensor.label} could not be read {self._failures} times: {self._why}",)
