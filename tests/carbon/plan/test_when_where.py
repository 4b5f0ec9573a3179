"""When and where a job emits least: against brute force on random tables, gaps included."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.carbon import Amount
from aerogel.carbon.intensities import Intensities, Slot
from aerogel.carbon.plan.when_where import Job, Schedule, best_times, joined
from aerogel.core.errors import InputError

HOUR = 3600.0
KWH = Amount.exact(10.0, "kWh")


def hours(*values: float, off: float = 0.0, start: float = 0.0) -> tuple[Slot, ...]:
    """Slots of an hour; a negative figure is a gap."""
    return tuple(
        Slot(start + i * HOUR, start + (i + 1) * HOUR, Amount(v, v * (1 - off), v * (1 + off), "gCO2e/kWh"))
        for i, v in enumerate(values)
        if v >= 0
    )


def job(long_h: float, until_h: float, begin_h: float = 0.0, *, pieces: bool = False) -> Job:
    return Job(KWH, long_h * HOUR, begin_h * HOUR, until_h * HOUR, pieces)


def mean(schedule: Schedule) -> float:
    assert schedule.intensity.value is not None
    return schedule.intensity.value


def test_the_cleanest_hours_in_one_piece() -> None:
    found = best_times(job(2, 6), {"FRA": hours(50, 90, 40, 20, 30, 80)}, "FRA")
    assert (found.best.begins, found.best.ends) == (3 * HOUR, 5 * HOUR)
    assert mean(found.best) == pytest.approx(25) and mean(found.now) == pytest.approx(70)
    saved = found.saved(found.best)
    assert saved.value == pytest.approx(1 - 25 / 70)
    assert found.best.emitted.value == pytest.approx(0.25) and found.best.emitted.unit == "kgCO2e"


def test_it_may_end_rather_than_begin_with_a_slot() -> None:
    found = best_times(job(1.5, 4), {"FRA": hours(50, 40, 10, 90)}, "FRA")
    assert (found.best.begins, found.best.ends) == (1.5 * HOUR, 3 * HOUR)
    assert mean(found.best) == pytest.approx((0.5 * 40 + 10) / 1.5)


def test_pieces_take_the_cleanest_slots_wherever_they_are() -> None:
    table = {"FRA": hours(50, 10, 90, 20, 80, 15)}
    found = best_times(job(2.5, 6, pieces=True), table, "FRA")
    spans = [(s.begin / HOUR, s.end / HOUR) for s in joined(found.best.slots)]
    assert spans == [(1, 2), (3, 3.5), (5, 6)]
    assert mean(found.best) == pytest.approx((10 + 15 + 0.5 * 20) / 2.5)


def test_another_place() -> None:
    table = {"DEU": hours(300, 300, 300, 300), "FRA": hours(40, 30, 20, 10), "NOR": hours(25, 25)}
    found = best_times(job(2, 4), table, "DEU")
    assert [s.place for s in found.by_place] == ["FRA", "NOR", "DEU"]
    assert found.saved(found.best).value == pytest.approx(0.95)
    assert found.saved(found.by_place[-1]).value == 0.0 and found.impossible == ()


def test_the_deadline_and_the_earliest_time_hold() -> None:
    table = {"FRA": hours(1, 50, 40, 30, 1)}
    found = best_times(job(1, 4, 1), table, "FRA")
    assert (found.best.begins, found.best.ends) == (3 * HOUR, 4 * HOUR)
    with pytest.raises(InputError, match="does not fit between 1970-01-01 00:00Z and 1970-01-01 01:00Z"):
        job(2, 1)
    with pytest.raises(InputError, match="give a time above 0"):
        job(0, 1)


def test_a_gap_is_never_taken_for_clean() -> None:
    table = {"FRA": hours(50, 60, -1, 5, -1, 70), "ESP": hours(-1, 9, -1, 9, -1, 9)}
    found = best_times(job(2, 6), table, "FRA")
    assert found.best.begins == 0.0 and found.impossible == ("ESP",)
    pieces = best_times(job(2, 6, pieces=True), table, "FRA")
    assert pieces.best.place == "ESP" and pieces.impossible == ()


def test_without_now_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(InputError, match="gaps at FRA between 1970-01-01 00:00Z"):
        best_times(job(2, 4), {"FRA": hours(50, -1, 10, 10)}, "FRA")
    with pytest.raises(InputError, match="no place 'DEU': it has FRA"):
        best_times(job(1, 2), {"FRA": hours(1, 2)}, "DEU")


def test_a_gain_within_the_error_of_the_table_is_not_proven() -> None:
    found = best_times(job(1, 2), {"FRA": hours(50, 45, off=0.1)}, "FRA")
    saved = found.saved(found.best)
    assert saved.value == pytest.approx(0.1) and saved.low < 0 < saved.high and not found.proven(found.best)
    sure = best_times(job(1, 2), {"FRA": hours(50, 20, off=0.1)}, "FRA")
    assert sure.proven(sure.best) and sure.saved(sure.best).low > 0


def test_already_the_best_saves_exactly_nothing() -> None:
    found = best_times(job(1, 2), {"FRA": hours(10, 20, off=0.3)}, "FRA")
    assert found.best == found.now
    saved = found.saved(found.best)
    assert (saved.low, saved.value, saved.high) == (0.0, 0.0, 0.0)


def test_from_nothing_no_share_can_be_saved() -> None:
    found = best_times(job(1, 2), {"NOR": hours(0, 0)}, "NOR")
    assert found.saved(found.by_place[0]).value is None or found.best == found.now


figures = st.lists(st.one_of(st.floats(0, 900), st.just(-1.0)), min_size=3, max_size=12)


@settings(max_examples=30)
@given(figures, st.floats(0.1, 4), st.floats(0, 3), st.floats(0, 12))
def test_one_piece_against_a_fine_search(
    values: list[float], long_h: float, begin_h: float, room_h: float
) -> None:
    table: Intensities = {"HOME": hours(*[100.0] * 20), "FRA": hours(*values)}
    if not table["FRA"]:
        return
    wanted = job(long_h, begin_h + long_h + room_h, begin_h)
    found = best_times(wanted, table, "HOME")
    mine = next((s for s in found.by_place if s.place == "FRA"), None)
    tried = [begin_h + room_h * i / 60 for i in range(61)]
    means = [m for m in (_mean(values, b, b + long_h) for b in tried) if m is not None]
    if mine is None:
        assert not means
        return
    assert mine.begins >= wanted.earliest - 1e-3 and mine.ends <= wanted.deadline + 1e-3
    assert _mean(values, mine.begins / HOUR, mine.ends / HOUR) == pytest.approx(mean(mine), abs=1e-6)
    assert not means or mean(mine) <= min(means) + 1e-6


@settings(max_examples=30)
@given(figures, st.floats(0.1, 6), st.floats(0, 3), st.floats(0, 12))
def test_pieces_against_one_piece_and_against_the_cheapest_minutes(
    values: list[float], long_h: float, begin_h: float, room_h: float
) -> None:
    table: Intensities = {"HOME": hours(*[100.0] * 24), "FRA": hours(*values)}
    until = begin_h + long_h + room_h
    whole = best_times(job(long_h, until, begin_h), table, "HOME")
    found = best_times(job(long_h, until, begin_h, pieces=True), table, "HOME")
    mine = {s.place: s for s in found.by_place}
    for schedule in whole.by_place:
        assert mean(mine[schedule.place]) <= mean(schedule) + 1e-6
    if "FRA" in mine:
        slots = mine["FRA"].slots
        assert sum(s.seconds for s in slots) == pytest.approx(long_h * HOUR)
        assert all(a.end <= b.begin + 1e-6 for a, b in itertools.pairwise(slots))
        assert mean(mine["FRA"]) == pytest.approx(_cheapest(values, long_h, begin_h, until), abs=1e-6)


def _mean(values: list[float], begin: float, end: float) -> float | None:
    """Over hours of a table that begins at 0; None where it has a gap. The definition, slowly."""
    total = 0.0
    for i in range(-1, max(len(values), int(end) + 1) + 1):
        part = min(end, i + 1) - max(begin, i)
        if part <= 1e-9:
            continue
        if not 0 <= i < len(values) or values[i] < 0:
            return None
        total += part * values[i]
    return total / (end - begin)


def _cheapest(values: list[float], long_h: float, begin: float, end: float) -> float:
    parts = sorted(
        (v, min(end, i + 1) - max(begin, i))
        for i, v in enumerate(values)
        if v >= 0 and min(end, i + 1) > max(begin, i)
    )
    left, total = long_h, 0.0
    for value, part in parts:
        taken = min(part, left)
        total, left = total + taken * value, left - taken
    return total / long_h
