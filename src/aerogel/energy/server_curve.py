"""What a server draws at the wall at some load, from the design power of its CPUs: a curve and its bounds.

    watts = TDP x (0.17 + 0.85 load) + 12 + 0.13 x GB of memory
    low   = (0.50 + 0.15 load) x TDP x (0.17 + 0.85 load) + 0.50 x 12 + 0.05 x GB
    high  = (1.90 - 0.40 load) x TDP x (0.17 + 0.85 load) + 1.90 x 12 + (0.20 + 0.90 load) x GB

of all packages together, without GPUs and cooling; load from 0 to 1 of the hardware threads' time. Its four
constants are fitted to SPECpower_ssj2008 results: 40 profiles at 11 loads and 124 servers at idle and full
load, published from 2011 to January 2026, CPUs of Sandy Bridge (2011) and later, each server of equal weight.
They and their sources are in benchmarks/data/load_power.csv; benchmarks/power.py counts how many points the
bounds hold, also for CPUs that the constants were not fitted to, and writes benchmarks/results/power.json.

The benchmark is one kind of work, which uses the memory little. A server whose memory is worked hard draws
more: the upper bound allows for 1.1 W per GB at full load and 0.2 W idle, the most that RAPL counted for the
memory of four servers under stress (Teads, AWS EC2 dataset, 2021: 0.66 to 1.10 W and 0.15 to 0.20 W per GB).
Assumed: memory draws no less than 0.05 W per GB.

Makers submit lean servers, tuned for the benchmark: one with many disks, cards and power supplies draws more,
idle above all, and may lie above the bounds. A calibration does away with that.

CPUs of desktops and laptops are not among the results. Assumed for them, wider: they draw at least 1 % of
their design power idle and a quarter busy, without the rest of the computer, and at most 2.5 times what the
curve's upper bound says, since they may exceed their design power 2 to 4 times over for half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

LOW_IDLE, LOW_BUSY, HIGH_IDLE, HIGH_BUSY = 0.50, 0.65, 1.90, 1.50
"""The bounds, as multiples of the curve without its memory."""
MEMORY_LOW_W, MEMORY_IDLE_W, MEMORY_BUSY_W = 0.05, 0.20, 1.10
"""Watts per GB: the least, and the most idle and busy."""
CLIENT_IDLE, CLIENT_BUSY, CLIENT_HIGH = 0.01, 0.25, 2.5


@dataclass(frozen=True, slots=True)
class Part:
    """Of a computer: the design power of its CPUs in watts, its memory in GB, and how much of the rest."""

    tdp_watts: float
    memory_gb: float = 0.0
    rest: float = 1.0


@dataclass(frozen=True, slots=True)
class Curve:
    """``idle`` and ``rise`` are shares of the design power; watts of the rest of the server, and per GB."""

    idle: float = 0.17
    rise: float = 0.85
    rest_watts: float = 12.0
    memory_watts: float = 0.13


@dataclass(frozen=True, slots=True)
class Watts:
    """Between ``low`` and ``high``, most likely ``mid``."""

    low: float
    mid: float
    high: float


CURVE = Curve()


def server_watts(part: Part, load: float, curve: Curve = CURVE) -> Watts:
    """The formula above, of a part of a server."""
    cpu, rest = part.tdp_watts * (curve.idle + curve.rise * load), curve.rest_watts * part.rest
    gb = part.memory_gb
    most = between(MEMORY_IDLE_W, MEMORY_BUSY_W, load) * gb
    return Watts(
        low=between(LOW_IDLE, LOW_BUSY, load) * cpu + LOW_IDLE * rest + MEMORY_LOW_W * gb,
        mid=cpu + rest + curve.memory_watts * gb,
        high=between(HIGH_IDLE, HIGH_BUSY, load) * cpu + HIGH_IDLE * rest + most,
    )


def client_watts(part: Part, load: float) -> Watts:
    """The same of a desktop or laptop, with the wider bounds."""
    found = server_watts(part, load)
    low = part.tdp_watts * between(CLIENT_IDLE, CLIENT_BUSY, load) + MEMORY_LOW_W * part.memory_gb
    return Watts(min(low, found.low), found.mid, CLIENT_HIGH * found.high)


def between(idle: float, busy: float, load: float) -> float:
    return idle + (busy - idle) * load
