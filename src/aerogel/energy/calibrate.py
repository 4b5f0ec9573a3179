"""Find this computer's power at some loads: keep so many threads busy, and ask a meter, or whoever reads one.

    calibration = calibrate(by_meter())                              # any meter that aerogel can read
    calibration = calibrate(by_reading(ask))                         # ask(phase) -> the watts of a wall meter
    calibration = calibrate_from(idle_watts=21.5, busy_watts=84.0)   # read before; nothing is run
    save_calibration(calibration)                                    # from now on `meter` uses it

GPUs are taken out: what they draw is counted by their own meters, or not at all.

A minute in all: idle, a tenth, half and all of the hardware threads busy, for a quarter of it each.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aerogel.core.errors import InputError, MeasureError, require
from aerogel.energy.attribution import machine_busy_s
from aerogel.energy.block import meter
from aerogel.energy.calibration import Calibration, Point, machine_of
from aerogel.energy.gpus_apart import Gpus, beside_gpus, gpus_of, require_readable
from aerogel.energy.host import Host, this_host
from aerogel.energy.source import GPU, MACHINE
from aerogel.energy.total import covers_text

_LOADS = (0.0, 0.1, 0.5, 1.0)
_SETTLE = 0.2
"""The part of a phase in which a load settles before its power is read: clocks, fans, boost."""
_READ_ERROR = 0.05
"""Assumed, of a number read off a display that moves."""
_QUIET, _LONG_S = 0.1, 1.0
"""A computer that is busier than this, of all its threads, is not idle; seen over so long at least."""
_NOW_S = 1.0
"""For so long GPUs are looked at beside readings of before."""
_BUSY = "x = 1.0\nwhile True:\n    for _ in range(100000): x = x * 1.0000001 + 1e-9\n    x = 1.0"
_WALL = "the whole computer at the wall"


@dataclass(frozen=True, slots=True)
class Phase:
    """``busy`` of all hardware threads are kept so for ``seconds``: at ``load``, from 0 to 1."""

    load: float
    busy: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Power:
    """What a reader says of a phase: its mean power; ``error`` as a part of it; what it covers; who told
    it."""

    watts: float
    error: float
    covers: str
    source: str


Read = Callable[[Phase], Power]
Load = Callable[[int], contextlib.AbstractContextManager[None]]


def calibrate(
    read: Read, *, seconds: float = 60.0, host: Host | None = None, load: Load | None = None
) -> Calibration:
    """``read`` is asked in every phase, ``seconds`` in all, in which ``load(threads)`` keeps threads busy.

    InputError where this process may not use the whole computer, where something else keeps it busy, or for
    readings that are none; MeasureError where the meter fails.
    """
    host = host or this_host()
    require(
        seconds >= 4,
        InputError,
        f"seconds={seconds:g}: a load needs some time to settle, give 60, or 4 at least",
    )
    _require_whole(host)
    run = load or keep_busy
    phases = _phases(host.threads, seconds)
    powers: list[Power] = []
    for phase in phases:
        with run(phase.busy):
            time.sleep(phase.seconds * _SETTLE)
            began_s, busy_s = time.perf_counter(), machine_busy_s()
            powers.append(read(phase))
        if phase.busy == 0 and busy_s is not None:
            _require_idle(host, time.perf_counter() - began_s, (machine_busy_s() or busy_s) - busy_s)
    return _calibration(host, [(p.load, power) for p, power in zip(phases, powers, strict=True)])


def calibrate_from(
    *,
    idle_watts: float,
    busy_watts: float,
    half_watts: float | None = None,
    covers: str = _WALL,
    host: Host | None = None,
    root: Path | str = Path("/"),
) -> Calibration:
    """From powers that a meter at the wall showed: idle, with all threads busy and, if known, with half of
    them. GPUs are taken to have drawn what they draw now."""
    host = host or this_host()
    _require_whole(host)
    gpus, seconds = Gpus(), _NOW_S
    if require_readable(root):
        _, gpus, seconds = beside_gpus(root, lambda: time.sleep(_NOW_S))
    given = [(0.0, idle_watts), (0.5, half_watts), (1.0, busy_watts)]
    return _calibration(
        host,
        [
            (at, _without(gpus, seconds, Power(watts, _READ_ERROR, covers, "readings given")))
            for at, watts in given
            if watts is not None
        ],
    )


def by_meter(root: Path | str = Path("/"), wall_log: Path | str | None = None) -> Read:
    """Whatever ``meter`` can measure, without GPUs; MeasureError where that is nothing."""

    def read(phase: Phase) -> Power:
        require_readable(root)
        with meter(root=root, wall_log=wall_log) as m:
            time.sleep(phase.seconds * (1 - _SETTLE))
        found = m.reading
        if found.method != "measured" or found.joules is None or found.low is None or found.high is None:
            raise MeasureError(
                f"there is no meter to calibrate with ({found.obstacle or 'nothing was measured'}): "
                "read a wall meter and type what it shows, with --wall or --idle-watts and --busy-watts"
            )
        whole = any(part.summed and part.covers == MACHINE for part in found.parts)
        rest = [part for part in found.parts if part.summed and not part.covers.startswith(GPU)]
        covers = found.covers if whole else covers_text(rest)
        error = (found.high - found.low) / 2 / found.joules if found.joules > 0 else 1.0
        power = Power(found.joules / found.seconds, error, covers or "what was metered", found.source)
        return _without(gpus_of(found), found.seconds, power, named=whole)

    return read


def by_reading(ask: Callable[[Phase], float], covers: str = _WALL, root: Path | str = Path("/")) -> Read:
    """``ask`` waits until somebody has read the meter, while the load runs on, and returns the watts."""

    def read(phase: Phase) -> Power:
        watts, gpus, seconds = beside_gpus(root, lambda: ask(phase))
        return _without(gpus, seconds, Power(watts, _READ_ERROR, covers, "a wall meter, read by the user"))

    return read


def _without(gpus: Gpus, seconds: float, power: Power, *, named: bool = True) -> Power:
    """``power`` less that of GPUs, whose bounds widen its error. named: say so, where the meter's name does
    not."""
    if not gpus.count:
        return power
    watts = power.watts - gpus.joules / seconds
    drew = f"{gpus.count} GPUs drew {gpus.joules / seconds:.3g} W of {power.watts:.3g} W"
    told = f"{drew}: that leaves nothing for the rest. Does the meter show all of the computer?"
    require(watts > 0, InputError, told)
    error = (power.error * power.watts + (gpus.high - gpus.low) / 2 / seconds) / watts
    said = (", without GPUs", ", less GPUs by their own meters") if named else ("", "")
    return Power(watts, error, power.covers + said[0], power.source + said[1])


@contextlib.contextmanager
def keep_busy(threads: int) -> Generator[None]:
    """So many processes that compute without end, until the block ends. MeasureError where one ended
    early."""
    running = [
        subprocess.Popen([sys.executable, "-S", "-E", "-c", _BUSY], stdin=subprocess.DEVNULL)
        for _ in range(threads)
    ]
    try:
        yield
        gone = sum(process.poll() is not None for process in running)
        require(not gone, MeasureError, f"{gone} of {threads} loads ended before their time: calibrate again")
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


def _phases(threads: int, seconds: float) -> list[Phase]:
    """Whole threads, each number once: two threads have no tenth."""
    counts = sorted({0, threads} | {max(1, round(threads * load)) for load in _LOADS if load > 0})
    return [Phase(count / threads, count, seconds / len(counts)) for count in counts]


def _require_whole(host: Host) -> None:
    require(
        host.virtual is not True,
        InputError,
        "a meter shows the power of a whole computer, of which a virtual machine like this is a part: "
        "calibrate on the computer itself",
    )
    require(
        host.reserved >= host.threads,
        InputError,
        f"this process may use {host.reserved:g} of {host.threads} threads: calibrate where it may use all",
    )


def _require_idle(host: Host, seconds: float, busy_s: float) -> None:
    if seconds < _LONG_S:
        return
    share = busy_s / seconds / host.threads
    told = f"something else keeps this computer {share:.0%} busy, so its idle power cannot be read"
    require(share <= _QUIET, InputError, f"{told}: end it, and calibrate again")


def _calibration(host: Host, found: list[tuple[float, Power]]) -> Calibration:
    last = found[-1][1]
    return Calibration(
        machine=machine_of(host),
        threads=host.threads,
        points=tuple(Point(load, float(power.watts)) for load, power in found),
        covers=last.covers,
        source=last.source,
        error=max(power.error for _, power in found),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
