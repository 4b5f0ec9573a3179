"""The pictures of a statement: emissions by scope, by month and by model, each with its bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aerogel.carbon.amount import Amount
from aerogel.carbon.inventory import SCOPES, Inventory, Line, Total
from aerogel.carbon.savings import Saving
from aerogel.report.bars import Bar, Bars
from aerogel.report.carbon_words import readable, scale_of
from aerogel.report.chart import Axis
from aerogel.report.document import Pictures

_MOST = 12
_AXIS = Axis("kg CO2e, location-based and making of hardware", None)
_HOW_TO_READ = (
    "A bar ends at the figure, a stroke spans its bounds; without a bar the bounds are all that is known. "
    "What is not known at all is not drawn."
)


def emission_pictures(inventory: Inventory) -> tuple[Pictures, ...]:
    """By scope, by month and by model; those of which there is something to draw."""
    found = [
        _picture("Emissions by scope", inventory, lambda line: f"scope {line.scope}", by_scope=True),
        _picture("Emissions by month", inventory, lambda line: line.run.began[:7]),
        _picture(
            "Emissions by model", inventory, lambda line: line.run.model or line.run.label, largest=True
        ),
    ]
    drawn = tuple(picture for picture in found if picture is not None)
    return (Pictures(drawn, _HOW_TO_READ),) if drawn else ()


def _picture(
    title: str,
    inventory: Inventory,
    key: Callable[[Line], str],
    *,
    by_scope: bool = False,
    largest: bool = False,
) -> Bars | None:
    sums = _sums(inventory, key)
    names = list(sums) if by_scope else sorted(sums)
    if largest:
        names.sort(key=lambda name: -sums[name].high)
    bars = [_bar(name, sums[name]) for name in names[:_MOST]]
    if len(names) > _MOST:
        rest = Total.of((sums[name] for name in names[_MOST:]), "kgCO2e").known
        bars.append(_bar(f"{len(names) - _MOST} others", rest))
    return Bars(title, _AXIS, tuple(bars)) if bars else None


def _sums(inventory: Inventory, key: Callable[[Line], str]) -> dict[str, Amount]:
    """Of lines that have an upper bound; scopes in their order."""
    lines = [*inventory.select("location"), *inventory.select("embodied")]
    lines.sort(key=lambda line: SCOPES.index(line.scope))
    found: dict[str, list[Amount]] = {}
    for line in lines:
        if line.amount.bounded:
            found.setdefault(key(line), []).append(line.amount)
    return {name: Total.of(amounts, "kgCO2e").known for name, amounts in found.items()}


def _bar(name: str, amount: Amount, group: int = 0) -> Bar:
    return Bar(name, amount.value, amount.low, amount.high, str(readable(amount)), group)


def saving_picture(savings: Iterable[Saving]) -> Pictures | None:
    """Energy of a unit of work, dense and sparse, of each pair that can be compared."""
    found: list[Bars] = []
    for saving in savings:
        if not saving.projections:
            continue
        energy = saving.projections[0]
        # The axis in the unit that the larger of the two reads in: joules of one inference are no kWh.
        size, unit = scale_of(max(energy.dense, energy.sparse, key=lambda amount: amount.high))
        bars = tuple(
            _bar(name, amount.scaled(1 / size, unit), group)
            for group, (name, amount) in enumerate((("dense", energy.dense), ("sparse", energy.sparse)))
            if amount.bounded
        )
        if bars:
            axis = Axis(f"{unit} per {saving.unit}, with cooling and the like", None)
            found.append(Bars(saving.pair, axis, bars, ("dense", "sparse")))
    return Pictures(tuple(found), _HOW_TO_READ) if found else None
