"""When something in a list of usage happened, and for how long: days, months, years, or two times."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aerogel.core.errors import InputError, require

_YEAR, _MONTH, _DAY = (re.compile(p) for p in (r"\d{4}", r"\d{4}-\d{2}", r"\d{4}-\d{2}-\d{2}"))


@dataclass(frozen=True, slots=True)
class Period:
    """From ``begin`` to before ``end``, in UTC; ``end`` is None where only a moment was given."""

    begin: datetime
    end: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it is; None where only its beginning is known."""
        return None if self.end is None else (self.end - self.begin).total_seconds()


def period_of(began: str, until: str | None) -> Period:
    """A year, a month or a day ("2026", "2026-10", "2026-10-03"), or a time with its offset from UTC; with
    ``until``, up to the end of that year, month or day, or up to that time. InputError, with the form."""
    first = _span(began)
    if until is None:
        return first
    last = _span(until)
    end = last.end or last.begin
    require(end > first.begin, InputError, f"it ends at {until}, which is not after {began}")
    return Period(first.begin, end)


def _span(text: str) -> Period:
    said = text.strip()
    try:
        if _YEAR.fullmatch(said):
            return Period(_day(int(said), 1, 1), _day(int(said) + 1, 1, 1))
        if _MONTH.fullmatch(said):
            begin = datetime.fromisoformat(f"{said}-01").replace(tzinfo=UTC)
            return Period(begin, begin + timedelta(days=calendar.monthrange(begin.year, begin.month)[1]))
        if _DAY.fullmatch(said):
            begin = datetime.fromisoformat(said).replace(tzinfo=UTC)
            return Period(begin, begin + timedelta(days=1))
        begin = datetime.fromisoformat(said)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no time{_FORMS}") from error
    require(begin.tzinfo is not None, InputError, f"the time {text!r} has no offset from UTC{_FORMS}")
    return Period(begin.astimezone(UTC), None)


_FORMS = ": give 2026, 2026-10, 2026-10-03 or 2026-10-03T14:00Z"


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)
