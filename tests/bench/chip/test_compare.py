"""The comparison as a whole: what is run for a plan, what is said of it, what the command prints."""

import argparse
import json
from dataclasses import replace

import pytest

from aerogel.bench.chip import compare
from aerogel.bench.chip.chip_side import OnChip
from aerogel.bench.chip.compare import Compared, Plan, on_cpu
from aerogel.bench.chip.data import at_random, from_files
from aerogel.bench.chip.kernels import KERNELS, named
from aerogel.bench.chip.problem import random_pattern
from aerogel.bench.chip.summary import OnCpu, Row
from aerogel.bench.chip.told import document, text
from aerogel.chip.energy.model import load_model
from aerogel.chip.fabric.read import load
from aerogel.cli import chip_compare
from aerogel.core.errors import ChipError, InputError, MeasureError
from aerogel.energy.reading import Reading
from aerogel.measure import CaseResult, Comparison, Contender, Settings, Timing, machine
from aerogel.measure.results import ContenderFacts, Seen

QUICK = Settings(rounds=6, block_s=0.001, warm_s=0.0, min_runs=1)
MATRIX, TENSOR = random_pattern("m", (8, 9), 0.2), random_pattern("t", (4, 5, 6), 0.1)
CHIP = OnChip(1000, 2e-6, 4e-6, 2e-6, 8e-6, 1e-6, 0.001, "chip and LPDDR4 without host", {"clock": 1e-6})


def plan(**changed) -> Plan:
    return replace(
        Plan(named(KERNELS), (MATRIX, TENSOR), load(), load_model(), QUICK, chip=lambda *given: CHIP),
        **changed,
    )


class _Watched:
    def __init__(self, joules: float) -> None:
        self.reading = Reading(None, joules, 2 * joules, "not measured", "a model", 1e-3, 1e-3)


def fake_compare(contenders, cases, settings, *, progress=None, watch=None) -> Comparison:
    results = tuple(
        CaseResult(
            case.name,
            dict(case.params),
            settings,
            tuple(Timing(c.name, (1e-5,) * 6, 60, 0.95) for c in contenders),
            seen={c.name: tuple(Seen(_Watched(1e-3), 10) for _ in range(6)) for c in contenders},
        )
        for case in cases
    )
    facts = tuple(ContenderFacts(c, 0.1, "3.11", None, {"version": "1"}) for c in contenders)
    return Comparison(machine(), settings, contenders[0].name, facts, results)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    monkeypatch.setattr(compare, "compare", fake_compare)
    return compare.run(plan())


def test_every_kernel_is_run_on_what_it_fits(compared: Compared):
    assert {(row.kernel, row.data) for row in compared.rows} == {
        (key, "m" if kernel.kind == "matrix" else "t") for key, kernel in KERNELS.items()
    }
    names = [cpu.name for cpu in compared.rows[0].cpu]
    assert names[:2] == ["aerogel, 1 thread", "aerogel, 2 threads"] and "scipy, 1 thread" in names


def test_energy_of_a_call_is_that_of_a_block_over_its_runs(compared: Compared):
    cpu = compared.rows[0].cpu[0]
    assert cpu.joules is None and cpu.low == pytest.approx(1e-4) and cpu.high == pytest.approx(2e-4)
    assert compared.rows[0].gain("time").low == pytest.approx(5.0)


def test_energy_that_is_not_even_bounded_is_said(compared: Compared):
    case = compared.comparison.cases[0]
    unknown = _Watched(1.0)
    unknown.reading = replace(unknown.reading, low=None, high=None, obstacle="nothing known")
    dark = replace(case, seen={name: (Seen(unknown, 1),) * 6 for name in case.seen})
    with pytest.raises(MeasureError, match="not even bounded here: nothing known"):
        on_cpu(dark, [Contender("aerogel, 1 thread", "a:b")])


def test_what_the_chip_cannot_do_is_a_row_that_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compare, "compare", fake_compare)

    def fails(*given: object) -> OnChip:
        raise ChipError("needs 9 memory tiles")

    told: list[str] = []
    found = compare.run(plan(chip=fails, kernels=named(["ttv"])), lambda case, how: told.append(how))
    assert found.rows[0].chip is None and found.rows[0].why == "needs 9 memory tiles"
    assert told == ["not on the chip: needs 9 memory tiles"]
    assert "TTV t is not on the chip: needs 9 memory tiles" in text(found, plan())


def test_nothing_that_fits_is_an_error():
    with pytest.raises(MeasureError, match="no kernel fits"):
        compare.run(plan(kernels=named(["ttv"]), patterns=(MATRIX,)))


def test_words_and_json_have_what_stands_beside_figures(compared: Compared):
    said = " ".join(text(compared, plan()).split())
    for part in ("without host", "residual 1.44 pJ", "bounds by a model", "564.6", "one-seventieth"):
        assert part in said
    found = json.loads(json.dumps(document(compared, plan()), allow_nan=False))
    assert found["kernels"]["ttv"]["published_product_gain"] == 123.1
    assert found["kernels"]["ttv"]["time"]["low"] == pytest.approx(5.0)
    assert len(found["cases"]) == 8 and found["libraries"]["scipy, 1 thread"] == "1"


def test_patterns_of_files(tmp_path):
    path = tmp_path / "some.mtx"
    path.write_text(
        "%%MatrixMarket matrix coordinate real general\n3 4 2\n1 2 5.0\n3 4 1.0\n", encoding="utf-8"
    )
    (pattern,) = from_files([path])
    assert (pattern.name, pattern.shape, pattern.stored) == ("some", (3, 4), 2)
    path.write_text("%%MatrixMarket matrix coordinate real general\n3 4 0\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds nothing"):
        from_files([path])
    assert {len(pattern.shape) for pattern in at_random()} == {2, 3}


def test_the_command(compared: Compared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    parser = chip_compare.COMMAND.parser("chip compare")
    asked: list[Plan] = []

    def run(wanted: Plan, *told: object) -> Compared:
        asked.append(wanted)
        return compared

    monkeypatch.setattr(chip_compare, "run", run)
    args = parser.parse_args(["--kernels", "ttv,ttm", "--fabric", "onyx-small", "--threads", "3", "--quick"])
    assert chip_compare.COMMAND.run(args) == 0
    assert [kernel.key for kernel in asked[0].kernels] == ["ttv", "ttm"]
    assert asked[0].fabric.name == "onyx-small" and asked[0].threads == (1, 3)
    assert "Held out" in capsys.readouterr().out
    assert chip_compare.COMMAND.run(parser.parse_args(["--json"])) == 0
    assert json.loads(capsys.readouterr().out)["fabric"] == "onyx-like"
    failed = replace(compared, rows=(replace(compared.rows[0], chip=None, why="no"),))
    monkeypatch.setattr(chip_compare, "run", lambda *given: failed)
    assert chip_compare.COMMAND.run(argparse.Namespace(**vars(args))) == 1


@pytest.mark.slow
def test_a_kernel_in_earnest():
    """Through mapping, words and device, and four processes on the CPU."""
    found = compare.run(Plan(named(["elemmult"]), (MATRIX,), load(), load_model(), QUICK))
    (row,) = found.rows
    assert isinstance(row, Row) and row.chip is not None and row.chip.error < 0.01
    assert row.gain("time").value > 0 and all(isinstance(cpu, OnCpu) for cpu in row.cpu)
