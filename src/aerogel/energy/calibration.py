"""This computer's own power at some loads, as it was measured or read once; kept per user, used by ``meter``.

    power(load) = between the measured loads along the shape that published profiles have in the middle
    joules      = share of idle power x seconds + (power(load) - idle power) x seconds

where load = CPU seconds charged / (all hardware threads x seconds), and the share is that of the reserved
threads. The shape is what a server draws above idle at 0, 10, ... 100 % load, as a part of what it draws at
full load: the median of 40 profiles of SPECpower_ssj2008 (benchmarks/data/load_power.csv). At loads that were
not measured, 95 % of their points lie within -15 % and +32 % of it with two loads known (idle and full),
within -10 % and +16 % with three and within -6 % and +8 % with four; benchmarks/power.py counts them. The
bounds add the error of the readings. Assumed: work of another kind draws 20 % less to 30 % more of what the
load adds.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aerogel.core.errors import InputError, require
from aerogel.energy.host import Host
from aerogel.energy.usage import Estimate, Usage

SHAPE = (0.0, 0.133, 0.198, 0.263, 0.340, 0.413, 0.493, 0.595, 0.728, 0.901, 1.0)
"""Power above idle at 0, 10, ... 100 % load, as a part of that at full load."""
BETWEEN = {2: (0.85, 1.32), 3: (0.90, 1.16), 4: (0.94, 1.08)}
"""By the number of loads known: true power over the shape's, for 95 % of published points between them."""
OTHER_WORK = (0.8, 1.3)
_VERSION = 1
_SAME_LOAD = 0.001
_APART = 0.1
"""A load between may draw so much less than idle, or more than full load: clocks rise, readings err."""


@dataclass(frozen=True, slots=True)
class Point:
    """``watts`` at ``load``, from 0 to 1 of all hardware threads."""

    load: float
    watts: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """``points`` of the computer ``machine`` with ``threads`` hardware threads, idle first and full load
    last.

    covers, source: what the power is of, and who told it. error: of the readings, as a part of them.
    at: when, UTC, ISO 8601.
    """

    machine: str
    threads: int
    points: tuple[Point, ...]
    covers: str
    source: str
    error: float
    at: str

    def __post_init__(self) -> None:
        loads = [point.load for point in self.points]
        require(
            len(loads) >= 2 and loads[0] == 0 and loads[-1] == 1 and loads == sorted(set(loads)),
            InputError,
            f"a calibration needs the power idle, at full load and perhaps between: not at loads {loads}",
        )
        watts = [point.watts for point in self.points]
        require(
            all(0 < one < 1e6 for one in watts) and watts[0] < watts[-1],
            InputError,
            f"idle {watts[0]:g} W and {watts[-1]:g} W at full load are no powers of one computer: "
            "give watts, more than 0, and more busy than idle",
        )
        for point in self.points:
            fits = watts[0] * (1 - _APART) <= point.watts <= watts[-1] * (1 + _APART)
            told = f"{point.watts:g} W at {point.load:.0%} load do not lie between {watts[0]:g} W idle and"
            require(fits, InputError, f"{told} {watts[-1]:g} W at full load: read them again")
        require(self.threads >= 1, InputError, f"a calibration of {self.threads} threads is of no computer")
        told = f"these readings leave {self.error:.0%} open, which tells nothing: calibrate for longer"
        require(0 <= self.error < 1, InputError, told)

    @property
    def about(self) -> str:
        low, high = _between(self)
        idle, busy = self.points[0].watts, self.points[-1].watts
        return (
            f"this computer's power at {len(self.points)} loads ({self.source}): "
            f"{idle:.3g} W idle, {busy:.3g} W busy; "
            f"{low - 1:+.0%} to {high - 1:+.0%} for loads between as 95 % of published points, "
            f"{self.error:.0%} for readings, {OTHER_WORK[0] - 1:+.0%} to {OTHER_WORK[1] - 1:+.0%} of what "
            "the load adds for other kinds of work (assumed)"
        )

    def watts(self, load: float) -> float:
        """Of the whole computer at ``load``."""
        load = min(max(load, 0.0), 1.0)
        below, above = self.points[0], self.points[-1]
        for first, second in zip(self.points, self.points[1:], strict=False):
            if first.load <= load <= second.load:
                below, above = first, second
                break
        start, end = _shape(below.load), _shape(above.load)
        return below.watts + (above.watts - below.watts) * (_shape(load) - start) / (end - start)

    def estimate(self, usage: Usage) -> Estimate:
        """Joules of the reserved share."""
        share = min(1.0, usage.threads / self.threads)
        idle = self.points[0].watts
        load = usage.busy_s / (self.threads * usage.seconds) if usage.seconds > 0 else 0.0
        added = max(0.0, self.watts(load) - idle)
        low, high = (1.0, 1.0) if load < _SAME_LOAD else _between(self)
        return Estimate(
            (share * idle + added) * usage.seconds,
            low * (share * idle + OTHER_WORK[0] * added) * (1 - self.error) * usage.seconds,
            high * (share * idle + OTHER_WORK[1] * added) * (1 + self.error) * usage.seconds,
        )


def _between(calibration: Calibration) -> tuple[float, float]:
    return BETWEEN[min(len(calibration.points), max(BETWEEN))]


def _shape(load: float) -> float:
    place = min(load, 1.0) * (len(SHAPE) - 1)
    index = min(int(place), len(SHAPE) - 2)
    return SHAPE[index] + (SHAPE[index + 1] - SHAPE[index]) * (place - index)


def machine_of(host: Host) -> str:
    """What tells this computer from others of the same user: CPU, threads, memory, virtual or not."""
    cpu = host.cpu.name or "CPU of no name"
    memory = "memory unknown" if host.memory_gb is None else f"{_all_memory_gb(host):.0f} GB"
    return f"{cpu}, {host.threads} threads, {memory}{', virtual' if host.virtual else ''}"


def _all_memory_gb(host: Host) -> float:
    """A process that is confined to a part of the computer still runs on this one."""
    if host.installed_gb is not None:
        return host.installed_gb
    assert host.memory_gb is not None
    return host.memory_gb * host.threads / host.reserved


def calibration_file() -> Path:
    """``AEROGEL_CALIBRATION``, else in this user's data folder."""
    wanted = os.environ.get("AEROGEL_CALIBRATION")
    if wanted:
        return Path(wanted).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    return base.expanduser() / "aerogel" / "calibration.json"


def save_calibration(calibration: Calibration) -> Path:
    """Keep it, in the place of an earlier one of the same computer. InputError where it cannot be written."""
    path = calibration_file()
    machines = {} if not path.exists() else _machines(path)
    machines[calibration.machine] = asdict(calibration)
    _write(path, machines)
    return path


def forget_calibration(host: Host) -> bool:
    """Whether there was one of this computer; from now on there is none."""
    path = calibration_file()
    machines = {} if not path.exists() else _machines(path)
    if machines.pop(machine_of(host), None) is None:
        return False
    _write(path, machines)
    return True


def _write(path: Path, machines: Mapping[str, Any]) -> None:
    """The whole new file or the old one: a reader never sees a half."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({"version": _VERSION, "machines": machines}, indent=1), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"the calibration cannot be kept in {path} ({reason}): set AEROGEL_CALIBRATION to a file that can"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def saved_calibration(host: Host) -> Calibration | None:
    """This user's calibration of this computer; None where there is none. InputError where it is spoilt."""
    try:
        path = calibration_file()
        if not path.is_file():
            return None
    except (OSError, RuntimeError):
        return None  # a user without a home has calibrated nothing
    found = _machines(path).get(machine_of(host))
    if found is None:
        return None
    try:
        points = tuple(Point(float(point["load"]), float(point["watts"])) for point in found["points"])
        return Calibration(
            machine=str(found["machine"]),
            threads=int(found["threads"]),
            points=points,
            covers=str(found["covers"]),
            source=str(found["source"]),
            error=float(found["error"]),
            at=str(found["at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _spoilt(path, error) from error


def _machines(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _spoilt(path, error) from error
    if not isinstance(kept, Mapping) or kept.get("version") != _VERSION:
        raise _spoilt(path, "another version, or another file")
    machines = kept.get("machines")
    if not isinstance(machines, Mapping):
        raise _spoilt(path, "no machines in it")
    return dict(machines)


def _spoilt(path: Path, why: object) -> InputError:
    return InputError(
        f"{path} is no calibration that can be used ({why}): remove it and calibrate again, "
        "with `aerogel measure calibrate`"
    )
