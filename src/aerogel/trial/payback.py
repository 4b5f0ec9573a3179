"""After how many calls a sparse model has paid back what it took to make: in time, and in energy.

calls = spent / saved per call, and what a call saves is d (1 - 1 / r), d being what the dense program takes
and r how many times less the pruned one does, both with their bounds. Where a meter read both, energy is
measured energy; where a power model stands in, its low and its high end are each taken for all of it, so that
what is not known of the watts is in the bounds once and not twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from aerogel.bench.energy import per_run
from aerogel.energy import Reading
from aerogel.measure import CaseResult
from aerogel.measure.intervals import ratio_interval
from aerogel.trial.spent import Spent
from aerogel.trial.trade import DENSE, PRUNED, Trade
from aerogel.tune.breakeven import Bounds

Of = Literal["time", "energy"]
Verdict = Literal["after", "not proven", "never", "not known"]


@dataclass(frozen=True, slots=True)
class PayBack:
    """``spent`` and ``saved`` (by a call of ``case``) in seconds or joules; ``calls``: the number after which
    the first is saved, ``value`` None where the middle saves nothing, ``high`` None where it may be never.
    ``source``: the meter, or the power model, of energy."""

    case: str
    of: Of
    verdict: Verdict
    spent: tuple[float | None, float | None, float | None]
    saved: tuple[float | None, float | None, float | None]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    source: str = ""

    def __str__(self) -> str:
        """``after 1,200 calls [1,100, 1,400]``."""
        match self.verdict:
            case "never":
                return "never: nothing is saved"
            case "not known":
                return f"not known: {self.source}"
            case "not proven":
                least = "" if self.low is None else f", and not before {_count(self.low)} calls"
                return f"not proven{least}"
            case "after":
                assert self.low is not None and self.high is not None
                low, high = _count(self.low), _count(self.high)
                if self.value is None:
                    return f"after {low} to {high} calls"
                return f"after {_count(self.value)} calls [{low}, {high}]"

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        return {
            **found,
            "spent": _three(self.spent),
            "saved": _three(self.saved),
            "text": str(self),
        }


def _three(values: tuple[float | None, ...]) -> dict[str, float | None]:
    return dict(zip(("low", "value", "high"), values, strict=True))


def _count(calls: float) -> str:
    """A whole number of calls, three digits of it."""
    whole = math.ceil(calls)
    digits = len(str(whole))
    return f"{whole if digits <= 3 else math.ceil(whole / 10 ** (digits - 3)) * 10 ** (digits - 3):,}"


def paybacks(spent: Spent, trade: Trade) -> tuple[PayBack, ...]:
    """In time and in energy, at every shape that was timed, over the dense program."""
    made = spent.made
    return tuple(
        found for case in trade.comparison.cases for found in (_in_time(made, case), _in_energy(made, case))
    )


def _in_time(made: Reading, case: CaseResult) -> PayBack:
    speedup, dense_s = case.speedup(PRUNED, over=DENSE), case.timing(DENSE).median_s
    saved = Bounds(*(dense_s * (1 - 1 / r) for r in (speedup.value, speedup.low, speedup.high)))
    return _payback(case.name, "time", Bounds(made.seconds, made.seconds, made.seconds), saved)


def _in_energy(made: Reading, case: CaseResult) -> PayBack:
    if not case.seen:
        return _unknown(case, made, "the calls were not metered")
    dense, pruned = per_run(case, DENSE), per_run(case, PRUNED)
    how = {(r.method, r.model or r.source) for r in (made, *dense, *pruned)}
    if len(how) > 1:
        return _unknown(case, made, "making it and running it were not metered alike")
    if any(not r.low or not r.high for r in (made, *dense, *pruned)):
        return _unknown(case, made, made.obstacle or "there are no bounds of its energy")
    method, name = next(iter(how))
    if method == "measured":
        return _measured(made, dense, pruned, case)
    ends = [
        _payback(
            case.name,
            "energy",
            Bounds(*(_end(made, end),) * 3),
            _saved([_end(r, end) for r in dense], [_end(r, end) for r in pruned], case),
        )
        for end in ("low", "high")
    ]
    return _joined(ends, made, f"under the power model {name}")


def _end(reading: Reading, end: Literal["low", "high"]) -> float:
    found = reading.low if end == "low" else reading.high
    assert found is not None, "checked above"
    return found


def _measured(
    made: Reading, dense: Sequence[Reading], pruned: Sequence[Reading], case: CaseResult
) -> PayBack:
    def joules(reading: Reading) -> float:
        assert reading.joules is not None, "measured"
        return reading.joules

    middle = _saved([joules(r) for r in dense], [joules(r) for r in pruned], case)
    least = _saved([_end(r, "low") for r in dense], [_end(r, "high") for r in pruned], case)
    most = _saved([_end(r, "high") for r in dense], [_end(r, "low") for r in pruned], case)
    spent = Bounds(joules(made), _end(made, "low"), _end(made, "high"))
    saved = Bounds(middle.value, min(middle.low, least.low), max(middle.high, most.high))
    return _payback(case.name, "energy", spent, saved, made.source)


def _saved(dense: Sequence[float], pruned: Sequence[float], case: CaseResult) -> Bounds:
    settings = case.settings
    ratios = ratio_interval(dense, pruned, settings.confidence, settings.resolution)
    whole = median(dense)
    return Bounds(*(whole * (1 - 1 / ratio) for ratio in ratios))


def _payback(case: str, of: Of, spent: Bounds, saved: Bounds, source: str = "") -> PayBack:
    verdict: Verdict = "never" if saved.high <= 0 else "not proven" if saved.low <= 0 else "after"
    return PayBack(
        case,
        of,
        verdict,
        (spent.low, spent.value, spent.high),
        (saved.low, saved.value, saved.high),
        spent.value / saved.value if saved.value > 0 else None,
        spent.low / saved.high if saved.high > 0 else None,
        spent.high / saved.low if saved.low > 0 else None,
        source,
    )


def _joined(ends: Sequence[PayBack], made: Reading, source: str) -> PayBack:
    """Both ends of a power model, each taken for the truth: what holds at both."""
    verdicts: set[Verdict] = {end.verdict for end in ends}
    low, high = [end.low for end in ends], [end.high for end in ends]
    known = [n for n in low if n is not None]
    return PayBack(
        ends[0].case,
        "energy",
        verdicts.pop() if len(verdicts) == 1 else "not proven",
        (made.low, made.joules, made.high),
        (min(_known(e.saved[0]) for e in ends), None, max(_known(e.saved[2]) for e in ends)),
        None,
        min(known) if known else None,
        None if None in high else max(n for n in high if n is not None),
        source,
    )


def _known(value: float | None) -> float:
    assert value is not None, "of a power model's end"
    return value


def _unknown(case: CaseResult, made: Reading, why: str) -> PayBack:
    spent = (made.low, made.joules, made.high)
    return PayBack(case.name, "energy", "not known", spent, (None, None, None), source=why)
