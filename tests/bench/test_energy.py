"""The energy of a metered comparison: rows, pairs that differ by zeros alone, and what is not claimed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.energy.metered import Meters, measured, unmeasured

from aerogel.bench import energy
from aerogel.bench.energy import metered, table_energy, watch_energy
from aerogel.bench.table import Table
from aerogel.bench.variant import Variant
from aerogel.energy.reading import Reading
from aerogel.measure import CaseResult, Comparison, Contender, ContenderFacts, Settings, Timing, machine
from aerogel.measure.results import Seen

SETTINGS = Settings(rounds=6)
RUNS = 10
VARIANTS = (
    Variant(),
    Variant(0.8, file=Path("x")),
    Variant(precision="int8"),
    Variant(0.8, precision="int8"),
)
SECONDS = {"onnxruntime fp32": 0.05, "aerogel dense": 0.02, "aerogel 80 %": 0.01, "aerogel dense int8": 0.01,
           "aerogel 80 % int8": 0.011}  # fmt: skip


@dataclass
class Ended:
    """A meter whose block has ended."""

    reading: Reading


def table(*, with_meter: bool, rows: tuple[str, ...] = tuple(SECONDS), watched: bool = True) -> Table:
    facts = tuple(ContenderFacts(Contender(row, "m:f"), 1.0, "3.11", 10, {}) for row in rows)
    timings = tuple(Timing(row, (SECONDS[row],) * 6, 60, 0.95) for row in rows)

    def seen(row: str) -> tuple[Seen, ...]:
        seconds = SECONDS[row] * RUNS
        reading = measured(40 * seconds, seconds) if with_meter else unmeasured(seconds, 2 * seconds)
        return tuple(Seen(Ended(reading), RUNS) for _ in range(6))

    blocks = {row: seen(row) for row in rows} if watched else {}
    cases = (CaseResult("1x16", {}, SETTINGS, timings, {}, blocks), CaseResult("texts", {}, SETTINGS, ()))
    found = Comparison(machine(), SETTINGS, rows[0], facts, cases)
    variants = {variant.name: variant for variant in VARIANTS}
    return Table(found, None, {}, {}, frozenset(rows[1:]), None, variants)


def test_pairs_differ_by_zeros_alone() -> None:
    found = table_energy(table(with_meter=True))
    assert [(pair.case, pair.dense, pair.sparse) for pair in found.pairs] == [
        ("1x16", "aerogel dense", "aerogel 80 %"),
        ("1x16", "aerogel dense int8", "aerogel 80 % int8"),
    ]
    less, more = found.pairs
    assert (less.saving.verdict, more.saving.verdict) == ("less", "more")
    assert less.saving.energy is not None and less.saving.energy.value == pytest.approx(0.5)


def test_readings_are_of_one_run() -> None:
    rows = {row.row: row.reading for row in table_energy(table(with_meter=True)).rows}
    assert rows["onnxruntime fp32"].joules == pytest.approx(2.0)
    assert rows["aerogel 80 %"].seconds == pytest.approx(0.01)
    lines = table_energy(table(with_meter=True)).lines()
    assert lines[:2] == ["Energy per run:", "  1x16 onnxruntime fp32: 2 J [2 J, 2 J], 40 W"]


def test_without_a_meter_the_words_claim_time_alone() -> None:
    found = table_energy(table(with_meter=False))
    assert found.lines()[0] == "Energy of zeros against none:"
    first = found.lines()[1]
    assert first.startswith("  1x16, aerogel 80 % against aerogel dense: energy not measured; time -50 % [")
    assert "; under power model watts-per-thread, dense 20 mJ to 2 J, sparse 10 mJ to 1 J per run" in first
    said = json.dumps(found.to_json())
    assert "proven" not in said.replace('"verdict": "not proven"', "")


def test_rows_without_a_partner_are_told_how_to_get_one() -> None:
    found = table_energy(table(with_meter=True, rows=("onnxruntime fp32", "aerogel 80 %")))
    assert found.pairs == ()
    assert "give --sparsity, or --dense" in found.lines()[-1]


def test_a_comparison_that_was_not_metered_has_no_energy() -> None:
    found = table_energy(table(with_meter=True, watched=False))
    assert (found.rows, found.pairs) == ((), ())


def test_blocks_are_long_only_where_something_meters_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "meter", Meters(measured(1.0), measured(1.0), unmeasured()))
    monkeypatch.setattr(energy.time, "sleep", lambda _: None)
    assert metered(SETTINGS).block_s == 2.0
    assert metered(Settings(block_s=3.0)).block_s == 3.0
    assert metered(SETTINGS) == SETTINGS


def test_a_block_is_charged_with_the_contenders_cpu_time() -> None:
    used = iter([1.0, 1.0, 4.0, 4.0, 4.0])
    with watch_energy(lambda: next(used)) as seen:
        pass
    assert seen.reading.cpu_seconds in (3.0, 0.0)
