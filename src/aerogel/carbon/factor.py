"""Factors: what a unit of something costs, with range, year, source and grade; and the book of them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from aerogel.carbon.amount import Amount
from aerogel.core.errors import InputError, require
from aerogel.core.suggest import meant

Grade = Literal["measured", "published", "derived", "assumed"]


@dataclass(frozen=True, slots=True)
class Factor:
    """``value`` (None: only the range is known) between ``low`` and ``high``, in ``unit``.

    key: what it is a factor of: "grid/FRA", "pue/aws", "embodied/h100".
    year: the year it holds for, not that of its publication; None where it has none.
    source: who says so, where.
    grade: "measured": by a meter of the user's; "published": stands in the source; "derived": computed from
        what the source says, as ``note`` explains; "assumed": nobody has measured it.
    own: whether it comes from the user's file, which goes before what aerogel brings.
    """

    key: str
    value: float | None
    low: float
    high: float
    unit: str
    year: int | None
    source: str
    grade: Grade
    note: str = ""
    own: bool = False

    def __post_init__(self) -> None:
        require(
            self.grade in get_args(Grade), InputError, f"factor {self.key}: no grade is called {self.grade!r}"
        )
        require(
            bool(self.source.strip()), InputError, f"factor {self.key} has no source: say where it is from"
        )
        require(bool(self.unit.strip()), InputError, f"factor {self.key} has no unit")
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        require(
            finite, InputError, f"factor {self.key} has bounds {self.low} to {self.high}: give finite ones"
        )
        inside = self.low <= (self.low if self.value is None else self.value) <= self.high
        said = f"factor {self.key} is {self.value}, outside its range {self.low} to {self.high} {self.unit}"
        require(inside, InputError, said)
        least = 1.0 if self.key.startswith("pue/") else 0.0
        said = f"factor {self.key} is {self.low} {self.unit} at least: it cannot be below {least:g}"
        require(self.low >= least, InputError, said)

    @property
    def amount(self) -> Amount:
        """Its value and range, to reckon with."""
        return Amount(self.value, self.low, self.high, self.unit)

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them."""
        return asdict(self)

    def __str__(self) -> str:
        year = "" if self.year is None else f", {self.year}"
        own = "own factor, " if self.own else ""
        return f"{self.key}: {self.amount} ({own}{self.grade}{year}: {self.source})"


class Book:
    """All factors, found by key; the user's own go before those that aerogel brings.

    A key may stand for several years: "grid/FRA" of 2022 and of 2024. ``find(key)`` gives the newest, and
    ``find(key, year=2022)`` that of the year, or of the year nearest before it, or else of the first after
    it; the factor says which it is.
    """

    def __init__(self, factors: Iterable[Factor]) -> None:
        self._factors: dict[str, list[Factor]] = {}
        for factor in factors:
            self._factors.setdefault(factor.key, []).append(factor)
        for key, held in self._factors.items():
            own = [f for f in held if f.own]
            self._factors[key] = sorted(own or held, key=lambda f: -math.inf if f.year is None else f.year)

    def get(self, key: str, *, year: int | None = None) -> Factor | None:
        """The factor, or None where there is none."""
        held = self._factors.get(key)
        if not held:
            return None
        if year is None:
            return held[-1]
        until = [f for f in held if f.year is None or f.year <= year]
        return until[-1] if until else held[0]

    def find(self, key: str, *, year: int | None = None) -> Factor:
        """The factor; InputError where there is none, with the keys that read alike."""
        found = self.get(key, year=year)
        if found is not None:
            return found
        hint = meant(key, self._factors, "give it in one", most=3)
        raise InputError(f"there is no factor {key!r} here or in a file of your own (TOML or CSV): {hint}")

    def with_own(self, factors: Iterable[Factor]) -> Book:
        """The book with ``factors`` marked as the user's own, in place of those under the same keys."""
        own = [_owned(f) for f in factors]
        return Book([*self, *own])

    def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin so, in order of the alphabet."""
        return sorted(key for key in self._factors if key.startswith(prefix))

    def __contains__(self, key: object) -> bool:
        return key in self._factors

    def __iter__(self) -> Iterator[Factor]:
        for key in sorted(self._factors):
            yield from self._factors[key]

    def __len__(self) -> int:
        return sum(len(held) for held in self._factors.values())


def _owned(factor: Factor) -> Factor:
    return replace(factor, own=True)
