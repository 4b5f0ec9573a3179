"""Machines whose power is known at every moment, shown as trees of powercap: what a meter says is compared
with it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.energy.trees import RANGE_UJ, Tree

SMALL_RANGE_UJ = 10_000_000_000
"""Less than CPUs have, so that short traces wrap often: a round takes 5 s at least."""

Watts = Callable[[float], float]
"""Power at a time in seconds."""


def steady(watts: float) -> Watts:
    return lambda at_s: watts


def waves(low: float, high: float, period_s: float = 37.0) -> Watts:
    """Up and down, with a short idle time in each period."""

    def watts(at_s: float) -> float:
        phase = at_s % period_s / period_s
        return low if phase > 0.9 else (low + high) / 2 + (high - low) / 2 * math.sin(2 * math.pi * phase)

    return watts


@dataclass
class Counter:
    """A counter in hardware: ``uj`` goes on whether or not anybody shows it."""

    watts: Watts
    uj: float = 1_000_000.0
    range_uj: int = RANGE_UJ
    true_joules: float = 0.0
    counting: bool = True
    """Whether what it counts belongs to the truth: from when it is plugged in."""


@dataclass
class Simulated:
    """Time, counters by the name of each, and the zones that show them; ``step`` lets time pass."""

    root: Path
    now_s: float = 100.0
    counters: dict[str, Counter] = field(default_factory=dict[str, Counter])
    shown: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Of each zone, as "intel-rapl:0": its name, and which counter it shows."""
    broken: dict[str, str] = field(default_factory=dict[str, str])
    """Of a zone: what its file holds in place of the counter."""

    def __call__(self) -> float:
        """The clock."""
        return self.now_s

    def show(self, place: str, name: str, counter: str) -> None:
        """From now on a zone shows a counter."""
        self.shown[place] = name, counter
        Tree(self.root).zone(place, name, 0, self.counters[counter].range_uj)
        self.write()

    def hide(self, place: str) -> None:
        """A zone goes, with all below it."""
        below = [zone for zone in self.shown if zone == place or zone.startswith(f"{place}:")]
        for other in sorted(below, key=len, reverse=True):
            link = self.root / "sys/class/powercap" / other
            shutil.rmtree(link.resolve())
            link.unlink()
            del self.shown[other]

    def step(self, seconds: float) -> None:
        """Four parts of a step each have their own power."""
        for part in range(4):
            middle_s = self.now_s + seconds * (part + 0.5) / 4
            for counter in self.counters.values():
                joules = counter.watts(middle_s) * seconds / 4
                counter.uj = (counter.uj + joules * 1e6) % counter.range_uj
                counter.true_joules += joules * counter.counting
        self.now_s += seconds
        self.write()

    def write(self) -> None:
        for place, (name, counter) in self.shown.items():
            if name in ("core", "psys"):
                continue  # nobody reads them
            text = self.broken.get(place, f"{int(self.counters[counter].uj)}")
            with open(f"{self.root}/sys/class/powercap/{place}/energy_uj", "w", encoding="utf-8") as file:  # noqa: PTH123  (it is quicker)
                file.write(f"{text}\n")

    def truth(self, *counters: str) -> float:
        """Joules that these have counted."""
        return sum(self.counters[counter].true_joules for counter in counters)


def server(root: Path, range_uj: int = RANGE_UJ) -> Simulated:
    """Two packages with memory, and every zone that overlaps with them: cores, the platform, a second
    interface."""
    machine = Simulated(root)
    for package in (0, 1):
        power = waves(60.0, 280.0 + 20 * package, 17.0)
        machine.counters[f"cpu{package}"] = Counter(power, 2e9 * (package + 1), range_uj)
        machine.counters[f"dram{package}"] = Counter(waves(5.0, 30.0), 5e9, range_uj)
        machine.counters[f"core{package}"] = Counter(waves(20.0, 200.0), 2e9)
        machine.show(f"intel-rapl:{package}", f"package-{package}", f"cpu{package}")
        machine.show(f"intel-rapl:{package}:0", "dram", f"dram{package}")
        machine.show(f"intel-rapl:{package}:1", "core", f"core{package}")
        machine.show(f"intel-rapl-mmio:{package}", f"package-{package}", f"cpu{package}")
    machine.counters["psys"] = Counter(steady(700.0), 9e9)
    machine.show("intel-rapl:2", "psys", "psys")
    return machine


PACKAGES = ("cpu0", "dram0", "cpu1", "dram1")
"""What the truth is of ``server``."""
