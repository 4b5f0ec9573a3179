"""What a sweep found at each point, and which points nothing beats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from aerogel.core.errors import FormatError, require


@dataclass(frozen=True, slots=True)
class Outcome:
    """All work of a sweep on one fabric. ``seconds``, ``joules`` (between ``low`` and ``high``): of all work
    together; ``mm2``: of the fabric; None where ``obstacle`` says what could not be done."""

    point: str
    settings: dict[str, Any]
    seconds: float | None = None
    joules: float | None = None
    low: float | None = None
    high: float | None = None
    mm2: float | None = None
    boundary: str = ""
    obstacle: str = ""

    @property
    def measures(self) -> tuple[float, float, float] | None:
        """Seconds, joules and mm2; None where there are none."""
        if self.seconds is None or self.joules is None or self.mm2 is None:
            return None
        return self.seconds, self.joules, self.mm2

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(read: Any, where: str) -> Outcome:
        """FormatError, naming ``where``, for what ``to_json`` never made."""
        names = {field.name for field in fields(Outcome)}
        told = f"{where} is no point of a sweep: it was written by something else, or damaged"
        require(isinstance(read, dict) and set(read) == names, FormatError, told)
        numbers = [read[name] for name in ("seconds", "joules", "low", "high", "mm2")]
        sound = all(number is None or isinstance(number, int | float) for number in numbers)
        require(
            sound and isinstance(read["point"], str) and isinstance(read["settings"], dict), FormatError, told
        )
        return Outcome(**read)


def front(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Those that no other is as good as in time, energy and area, and better in one: fastest first."""
    able = [(one, one.measures) for one in outcomes]
    sound = [(one, measures) for one, measures in able if measures is not None]
    best = [one for one, mine in sound if not any(_beats(other, mine) for _, other in sound)]
    return tuple(sorted(best, key=lambda one: (one.measures or (), one.point)))


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
