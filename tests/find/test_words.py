"""Figures in words."""

from __future__ import annotations

import pytest

from aerogel.find.words import breaks_even, count, interval, milliseconds, percent
from aerogel.tune.breakeven import Bounds, Breakeven


@pytest.mark.parametrize(
    ("share", "digits", "wanted"),
    [(0.8, 0, "80 %"), (0.0, 0, "0 %"), (0.001, 0, "< 1 %"), (0.0004, 1, "< 0.1 %"), (0.123, 1, "12.3 %")],
)  # fmt: skip
def test_percent(share: float, digits: int, wanted: str) -> None:
    assert percent(share, digits) == wanted


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (Breakeven("pays", 0.38, 0.33, 0.41, 0.1, 0.9), "from 38 % [33, 41]"),
        (Breakeven("pays", 0.1, 0.1, 0.1, 0.1, 0.9), "from 10 % or less"),
        (Breakeven("pays", 0.1, 0.1, 0.2, 0.1, 0.9), "from 10 % or less [0, 20]"),
        (Breakeven("pays", 0.2, 0.1, 0.3, 0.1, 0.9), "from 20 % [0, 30]"),
        (Breakeven("pays", 0.0, 0.0, 0.0, 0.0, 0.9), "at any share"),
        (Breakeven("pays", 0.0, 0.0, 0.12, 0.0, 0.9), "from 0 % [0, 12]"),
        (Breakeven("not proven", 0.8, 0.7, None, 0.1, 0.9), "not proven up to 90 %"),
        (Breakeven("never", None, None, None, 0.1, 0.9), "never up to 90 %"),
    ],
)
def test_a_break_even(found: Breakeven, wanted: str) -> None:
    assert breaks_even(found) == wanted


def test_others() -> None:
    assert interval(Bounds(2.414, 2.2, 2.61)) == "2.41x [2.20, 2.61]"
    assert [milliseconds(s) for s in (1.23e-4, 3.02e-3, 17.3e-3, 0.146)] == [
        "0.123 ms", "3.02 ms", "17.3 ms", "146 ms",
    ]  # fmt: skip
    assert count(10616832) == "10,616,832"
