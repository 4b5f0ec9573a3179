"""A computer's own power at some loads: what follows from it, and how it is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.energy.servers import GUEST, METAL, UNKNOWN

from aerogel.core.errors import InputError
from aerogel.energy.calibration import (
    Calibration,
    Point,
    calibration_file,
    machine_of,
    save_calibration,
    saved_calibration,
)
from aerogel.energy.models import LoadCurve, default_model
from aerogel.energy.usage import Usage


def made(
    *points: tuple[float, float], machine: str = "this", threads: int = 160, error: float = 0.05
) -> Calibration:
    found = tuple(Point(load, watts) for load, watts in points)
    return Calibration(
        machine, threads, found, "the whole computer at the wall", "a meter", error, "2026-11-28T00:00:00Z"
    )


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AEROGEL_CALIBRATION", str(tmp_path / "kept" / "calibration.json"))


def test_power_goes_through_the_points() -> None:
    calibration = made((0, 110), (0.1, 190), (0.5, 300), (1, 620))
    for point in calibration.points:
        assert calibration.watts(point.load) == pytest.approx(point.watts)
    # From a tenth to a half the shape rises from 0.133 to 0.413, and is at 0.263 at 30 %.
    assert calibration.watts(0.3) == pytest.approx(190 + 110 * (0.263 - 0.133) / (0.413 - 0.133))
    assert calibration.watts(2) == 620 and calibration.watts(-1) == 110


def test_all_threads_busy_is_full_load() -> None:
    calibration = made((0, 110), (1, 620))
    found = calibration.estimate(Usage(10, 1600, 160))
    assert found.joules == pytest.approx(6200)
    assert found.low == pytest.approx(0.85 * (110 + 0.8 * 510) * 0.95 * 10)
    assert found.high == pytest.approx(1.32 * (110 + 1.3 * 510) * 1.05 * 10)


def test_idle_was_read_and_is_known_as_well_as_read() -> None:
    found = made((0, 110), (1, 620), error=0.01).estimate(Usage(10, 0, 160))
    assert (found.joules, found.low, found.high) == pytest.approx((1100, 1089, 1111))


def test_a_process_bears_its_share_of_idling_and_its_own_load() -> None:
    calibration = made((0, 110), (1, 620))
    idle = calibration.estimate(Usage(1, 0, 40)).joules
    assert idle == pytest.approx(110 / 4)
    busy = calibration.estimate(Usage(1, 40, 40)).joules
    assert busy == pytest.approx(110 / 4 + calibration.watts(0.25) - 110)


def test_it_narrows_the_bounds() -> None:
    default = default_model(METAL)
    assert isinstance(default, LoadCurve)
    for load in (0.0, 0.3, 1.0):
        usage = Usage(1, load * 160, 160)
        wide, found = (
            default.estimate(usage),
            made((0, 110), (0.1, 190), (0.5, 300), (1, 620)).estimate(usage),
        )
        assert found.high / found.low < 0.7 * wide.high / wide.low


@given(
    st.floats(0.1, 1000),
    st.floats(0.1, 5000),
    st.integers(1, 512),
    st.floats(0, 0.5),
    st.floats(1e-3, 1e6),
    st.floats(0, 1e7),
    st.floats(0.01, 512),
)
def test_bounds_hold_the_estimate(
    idle: float, more: float, threads: int, error: float, seconds: float, cpu_seconds: float, reserved: float
) -> None:
    calibration = made((0, idle), (1, idle + more), threads=threads, error=error)
    found = calibration.estimate(Usage(seconds, cpu_seconds, min(reserved, threads)))
    assert found.joules is not None
    assert 0 < found.low <= found.joules * (1 + 1e-12) and found.joules <= found.high * (1 + 1e-12)


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((0, 10),),
        ((0, 10), (0.5, 20)),
        ((0.1, 10), (1, 20)),
        ((0, 20), (1, 20)),
        ((0, 20), (1, 10)),
        ((0, 0), (1, 10)),
        ((0, -1), (1, 10)),
        ((0, 10), (1, float("nan"))),
        ((0, 10), (1, float("inf"))),
        ((0, 10), (1, 20), (0.5, 15)),
        ((0, 10), (0, 11), (1, 20)),
        ((0, 10), (0.5, 500), (1, 20)),
        ((0, 10), (0.5, 5), (1, 20)),
        ((0, 10), (0.5, float("nan")), (1, 20)),
    ],
)
def test_what_is_no_calibration_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(InputError):
        made(*points)


@pytest.mark.parametrize("error", [-0.1, 1.0, 7.0, float("nan")])
def test_readings_that_tell_nothing_are_refused(error: float) -> None:
    with pytest.raises(InputError, match="which tells nothing"):
        made((0, 10), (1, 20), error=error)
    with pytest.raises(InputError, match="0 threads"):
        made((0, 10), (1, 20), threads=0)


def test_it_is_kept_for_this_computer_alone() -> None:
    assert saved_calibration(METAL) is None
    mine = made((0, 110), (1, 620), machine=machine_of(METAL))
    path = save_calibration(mine)
    assert path == calibration_file() and saved_calibration(METAL) == mine
    for other in (GUEST, UNKNOWN, replace(METAL, threads=80, reserved=80.0), replace(METAL, memory_gb=512.0)):
        assert saved_calibration(other) is None
    save_calibration(replace(mine, machine=machine_of(GUEST)))
    again = replace(mine, at="2027-01-01T00:00:00Z")
    save_calibration(again)
    assert saved_calibration(METAL) == again and saved_calibration(GUEST) is not None
    assert not list(path.parent.glob(".*"))


def test_a_confined_process_is_on_the_same_computer() -> None:
    save_calibration(made((0, 110), (1, 620), machine=machine_of(METAL)))
    assert saved_calibration(replace(METAL, reserved=40.0, memory_gb=64.0)) is not None
    # A cgroup may limit the memory, and not the threads.
    assert saved_calibration(replace(METAL, memory_gb=8.0, installed_gb=256.0)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "machines": {}}',
        '{"version": 1}',
        '{"version": 1, "machines": {"MACHINE": {}}}',
        '{"version": 1, "machines": {"MACHINE": []}}',
        '{"version": 1, "machines": {"MACHINE": {"points": [{"load": 0, "watts": "x"}]}}}',
    ],
)
def test_a_spoilt_file_says_what_to_do(text: str) -> None:
    path = calibration_file()
    path.parent.mkdir()
    path.write_text(text.replace("MACHINE", machine_of(METAL)))
    with pytest.raises(
        InputError, match=r"calibration.json is no calibration .* remove it and calibrate again"
    ):
        saved_calibration(METAL)


def test_a_changed_number_is_noticed_where_it_makes_no_sense() -> None:
    path = save_calibration(made((0, 110), (1, 620), machine=machine_of(METAL)))
    kept = json.loads(path.read_text())
    kept["machines"][machine_of(METAL)]["points"][0]["watts"] = 700
    path.write_text(json.dumps(kept))
    with pytest.raises(InputError, match="no calibration that can be used"):
        saved_calibration(METAL)


def test_a_place_that_cannot_be_written_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AEROGEL_CALIBRATION", str(tmp_path / "file" / "calibration.json"))
    assert saved_calibration(METAL) is None
    with pytest.raises(InputError, match="AEROGEL_CALIBRATION"):
        save_calibration(made((0, 110), (1, 620)))
