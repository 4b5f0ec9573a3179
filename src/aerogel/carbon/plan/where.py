"""Where a piece of work would emit least, by the yearly intensity of grids: countries and cloud regions.

By the year, so what the hour adds is not in it (see ``when_where``); by the average of the grid, not by what
one more job would add. Places whose bounds overlap are not told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import assess
from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.run import Run, utc
from aerogel.core.errors import InputError, require

_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class There:
    """What the work emits at ``place``; ``energy``: with what the building adds."""

    place: str
    energy: Amount
    emitted: Amount
    factors: tuple[Factor, ...]

    def to_json(self) -> dict[str, Any]:
        amounts = {"energy": self.energy.to_json(), "emitted": self.emitted.to_json()}
        return {"place": self.place} | amounts | {"factors": [f.to_json() for f in self.factors]}


def best_places(
    kwh: float, places: Sequence[str], book: Book, facility: str | None = None
) -> tuple[There, ...]:
    """``places`` from that of least emissions on, for work of ``kwh`` at the computers. ``facility``: whose
    buildings; a region of a cloud tells it. InputError where there are no places, or one is not known."""
    require(places, InputError, "there are no places to compare: give some, as FRA,DEU,aws/eu-west-1")
    require(0 < kwh < float("inf"), InputError, f"work of {kwh} kWh: give a number above 0")
    found = [_there(kwh, place, book, facility) for place in dict.fromkeys(places)]
    return tuple(sorted(found, key=lambda there: (there.emitted.value or 0.0, there.place)))


def _there(kwh: float, place: str, book: Book, facility: str | None) -> There:
    joules = kwh * _JOULES_PER_KWH
    run = Run(
        kind="usage",
        label=f"work at {place}",
        began=utc(datetime.now(UTC)),
        seconds=1.0,
        scope="2",
        place=place,
        joules=joules,
        low=joules,
        high=joules,
        method="imported",
        source="given",
        facility=facility,
    )
    lines = {line.quantity: line for line in assess([run], book).lines}
    location = lines["location"]
    return There(place, lines["energy"].amount, location.amount, location.factors)
