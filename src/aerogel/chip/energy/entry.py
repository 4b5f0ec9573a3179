"""An entry of the table: what one action costs, for which node and voltage, who says so."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from aerogel.chip.energy.scaling import NODES, Rule, factor
from aerogel.core.errors import ChipError, require

Grade = Literal["published", "derived", "assumed"]
"""``published``: stands in the source. ``derived``: computed from it, as the note says. ``assumed``: nobody
has measured it; the note says why this, and the range is wide."""

UNITS = ("pJ", "pJ/bit", "pJ/bit^2", "pJ/bit/mm", "W/mm2", "W/bit", "um2/bit", "um2/bit^2", "")


@dataclass(frozen=True, slots=True)
class Entry:
    """``value`` between ``low`` and ``high``, in ``unit``, for ``node`` nm and ``volts``; see ``scaling``.

    ``key``: the action, "network/wire". ``own``: from the user's file.
    """

    key: str
    value: float
    low: float
    high: float
    unit: str
    node: float
    volts: float
    rule: Rule
    source: str
    grade: Grade
    note: str = ""
    own: bool = False

    def __post_init__(self) -> None:
        where = f"entry {self.key}"
        numbers = (self.value, self.low, self.high, self.node, self.volts)
        require(all(map(math.isfinite, numbers)), ChipError, f"{where} has a number that is not finite")
        ordered = 0 <= self.low <= self.value <= self.high
        told = f"{where} is {self.value:g}, outside its range {self.low:g} to {self.high:g}"
        require(ordered, ChipError, told)
        # An action that costs nothing is mostly one that somebody forgot.
        require(self.value > 0, ChipError, f"{where} is 0: give what it costs, or a small number and why")
        require(bool(self.source.strip()), ChipError, f"{where} has no source: say who says so, and where")
        for field, said, known in (
            ("unit", self.unit, UNITS),
            ("rule", self.rule, get_args(Rule)),
            ("grade", self.grade, get_args(Grade)),
        ):
            told = f"{where}: {field} is {said!r}; there are {', '.join(map(repr, known))}"
            require(said in known, ChipError, told)
        require(
            self.grade == "published" or self.note, ChipError, f"{where} is {self.grade}: its note says how"
        )
        least, most = NODES
        scaled = self.rule not in ("cell", "fixed")
        told = f"{where} is for {self.node:g} nm; known are {least:g} to {most:g} nm"
        require(not scaled or least <= self.node <= most, ChipError, told)
        require(0.3 <= self.volts <= 1.5, ChipError, f"{where} is for {self.volts:g} V: give 0.3 to 1.5 V")

    def at(self, node: float, volts: float) -> float:
        """Its value on a chip of that node and voltage, in its unit."""
        return self.value * factor(self.rule, (self.node, self.volts), (node, volts))

    def set(self, value: float) -> Entry:
        """The same with another value; its range stays, but takes that in."""
        return replace(self, value=value, low=min(self.low, value), high=max(self.high, value))
