"""A number with the bounds it lies between and its unit; what is not known is None, never 0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aerogel.core.errors import InputError, require


@dataclass(frozen=True, slots=True)
class Amount:
    """``value`` (None: nobody knows) between ``low`` and ``high``, in ``unit``.

    Bounds are taken for limits: sums add them end to end, and products take the extremes, as interval
    arithmetic does. That holds however the errors depend on each other: it is exact where all go the same way
    (runs under one factor), and too wide where they are independent and partly cancel. Bounds may be
    infinite; where nothing at all is known they are 0 and infinity, since what is counted here (energy,
    emissions, water, money) is not negative. Differences may be.
    """

    value: float | None
    low: float
    high: float
    unit: str

    def __post_init__(self) -> None:
        bad = math.isnan(self.low) or math.isnan(self.high) or self.low > self.high
        require(
            not bad, InputError, f"an amount of {self.unit} has bounds {self.low} to {self.high}: low first"
        )
        if self.value is not None:
            inside = math.isfinite(self.value) and self.low <= self.value <= self.high
            said = f"an amount of {self.value} {self.unit} lies outside its bounds {self.low} to {self.high}"
            require(inside, InputError, said)

    @classmethod
    def exact(cls, value: float, unit: str) -> Amount:
        """``value``, beyond doubt."""
        return cls(value, value, value, unit)

    @classmethod
    def unknown(cls, unit: str) -> Amount:
        """Of which nothing is known: no value, from 0 to infinity."""
        return cls(None, 0.0, math.inf, unit)

    @property
    def known(self) -> bool:
        """Whether there is a value, rather than bounds alone."""
        return self.value is not None

    @property
    def bounded(self) -> bool:
        """Whether both bounds are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __add__(self, other: Amount) -> Amount:
        self._require_unit(other, "added to")
        value = None if self.value is None or other.value is None else self.value + other.value
        return _within(value, self.low + other.low, self.high + other.high, self.unit)

    def __sub__(self, other: Amount) -> Amount:
        """The difference of two amounts of which each may lie anywhere within its bounds."""
        self._require_unit(other, "subtracted from")
        value = None if self.value is None or other.value is None else self.value - other.value
        return _within(value, _minus(self.low, other.high), _minus(self.high, other.low), self.unit)

    def scaled(self, by: float, unit: str | None = None) -> Amount:
        """``by`` times as much; ``unit`` where that changes it: joules.scaled(1 / 3.6e6, "kWh")."""
        require(math.isfinite(by), InputError, f"an amount of {self.unit} cannot be scaled by {by}")
        return self.times(Amount.exact(by, ""), unit or self.unit)

    def times(self, other: Amount, unit: str) -> Amount:
        """The product, in ``unit``, of independent amounts: its bounds are the extreme products."""
        value = None if self.value is None or other.value is None else self.value * other.value
        ends = [_product(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return _within(value, min(ends), max(ends), unit)

    def over(self, other: Amount, unit: str) -> Amount:
        """The quotient, in ``unit``; InputError where ``other`` may be 0 or less."""
        said = (
            f"{self.unit} per {other.unit}: the divisor is between {other.low} and {other.high}, not above 0"
        )
        require(other.low > 0, InputError, said)
        inverse = None if other.value is None else 1 / other.value
        return self.times(_within(inverse, 1 / other.high, 1 / other.low, ""), unit)

    @staticmethod
    def total(amounts: Iterable[Amount], unit: str) -> Amount:
        """The sum, in ``unit``. Of no amounts it is exactly 0; one without a value leaves the sum without."""
        whole = Amount.exact(0.0, unit)
        for amount in amounts:
            whole = whole + amount
        return whole

    def to_json(self) -> dict[str, Any]:
        """All fields, as ``json.dumps`` takes them: an infinite bound is None."""
        low, high = (x if math.isfinite(x) else None for x in (self.low, self.high))
        return {"value": self.value, "low": low, "high": high, "unit": self.unit}

    def __str__(self) -> str:
        """In words: "12.3 kWh [12.2, 12.4]", "1.2 to 75 kWh", "at least 3 kWh", "unknown"."""
        if self.value is not None:
            return f"{_digits(self.value)} {self.unit}{_brackets(self.low, self.high)}".rstrip()
        if self.bounded:
            return f"{_digits(self.low)} to {_digits(self.high)} {self.unit}".rstrip()
        if math.isfinite(self.low) and self.low > 0:
            return f"at least {_digits(self.low)} {self.unit}".rstrip()
        return "unknown"

    def _require_unit(self, other: Amount, verb: str) -> None:
        said = f"an amount in {other.unit or 'no unit'} cannot be {verb} one in {self.unit or 'no unit'}"
        require(self.unit == other.unit, InputError, said)


def _within(value: float | None, low: float, high: float, unit: str) -> Amount:
    """Rounding may carry a bound past the value by one unit in the last place: the bounds give way."""
    if value is None:
        return Amount(None, low, high, unit)
    return Amount(value, min(low, value), max(high, value), unit)


def _product(a: float, b: float) -> float:
    """As interval arithmetic has it, 0 times infinity is 0: the bounds of nothing times anything."""
    return 0.0 if a == 0 or b == 0 else a * b


def _minus(a: float, b: float) -> float:
    """Infinity less infinity, as bounds: whatever it may be, it lies between the infinities on its side."""
    return a - b if math.isfinite(a) or math.isfinite(b) or a != b else -b


def _brackets(low: float, high: float) -> str:
    if low == high:
        return ""
    return f" [{_digits(low)}, {_digits(high)}]"


def _digits(x: float) -> str:
    """Three digits, without exponents where they would only be in the way: "1,290,000", "0.0123"."""
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    rounded = float(f"{x:.3g}")
    if 1000 <= abs(rounded) < 1e15:
        return f"{rounded:,.0f}"
    return f"{rounded:.3g}"
