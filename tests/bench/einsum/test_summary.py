"""What is made of the times, and how a run survives one operation's failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.bench.einsum.cases import SQUARE, TENSOR

from aerogel.bench.einsum import peers, run
from aerogel.bench.einsum.data import Patterns
from aerogel.bench.einsum.peers import LIBRARIES, Library, libraries_for, not_timed
from aerogel.bench.einsum.run import TINY, Plan, measure
from aerogel.bench.einsum.summary import geometric_mean, overall, rows_of
from aerogel.core.errors import InputError, MeasureError
from aerogel.measure import CaseResult, Comparison, Contender, ContenderFacts, Settings, Timing, machine

SHORT = Settings(rounds=6, block_s=1e-4, warm_s=0.0, min_runs=1)


def comparison(
    times: dict[str, dict[str, float]], unordered: tuple[str, ...] = (), operation: str = "spgemm"
) -> Comparison:
    """``times``: seconds by data and contender."""
    cases: list[CaseResult] = []
    for data, by in times.items():
        timings = tuple(Timing(name, (seconds,) * 6, 6, 0.95) for name, seconds in by.items())
        params: Any = {"operation": operation, "data": data, "dtype": "f64"}
        cases.append(CaseResult(data, params, SHORT, timings))
    facts = tuple(
        ContenderFacts(
            Contender(name, "a:b"), 0.0, "", None, {"in_order": {operation: name not in unordered}}
        )
        for name in next(iter(times.values()))
    )
    return Comparison(machine(), SHORT, next(iter(next(iter(times.values())))), facts, tuple(cases))


def test_the_best_of_each_case_counts_and_beside_it_the_best_that_does_as_much() -> None:
    found = comparison(
        {"a": {"aerogel": 2.0, "x": 1.0, "y": 4.0}, "b": {"aerogel": 1.0, "x": 8.0, "y": 4.0}},
        unordered=("x",),
    )
    rows = rows_of(found, {"a": 10, "b": 20})
    assert [(row.best and row.best.contender) for row in rows] == ["x", "y"]
    assert [row.ratio and row.ratio.value for row in rows] == [0.5, 4.0]
    assert [row.ordered_ratio and row.ordered_ratio.value for row in rows] == [2.0, 4.0]
    total = overall("spgemm", rows)
    assert total is not None and total.cases == 2
    assert total.mean.value == pytest.approx(2**0.5) and total.ordered_mean.value == pytest.approx(8**0.5)
    assert total.worst.value == 0.5 and total.worst_case == "a f64"
    told = rows[0].to_json()
    assert told["best_peer"] == "x" and told["unordered"] == ["x"] and told["stored"] == 10
    assert told["timings"]["aerogel"]["median_s"] == 2.0
    assert overall("spmv", rows) is None


def test_an_aim_that_names_a_library_is_set_against_that_one() -> None:
    times = {"a": {"aerogel": 2.0, "scipy": 4.0, "y": 1.0}, "b": {"aerogel": 1.0, "scipy": 8.0, "y": 4.0}}
    rows = rows_of(comparison(times, operation="transpose"), {"a": 10, "b": 20})
    total = overall("transpose", rows)
    assert total is not None and total.rival is not None and total.rival.over == "scipy"
    assert total.rival.value == pytest.approx(4.0) and total.mean.value == pytest.approx(2**0.5)
    assert rows[0].to_json()["over_rival"]["value"] == 2.0
    plain = overall("spgemm", rows_of(comparison(times), {"a": 10, "b": 20}))
    assert plain is not None and plain.rival is None and plain.to_json()["over_rival"] is None


def test_without_us_there_are_times_and_no_ratios() -> None:
    rows = rows_of(comparison({"a": {"x": 1.0, "y": 4.0}}), {"a": 10})
    assert rows[0].ratio is None and rows[0].best is not None and rows[0].own is None
    assert overall("spgemm", rows) is None
    with pytest.raises(MeasureError, match="mean of nothing"):
        geometric_mean([])


def test_operations_that_the_same_libraries_do_are_timed_together() -> None:
    plan = Plan(Patterns((SQUARE,)), SHORT, ("scipy", "torch"))
    assert plan.groups(["spmv", "triangles", "ttv"]) == [["spmv", "ttv"], ["triangles"]]


def test_few_patterns_are_picked_from_small_to_large(monkeypatch: pytest.MonkeyPatch) -> None:
    several = [SQUARE] * 3 + [TENSOR] * 2
    monkeypatch.setattr(Patterns, "of", lambda self, operation: several)
    assert Plan(Patterns(()), SHORT, patterns=2).timed_on("spmv") == [SQUARE, TENSOR]
    assert Plan(Patterns(()), SHORT).timed_on("spmv") == several


def test_a_run_with_one_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patterns, "of", lambda self, operation: [SQUARE])
    plan = Plan(Patterns(()), SHORT, ("scipy",), 1, dtypes=("f64",))
    found = measure(plan, ["spmv", "spgemm"])
    assert [(row.operation, row.data, row.stored) for row in found.rows] == [
        ("spmv", TINY, 8), ("spmv", "square", SQUARE.stored),
        ("spgemm", TINY, 8), ("spgemm", "square", SQUARE.stored),
    ]  # fmt: skip
    assert not found.failed and not found.first_calls
    assert found.facts["spmv"]["scipy"]["how"] == "A @ x."
    assert found.rows[3].unordered == {"scipy"} and not found.rows[1].unordered


def test_one_failure_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patterns, "of", lambda self, operation: [])
    real = run.build

    def broken(operation: str, *rest: Any) -> Any:
        if operation == "spmm32":
            raise MeasureError("no such thing")
        return real(operation, *rest)

    monkeypatch.setattr(run, "build", broken)
    found = measure(Plan(Patterns(()), SHORT, ("scipy",), 1, dtypes=("f64",)), ["spmv", "spmm32"])
    assert found.failed == {"spmm32": "no such thing"}
    assert {row.operation for row in found.rows} == {"spmv"}


def test_what_is_not_timed_is_told_with_its_reason() -> None:
    told = not_timed()
    assert told["graphblas"]["ttv"] == "it has matrices and vectors only"
    assert "mttkrp" in told["pydata"] and "aerogel" not in told
    with pytest.raises(InputError, match="library 'x' is unknown: choose from aerogel, scipy"):
        libraries_for("spmv", ("x",))


def test_threads_reach_every_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = LIBRARIES["scipy-sorted"].contender("scipy-sorted", tmp_path, 2)
    assert made.args == {"folder": str(tmp_path), "threads": 2, "sort": True}
    assert made.env["OMP_NUM_THREADS"] == made.env["NUMBA_NUM_THREADS"] == "2" and made.python is None
    monkeypatch.setattr(peers, "interpreter", lambda home: tmp_path / home.name)
    assert Library("x", environment="einsum").contender("x", tmp_path, 1).python == tmp_path / "einsum"
