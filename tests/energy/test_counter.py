"""Wrapping counters: what two looks tell, and what they cannot."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import MeasureError
from aerogel.energy.counter import MOST_WATTS, Look, Tally, counted_uj, round_s

RANGES = st.integers(4_000_000_000, 2**48)


def tally(at_s: float, uj: int, range_uj: int) -> Tally:
    look = Look(at_s, uj)
    return Tally("package-0", range_uj, look, look)


@given(RANGES, st.data())
def test_one_wrap_is_told_from_none(range_uj: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, range_uj - 1))
    used = data.draw(st.integers(0, range_uj - 1))
    assert counted_uj(before, (before + used) % range_uj, range_uj) == used


@given(RANGES, st.data())
def test_energy_adds_up_over_any_number_of_wraps(range_uj: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, range_uj - 1))
    shares = data.draw(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
    counter, used, at_s = tally(0.0, start, range_uj), 0, 0.0
    for time_share, power_share in shares:
        gap_s = time_share * round_s(range_uj) * 0.999
        step = int(power_share * MOST_WATTS * gap_s * 1e6)
        at_s, used = at_s + gap_s, used + step
        counter = counter.then(Look(at_s, (start + used) % range_uj))
    assert counter.uj == used


@given(RANGES, st.floats(1.001, 1e6))
def test_a_gap_that_may_hide_a_round_is_an_error(range_uj: int, rounds: float) -> None:
    with pytest.raises(MeasureError, match=r"package-0 was not read for .* wrapped more than once"):
        tally(0.0, 5, range_uj).then(Look(rounds * round_s(range_uj), 6))


@pytest.mark.parametrize("after", [0, 100_000_000_000])
def test_a_jump_that_nothing_draws_is_a_reset(after: int) -> None:
    with pytest.raises(MeasureError, match=r"package-0 rose by \d+ J in 1 s, .*: it was reset"):
        tally(0.0, 50_000_000_000, 262_000_000_000).then(Look(1.0, after))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((5_000_000, 9_000_000), (5_000_000, 9_000_000), True),
        ((5_000_000, 9_000_000), (5_400_000, 9_400_000), True),  # read a moment later
        ((5_000_000, 9_000_000), (5_000_000, 19_000_000), False),  # alike at the start by chance
        ((5_000_000, 9_000_000), (15_000_000, 9_000_000), False),
        ((64_999_900_000, 4_000_000), (100_000, 4_000_000), True),  # one has wrapped between the two looks
    ],
)
def test_mirrors_agree_at_both_ends(one: tuple[int, int], other: tuple[int, int], *, same: bool) -> None:
    def both(start: int, end: int, late_s: float) -> Tally:
        first, last = Look(late_s, start), Look(2 + late_s, end)
        return Tally("die", 65_000_000_000, first, last)

    assert both(*one, 0.0).mirrors(both(*other, 1e-3)) is same


def test_counters_of_other_ranges_are_no_mirrors() -> None:
    assert not tally(0.0, 5, 10**11).mirrors(tally(0.0, 5, 2 * 10**11))


def test_a_round_takes_longer_than_any_package_needs() -> None:
    ranges = [65_532_610_987, 262_143_328_850]
    assert [round(round_s(r)) for r in ranges] == [33, 131]
    assert all(a < b for a, b in pairwise(map(round_s, ranges)))
