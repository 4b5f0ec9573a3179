"""The energy of a run: its counts by the table, calibrated, with what it could be instead.

    e = load_model().energy(run.counts, fabric, seconds=run.seconds)
    e.joules, e.low, e.high        # chip and DRAM
    print(e)                       # by group, with the boundary, node, voltage and residual

The range: each entry of the table is set to its ends, one at a time, the calibration is done again each time
(whatever the entry, the published point must be met), and the differences are added as squares: entries err
independently. One more is about the residual: it may be what a cycle takes in which nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import hypot
from pathlib import Path
from typing import Any

from aerogel.chip.energy.bill import Charge, Machine, bill, machine_of
from aerogel.chip.energy.calibrate import Calibration, Point, calibrate
from aerogel.chip.energy.table import Table, load_table
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.counts import Counts
from aerogel.chip.machine.netlist import Values

_AREAS = "area/"


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of a run; ``joules`` lies between ``low`` and ``high``.

    ``charges``: each after calibration. ``seconds``: that the run took. ``calibration``: with its residual.
    """

    charges: tuple[Charge, ...]
    low: float
    high: float
    seconds: float
    calibration: Calibration
    machine: Machine

    @property
    def joules(self) -> float:
        """Of chip and DRAM."""
        return self.chip_joules + self.dram_joules

    @property
    def chip_joules(self) -> float:
        return sum(charge.joules for charge in self.charges if charge.group != "DRAM")

    @property
    def dram_joules(self) -> float:
        return sum(charge.joules for charge in self.charges if charge.group == "DRAM")

    @property
    def watts(self) -> float | None:
        """On average; None for a run that took no time."""
        return self.joules / self.seconds if self.seconds else None

    def groups(self) -> dict[str, float]:
        """Joules by group, in the order of the bill."""
        found: dict[str, float] = {}
        for charge in self.charges:
            found[charge.group] = found.get(charge.group, 0.0) + charge.joules
        return found

    @property
    def boundary(self) -> str:
        """What is in it, and for what machine: this stands beside every figure."""
        at = self.machine
        return (
            f"chip and {at.fabric.dram.kind} without host; {at.values}, {at.table.node:g} nm, "
            f"{at.fabric.volts:g} V, {at.fabric.clock_hertz / 1e6:g} MHz"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "joules": self.joules,
            "low": self.low,
            "high": self.high,
            "chip_joules": self.chip_joules,
            "dram_joules": self.dram_joules,
            "groups": self.groups(),
            "boundary": self.boundary,
            "calibration": str(self.calibration),
            "residual_picojoules_per_mac": self.calibration.residual_picojoules,
        }

    def __str__(self) -> str:
        total = self.joules
        lines = [
            f"{joules:10.3e} J {joules / total if total else 0.0:6.1%}  {group}"
            for group, joules in self.groups().items()
        ]
        lines += [f"{total:10.3e} J  between {self.low:.3e} and {self.high:.3e}: {self.boundary}"]
        return "\n".join([*lines, f"calibrated: {self.calibration}"])


@dataclass(frozen=True, slots=True)
class Model:
    """A table, calibrated. ``variants``: the same with an entry at one of its ends, calibrated again."""

    table: Table
    calibration: Calibration
    variants: tuple[tuple[Table, Calibration], ...]

    def energy(
        self,
        counts: Counts,
        fabric: Fabric,
        *,
        seconds: float | None = None,
        values: Values | None = None,
    ) -> Energy:
        """What a run took.

        ``seconds``: how long it was, waiting for DRAM included (leakage goes on); by default its cycles
        alone. ``values``: what was computed in, by default the fabric's. ChipError where something was
        counted that the table has no entry for.
        """
        took = counts.cycles / fabric.clock_hertz if seconds is None else seconds
        machine = machine_of(fabric, self.table, values)
        raw = bill(counts, machine, took)
        charges = _calibrated(raw, self.calibration)
        total = _sum(charges)
        others = [_standing(raw, self.calibration)]
        for table, calibration in self.variants:
            charged = bill(counts, machine_of(fabric, table, values), took)
            others.append(_sum(_calibrated(charged, calibration)))
        below = hypot(*(min(other - total, 0.0) for other in others))
        above = hypot(*(max(other - total, 0.0) for other in others))
        return Energy(charges, max(total - below, 0.0), total + above, took, self.calibration, machine)


def make_model(table: Table, point: Point | None = None) -> Model:
    """``point``: what it is calibrated by; by default Onyx's published one."""
    variants = tuple((changed, calibrate(changed, point)) for changed in _ends(table))
    return Model(table, calibrate(table, point), variants)


def load_model(own: Path | str | None = None) -> Model:
    """With the table that comes with aerogel, the entries of the file ``own`` in place of its; a file is read
    each time, for it may have been edited."""
    return _brought() if own is None else make_model(load_table(own))


@cache
def _brought() -> Model:
    return make_model(load_table())


def model_for(fabric: str | Path | Fabric, own: Path | str | None = None) -> Model:
    """For a fabric by name or file: by the file ``own`` where it is given, else by what the fabric's own file
    says of energies, if anything."""
    if own is None and not isinstance(fabric, Fabric) and str(fabric).endswith(".toml"):
        own = fabric
    return load_model(own)


def _ends(table: Table) -> Iterator[Table]:
    for entry in table:
        # What areas do to wires and leakage is small beside what the entries for these do themselves.
        if not entry.key.startswith("area/"):
            yield from (table.with_value(entry.key, end) for end in (entry.low, entry.high) if end > 0)


def _calibrated(charges: tuple[Charge, ...], calibration: Calibration) -> tuple[Charge, ...]:
    """The factor is for what is on the chip."""
    factor = calibration.factor
    return tuple(
        c if c.group == "DRAM" else Charge(c.group, c.name, c.amount, c.joules_each * factor) for c in charges
    )


def _standing(charges: tuple[Charge, ...], calibration: Calibration) -> float:
    """The total if clocks take all of the residual, so cycles in which nothing is done as well."""
    factor = 1 + calibration.residual_picojoules / calibration.groups["clock"]
    return sum(charge.joules * (factor if charge.group == "clock" else 1.0) for charge in charges)


def _sum(charges: tuple[Charge, ...]) -> float:
    return sum(charge.joules for charge in charges)
