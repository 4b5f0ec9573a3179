"""Power models: what energy may have been where nothing measures it. Named, and wide rather than wrong.

All charge the share of the computer that is reserved for this process, its threads and memory, at the wall
and without GPUs and cooling; load = CPU seconds charged / (reserved threads x seconds). Others' work is
theirs.

``calibrated``, where this computer's own power was measured at some loads: see calibration.py.

``load-curve``, where the CPU's thermal design power is known from a table or given: the curve and bounds of
server_curve.py. In a virtual machine the share is reserved / hardware threads of the CPU; assumed: a virtual
CPU is one hardware thread, which is not sold twice. Where it is not shown threads beside cores, each may be a
whole core: then the upper bound counts two threads.

``load-curve of a generation``, where a server's CPU hides its number: bounds alone, from what the CPUs of its
generation are designed for per thread.

``watts-per-thread``, where nothing is known of the CPU. Bounds of the whole server, memory included:

    low  = 0.1 W x reserved threads x seconds + 0.4 W x CPU seconds
    high = 50 W x reserved threads x seconds

Source: SPECpower_ssj2008, results published from 2013 to March 2026 (as tabulated by ccf-coefficients in
data/SPECpower-2026-03-09.csv; rows with a mistyped thread count left out). Per hardware thread the server
drew at least 0.17 W idle (two EPYC 9965: 128 W, 768 threads) and 0.70 W at full load (Cortex-A53: 269 W, 384
threads), and at most 33 W at full load (Core i5-4570: 131 W, 4 threads). The bounds lie beyond: 0.1, 0.5, 50.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from aerogel.core.errors import InputError, require
from aerogel.energy.calibration import Calibration, saved_calibration
from aerogel.energy.design_power import TABLE, DesignPower, Generation, design_power, generation
from aerogel.energy.host import Host
from aerogel.energy.server_curve import Part, Watts, client_watts, server_watts
from aerogel.energy.usage import Estimate, Usage

Method = Literal["measured", "calibrated", "estimated", "not measured"]
IDLE_LOW_WATTS, BUSY_LOW_WATTS, HIGH_WATTS = 0.1, 0.5, 50.0
"""Watts per hardware thread, at the wall."""
_MOST_TDP_WATTS, _MOST_THREADS = 20_000.0, 65_536
_COVERS = "reserved share of the computer at the wall, without GPUs"


@dataclass(frozen=True, slots=True)
class WattsPerThread:
    """Bounds for a CPU of which nothing is known; see the top of this file."""

    name: ClassVar[str] = "watts-per-thread"
    method: ClassVar[Method] = "not measured"
    covers: ClassVar[str] = _COVERS

    @property
    def about(self) -> str:
        return (
            f"{IDLE_LOW_WATTS:g} W (idle) to {HIGH_WATTS:g} W per reserved thread of a server at the wall "
            "without GPUs (SPECpower results of 2013 to 2026 lie within)"
        )

    def estimate(self, usage: Usage) -> Estimate:
        extra = BUSY_LOW_WATTS - IDLE_LOW_WATTS
        low = IDLE_LOW_WATTS * usage.reserved_s + extra * usage.busy_s
        return Estimate(None, low, HIGH_WATTS * usage.reserved_s)


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """``watts``: the thermal design power of CPUs with ``threads`` hardware threads in all; ``cpu``: their
    name, "" where the power was given. ``memory_gb``: reserved, None where unknown, and then left out.

    server: whether it is a server's CPU. per_thread: hardware threads that a reserved one may be, at most.
    """

    watts: float
    threads: int
    cpu: str = ""
    server: bool = True
    memory_gb: float | None = None
    per_thread: int = 1
    method: ClassVar[Method] = "estimated"

    @property
    def name(self) -> str:
        cpu = f"{self.cpu}, " if self.cpu else ""
        return f"load-curve ({cpu}{self.watts:g} W, {self.threads} threads)"

    @property
    def covers(self) -> str:
        return _COVERS if self.memory_gb is not None else f"{_COVERS} and memory"

    @property
    def about(self) -> str:
        whence = f"of table {TABLE}" if self.cpu else "given"
        tested = (
            "bounds hold 96 % of 688 published points of 164 servers"
            if self.server
            else "bounds assumed: published tests are of servers"
        )
        return f"thermal design power {whence} x load curve + memory, at the wall without GPUs; {tested}"

    def estimate(self, usage: Usage) -> Estimate:
        found = self._watts(usage, 1)
        most = found if self.per_thread == 1 else self._watts(usage, self.per_thread)
        return Estimate(found.mid * usage.seconds, found.low * usage.seconds, most.high * usage.seconds)

    def _watts(self, usage: Usage, per_thread: int) -> Watts:
        share = min(1.0, usage.threads * per_thread / self.threads)
        formula = server_watts if self.server else client_watts
        return formula(Part(self.watts * share, self.memory_gb or 0.0, share), usage.load)


@dataclass(frozen=True, slots=True)
class GenerationCurve:
    """Bounds from the generation of a server's CPU; ``memory_gb`` and ``per_thread`` as above."""

    generation: Generation
    memory_gb: float | None = None
    per_thread: int = 1
    method: ClassVar[Method] = "not measured"

    @property
    def name(self) -> str:
        return f"load-curve of a generation ({self.generation.name})"

    @property
    def covers(self) -> str:
        return _COVERS if self.memory_gb is not None else f"{_COVERS} and memory"

    @property
    def about(self) -> str:
        low, high = self.generation.low, self.generation.high
        return (
            f"{low:g} to {high:g} W of thermal design power per thread, as servers' CPUs of this generation "
            f"have (table {TABLE}), x load curve + memory, at the wall without GPUs"
        )

    def estimate(self, usage: Usage) -> Estimate:
        memory, load = self.memory_gb or 0.0, usage.load
        # Of the rest of the server a thread bears nothing at least, and at most what it would of 8 threads.
        low = server_watts(Part(self.generation.low * usage.threads, memory, 0.0), load).low
        threads = usage.threads * self.per_thread
        rest = min(1.0, threads / 8)
        high = server_watts(Part(self.generation.high * threads, memory, rest), load).high
        return Estimate(None, low * usage.seconds, high * usage.seconds)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What this computer's own power at some loads says; see calibration.py."""

    calibration: Calibration
    method: ClassVar[Method] = "calibrated"

    @property
    def name(self) -> str:
        return f"calibrated ({self.calibration.at[:10]})"

    @property
    def covers(self) -> str:
        return f"reserved share of {self.calibration.covers}"

    @property
    def about(self) -> str:
        return self.calibration.about

    def estimate(self, usage: Usage) -> Estimate:
        return self.calibration.estimate(usage)


Model = WattsPerThread | LoadCurve | GenerationCurve | Calibrated


def choose_model(
    tdp_watts: object,
    tdp_threads: object,
    host: Host,
    saved: Callable[[Host], Calibration | None] = saved_calibration,
) -> Model:
    """A given thermal design power, as argument or environment, goes first; then this user's calibration of
    this computer; then what the table knows of its CPU by name, and by generation; else bounds alone.

    InputError for what is no power or no thread count, where the share of the CPU would be a guess, and for a
    calibration that is spoilt.
    """
    watts = _given("tdp_watts", tdp_watts, "AEROGEL_TDP_WATTS")
    threads = _given("tdp_threads", tdp_threads, "AEROGEL_TDP_THREADS")
    if watts is not None:
        return _given_curve(watts, threads, host)
    calibration = saved(host)
    return Calibrated(calibration) if calibration is not None else default_model(host)


def default_model(host: Host) -> Model:
    """Nothing was given, nothing measured: what the table knows of the CPU."""
    memory, per_thread = host.memory_gb, _per_thread(host)
    power = design_power(host.cpu.name)
    threads = None if power is None else _all_threads(power, host)
    if power is not None and threads is not None:
        packages = _packages(power, threads, host)
        watts = power.watts * packages
        return LoadCurve(watts, threads, power.cpu, power.server, memory, per_thread)
    found = generation(host.cpu)
    return WattsPerThread() if found is None else GenerationCurve(found, memory, per_thread)


def _all_threads(power: DesignPower, host: Host) -> int | None:
    """The hardware threads of all packages that the power is for; None where that would be a guess."""
    if host.virtual is False:
        shown = (host.cpu.siblings or 0) * (host.cpu.packages or 0)
        return max(shown, host.threads)
    if power.threads is None:
        return None
    return power.threads * math.ceil(host.reserved / power.threads)


def _packages(power: DesignPower, threads: int, host: Host) -> int:
    if host.virtual is False:
        return host.cpu.packages or 1
    return threads // (power.threads or threads)


def _per_thread(host: Host) -> int:
    """A virtual CPU may be a whole core, of two threads, unless it is shown as one of a core's threads."""
    cpu = host.cpu
    shown = cpu.siblings is not None and cpu.cores is not None and cpu.siblings > cpu.cores
    return 1 if host.virtual is False or shown else 2


def _given_curve(watts: tuple[str, float], threads: tuple[str, float] | None, host: Host) -> LoadCurve:
    said, power = watts
    require(
        0 < power <= _MOST_TDP_WATTS,
        InputError,
        f"{said} is no thermal design power: give watts, more than 0 and at most {_MOST_TDP_WATTS:g}",
    )
    known = design_power(host.cpu.name)
    server = known.server if known is not None else generation(host.cpu) is not None
    return LoadCurve(power, _tdp_threads(said, threads, host), server=server, memory_gb=host.memory_gb)


def _tdp_threads(said: str, given: tuple[str, float] | None, host: Host) -> int:
    if given is None:
        require(
            host.virtual is False,
            InputError,
            f"{said} is the power of a whole CPU, of which a virtual machine like this sees a part only: "
            "say how many hardware threads that CPU has, with tdp_threads or AEROGEL_TDP_THREADS",
        )
        return host.threads
    said, threads = given
    require(
        threads == int(threads) and 1 <= threads <= _MOST_THREADS,
        InputError,
        f"{said} is no number of threads: give a whole number from 1 to {_MOST_THREADS}",
    )
    require(
        threads >= host.reserved,
        InputError,
        f"{said} is less than the {host.reserved:g} threads this process may use: "
        "give the hardware threads of all the CPUs that the thermal design power is for",
    )
    return int(threads)


def _given(name: str, value: object, variable: str) -> tuple[str, float] | None:
    """(how it was given, the number); None where it was not."""
    if value is not None:
        said = f"{name}={value!r}"
        fits = isinstance(value, numbers.Real) and not isinstance(value, bool)
        require(fits, InputError, f"{said} is not a number")
    else:
        value = os.environ.get(variable, "").strip()
        if not value:
            return None
        said = f"{variable}={value!r}"
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]  # a Real or text
    except (ValueError, OverflowError) as error:
        raise InputError(f"{said} is not a number, or too large a one") from error
    require(math.isfinite(number), InputError, f"{said} is not a finite number")
    return said, number
