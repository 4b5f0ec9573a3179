"""The table of a comparison: latency with intervals, size, quality; and its first line, which is frank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aerogel.bench.factors import factored_gains
from aerogel.bench.quality import Quality
from aerogel.bench.row_work import row_work
from aerogel.bench.variant import Variant
from aerogel.measure import CaseResult, Comparison


@dataclass(frozen=True, slots=True)
class Table:
    """``dense`` names the row whose outputs are the truth for ``qualities`` and ``errors`` (relative to
    its largest value); ``own`` names the rows that are aerogel. A row that is not in ``qualities`` was
    not judged. ``threads``: how many every row was given, None where each had its runtime's default.
    ``variants``: how each of our own rows was made, where that is known."""

    comparison: Comparison
    dense: str | None
    qualities: dict[str, Quality]
    errors: dict[str, float]
    own: frozenset[str]
    threads: int | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict[str, Variant])

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(facts.contender.name for facts in self.comparison.contenders)

    @property
    def timed(self) -> tuple[CaseResult, ...]:
        return tuple(case for case in self.comparison.cases if case.timings)

    def size_bytes(self, row: str) -> int | None:
        size = self.comparison.facts(row).facts.get("size_bytes")
        return int(size) if isinstance(size, (int, float)) else None

    def dominated_by(self, row: str) -> str | None:
        """A row of another runtime that is proven faster in every case, and no worse in quality."""
        for other in self.rows:
            if other in self.own or other == row or not self._as_good(other, row):
                continue
            if all(case.speedup(other, over=row).verdict == "faster" for case in self.timed):
                return other
        return None

    def _as_good(self, one: str, other: str) -> bool:
        if one not in self.qualities or other not in self.qualities:
            return True  # quality was not asked for: judge by speed alone
        return self.qualities[one].top_overlap >= self.qualities[other].top_overlap

    @property
    def judged_by_outputs(self) -> bool:
        """Are output errors all that is known of what the rows are worth?"""
        return bool(self.errors) and self.dense is not None and not self.qualities

    def headline(self) -> str:
        """The first thing to read: whether another runtime dominates, and where aerogel is faster."""
        ours = [row for row in self.rows if row in self.own]
        beaten = {row: by for row in ours if (by := self.dominated_by(row))}
        if beaten:
            whose = "every aerogel row" if len(beaten) == len(ours) else ", ".join(beaten)
            judged = ", and no worse in quality," if self.qualities else ""
            return (
                f"{' and '.join(sorted(set(beaten.values())))}: faster at every shape{judged} than {whose}."
            )
        others = [row for row in self.rows if row not in self.own]
        if not ours or not others:
            return "Nothing else was timed beside these."
        nobody = "No other runtime here is both faster at every shape and as good as an aerogel row."
        led = {row: over for row in ours if (over := self._dominates(row, others))}
        if not led:
            return nobody
        best = max(led, key=lambda row: len(led[row]))
        judged = ", and no worse in quality," if self.qualities else ""
        return f"{nobody} {best} is faster at every shape{judged} than {', '.join(led[best])}."

    def _dominates(self, row: str, others: Sequence[str]) -> tuple[str, ...]:
        """The ``others`` than which ``row`` is proven faster in every case, and no worse in quality."""
        return tuple(
            other
            for other in others
            if self._as_good(row, other)
            and all(case.speedup(row, over=other).verdict == "faster" for case in self.timed)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "headline": self.headline(),
            "dense": self.dense,
            "threads": self.threads,
            "factored": [gain.to_json() for gain in factored_gains(self)],
            "rows": [self._row_json(row) for row in self.rows],
            "comparison": self.comparison.to_json(),
        }

    def _row_json(self, row: str) -> dict[str, Any]:
        reference = self.comparison.reference
        judged = self.qualities.get(row)
        return {
            "name": row,
            "own": row in self.own,
            "size_bytes": self.size_bytes(row),
            "quality": judged.to_json() if judged else None,
            "relative_error": self.errors.get(row),
            "dominated_by": self.dominated_by(row) if row in self.own else None,
            "cases": {
                case.name: {
                    "median_s": case.timing(row).median_s,
                    "speedup": case.speedup(row, over=reference).to_json() if row != reference else None,
                    "work": None if (work := row_work(self, case, row)) is None else work.to_json(),
                }
                for case in self.timed
            },
        }
