"""Right-sizing: of several models measured on one's own task, the cheapest that meets the accuracy.

Accuracy on so many examples is known within an interval (Wilson's, 95 %); cost within the bounds of its meter
or power model. So a choice says what is sure of it: that the model meets the accuracy, and that no other
which does costs less. Costs that were obtained in different ways are not compared.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.cells import number_in
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError, require

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model as measured: ``accuracy``, and ``cost`` of one item in a unit common to all, such as J or s.

    method: how the cost was obtained: "measured by RAPL package-0", "estimated", "time".
    """

    model: str
    accuracy: Amount
    cost: Amount
    method: str

    def to_json(self) -> dict[str, Any]:
        amounts = {"accuracy": self.accuracy.to_json(), "cost_per_item": self.cost.to_json()}
        return {"model": self.model, "method": self.method} | amounts


@dataclass(frozen=True, slots=True)
class Choice:
    """``chosen`` None: no model meets ``wanted``. ``enough``: those that do, the cheapest first; ``sure``:
    only those were let in whose accuracy surely does. ``front``: models than which none is both better and
    cheaper. ``without_cost``: models that do, and of whose cost nothing is known."""

    wanted: float
    sure: bool
    chosen: Candidate | None
    enough: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    nearest: Candidate
    without_cost: tuple[Candidate, ...]

    @property
    def surely_accurate(self) -> bool:
        """Whether the chosen model's accuracy is enough wherever it lies in its interval."""
        return self.chosen is not None and self.chosen.accuracy.low >= self.wanted

    @property
    def rivals(self) -> tuple[Candidate, ...]:
        """Other models that are accurate enough and may cost as little as the chosen one."""
        if self.chosen is None:
            return ()
        high = self.chosen.cost.high
        return (*(c for c in self.enough[1:] if c.cost.low <= high), *self.without_cost)

    def saved(self, other: Candidate) -> Amount:
        """The share of ``other``'s cost that the chosen model saves, taking the two for independent."""
        assert self.chosen is not None
        a, b = self.chosen.cost, other.cost
        if not b.value or a.value is None or b.low <= 0:
            return Amount(None, -math.inf, 1.0, "")
        return Amount(1 - a.value / b.value, 1 - a.high / b.low, 1 - a.low / b.high, "")

    def to_json(self) -> dict[str, Any]:
        return {
            "wanted": self.wanted,
            "sure": self.sure,
            "chosen": None if self.chosen is None else self.chosen.to_json(),
            "surely_accurate": self.surely_accurate,
            "rivals": [c.model for c in self.rivals],
            "enough": [c.to_json() for c in self.enough],
            "front": [c.model for c in self.front],
            "without_cost": [c.model for c in self.without_cost],
        }


def right_size(candidates: Sequence[Candidate], wanted: float, *, sure: bool = False) -> Choice:
    """The cheapest of ``candidates`` whose accuracy is ``wanted`` or more; with ``sure``, wherever it lies in
    its interval. InputError where there are none, or where costs were obtained in different ways."""
    require(candidates, InputError, "there are no models to choose from: give at least one")
    names = [c.model for c in candidates]
    twice = sorted({n for n in names if names.count(n) > 1})
    require(not twice, InputError, f"{', '.join(twice)} stands twice: give each model once")
    known = [c for c in candidates if c.cost.bounded]
    ways = sorted({f"{c.method}, in {c.cost.unit}" for c in known})
    said = f"costs obtained in different ways are not compared: {'; '.join(ways)}. Measure all in one way"
    require(len(ways) <= 1, InputError, said)
    met = [c for c in candidates if (c.accuracy.low if sure else _middle(c.accuracy)) >= wanted]
    enough = sorted((c for c in met if c.cost.bounded), key=lambda c: (_middle(c.cost), -_middle(c.accuracy)))
    return Choice(
        wanted=wanted,
        sure=sure,
        chosen=enough[0] if enough else None,
        enough=tuple(enough),
        front=tuple(_front(known)),
        nearest=max(candidates, key=lambda c: _middle(c.accuracy)),
        without_cost=tuple(c for c in met if not c.cost.bounded),
    )


def _middle(amount: Amount) -> float:
    """Its value; without one, the middle of its bounds as ratios go: they span orders of magnitude."""
    if amount.value is not None:
        return amount.value
    return math.sqrt(amount.low * amount.high) if amount.low > 0 else amount.high / 2


def _front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """From the cheapest on, each that is more accurate than all before it."""
    front: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: (_middle(c.cost), -_middle(c.accuracy))):
        if not front or _middle(one.accuracy) > _middle(front[-1].accuracy):
            front.append(one)
    return front


def wilson(share: float, items: float) -> Amount:
    """A share that was found on ``items`` examples, with its 95 % interval (Wilson 1927)."""
    z2 = _NORMAL_95**2 / items
    centre = (share + z2 / 2) / (1 + z2)
    half = _NORMAL_95 / (1 + z2) * math.sqrt(share * (1 - share) / items + z2 / (4 * items))
    return Amount(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), "")


def read_candidates(path: Path, runs: Sequence[Run] = ()) -> list[Candidate]:
    """Models from a CSV file: ``model``, ``accuracy``; ``tested`` (examples it was found on) or
    ``accuracy_low`` and ``accuracy_high``; and a cost, the same for all: ``joules_per_item`` with
    ``joules_low`` and ``joules_high`` where known, or ``seconds_per_item``; ``method``: how it was obtained.

    Without ``tested`` or bounds the accuracy's error is not known, and nothing about it is called sure. A
    model without a cost takes that of ``runs`` that name it, where there are any: joules over units of work.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of models: {error}") from error
    require(rows, InputError, f"{path} names no models: give rows of model, accuracy and joules_per_item")
    joules = any((row.get("joules_per_item") or row.get("joules_low")) for row in rows)
    by = "joules" if joules or runs else "seconds"
    found = [_candidate(row, f"{path}, line {number}", by) for number, row in enumerate(rows, 2)]
    return [c if c.cost.bounded else _from_runs(c, runs) for c in found]


def _from_runs(candidate: Candidate, runs: Sequence[Run]) -> Candidate:
    """With what inference took on record; as it is where nothing of the model is."""
    own = [r for r in runs if r.model == candidate.model and r.kind in ("inference", "serving") and r.units]
    if not own:
        return candidate
    units = sorted({str(r.unit) for r in own})
    one = f"runs of {candidate.model} count {' and '.join(units)}: give the cost in the table, of one unit"
    require(len(units) == 1, InputError, one)
    ways = {f"{r.method}: {r.source}" for r in own}
    said = f"runs of {candidate.model} were metered in different ways: give the cost in the table"
    require(len(ways) == 1, InputError, said)
    each = (
        Amount.unknown("J") if r.low is None or r.high is None else Amount(r.joules, r.low, r.high, "J")
        for r in own
    )
    total = Amount.total(each, "J")
    return replace(candidate, cost=total.scaled(1 / sum(r.units or 0.0 for r in own)), method=ways.pop())


def _candidate(row: Mapping[str, str | None], where: str, by: str) -> Candidate:
    model = (row.get("model") or "").strip()
    require(model, InputError, f"{where}: the model has no name")
    method = (row.get("method") or "").strip()
    if by == "seconds":
        cost, method = _cost(row, where, "seconds", "s"), "time, as energy was not measured"
    else:
        cost = _cost(row, where, "joules", "J")
    return Candidate(model, _accuracy(row, where), cost, method or "as given")


def _cost(row: Mapping[str, str | None], where: str, name: str, unit: str) -> Amount:
    value = number_in(row, f"{name}_per_item", where)
    low, high = number_in(row, f"{name}_low", where), number_in(row, f"{name}_high", where)
    require((low is None) == (high is None), InputError, f"{where}: the cost has one bound of two")
    if low is None or high is None:
        return Amount.unknown(unit) if value is None else Amount.exact(value, unit)
    inside = low <= (low if value is None else value) <= high
    require(inside, InputError, f"{where}: {value} {unit} lies outside {low} to {high}")
    return Amount(value, low, high, unit)


def _accuracy(row: Mapping[str, str | None], where: str) -> Amount:
    value = number_in(row, "accuracy", where)
    if value is None:
        raise InputError(f"{where}: no accuracy")
    low, high = number_in(row, "accuracy_low", where), number_in(row, "accuracy_high", where)
    tested = number_in(row, "tested", where)
    if low is not None and high is not None:
        require(low <= value <= high, InputError, f"{where}: accuracy {value} lies outside {low} to {high}")
        return Amount(value, low, high, "")
    if tested is not None:
        said = (
            f"{where}: an accuracy of {value} on {tested:g} examples: give a share from 0 to 1, and examples"
        )
        require(value <= 1 and tested >= 1, InputError, said)
        return wilson(value, tested)
    return Amount(value, 0.0, max(1.0, value), "")
