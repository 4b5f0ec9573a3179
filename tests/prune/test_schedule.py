"""How long, and how fast."""

from __future__ import annotations

from typing import Any

import pytest

from aerogel.core.errors import InputError
from aerogel.prune import Schedule


@pytest.mark.parametrize(
    ("text", "seconds", "steps"),
    [
        ("distill:90s", 90, None),
        ("distill:0.5s", 0.5, None),
        ("distill:10m", 600, None),
        ("distill:1.5h", 5400, None),
        ("distill:200steps", None, 200),
    ],
)
def test_text_says_how_long(text: str, seconds: float | None, steps: int | None) -> None:
    schedule = Schedule.parse(text)
    assert (schedule.seconds, schedule.steps) == (seconds, steps)


@pytest.mark.parametrize(
    "text", ["distill", "90s", "distill:s", "distill:-1s", "distill:9d", "magic:9s", None, 9]
)
def test_other_text_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"recovery .* is unknown: write distill:90s"):
        Schedule.parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of them"),
        ({"seconds": 1.0, "steps": 1}, "give one of them"),
        ({"steps": 0}, "give more"),
        ({"seconds": float("nan")}, "give more"),
        ({"steps": 1, "rate": 0.0}, "rate is 0.0"),
        ({"steps": 1, "warm": 1.0}, "warm is 1.0"),
    ],
)
def test_schedules_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule(**options)
    with pytest.raises(InputError, match="steps are whole"):
        Schedule.parse("distill:1.5steps")


def test_the_rate_warms_up_and_falls() -> None:
    schedule = Schedule(steps=100, rate=1.0, warm=0.1)
    rates = [schedule.rate_at(schedule.progress(step, 0.0)) for step in range(101)]
    assert 0 < rates[0] < 0.05 and rates[10] == 1.0 and rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert Schedule(seconds=10).progress(5, 2.5) == 0.25
    assert Schedule(seconds=10).progress(5, 99) == 1.0
