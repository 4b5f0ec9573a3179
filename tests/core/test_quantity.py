"""Numbers in words."""

from __future__ import annotations

import pytest

from aerogel.core.quantity import both, size


@pytest.mark.parametrize(
    ("number", "wanted"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1.00 kB"), (1000, "1.00 kB"), (15_000, "15.0 kB"),
     (2_359_296, "2.36 MB"), (99_960, "100 kB"), (999_999, "1.00 MB"),
     (4.2e12, "4.20 TB"), (4e18, "4000 PB")],
)  # fmt: skip
def test_sizes(number: float, wanted: str) -> None:
    assert size(number, "B") == wanted


def test_two_numbers_share_a_unit() -> None:
    assert both(302e6, 60.4e6, "flop") == "302 / 60.4 Mflop"
    assert both(2e6, 2e6, "B") == "2.00 MB"
    assert both(12.11e6, 12.14e6, "B") == "12.1 MB" and both(999.9, 1000.1, "B") == "1.00 kB"
    assert both(900, 1200, "B") == "0.90 / 1.20 kB"
    assert both(12e6, 27_700, "flop") == "12.0 M / 27.7 kflop"
    assert both(1e6, 0, "flop") == "1.00 M / 0 flop" and both(9, 1, "B") == "9 / 1 B"
