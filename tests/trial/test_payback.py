"""After how many calls what pruning took is saved again: by hand, and where nothing can be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.trial.outcomes import outcome, trade

from aerogel.energy import Reading
from aerogel.measure import CaseResult, Comparison
from aerogel.measure.results import Seen
from aerogel.trial.outcome_text import outcome_text, spent_lines
from aerogel.trial.payback import PayBack, paybacks
from aerogel.trial.spent import Spent
from aerogel.trial.trade import DENSE, PRUNED, TORCH, Trade

ROUNDS = 9


def reading(seconds: float, low: float, high: float, joules: float | None = None, **more: Any) -> Reading:
    """Measured where it has joules, else bounds under a model."""
    given: dict[str, Any] = {"method": "measured", "source": "RAPL"}
    if joules is None:
        given = {"method": "not measured", "source": "2 W to 20 W", "model": "watts"}
    return Reading(joules=joules, low=low, high=high, seconds=seconds, cpu_seconds=seconds, **given | more)


class _Meter:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading


def metered(per_call: dict[str, Reading], seconds: dict[str, float] | None = None) -> Trade:
    """One shape; every block is of ten calls."""
    plain = trade(seconds, ("1x16",))
    ten = {
        row: replace(r, seconds=10 * r.seconds, low=10 * (r.low or 0), high=10 * (r.high or 0),
                     joules=None if r.joules is None else 10 * r.joules)
        for row, r in per_call.items()
    }  # fmt: skip
    seen = {row: (Seen(_Meter(r), 10),) * ROUNDS for row, r in ten.items()}
    case = replace(plain.comparison.cases[0], seen=seen)
    return Trade(replace(plain.comparison, cases=(case,)))


def both(spent: Spent, found: Trade) -> tuple[PayBack, PayBack]:
    time, energy = paybacks(spent, found)
    return time, energy


def test_time_by_hand() -> None:
    """A call saves 1 ms of 2 ms, give or take the resolution of 2 %; making it took 10 s."""
    time, energy = both(Spent(reading(4, 8, 80), reading(6, 12, 120)), trade(shapes=("1x16",)))
    assert (time.of, time.verdict) == ("time", "after")
    assert time.value == pytest.approx(10 / 1e-3)
    # A speed-up from 2 / 1.02 to 2 * 1.02.
    assert time.low == pytest.approx(10 / (2e-3 * (1 - 1 / 2.04)))
    assert time.high == pytest.approx(10 / (2e-3 * (1 - 1.02 / 2)))
    assert str(time) == "after 10,000 calls [9,810, 10,300]"
    assert (energy.verdict, energy.low) == ("not known", None)
    assert "the calls were not metered" in str(energy)


def test_measured_energy_by_hand() -> None:
    """Making it took 100 J [90, 110]; a call 2 J dense and 1 J pruned, each known to 10 %."""
    calls = {DENSE: reading(2e-3, 1.8, 2.2, 2.0), PRUNED: reading(1e-3, 0.9, 1.1, 1.0)}
    spent = Spent(reading(10, 90, 110, 100.0), None)
    _, energy = both(spent, metered({**calls, TORCH: reading(4e-3, 3, 5, 4.0)}))
    assert (energy.verdict, energy.source) == ("after", "RAPL")
    assert energy.value == pytest.approx(100)
    # At least what is saved if dense is at its low end and pruned at its high one.
    assert energy.high == pytest.approx(110 / (1.8 * (1 - 1.1 / 1.8 * 1.02)))
    assert energy.low == pytest.approx(90 / (2.2 * (1 - 0.9 / 2.2 / 1.02)))


def test_under_a_power_model_the_unknown_watts_count_once() -> None:
    """2 W or 20 W, it cancels out: what is left is the resolution."""
    calls = {DENSE: reading(2e-3, 4e-3, 4e-2), PRUNED: reading(1e-3, 2e-3, 2e-2)}
    time, energy = both(Spent(reading(10, 20, 200), None), metered(calls))
    assert (energy.verdict, energy.value, energy.source) == ("after", None, "under the power model watts")
    assert (energy.low, energy.high) == (pytest.approx(time.low), pytest.approx(time.high))
    assert str(energy) == "after 9,810 to 10,300 calls"


@pytest.mark.parametrize(
    ("pruned_s", "verdict", "told"),
    [
        (3e-3, "never", "never: nothing is saved"),
        (2e-3, "not proven", "not proven, and not before 255,000 calls"),
        (1e-3, "after", "after 10,000 calls [9,810, 10,300]"),
    ],
)
def test_where_nothing_is_saved_it_is_never(pruned_s: float, verdict: str, told: str) -> None:
    rows = {TORCH: 4e-3, DENSE: 2e-3, PRUNED: pruned_s}
    calls = {row: reading(s, 2 * s, 20 * s) for row, s in rows.items()}
    found = both(Spent(reading(10, 20, 200), None), metered(calls, rows))
    assert [each.verdict for each in found] == [verdict, verdict]
    assert str(found[0]) == told


def test_what_was_metered_in_two_ways_is_not_compared() -> None:
    calls = {DENSE: reading(2e-3, 1.8, 2.2, 2.0), PRUNED: reading(1e-3, 0.9, 1.1, 1.0)}
    _, energy = both(Spent(reading(10, 20, 200), None), metered(calls))
    assert str(energy) == "not known: making it and running it were not metered alike"


def test_energy_that_has_no_bounds_is_not_known() -> None:
    none = reading(1e-3, 0, 0, obstacle="no meter")
    _, energy = both(Spent(none, None), metered({DENSE: none, PRUNED: none}))
    assert str(energy) == "not known: no meter"


def test_the_text_and_json_of_an_outcome() -> None:
    spent = Spent(reading(4, 8, 80), reading(6, 12, 120), reading(1, 2, 20), resumed=True)
    shown = "\n".join(spent_lines(outcome(spent=spent)))
    assert "pruning    4 s    8 J to 80 J\nrecovery   6 s  12 J to 120 J\n" in shown
    assert "Energy not measured: bounds under the power model watts.\nWhat runs that were inter" in shown
    assert "Paid back in time:\n  1x16: after 10,000 calls [9,810, 10,300]\n  8x128: after 5,000" in shown
    assert "Paid back in energy: not known: the calls were not metered." in shown
    found = outcome(spent=spent).to_json()
    assert found["spent"]["recovery"]["seconds"] == 6
    assert found["pays_back"][0]["saved"]["value"] == pytest.approx(1e-3)


def test_without_a_claim_of_speed_nothing_is_said_to_be_paid_back() -> None:
    spent = Spent(reading(4, 8, 80), None)
    missing = outcome(spent=spent, trade=None, trade_missing="not compiled: aten.convolution in module 'a'")
    assert missing.paybacks == ()
    assert missing.to_json()["pays_back"] is None
    shown = outcome_text(missing)
    assert "time: not compiled: aten.convolution in module 'a'; so no speed is claimed" in shown
    assert "After how many calls that is paid back is not said" in shown


def test_the_comparison_is_of_the_rows_that_were_timed() -> None:
    spent = Spent(reading(4, 8, 80), None)
    plain: Comparison = trade().comparison
    cases: tuple[CaseResult, ...] = plain.cases
    assert [p.case for p in paybacks(spent, trade())] == [c.name for c in cases for _ in range(2)]
