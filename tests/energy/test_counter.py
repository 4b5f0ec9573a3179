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
    counter, used, at_s, wraps = tally(0.0, start, range_uj), 0, 0.0, 0
    for time_share, power_share in shares:
        gap_s = time_share * round_s(range_uj) * 0.999
        step = int(power_share * MOST_WATTS * gap_s * 1e6)
        wraps += (start + used) % range_uj + step >= range_uj
        at_s, used = at_s + gap_s, used + step
        counter = counter.then(Look(at_s, (start + used) % range_uj))
    assert (counter.uj, counter.wraps, counter.misreads, counter.resets) == (used, wraps, 0, 0)


@given(RANGES, st.floats(1.001, 1e6))
def test_a_gap_that_may_hide_a_round_is_an_error(range_uj: int, rounds: float) -> None:
    with pytest.raises(MeasureError, match=r"package-0 was not read for .* wrapped more than once"):
        tally(0.0, 5, range_uj).then(Look(rounds * round_s(range_uj), 6))


RANGE = 262_000_000_000
AFTER = pytest.mark.parametrize("after", [0, 200_000_000_000])
"""Where a counter of 50 kJ cannot come in a second: below, by a wrap, and above."""


def follow(*looks: tuple[float, int]) -> Tally:
    (at_s, uj), *rest = looks
    counter = tally(at_s, uj, RANGE)
    for at_s, uj in rest:
        counter = counter.then(Look(at_s, uj))
    return counter


@AFTER
def test_a_jump_that_nothing_draws_is_no_wrap_and_no_energy(after: int) -> None:
    counter = follow((0.0, 50_000_000_000), (1.0, after))
    assert counter.uj == 0
    with pytest.raises(MeasureError, match=r"package-0 rose by \d+ J in 1 s, .*: it was reset"):
        counter.settle()


@AFTER
def test_a_single_odd_value_is_a_misread(after: int) -> None:
    counter = follow((0.0, 50_000_000_000), (1.0, after), (2.0, 50_200_000_000)).settle()
    assert (counter.uj, counter.misreads, counter.resets, counter.filled_uj) == (200_000_000, 1, 0, 0)
    assert counter.notes() == ("package-0 showed a value that it cannot have reached once: left out",)


def test_odd_values_that_do_not_agree_are_misreads() -> None:
    odd = (1.0, 0), (2.0, 100_000_000_000), (3.0, 7)
    counter = follow((0.0, 50_000_000_000), *odd, (4.0, 50_400_000_000)).settle()
    assert (counter.uj, counter.misreads, counter.resets) == (400_000_000, 3, 0)


@AFTER
def test_a_counter_that_goes_on_from_elsewhere_was_reset(after: int) -> None:
    """100 W for 1000 s, with a reset in the second after 500 s."""
    before = [(float(s), 50_000_000_000 + s * 100_000_000) for s in range(501)]
    later = [(501.0 + s, after + s * 100_000_000) for s in range(501)]
    counter = follow(*before, *later).settle()
    assert (counter.resets, counter.lost_s, counter.uj) == (1, 1.0, 100_000 * 10**6)
    assert counter.uj + counter.filled_uj == pytest.approx(100_100e6)
    assert counter.notes() == ("package-0 was reset once: 1 s are filled with the power around them",)


def test_no_more_than_a_hundredth_of_a_block_is_filled() -> None:
    before = [(float(s), 50_000_000_000 + s * 100_000_000) for s in range(0, 51, 10)]
    counter = follow(*before, (51.0, 0), (52.0, 100_000_000))
    with pytest.raises(MeasureError, match=r"package-0 was reset: what it counted in 1 s of 52 s is lost"):
        counter.settle()


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
