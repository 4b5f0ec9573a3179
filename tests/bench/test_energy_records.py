from __future__ import annotations

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
