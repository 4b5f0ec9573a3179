"""Named hardware in the order of the energy that a piece of work would take on it, the accelerator alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.factor import Factor
from aerogel.carbon.plan.work import HOUR_S, Machine
from aerogel.core.errors import InputError, require

_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Effort:
    """The device-hours and the kWh of a piece of work on one machine, and what they were reckoned from."""

    machine: Machine
    hours: Amount
    energy: Amount
    covers: str
    factors: tuple[Factor, ...]

    def to_json(self) -> dict[str, Any]:
        hardware = self.machine.hardware
        return {
            "hardware": hardware.to_json(),
            "dtype": self.machine.dtype,
            "hours": self.hours.to_json(),
            "energy": self.energy.to_json(),
            "covers": self.covers,
            "flop_per_joule_at_peak": hardware.per_joule(self.machine.dtype),
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """``efforts``: from the least energy on; ``left_out``: names of hardware, with why nothing is known."""

    efforts: tuple[Effort, ...]
    left_out: tuple[tuple[str, str], ...]

    def rivals(self) -> tuple[Effort, ...]:
        """Those that may take as little as the first, within the bounds."""
        high = self.efforts[0].energy.high
        return tuple(effort for effort in self.efforts[1:] if effort.energy.low <= high)

    def to_json(self) -> dict[str, Any]:
        rivals = self.rivals()
        rows = [e.to_json() | {"may_be_least": e is self.efforts[0] or e in rivals} for e in self.efforts]
        factors = {f.key: f.to_json() for e in self.efforts for f in e.factors}
        left_out = [{"name": name, "reason": reason} for name, reason in self.left_out]
        return {"ranking": rows, "left_out": left_out, "factors": list(factors.values())}


def rank(flop: Amount, machines: Sequence[Machine], moved_bytes: float | None = None) -> Ranking:
    """InputError where there are no machines, or of none enough is known."""
    require(machines, InputError, "there is no hardware to rank: name some")
    efforts: list[Effort] = []
    left_out: list[tuple[str, str]] = []
    for machine in machines:
        try:
            efforts.append(_effort(flop, machine, moved_bytes))
        except InputError as error:
            left_out.append((machine.hardware.name, str(error)))
    require(efforts, InputError, f"nothing can be ranked: {'; '.join(reason for _, reason in left_out)}")
    return Ranking(tuple(sorted(efforts, key=_size)), tuple(left_out))


def _effort(flop: Amount, machine: Machine, moved_bytes: float | None) -> Effort:
    hours = machine.hours(flop, moved_bytes)
    watts, factor, covers = machine.watts_in_use()
    energy = hours.times(watts.scaled(HOUR_S / _JOULES_PER_KWH, "kWh/h"), "kWh")
    return Effort(machine, hours, energy, covers, (machine.utilisation, factor))


def _size(effort: Effort) -> float:
    assert effort.energy.value is not None
    return effort.energy.value
