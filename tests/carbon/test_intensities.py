"""Tables of intensities: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerogel.carbon.intensities import clock, moment, read_intensities
from aerogel.core.errors import InputError

HOUR = 3600.0


def test_reading_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "time,place,g_per_kwh,low,high\n"
        "2026-11-28T02:00+01:00,FRA,31,28,35\n"
        "2026-11-28T00:00Z,FRA,40,,\n"
        "2026-11-28T03:00Z,FRA,20,,\n"
        "2026-11-28T00:00Z,DEU,300,,\n2026-11-28T00:30Z,DEU,310,,\n"
    )
    table = read_intensities(path, error=0.1)
    france = table["FRA"]
    assert [clock(s.begin)[11:16] for s in france] == ["00:00", "01:00", "03:00"]
    assert all(s.seconds == HOUR for s in france)
    assert (france[1].intensity.low, france[1].intensity.high) == (28, 35)
    assert france[0].intensity.low == pytest.approx(36) and table["DEU"][0].seconds == 1800


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,g_per_kwh\n2026-11-28T00:00,40\n2026-11-28T01:00,40\n", "line 2: the time .* with its offset"),
        ("time,g_per_kwh\nnoon,40\n", "the time 'noon'"),
        ("time,g_per_kwh\n2026-11-28T00:00Z,-4\n", "g_per_kwh is '-4'"),
        ("time,g_per_kwh\n2026-11-28T00:00Z,\n", "leave out a row of which nothing is known"),
        ("time,g_per_kwh\n2026-11-28T00:00Z,40\n", "one row says not how long"),
        ("time,g_per_kwh\n2026-11-28T00:00Z,40\n2026-11-28T00:00Z,41\n", "2026-11-28 00:00Z stands twice"),
        ("time,g_per_kwh,low,high\n2026-11-28T00:00Z,40,41,42\n", "40 lies outside 41 to 42"),
        ("time,g_per_kwh,low\n2026-11-28T00:00Z,40,39\n", "one bound of two"),
        ("time,grams\n", "no column g_per_kwh"),
        ("time,g_per_kwh\n", "has no rows"),
    ],
)
def test_errors_of_a_table_name_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_intensities(path, "FRA")


def test_a_table_without_places_or_without_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("time,g_per_kwh\n2026-11-28T00:00Z,40\n2026-11-28T01:00Z,40\n")
    with pytest.raises(InputError, match="no place; add a column place"):
        read_intensities(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_intensities(tmp_path / "missing.csv", "FRA")
    with pytest.raises(InputError, match="give a share from 0 to 1"):
        read_intensities(path, "FRA", error=1.5)


def test_an_hour_of_a_night_in_october_stands_once() -> None:
    assert moment("2026-10-25T02:30+02:00", "x") + HOUR == moment("2026-10-25T02:30+01:00", "x")
