"""The load curve: its formula, its bounds, and that they hold what was published."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.energy.calibration import BETWEEN, SHAPE
from aerogel.energy.host import Host
from aerogel.energy.models import LoadCurve, default_model
from aerogel.energy.processor import Processor
from aerogel.energy.server_curve import CURVE, Part, client_watts, server_watts
from aerogel.energy.usage import Usage

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks/results/power.json").read_text(encoding="utf-8"))
LOADS = st.floats(0, 1)
PARTS = st.builds(Part, st.floats(0, 20_000), st.floats(0, 8192), st.floats(0.01, 1))


def rows(name: str) -> list[dict[str, str]]:
    lines = (ROOT / "benchmarks/data" / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def model_of(row: dict[str, str]) -> tuple[Host, object]:
    """By the name of its CPU alone, as on the server itself."""
    threads, chips = int(row["threads"]), int(row["chips"])
    cpu = Processor(name=row["cpu"], packages=chips, siblings=threads // chips, virtual=False)
    host = Host(threads, threads, virtual=False, cpu=cpu, memory_gb=float(row["memory_gb"]))
    return host, default_model(host)


def test_the_formula() -> None:
    found = server_watts(Part(200.0, 100.0), 0.5)
    curve = 200 * (0.17 + 0.85 * 0.5)
    assert found.mid == pytest.approx(curve + 12 + 13)
    assert found.low == pytest.approx(0.575 * curve + 6 + 5)
    assert found.high == pytest.approx(1.7 * curve + 22.8 + 65)


@given(PARTS, LOADS, LOADS)
def test_more_load_is_more_power(part: Part, one: float, other: float) -> None:
    for formula in (server_watts, client_watts):
        less, more = (formula(part, load) for load in sorted((one, other)))
        tiny = 1e-9
        assert less.low <= more.low + tiny and less.mid <= more.mid + tiny and less.high <= more.high + tiny
        assert less.low < less.mid < less.high


def test_published_points_lie_within_the_default_bounds() -> None:
    held: list[bool] = []
    widths: list[float] = []
    for row in rows("load_power.csv"):
        host, model = model_of(row)
        if not isinstance(model, LoadCurve):
            assert int(row["published"]) <= 2011  # older CPUs are not in the table
            continue
        for load in range(0, 101, 10):
            if row[f"w{load}"]:
                found = model.estimate(Usage(1.0, load / 100 * host.threads, host.threads))
                held.append(found.low <= float(row[f"w{load}"]) <= found.high)
                widths.append(found.high / found.low)
    assert len(held) == RESULTS["default"]["points"] > 600
    assert sum(held) == RESULTS["default"]["held"] >= 0.9 * len(held)
    assert statistics.median(widths) == pytest.approx(RESULTS["default"]["median_width"])
    assert statistics.median(widths) <= 4


def test_counted_points_lie_within_them_too() -> None:
    for row in rows("rapl_load.csv"):
        host, model = model_of(row)
        assert isinstance(model, LoadCurve)
        for load in (0, 10, 50, 100):
            watts = float(row[f"p{load}"]) + float(row[f"m{load}"])
            found = model.estimate(Usage(1.0, load / 100 * host.threads, host.threads))
            assert found.low < watts < found.high, (row["system"], load)


def test_what_the_docstrings_say_is_what_was_found() -> None:
    assert all(claim["holds"] for claim in RESULTS["claims"])
    fit = RESULTS["fit"]
    assert round(fit["idle"], 2) == CURVE.idle and round(fit["rise"], 2) == CURVE.rise + 0.0
    assert (
        abs(fit["rest_watts"] - CURVE.rest_watts) < 1 and abs(fit["memory_watts"] - CURVE.memory_watts) < 0.01
    )
    anew = RESULTS["constants_fitted_without_its_cpu"]
    assert f"{anew['held_share']:.0%} of {anew['points']} published points of {anew['servers']} servers" == (
        LoadCurve(1.0, 1).about.partition("bounds hold ")[2].replace(" %", "%")
    )
    assert tuple(RESULTS["shape"]) == SHAPE
    for (low, high), found in zip(BETWEEN.values(), RESULTS["between"].values(), strict=True):
        assert low <= found[0] < low + 0.01 and high - 0.01 < found[1] <= high


def test_every_row_has_its_source() -> None:
    known = {"cloudsim", "opendc", "optiplace", "cosco", "machine", "carbonaware", "sun", "table"}
    for row in rows("load_power.csv"):
        assert row["curve"] in known and (row["result"] or row["curve"] == "table")
        given_loads = [load for load in range(0, 101, 10) if row[f"w{load}"]]
        assert given_loads == ([0, 100] if row["curve"] == "table" else list(range(0, 101, 10)))
        watts = [float(row[f"w{load}"]) for load in given_loads]
        assert watts == sorted(watts) and watts[0] > 0
