"""What is made of the times: for each case the best library and our ratio to it, for each operation a
mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aerogel.bench.einsum.operations import OPERATIONS
from aerogel.bench.einsum.peers import OWN
from aerogel.core.errors import MeasureError, require
from aerogel.measure import Comparison, Ratio, Timing


@dataclass(frozen=True, slots=True)
class Row:
    """One case. ``peers``: the timings of the other libraries; ``unordered``: those that leave the columns
    of a sparse result's rows in any order, which is less work. How many times faster aerogel is: ``ratio``:
    than ``best``, ``ordered_ratio``: than the best of those that deliver the same, ``rival_ratio``: than the
    operation's rival; None where one of them was not timed."""

    operation: str
    data: str
    dtype: str
    stored: int
    own: Timing | None
    peers: tuple[Timing, ...]
    unordered: frozenset[str]
    ratio: Ratio | None
    ordered_ratio: Ratio | None
    rival_ratio: Ratio | None

    @property
    def best(self) -> Timing | None:
        return min(self.peers, key=lambda timing: timing.median_s, default=None)

    def to_json(self) -> dict[str, Any]:
        timings = [*([self.own] if self.own else []), *self.peers]
        return {
            "operation": self.operation,
            "data": self.data,
            "dtype": self.dtype,
            "stored": self.stored,
            "timings": {t.contender: _timing_json(t) for t in timings},
            "unordered": sorted(self.unordered),
            "best_peer": self.best.contender if self.best else None,
            "over_best_peer": self.ratio.to_json() if self.ratio else None,
            "over_best_ordered_peer": self.ordered_ratio.to_json() if self.ordered_ratio else None,
            "over_rival": self.rival_ratio.to_json() if self.rival_ratio else None,
        }


def rows_of(comparison: Comparison, stored: dict[str, int]) -> list[Row]:
    """Of one comparison whose cases have ``operation``, ``data`` and ``dtype``; ``stored``: entries by
    data."""
    found: list[Row] = []
    for case in comparison.cases:
        operation, data, dtype = (str(case.params[name]) for name in ("operation", "data", "dtype"))
        unordered = frozenset(
            facts.contender.name
            for facts in comparison.contenders
            if not _in_order(facts.facts, operation) and facts.contender.name != OWN
        )
        own = next((t for t in case.timings if t.contender == OWN), None)
        peers = tuple(t for t in case.timings if t.contender != OWN)
        ordered = [t for t in peers if t.contender not in unordered]
        rival = [t for t in peers if t.contender == OPERATIONS[operation].rival]

        def over(those: Sequence[Timing], case: Any = case, own: Timing | None = own) -> Ratio | None:
            best = min(those, key=lambda timing: timing.median_s, default=None)
            return case.speedup(OWN, over=best.contender) if own and best else None

        found.append(
            Row(
                operation,
                data,
                dtype,
                stored[data],
                own,
                peers,
                unordered,
                over(peers),
                over(ordered),
                over(rival),
            )
        )
    return found


def _in_order(facts: Any, operation: str) -> bool:
    return facts.get("in_order", {}).get(operation, True)


@dataclass(frozen=True, slots=True)
class Overall:
    """One operation: the geometric mean of our ratios to the best library of each case, and the worst of
    them; ``rival``: the mean over the operation's rival, where it has one that was timed. A mean's ends are
    the means of the intervals' ends, which is wide."""

    operation: str
    cases: int
    mean: Ratio
    ordered_mean: Ratio
    worst: Ratio
    worst_case: str
    rival: Ratio | None

    def to_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "title": OPERATIONS[self.operation].title,
            "computes": OPERATIONS[self.operation].notation,
            "cases": self.cases,
            "over_best_peer": self.mean.to_json(),
            "over_best_ordered_peer": self.ordered_mean.to_json(),
            "worst": {"case": self.worst_case, **self.worst.to_json()},
            "over_rival": self.rival.to_json() if self.rival else None,
        }


def overall(operation: str, rows: Iterable[Row]) -> Overall | None:
    """None where aerogel was not timed, or nothing else."""
    timed = [(row, row.ratio, row.ordered_ratio) for row in rows if row.operation == operation]
    ratios = [(row, ratio, ordered or ratio) for row, ratio, ordered in timed if ratio is not None]
    if not ratios:
        return None
    rivals = [row.rival_ratio for row, _, _ in ratios if row.rival_ratio is not None]
    row, worst, _ = min(ratios, key=lambda found: found[1].value)
    return Overall(
        operation,
        len(ratios),
        _mean([ratio for _, ratio, _ in ratios], "the best peer"),
        _mean([ordered for _, _, ordered in ratios], "the best peer with sorted columns"),
        worst,
        f"{row.data} {row.dtype}",
        _mean(rivals, OPERATIONS[operation].rival) if rivals else None,
    )


def _mean(ratios: Sequence[Ratio], over: str) -> Ratio:
    value, low, high = (
        geometric_mean(getattr(ratio, end) for ratio in ratios) for end in ("value", "low", "high")
    )
    return Ratio(OWN, over, value, low, high, ratios[0].confidence)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    require(logs, MeasureError, "there is no mean of nothing")
    return math.exp(sum(logs) / len(logs))


def _timing_json(timing: Timing) -> dict[str, Any]:
    low, high = timing.interval_s
    return {"median_s": timing.median_s, "low_s": low, "high_s": high, "runs": timing.runs}
