from __future__ import annotations

from dataclasses import replace

import pytest
from tests.bench.test_energy import RUNS, SECONDS, table
from tests.energy.metered import measured, unmeasured

from aerogel.bench.energy_records import row_totals, summed


def test_a_row_is_the_sum_of_its_blocks_and_knows_its_role() -> None:
    found = {total.row: total for total in row_totals(table(with_meter=True))}
    assert set(found) == set(SECONDS) - {"onnxruntime fp32"}
    assert {row: total.role for row, total in found.items() if "int8" not in row} == {
        "aerogel dense": "dense",
        "aerogel 80 %": "sparse",
    }
    dense = found["aerogel dense"]
    assert dense.inferences == 6 * RUNS
    assert dense.reading.joules == pytest.approx(6 * 40 * SECONDS["aerogel dense"] * RUNS)
    assert dense.reading.seconds == pytest.approx(6 * SECONDS["aerogel dense"] * RUNS)


def test_what_was_not_watched_is_not_on_record() -> None:
    assert list(row_totals(table(with_meter=True, watched=False))) == []


def test_one_block_that_was_not_measured_leaves_the_sum_without_a_value() -> None:
    whole = summed([measured(5.0, 1.0), unmeasured(1.0, 2.0)])
    assert whole.joules is None and whole.seconds == 2.0
    assert whole.low is not None and whole.high is not None


def test_operations_of_all_calls_are_on_record_where_they_were_counted() -> None:
    work = {"flops_gross": 100, "flops_effective": 20, "bytes_gross": 9, "bytes_effective": 5}
    metered = table(with_meter=True)
    contenders = tuple(
        replace(c, facts=c.facts | {"work": [{"lengths": [128], **work}]})
        if c.contender.name in SECONDS
        else c
        for c in metered.comparison.contenders
    )
    cases = tuple(replace(case, params={"lengths": [128]}) for case in metered.comparison.cases)
    told = replace(metered, comparison=replace(metered.comparison, contenders=contenders, cases=cases))
    found = {total.row: total for total in row_totals(told)}
    sparse = found["aerogel 80 %"]
    assert (sparse.flops_gross, sparse.flops_effective) == (100 * 6 * RUNS, 20 * 6 * RUNS)
    assert {total.flops_gross for total in row_totals(metered)} == {None}
