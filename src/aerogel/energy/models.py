"""Power models: what energy may have been where nothing measures it. Named, and wide rather than wrong.

``watts-per-thread``, where nothing is known of the CPU. It bounds the reserved share of the whole server at
the wall, without GPUs and cooling:

    low  = 0.1 W x reserved threads x seconds + 0.4 W x CPU seconds
    high = 50 W x reserved threads x seconds

Source: SPECpower_ssj2008, results published from 2013 to March 2026 (as tabulated by ccf-coefficients in
data/SPECpower-2026-03-09.csv; rows with a mistyped thread count left out). Per hardware thread the server
drew at least 0.17 W idle (two EPYC 9965: 128 W, 768 threads) and 0.70 W at full load (Cortex-A53: 269 W, 384
threads), and at most 33 W at full load (Core i5-4570: 131 W, 4 threads). The bounds lie beyond: 0.1, 0.5, 50.
Assumed: a virtual CPU is one hardware thread, which is not sold twice. The lower bound counts the CPU time of
this process; for the upper one every reserved thread is busy, since others may work on our behalf.

``linear-tdp``, where the thermal design power is given. It estimates the CPU packages alone, without memory:

    estimate = TDP x share x seconds x max(load, 0.1),   load = CPU seconds / (reserved threads x seconds)
    low      = TDP x share x seconds x (0.01 + 0.24 load)
    high     = TDP x share x seconds x 4

where share = reserved threads / threads of the CPUs that the TDP is for. Over 94 points of published RAPL
profiles of servers a linear model of TDP errs by 38 % in the mean (bias +1 %); a mean error is no bound.
Assumed for the bounds: an idle package draws at least 1 % of its TDP and a busy one a quarter; laptop CPUs
may draw nearly four times theirs for half a minute (55 W on 15 W), others less.
"""

from __future__ import annotations

import math
import numbers
import os
from dataclasses import dataclass
from typing import ClassVar, Literal

from aerogel.core.errors import InputError, require
from aerogel.energy.host import Host

Method = Literal["measured", "estimated", "not measured"]
IDLE_LOW_WATTS, BUSY_LOW_WATTS, HIGH_WATTS = 0.1, 0.5, 50.0
"""Watts per hardware thread, at the wall."""
IDLE_LOW, BUSY_LOW, IDLE_SHARE, HIGH = 0.01, 0.25, 0.1, 4.0
"""Shares of the thermal design power."""
_MOST_TDP_WATTS, _MOST_THREADS = 20_000.0, 65_536


@dataclass(frozen=True, slots=True)
class Usage:
    """``seconds`` of wall time, in which ``threads`` were reserved and used for ``cpu_seconds`` in all."""

    seconds: float
    cpu_seconds: float
    threads: float

    @property
    def reserved_s(self) -> float:
        """Thread seconds."""
        return self.threads * self.seconds

    @property
    def busy_s(self) -> float:
        """Thread seconds used; not more than were reserved."""
        return min(self.cpu_seconds, self.reserved_s)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Joules, between ``low`` and ``high``; None where the model gives bounds alone."""

    joules: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WattsPerThread:
    """Bounds for a CPU of which nothing is known; see the top of this file."""

    name: ClassVar[str] = "watts-per-thread"
    method: ClassVar[Method] = "not measured"

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
class LinearTdp:
    """``watts``: the thermal design power of CPUs with ``threads`` hardware threads in all; see above."""

    watts: float
    threads: int
    method: ClassVar[Method] = "estimated"

    @property
    def name(self) -> str:
        return f"linear-tdp ({self.watts:g} W, {self.threads} threads)"

    @property
    def about(self) -> str:
        return (
            "thermal design power x load x reserved share, CPU packages alone, "
            "mean error 38 % over 94 published points of servers"
        )

    def estimate(self, usage: Usage) -> Estimate:
        per_thread = self.watts / self.threads
        busy, reserved = per_thread * usage.busy_s, per_thread * usage.reserved_s
        low = IDLE_LOW * reserved + (BUSY_LOW - IDLE_LOW) * busy
        return Estimate(max(busy, IDLE_SHARE * reserved), low, HIGH * reserved)


Model = WattsPerThread | LinearTdp


def choose_model(tdp_watts: object, tdp_threads: object, host: Host) -> Model:
    """``linear-tdp`` where a thermal design power is given, as argument or environment; else bounds alone.

    InputError for what is no power or no thread count, and where the share of the CPU would be a guess.
    """
    watts = _given("tdp_watts", tdp_watts, "AEROGEL_TDP_WATTS")
    threads = _given("tdp_threads", tdp_threads, "AEROGEL_TDP_THREADS")
    if watts is None:
        return WattsPerThread()
    said, power = watts
    require(
        0 < power <= _MOST_TDP_WATTS,
        InputError,
        f"{said} is no thermal design power: give watts, more than 0 and at most {_MOST_TDP_WATTS:g}",
    )
    return LinearTdp(power, _tdp_threads(said, threads, host))


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
