"""Readings: shares of a block, and numbers in words."""

from __future__ import annotations

import pytest

from aerogel.core.errors import InputError
from aerogel.energy.reading import Reading, joules_text

MEASURED = Reading(12.0, 11.0, 13.0, "measured", "RAPL package-0 (...)", 2.0, 3.0)
BOUNDED = Reading(None, 1.5, 750.0, "not measured", "...", 2.0, 3.0, "watts-per-thread", "none here")
UNKNOWN = Reading(None, None, None, "not measured", "...", 2.0, 3.0)


def test_a_run_is_a_share_of_the_block() -> None:
    one = MEASURED.per_run(4)
    assert (one.joules, one.low, one.high, one.seconds, one.cpu_seconds) == (3.0, 2.75, 3.25, 0.5, 0.75)
    assert (one.method, one.source) == (MEASURED.method, MEASURED.source)
    assert BOUNDED.per_run(10).joules is None
    assert BOUNDED.per_run(10).high == 75.0
    assert UNKNOWN.per_run(2).low is None


@pytest.mark.parametrize("runs", [0, -1, 2.5, "3", None])
def test_a_number_of_runs_is_whole(runs: object) -> None:
    with pytest.raises(InputError, match=r"^runs="):
        MEASURED.per_run(runs)  # type: ignore[arg-type]


def test_amounts_in_words() -> None:
    assert MEASURED.amount == "12 J [11 J, 13 J]"
    assert BOUNDED.amount == "1.5 J to 750 J"
    assert UNKNOWN.amount == "unknown"
    assert Reading(5.0, None, None, "measured", "", 1.0, 1.0).amount == "5 J"


def test_a_reading_is_a_sentence() -> None:
    assert str(MEASURED) == "12 J [11 J, 13 J] in 2 s (3 CPU s), measured by RAPL package-0 (...)"
    assert str(BOUNDED) == (
        "energy not measured, 1.5 J to 750 J in 2 s (3 CPU s) under the power model watts-per-thread: ...; "
        "no meter: none here"
    )


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (0.0, "0 J"),
        (2.5e-6, "2.5 uJ"),
        (0.01234, "12.3 mJ"),
        (0.9996, "1 J"),
        (12.345, "12.3 J"),
        (999.6, "1 kJ"),
        (45_678.0, "45.7 kJ"),
        (3.6e6, "3.6 MJ"),
        (7.2e9, "7,200 MJ"),
    ],
)
def test_three_digits_and_a_unit(joules: float, text: str) -> None:
    assert joules_text(joules) == text
