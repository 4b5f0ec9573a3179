"""Do the bounds of the default estimate hold published load-power profiles, and how wide are they?

    .venv/bin/python benchmarks/power.py

Every published point is estimated as ``meter`` would on that server: its CPU by name from the table of design
powers, all of its threads and memory reserved, the load that the point was measured at. The curve's constants
are fitted to the same profiles; so that this proves something, they are fitted again without each CPU in
turn, and the points of that CPU counted with those. The bounds' factors, too, were chosen with all of these
points in view, as round numbers; so constants and factors are found anew, by quantiles, without each
generation of CPUs in turn, and its points judged by those: what can be expected of servers that nobody has
looked at. A calibration is tested on the profiles by its points, at the other loads; its shape and bounds are
of the same profiles, so they, too, are found again without each CPU.

Points of servers whose CPU is not in the table (before 2011) fall back to the widest bounds; they are counted
apart, and in a claim on all points together. The RAPL profiles prove little: what the bounds allow for memory
is from them. Profiles of packages alone, such as codecarbon's of 2025, cannot be compared: bounds are of a
whole server. Writes benchmarks/results/power.json. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy.optimize import least_squares

from aerogel.bench.claims import Claim, at_most, write
from aerogel.energy import calibration, server_curve
from aerogel.energy.calibration import Calibration, Point
from aerogel.energy.design_power import design_power, generation_named
from aerogel.energy.host import Host
from aerogel.energy.models import GenerationCurve, LoadCurve, Model, WattsPerThread, default_model
from aerogel.energy.processor import Processor
from aerogel.energy.usage import Usage

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "power.json"
HOUR = 3600.0
KNOTS: dict[str, tuple[float, ...]] = {
    "idle and full load": (0.0, 1.0),
    "idle, half and full load": (0.0, 0.5, 1.0),
    "idle, a tenth, half and full load": (0.0, 0.1, 0.5, 1.0),
}


@dataclass(frozen=True, slots=True)
class Server:
    """A published server and what it drew: ``points`` of (load, watts)."""

    system: str
    cpu: str
    chips: int
    threads: int
    memory_gb: float
    points: tuple[tuple[float, float], ...]

    def host(self) -> Host:
        """As this server's own Linux would show it."""
        cpu = Processor(
            name=self.cpu, packages=self.chips, siblings=self.threads // self.chips, virtual=False
        )
        return Host(self.threads, float(self.threads), virtual=False, cpu=cpu, memory_gb=self.memory_gb)


@dataclass(frozen=True, slots=True)
class Judged:
    """One point: what was published and what the bounds were, in watts."""

    server: Server
    load: float
    watts: float
    low: float
    high: float

    @property
    def held(self) -> bool:
        return self.low <= self.watts <= self.high

    def __str__(self) -> str:
        where = f"{self.server.system} ({self.server.cpu}) at {self.load:.0%}"
        return f"{where}: {self.watts:g} W, bounds {self.low:.3g} to {self.high:.3g} W"


def servers() -> list[Server]:
    """Of load_power.csv."""
    found: list[Server] = []
    for row in _rows("load_power.csv"):
        points = tuple((load / 100, float(row[f"w{load}"])) for load in range(0, 101, 10) if row[f"w{load}"])
        found.append(_server(row, points))
    return found


def counted() -> list[Server]:
    """Of rapl_load.csv: packages and memory together."""
    loads = (0, 10, 50, 100)
    return [
        _server(row, tuple((load / 100, float(row[f"p{load}"]) + float(row[f"m{load}"])) for load in loads))
        for row in _rows("rapl_load.csv")
    ]


def _rows(name: str) -> list[dict[str, str]]:
    text = (HERE / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _server(row: dict[str, str], points: tuple[tuple[float, float], ...]) -> Server:
    size = int(row["chips"]), int(row["threads"]), float(row["memory_gb"])
    return Server(row["system"], row["cpu"], *size, points)


def judged(server: Server, model: Model) -> list[Judged]:
    """Every point of ``server``, by ``model``."""
    found: list[Judged] = []
    for load, watts in server.points:
        usage = Usage(HOUR, load * server.threads * HOUR, server.threads)
        said = model.estimate(usage)
        found.append(Judged(server, load, watts, said.low / HOUR, said.high / HOUR))
    return found


def summary(points: Sequence[Judged]) -> dict[str, Any]:
    """How many the bounds hold, and how wide they are."""
    return {
        "points": len(points),
        "servers": len({one.server for one in points}),
        "held": sum(one.held for one in points),
        "held_share": sum(one.held for one in points) / len(points),
        "median_width": statistics.median(one.high / one.low for one in points),
        "most_width": max(one.high / one.low for one in points),
    }


def fit(among: Iterable[Server]) -> server_curve.Curve:
    """CURVE of server_curve.py: least squares of log watts, servers of equal
    weight."""
    rows = [
        (load, watts, _tdp(one), one.memory_gb, len(one.points) ** -0.5)
        for one in among
        for load, watts in one.points
    ]
    load, watts, tdp, memory, weight = np.array(rows).T

    def wrong(at: Any) -> Any:
        return weight * (np.log(tdp * (at[0] + at[1] * load) + at[2] + at[3] * memory) - np.log(watts))

    found = least_squares(wrong, [0.15, 0.85, 10.0, 0.1], bounds=([1e-6] * 4, [2, 3, 60, 0.6]))
    return server_curve.Curve(*found.x.tolist())


def _is_server(model: Model) -> bool:
    return isinstance(model, LoadCurve) and model.server


def _tdp(server: Server) -> float:
    power = design_power(server.cpu)
    assert power is not None
    return power.watts * server.chips


def without_its_cpu(known: Sequence[Server]) -> list[Judged]:
    """Every point by constants that were fitted without the servers of its CPU, with the bounds' factors
    kept."""
    found: list[Judged] = []
    for cpu in sorted({one.cpu for one in known}):
        curve = fit(one for one in known if one.cpu != cpu)
        for one in known:
            if one.cpu == cpu:
                found += [_by(curve, one, load, watts) for load, watts in one.points]
    return found


def without_its_generation(known: Sequence[Server]) -> list[Judged]:
    """Every point by constants and factors that were found without the CPUs of its generation."""
    found: list[Judged] = []
    for name in sorted({_generation(one) for one in known}):
        others = [one for one in known if _generation(one) != name]
        curve = fit(others)
        factors = Factors.of(others, curve)
        for one in known:
            if _generation(one) == name:
                found += [factors.judge(one, curve, load, watts) for load, watts in one.points]
    return found


def _generation(server: Server) -> str:
    """Of CPUs without one in the table (Xeon E and E3), their family."""
    power = design_power(server.cpu)
    assert power is not None
    return power.generation or server.cpu.split("-")[0]


@dataclass(frozen=True, slots=True)
class Factors:
    """LOW_IDLE and so on of server_curve.py, from some servers' points: 2 % lie beyond each."""

    low_idle: float
    low_busy: float
    high_idle: float
    high_busy: float

    @classmethod
    def of(cls, servers: Sequence[Server], curve: server_curve.Curve) -> Factors:
        low: dict[float, list[float]] = {0.0: [], 1.0: []}
        high: dict[float, list[float]] = {0.0: [], 1.0: []}
        for one in servers:
            for load, watts in one.points:
                if load in low:
                    cpu = _tdp(one) * (curve.idle + curve.rise * load) + curve.rest_watts
                    least = server_curve.MEMORY_LOW_W * one.memory_gb
                    low[load].append((watts - least) / cpu)
                    high[load].append((watts - _most_memory(one, load)) / cpu)
        ends = [float(np.quantile(low[load], 0.02)) for load in (0.0, 1.0)]
        return cls(*ends, *(float(np.quantile(high[load], 0.98)) for load in (0.0, 1.0)))

    def judge(self, one: Server, curve: server_curve.Curve, load: float, watts: float) -> Judged:
        cpu = _tdp(one) * (curve.idle + curve.rise * load) + curve.rest_watts
        low = server_curve.between(self.low_idle, self.low_busy, load) * cpu
        high = server_curve.between(self.high_idle, self.high_busy, load) * cpu
        low += server_curve.MEMORY_LOW_W * one.memory_gb
        return Judged(one, load, watts, low, high + _most_memory(one, load))


def _most_memory(server: Server, load: float) -> float:
    per_gb = server_curve.between(server_curve.MEMORY_IDLE_W, server_curve.MEMORY_BUSY_W, load)
    return per_gb * server.memory_gb


def _by(curve: server_curve.Curve, server: Server, load: float, watts: float) -> Judged:
    said = server_curve.server_watts(server_curve.Part(_tdp(server), server.memory_gb), load, curve)
    return Judged(server, load, watts, said.low, said.high)


def by_generation(known: Sequence[Server]) -> list[Judged]:
    """Every point as if the CPU hid its number, but for those of generations that are not told apart."""
    found: list[Judged] = []
    for one in known:
        power = design_power(one.cpu)
        if power is not None and power.generation:
            found += judged(one, GenerationCurve(generation_named(power.generation), one.memory_gb))
    return found


def by_calibration(known: Sequence[Server], knots: Sequence[float]) -> list[Judged]:
    """The loads of each profile that are not among ``knots``, by a calibration of those that are."""
    found: list[Judged] = []
    for one in known:
        calibrated = _calibration(one, knots)
        for load, watts in one.points:
            if load not in knots:
                said = calibrated.estimate(Usage(HOUR, load * one.threads * HOUR, one.threads))
                found.append(Judged(one, load, watts, said.low / HOUR, said.high / HOUR))
    return found


def calibrated_without_its_cpu(known: Sequence[Server], knots: Sequence[float]) -> list[Judged]:
    """The same, with shape and bounds that were found without the servers of its CPU."""
    found: list[Judged] = []
    for cpu in sorted({one.cpu for one in known}):
        others = [one for one in known if one.cpu != cpu]
        with mock.patch.object(calibration, "SHAPE", tuple(shape(others))):
            between = {len(knots): tuple(between_loads(others, knots))}
            with mock.patch.dict(calibration.BETWEEN, between):
                found += by_calibration([one for one in known if one.cpu == cpu], knots)
    return found


def between_loads(profiles: Sequence[Server], knots: Sequence[float]) -> list[float]:
    """BETWEEN of calibration.py: true power over that of the shape, for 95 % of the loads between
    ``knots``."""
    ratios = [
        watts / calibrated.watts(load)
        for one in profiles
        for calibrated in [_calibration(one, knots)]
        for load, watts in one.points
        if load not in knots
    ]
    return np.round(np.quantile(ratios, [0.025, 0.975]), 3).tolist()


def _calibration(server: Server, knots: Sequence[float]) -> Calibration:
    points = tuple(Point(load, watts) for load, watts in server.points if load in knots)
    return Calibration("", server.threads, points, "", "", 0.0, "")


def shape(profiles: Sequence[Server]) -> list[float]:
    """SHAPE of calibration.py, found again."""
    watts = np.array([[watts for _, watts in one.points] for one in profiles])
    idle, busy = watts[:, :1], watts[:, -1:]
    return np.round(np.median((watts - idle) / (busy - idle), axis=0), 3).tolist()


def main() -> int:
    everyone = servers()
    models = {one: default_model(one.host()) for one in everyone}
    known = [one for one in everyone if isinstance(models[one], LoadCurve)]
    unknown = [one for one in everyone if isinstance(models[one], WattsPerThread)]
    servers_only = [one for one in everyone if _is_server(models[one])]
    default = [point for one in known for point in judged(one, models[one])]
    everything = [point for one in everyone for point in judged(one, models[one])]
    anew = without_its_cpu(servers_only)
    profiles = [one for one in servers_only if len(one.points) == 11]
    rapl = [point for one in counted() for point in judged(one, default_model(one.host()))]
    evidence: dict[str, Any] = {
        "default": summary(default),
        "with_cpus_before_2011": summary(everything),
        "eleven_loads_only": summary([point for point in default if len(point.server.points) == 11]),
        "by_load": {
            f"{load:.0%}": summary([point for point in default if point.load == load])
            for load in sorted({point.load for point in default})
        },
        "constants_fitted_without_its_cpu": summary(anew),
        "all_found_without_its_generation": summary(without_its_generation(servers_only)),
        "fit": asdict(fit(servers_only)),
        "rapl": summary(rapl),
        "by_generation": summary(by_generation(known)),
        "cpus_before_2011": summary([p for one in unknown for p in judged(one, models[one])]),
        "between": {name: between_loads(profiles, knots) for name, knots in KNOTS.items()},
        "calibrated": {name: summary(by_calibration(profiles, knots)) for name, knots in KNOTS.items()},
        "calibrated_without_its_cpu": {
            name: summary(calibrated_without_its_cpu(profiles, knots)) for name, knots in KNOTS.items()
        },
        "shape": shape(profiles),
        "missed": [str(one) for one in default if not one.held],
    }
    claims = _claims(evidence)
    for claim in claims:
        print(claim)
    write(RESULTS, claims, evidence)
    return 0 if all(claim.holds for claim in claims) else 1


def _claims(evidence: dict[str, Any]) -> list[Claim]:
    apart = evidence["all_found_without_its_generation"]
    return [
        _share("published points within the default bounds", evidence["default"], 0.9),
        _width("the default bounds", evidence["default"]),
        _share(
            "the same with CPUs of before 2011, of which nothing is known",
            evidence["with_cpus_before_2011"],
            0.9,
        ),
        _width("their bounds", evidence["with_cpus_before_2011"]),
        _share(
            "points within bounds whose constants were fitted without that CPU",
            evidence["constants_fitted_without_its_cpu"],
            0.9,
        ),
        _share("points within bounds found, all of them, without that generation of CPUs", apart, 0.9),
        _width("those bounds", apart),
        _share(
            "points of RAPL profiles (packages + memory) within bounds that allow for their memory",
            evidence["rapl"],
            0.9,
        ),
        *(
            _share(f"points within a calibration by {name}, found without that CPU", found, 0.95)
            for name, found in evidence["calibrated_without_its_cpu"].items()
        ),
    ]


def _width(about: str, found: dict[str, Any]) -> Claim:
    return at_most(f"median width of {about}", found["median_width"], 4, "x (high / low)")


def _share(about: str, found: dict[str, Any], wanted: float) -> Claim:
    return Claim(
        f"{about} ({found['held']} of {found['points']})",
        found["held_share"],
        wanted,
        "of points",
        "at least",
    )


if __name__ == "__main__":
    sys.exit(main())
