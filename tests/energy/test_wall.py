"""Logs of wall meters: what their columns may be called, what they say of a block, and when nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.energy.trees import laptop

import aerogel as ag
from aerogel.core.errors import MeasureError
from aerogel.energy import wall
from aerogel.energy.source import Counted, Where

BEGAN_S = 1_764_356_400.0
"""2025-11-28T19:00:00Z."""


class Now:
    """The computer's clock; sleeping runs ``meanwhile``."""

    def __init__(self) -> None:
        self.at_s = BEGAN_S

    def time(self) -> float:
        return self.at_s


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    now = Now()
    monkeypatch.setattr(wall.time, "time", now.time)
    return now


def write(log: Path, head: str, rows: list[str]) -> Path:
    log.write_text("\n".join([head, *rows, ""]))
    return log


def metered(log: Path, now: Now, seconds: float) -> Counted:
    found = wall.survey(Where(wall_log=log))
    assert found.obstacle == ""
    following = found.begin()
    now.at_s += seconds
    return following.finish()


def every_second(watts: list[float]) -> list[str]:
    return [f"{BEGAN_S - 2 + second},{power}" for second, power in enumerate(watts)]


def test_power_is_integrated(tmp_path: Path, now: Now) -> None:
    log = write(tmp_path / "plug.csv", "time,watts", every_second([60.0] * 12 + [100.0] * 20))
    counted = metered(log, now, 20.0)
    (part,) = counted.parts
    # 60 W for 9 s, a second on the way up, 100 W for 10 s.
    assert part.joules == pytest.approx(9 * 60 + 80 + 10 * 100)
    assert part.low < part.joules - 80 and part.joules + 80 < part.high < 1900
    assert (part.covers, part.label) == ("machine", "plug.csv")
    assert counted.covers == "whole computer at the wall"
    assert "a row every 1 s; its own error unknown" in counted.about


def test_ends_between_two_rows_are_interpolated(tmp_path: Path, now: Now) -> None:
    log = write(tmp_path / "plug.csv", "time,watts", every_second([50.0, 50.0, 100.0, 200.0, 200.0]))
    now.at_s = BEGAN_S + 0.5
    (part,) = metered(log, now, 1.0).parts
    assert part.joules == pytest.approx((150 + 200) / 2 * 0.5 + 200 * 0.5)


@pytest.mark.parametrize(
    ("head", "rows", "joules"),
    [
        ("time,Power (W)", ["{0},10", '"{1}","10,0"', "{2},10"], 100.0),
        ("timestamp;POWER (unused);Energy kWh", ["{0};x;12,000", "{1};x;12,010", "{2};x;12,030"], 72_000.0),
        ("date\twh", ["{0}\t100.0", "{1}\t110.0", "{2}\t130.0"], 72_000.0),
        ('"datetime","joules"', ['"{0}","100"', '"{1}","200"', '"{2}","500"'], 300.0),
        ("time,energy_kwh,power_w", ["{0},1,10", "{1},1,10", "{2},1,10"], 100.0),  # power where both are
    ],
)
def test_columns_go_by_several_names(
    tmp_path: Path, now: Now, head: str, rows: list[str], joules: float
) -> None:
    times = [f"{BEGAN_S + second:.0f}" for second in (-10, 0, 10)]
    log = write(tmp_path / "plug.csv", head, [row.format(*times) for row in rows])
    (part,) = metered(log, now, 10.0).parts
    assert part.joules == pytest.approx(joules)
    assert part.low <= part.joules <= part.high


@pytest.mark.parametrize(
    "show",
    [
        str,
        lambda at_s: f"{at_s * 1e3:.0f}",
        lambda at_s: f"{at_s * 1e9:.0f}",
        lambda at_s: datetime.fromtimestamp(at_s, UTC).isoformat(),
        lambda at_s: datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda at_s: datetime.fromtimestamp(at_s).strftime("%Y-%m-%d %H:%M:%S"),  # noqa: DTZ006  (local time)
    ],
)
def test_times_are_written_in_several_ways(tmp_path: Path, now: Now, show: object) -> None:
    assert callable(show)
    rows = [f"{show(BEGAN_S + second)},50" for second in range(-2, 13)]
    (part,) = metered(write(tmp_path / "plug.csv", "time,w", rows), now, 10.0).parts
    assert part.joules == pytest.approx(500.0)


def test_counted_energy_is_as_sure_as_its_rows(tmp_path: Path, now: Now) -> None:
    """Steps of a meter are large: 0.01 kWh is 36 kJ."""
    rows = [f"{BEGAN_S + 60 * minute},{1 + minute * 0.01:.2f}" for minute in range(-1, 12)]
    now.at_s = BEGAN_S + 30
    (part,) = metered(write(tmp_path / "plug.csv", "time,kwh", rows), now, 300.0).parts
    assert part.joules == pytest.approx(5 * 36_000)
    assert (part.low, part.high) == pytest.approx((3 * 36_000, 7 * 36_000))


def test_the_end_waits_for_the_row_after_it(
    tmp_path: Path, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "plug.csv", "time,watts", every_second([50.0] * 11))
    # A row that is half written is none yet.
    later = iter([f"{BEGAN_S + 9.5},50\n", f"{BEGAN_S + 10:.0f}", ".5,50\n"])

    def go_on(seconds: float) -> None:
        with log.open("a") as file:
            file.write(next(later))

    monkeypatch.setattr(wall.time, "sleep", go_on)
    (part,) = metered(log, now, 10.2).parts
    assert part.joules == pytest.approx(510.0)
    assert next(later, None) is None


def test_a_log_of_megabytes_is_read_at_its_end(tmp_path: Path, now: Now) -> None:
    rows = [f"{BEGAN_S - 200_000 + second},50" for second in range(200_011)]
    log = write(tmp_path / "plug.csv", "time,watts", rows[:-9])
    following = wall.survey(Where(wall_log=log)).begin()
    assert isinstance(following, wall.Log) and following._offset > 3_000_000
    write(log, "time,watts", rows)
    now.at_s += 8.0
    assert following.finish().parts[0].joules == pytest.approx(400.0)


def test_a_log_that_is_begun_anew_is_read_whole(tmp_path: Path, now: Now) -> None:
    log = write(tmp_path / "plug.csv", "time,watts", ["x" * 100] * 2000)
    following = wall.survey(Where(wall_log=log)).begin()
    write(log, "time,watts", every_second([50.0] * 12))
    now.at_s += 8.0
    assert following.finish().parts[0].joules == pytest.approx(400.0)


@pytest.mark.parametrize(
    ("head", "rows", "why"),
    [
        ("time,watts", [], "has no rows yet: is the logger running"),
        ("time,watts", [f"{BEGAN_S + 1},5", f"{BEGAN_S + 20},5"], "1.0 s after the block began"),
        ("time,watts", [f"{BEGAN_S - 9},5", f"{BEGAN_S - 8},5"], "18.0 s before the block ended"),
        ("time,watts", [f"{BEGAN_S},5", f"{BEGAN_S - 8},5"], "the times of its rows go back"),
        ("time,watts", [f"{BEGAN_S},lots"], "has no time or no number"),
        ("time,watts", [f"{BEGAN_S}"], "has no time or no number"),
        ("time,watts", ["yesterday,5"], "has no time or no number"),
        ("time,watts", [f"{BEGAN_S},-5"], "shows no power and no energy"),
        ("time,watts", [f"{BEGAN_S},nan"], "shows no power and no energy"),
        ("time,watts", ["inf,5"], "has no time or no number"),
        ("time,watts", ["1e300,5"], "has no time or no number"),
        ("time,watts", ["nan,5"], "has no time or no number"),
        ("time,watts", [f"{BEGAN_S:.0f},61,4"], "more fields than .*decimal commas need semicolons"),
        ("time,watts", [f"{BEGAN_S},0", f"{BEGAN_S + 10},0"], "the computer drew 0 W: does the meter hang"),
        ("time,power", [f"{BEGAN_S},61400", f"{BEGAN_S + 10},61400"], "drew 6.14e.04 W: .*numbers watts"),
        ("time,power", [f"{BEGAN_S},0.06", f"{BEGAN_S + 10},0.06"], "drew 0.06 W: .*numbers watts"),
        ("time,wh", [f"{BEGAN_S},5", f"{BEGAN_S + 10},5000"], "drew 1.8e.06 W: .*its column is named after"),
        ("time,kwh", [f"{BEGAN_S},5", f"{BEGAN_S + 5},4", f"{BEGAN_S + 10},6"], "goes down between"),
        ("time,kwh", [f"{BEGAN_S},5", f"{BEGAN_S + 10},5"], "did not move in the block"),
        (
            "time,watts",
            [*(f"{BEGAN_S + second},5" for second in (*range(-30, 0), 11, 12))],
            "has no row for 12.0 s after 2025-11-28T18:59:59Z, else one every 1 s",
        ),
    ],
)
def test_what_a_log_cannot_say(
    tmp_path: Path, now: Now, monkeypatch: pytest.MonkeyPatch, head: str, rows: list[str], why: str
) -> None:
    monkeypatch.setattr(wall.time, "sleep", lambda seconds: None)
    with pytest.raises(MeasureError, match=why):
        metered(write(tmp_path / "plug.csv", head, rows), now, 10.0)


@pytest.mark.parametrize("head", ["", "when,watts", "time,volts", "20:00,5"])
def test_columns_without_names_are_an_obstacle(tmp_path: Path, head: str) -> None:
    found = wall.survey(Where(wall_log=write(tmp_path / "plug.csv", head, ["1,2"])))
    assert found.present and "names no column for the time and one for watts" in found.obstacle


def test_no_log_is_nothing_amiss(tmp_path: Path) -> None:
    found = wall.survey(Where())
    assert not found.present and "set AEROGEL_WALL_LOG" in found.obstacle
    found = wall.survey(Where(wall_log=tmp_path / "nothing.csv"))
    assert found.present and found.obstacle.endswith("nothing.csv: No such file or directory")


def live(log: Path, watts: float) -> None:
    """Rows of five seconds around now."""
    rows = [f"{time.time() + tenth / 10},{watts}" for tenth in range(-25, 26)]
    write(log, "time,watts", rows)


def test_a_wall_log_is_the_whole_reading(tmp_path: Path) -> None:
    tree, package, _ = laptop(tmp_path)
    live(tmp_path / "plug.csv", 70.0)
    with ag.meter(root=tmp_path, wall_log=tmp_path / "plug.csv") as m:
        tree.add(package, 1.0)
        time.sleep(0.3)
    assert m.joules == pytest.approx(70 * m.seconds, rel=0.1)
    assert (m.method, m.reading.covers) == ("measured", "whole computer at the wall")
    assert {part.source: part.summed for part in m.reading.parts} == {
        "wall": True,
        "rapl": False,
        "estimate": False,
    }


def test_a_wall_log_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, package, dram = laptop(tmp_path)
    write(tmp_path / "plug.csv", "time,watts", ["1,2", "2,3"])
    monkeypatch.setenv("AEROGEL_WALL_LOG", str(tmp_path / "plug.csv"))
    with ag.meter(root=tmp_path) as m:
        tree.add(package, 1.0)
        tree.add(dram, 0.5)
    assert m.joules == pytest.approx(1.5) and m.reading.covers == "CPU packages + memory"
    assert (
        m.reading.notes[0].startswith("wall not counted: ") and "before the block ended" in m.reading.notes[0]
    )
