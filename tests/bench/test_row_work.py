"""Operations and bytes of rows: what contenders told, and what follows for other runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.model.graphs import quick, rows_of

from aerogel.bench.arrays import ArraySubject, Fed, Signature
from aerogel.bench.native_program import GivenProgram
from aerogel.bench.render import plain
from aerogel.bench.row_work import NOT_KNOWN, RowWork, row_work, work_rows
from aerogel.bench.table import Table
from aerogel.measure import CaseResult, Comparison, Contender, ContenderFacts, Settings, Timing, machine
from aerogel.report.encoder import work_grid

SETTINGS = Settings(rounds=6)
SHORT, LONG = [16], [128, 128]
DENSE: dict[str, Any] = {
    "flops_gross": 500, "flops_effective": 500, "flops_computed": 500,
    "bytes_gross": 90, "bytes_effective": 95,
}  # fmt: skip
SPARSE = DENSE | {"flops_effective": 100, "bytes_effective": 30}


def table(told: Mapping[str, list[dict[str, Any]]]) -> Table:
    rows = ("onnxruntime fp32", "DeepSparse", "aerogel dense", "aerogel 80 %")
    facts = tuple(
        ContenderFacts(Contender(row, "m:f"), 1.0, "3.11", 10, {"work": told[row]} if row in told else {})
        for row in rows
    )
    cases = tuple(
        CaseResult(
            name, {"lengths": lengths}, SETTINGS, tuple(Timing(r, (0.01,) * 6, 60, 0.95) for r in rows)
        )
        for name, lengths in (("1x16", SHORT), ("2x128", LONG))
    )
    comparison = Comparison(machine(), SETTINGS, rows[0], facts, cases)
    return Table(comparison, None, {}, {}, frozenset(rows[2:]))


@pytest.fixture
def told() -> Table:
    longer = {name: 100 * value for name, value in SPARSE.items()}
    return table(
        {
            "aerogel dense": [{"lengths": SHORT, **DENSE}],
            "aerogel 80 %": [{"lengths": SHORT, **SPARSE}, {"lengths": LONG, **longer}],
        }
    )


def test_our_rows_count_theirs(told: Table) -> None:
    short, long = told.timed
    assert row_work(told, short, "aerogel 80 %") == RowWork(500, 100, 90, 30)
    assert row_work(told, long, "aerogel 80 %") == RowWork(50_000, 10_000, 9000, 3000)
    # Not told is not known: the other row's count is of other kernels.
    assert row_work(told, long, "aerogel dense") is None


def test_other_runtimes_compute_the_dense_network(told: Table) -> None:
    assert row_work(told, told.timed[0], "onnxruntime fp32") == RowWork(500, 500, None, None)


def test_of_a_runtime_that_skips_zeros_it_is_not_known_how_many(
    told: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aerogel.bench import row_work as module

    (peer,) = (peer for peer in module.PEERS.values() if peer.skips_zeros)
    monkeypatch.setattr(module, "PEERS", {"it": replace(peer, row="DeepSparse")})
    found = row_work(told, told.timed[0], "DeepSparse")
    assert found == RowWork(500, None, None, None)
    assert (
        found is not None
        and found.flops == "500 flop gross, effective not known"
        and found.bytes == NOT_KNOWN
    )


def test_they_are_in_text_json_and_report(told: Table) -> None:
    text = plain(told)
    assert "Operations and bytes of a call: gross (dense) / effective" in text
    lines = [line.split() for line in text.splitlines()]
    at = max(i for i, line in enumerate(lines) if line[:3] == ["aerogel", "80", "%"])
    assert lines[at][3:] == ["500", "/", "100", "flop", "50.0", "/", "10.0", "kflop"]
    assert lines[at + 1] == ["90", "/", "30", "B", "9.00", "/", "3.00", "kB"]
    cases = {row["name"]: row["cases"] for row in told.to_json()["rows"]}
    assert cases["aerogel 80 %"]["1x16"]["work"]["flops_effective"] == 100
    assert cases["aerogel dense"]["2x128"]["work"] is None
    grid = work_grid(told)
    assert grid is not None and [row[0].text for row in grid.rows] == [r[0] for r in work_rows(told)]
    assert (grid.rows[3][1].text, grid.rows[3][1].details) == ("500 / 100 flop", ("90 / 30 B",))
    assert grid.rows[2][2].text == NOT_KNOWN


def test_where_nothing_was_counted_nothing_is_said() -> None:
    silent = table({})
    assert work_rows(silent) == [] and work_grid(silent) is None
    assert "Operations and bytes" not in plain(silent)
    assert all(case["work"] is None for row in silent.to_json()["rows"] for case in row["cases"].values())


def test_a_contender_counts_every_case_it_was_prepared_for() -> None:
    d = rows_of(4)
    program = quick(d.graph(d.linear("x", 3)))
    signature = Signature((Fed("x", "features", 4),), "out0", over_tokens=False)
    subject = ArraySubject(signature, GivenProgram(program, signature, {}))
    for lengths in ([5], [7, 7]):
        subject.prepare({"lengths": lengths})
    facts = subject.facts()
    assert [told["lengths"] for told in facts["work"]] == [[5], [7, 7]]
    assert [told["flops_gross"] for told in facts["work"]] == [2 * 3 * 4 * 5, 2 * 3 * 4 * 14]
    assert facts["work"][0] == {"lengths": [5], **program.work(np.zeros((5, 4), np.float32)).to_json()}


def test_another_runtime_counts_nothing() -> None:
    class Silent:
        def bind(self, arrays: Any) -> Any:
            return arrays

        def forward(self, inputs: Any) -> Any:
            return inputs

        def to_numpy(self, found: Any, /) -> Any:
            return found

        def facts(self) -> dict[str, Any]:
            return {}

    subject = ArraySubject(Signature((Fed("x", "features", 4),), "y", over_tokens=False), Silent())
    subject.prepare({"lengths": [5]})
    assert "work" not in subject.facts()
