"""Right-sizing: the cheapest model that is good enough, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.carbon import Amount, Run
from aerogel.carbon.plan.rightsize import Candidate, read_candidates, right_size, wilson
from aerogel.core.errors import InputError


def one(name: str, accuracy: float, joules: float | None, off: float = 0.1, tested: int = 1000) -> Candidate:
    cost = (
        Amount.unknown("J") if joules is None else Amount(joules, joules * (1 - off), joules * (1 + off), "J")
    )
    return Candidate(name, wilson(accuracy, tested), cost, "measured by RAPL package-0")


LARGE, BASE, SMALL, TINY = (
    one("large", 0.95, 9.0),
    one("base", 0.93, 3.0),
    one("small", 0.92, 1.0),
    one("tiny", 0.7, 0.1),
)
ALL = [LARGE, TINY, BASE, SMALL]


def test_the_cheapest_that_is_good_enough() -> None:
    found = right_size(ALL, 0.9)
    assert found.chosen is SMALL and found.surely_accurate and found.rivals == ()
    assert [c.model for c in found.enough] == ["small", "base", "large"]
    assert found.saved(LARGE).value == pytest.approx(8 / 9)
    assert found.saved(LARGE).low == pytest.approx(1 - 1.1 / 8.1)


def test_good_enough_by_its_value_is_not_surely_so() -> None:
    found = right_size(ALL, 0.915)
    assert found.chosen is SMALL and not found.surely_accurate
    sure = right_size(ALL, 0.915, sure=True)
    assert sure.chosen is not SMALL and sure.surely_accurate


def test_costs_that_overlap_prove_nothing() -> None:
    close = one("close", 0.93, 1.1)
    found = right_size([*ALL, close], 0.9)
    assert found.chosen is SMALL and found.rivals == (close,)


def test_a_model_of_unknown_cost_is_no_free_model() -> None:
    unknown = one("unknown", 0.99, None)
    found = right_size([*ALL, unknown], 0.9)
    assert found.chosen is SMALL and found.without_cost == (unknown,) and unknown in found.rivals
    assert right_size([unknown], 0.9).chosen is None


def test_none_is_good_enough() -> None:
    found = right_size(ALL, 0.99)
    assert found.chosen is None and found.nearest is LARGE and found.rivals == ()
    assert found.to_json()["chosen"] is None


def test_the_front_leaves_out_what_another_beats() -> None:
    beaten = one("beaten", 0.91, 2.0)
    found = right_size([*ALL, beaten], 0.0)
    assert [c.model for c in found.front] == ["tiny", "small", "base", "large"]


def test_costs_of_different_kinds_are_not_compared() -> None:
    estimated = Candidate("x", wilson(0.95, 100), Amount(1.0, 0.5, 2.0, "J"), "estimated")
    with pytest.raises(InputError, match="not compared: estimated, in J; measured by RAPL"):
        right_size([SMALL, estimated], 0.9)
    with pytest.raises(InputError, match="small stands twice"):
        right_size([SMALL, SMALL], 0.9)
    with pytest.raises(InputError, match="no models"):
        right_size([], 0.9)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=8), st.floats(0, 1))
def test_against_the_definition(models: list[tuple[float, float]], wanted: float) -> None:
    found = right_size([one(str(i), a, j) for i, (a, j) in enumerate(models)], wanted)
    costs = [j for a, j in models if a >= wanted]
    if found.chosen is None:
        assert not costs
    else:
        assert found.chosen.cost.value == min(costs)


def test_wilsons_interval() -> None:
    found = wilson(0.9, 100)  # as published tables have it
    assert found.low == pytest.approx(0.8256, abs=1e-4) and found.high == pytest.approx(0.9448, abs=1e-4)
    assert wilson(1.0, 10).high == 1.0 and wilson(0.0, 10).low == 0.0
    assert wilson(1.0, 10).low == pytest.approx(0.7225, abs=1e-4)


def test_reading_a_table(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        "model,accuracy,tested,joules_per_item,joules_low,joules_high,method\n"
        "a,0.9,872,2,1.8,2.2,measured\nb,0.8,872,1,0.9,1.1,measured\nc,0.95,872,,,,measured\n"
    )
    a, b, c = read_candidates(path)
    assert a.cost == Amount(2.0, 1.8, 2.2, "J") and a.accuracy.low == wilson(0.9, 872).low
    assert b.method == "measured" and not c.cost.bounded
    assert right_size([a, b, c], 0.85).chosen == a


def test_bounds_without_a_value_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("model,accuracy,joules_low,joules_high\na,0.9,1,100\nb,0.95,2,200\n")
    found = right_size(read_candidates(path), 0.8)
    assert found.chosen is not None and found.chosen.model == "a" and found.chosen.cost.value is None
    assert [c.model for c in found.rivals] == ["b"] and not found.surely_accurate


def test_time_stands_in_where_energy_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        "model,accuracy,accuracy_low,accuracy_high,seconds_per_item\na,90,88,92,0.1\nb,91,89,93,0.05\n"
    )
    found = right_size(read_candidates(path), 88)
    assert found.chosen is not None and found.chosen.model == "b" and found.chosen.cost.unit == "s"
    assert "energy was not measured" in found.chosen.method and found.surely_accurate


def test_costs_of_runs_on_record(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("model,accuracy,tested\ndense,0.92,872\nsparse,0.91,872\nother,0.9,872\n")
    runs = [ran("dense", 100.0), ran("dense", 104.0), ran("sparse", 40.0), ran("sparse", 1e6, kind="pruning")]
    dense, sparse, other = read_candidates(path, runs)
    assert dense.cost.value == pytest.approx(1.02) and sparse.cost.value == pytest.approx(0.4)
    assert sparse.cost.low == pytest.approx(0.36) and not other.cost.bounded
    found = right_size([dense, sparse, other], 0.9)
    assert found.chosen is sparse and found.rivals == (other,)
    with pytest.raises(InputError, match="dense count image and inference"):
        read_candidates(path, [*runs, ran("dense", 1.0, unit="image")])
    with pytest.raises(InputError, match="metered in different ways"):
        read_candidates(path, [*runs, ran("dense", 1.0, source="a wall meter")])


def ran(model: str, joules: float, *, kind="inference", unit: str = "inference", source: str = "RAPL") -> Run:
    return Run(
        kind,
        "test",
        "2026-11-28T20:00:00Z",
        10.0,
        "2",
        "FRA",
        joules,
        0.9 * joules,
        1.1 * joules,
        "measured",
        source,
        units=100,
        unit=unit,
        model=model,
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,,10,1", "line 2: no accuracy"),
        (",0.9,10,1", "the model has no name"),
        ("a,1.2,10,1", "an accuracy of 1.2 on 10 examples"),
        ("a,0.9,ten,1", "tested is 'ten'"),
        ("a,0.9,10,-1", "joules_per_item is '-1'"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"model,accuracy,tested,joules_per_item\n{row}\n")
    with pytest.raises(InputError, match=said):
        read_candidates(path)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_candidates(tmp_path / "missing.csv")
    (tmp_path / "empty.csv").write_text("model,accuracy\n")
    with pytest.raises(InputError, match="names no models"):
        read_candidates(tmp_path / "empty.csv")
