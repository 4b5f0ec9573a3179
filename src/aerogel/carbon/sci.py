"""Software carbon intensity: grams of CO2e per functional unit (ISO/IEC 21031:2024), and the same for AI.

    SCI = (E x I + M) per R        M = TE x (TiR / EL) x (RR / ToR)

E is electricity with what the building adds, I the location-based intensity; certificates and offsets have no
place in it. SCI for AI (Green Software Foundation) has two scores. The consumer's covers running a model, per
token, image or inference. The provider's covers making it, per training token or floating point operation:
*gross*, counted as if nothing were zero, or *effective*, those that were done, and a score says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from aerogel.carbon.amount import Amount
from aerogel.carbon.inventory import Inventory
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError, require

Persona = Literal["consumer", "provider"]
Basis = Literal["gross", "effective"]

_USING = ("inference", "serving", "usage")
_MAKING = ("training", "pruning")


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` in grams of CO2e per ``per`` of ``unit``: 0.13 g per 1,000 token.

    persona: whose score of SCI for AI this is. basis: of floating point operations, how they were counted.
    carbon: E x I + M in grams; units: R. runs: the ids of those it covers. note: why there is no value.
    """

    name: str
    persona: Persona
    value: Amount
    per: float
    unit: str
    basis: Basis | None
    carbon: Amount
    units: float | None
    runs: tuple[str, ...]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return {
            "name": self.name,
            "persona": self.persona,
            "value": self.value.to_json(),
            "per": self.per,
            "unit": self.unit,
            "basis": self.basis,
            "carbon": self.carbon.to_json(),
            "units": self.units,
            "runs": list(self.runs),
            "note": self.note,
        }


def intensity(carbon: Amount, units: float, unit: str, per: float = 1.0) -> Amount:
    """``carbon`` per ``per`` of ``units``; InputError unless there are some."""
    require(units > 0, InputError, f"{units} units of {unit} were done: nothing is per none of them")
    return carbon.scaled(per / units, f"{carbon.unit} per {count(per, unit)}")


def sci(energy_kwh: Amount, grams_per_kwh: Amount, embodied_g: Amount, units: float, unit: str) -> Amount:
    """(E x I + M) per R, in grams of CO2e per unit."""
    operational = energy_kwh.times(grams_per_kwh, "gCO2e")
    return intensity(operational + embodied_g, units, unit)


def scores(inventory: Inventory) -> tuple[Score, ...]:
    """Consumers' scores by model and unit, then providers' by model; of runs that count none, no score."""
    return (*_consumers(inventory), *_providers(inventory))


def _consumers(inventory: Inventory) -> Iterable[Score]:
    runs = [run for run in inventory.runs if run.kind in _USING and run.unit is not None and run.units]
    for (name, unit), group in _grouped(runs, lambda run: (_name(run), run.unit or "")).items():
        units = sum(run.units or 0.0 for run in group)
        yield _score(inventory, name, "consumer", group, unit, units)


def _providers(inventory: Inventory) -> Iterable[Score]:
    runs = [run for run in inventory.runs if run.kind in _MAKING]
    for (name,), group in _grouped(runs, lambda run: (_name(run),)).items():
        units = {run.unit for run in group}
        unit = units.pop() if len(units) == 1 else None
        if unit is not None:
            yield _score(inventory, name, "provider", group, unit, sum(run.units or 0.0 for run in group))
        yield _per_operation(inventory, name, group, "gross")
        yield _per_operation(inventory, name, group, "effective")


def _per_operation(inventory: Inventory, name: str, group: list[Run], basis: Basis) -> Score:
    counts = [run.flops_gross if basis == "gross" else run.flops_effective for run in group]
    known = [number for number in counts if number is not None]
    # Part of the emissions over part of the operations would be a score of nothing.
    units = sum(known) if len(known) == len(group) else None
    return _score(inventory, name, "provider", group, "FLOP", units, basis)


def _score(
    inventory: Inventory,
    name: str,
    persona: Persona,
    group: list[Run],
    unit: str,
    units: float | None,
    basis: Basis | None = None,
) -> Score:
    operational = inventory.total("location", runs=group).amount
    embodied = inventory.total("embodied", runs=group).amount
    carbon = (operational + embodied).scaled(1e3, "gCO2e")
    ids = tuple(run.id for run in group)
    if not units:
        note = f"{unit} were not counted in every run"
        return Score(name, persona, Amount.unknown(""), 1.0, unit, basis, carbon, units, ids, note)
    per = _readable(carbon, units)
    return Score(
        name,
        persona,
        intensity(carbon, units, unit, per),
        per,
        unit,
        basis,
        carbon,
        units,
        ids,
        _open(carbon),
    )


def _open(carbon: Amount) -> str:
    return "" if carbon.bounded else "without bound: energy or hardware of some run is not known"


def _readable(carbon: Amount, units: float) -> float:
    """1, 1,000, a million ...: so many units that they emit a gram or more, where there are so many."""
    grams = carbon.low if carbon.value is None else carbon.value
    per = 1.0
    while grams > 0 and grams * per / units < 0.1 and per < 1e18:
        per *= 1e3
    return per


def _name(run: Run) -> str:
    return run.model or run.label


def _grouped(runs: Iterable[Run], key: Callable[[Run], tuple[str, ...]]) -> dict[tuple[str, ...], list[Run]]:
    found: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return found


def count(per: float, unit: str) -> str:
    """In words: token, 1,000 token, 10^18 FLOP."""
    if per == 1:
        return unit
    if per < 1e9:
        return f"{per:,.0f} {unit}"
    return f"10^{round(len(f'{per:.0f}') - 1)} {unit}"
