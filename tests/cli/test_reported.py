"""``--report``: refused before the work where it cannot be, written after it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.find.inspections import inspection
from tests.report.html_tree import tree
from tests.report.tables import made
from tests.trial.outcomes import outcome

from aerogel.bench.demo import Demo, DemoSettings
from aerogel.bench.encoder import EncoderBench
from aerogel.bench.table import Table
from aerogel.cli import bench, demo, inspect, main
from aerogel.find.result import Inspection
from aerogel.measure import Progress
from aerogel.report import page
from aerogel.trial import pruning
from aerogel.trial.outcome import Outcome

ROWS = {"onnxruntime fp32": 0.02, "aerogel dense": 0.01}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was measured, in place of measuring it."""
    did: list[str] = []
    table = made(ROWS, dict.fromkeys(ROWS, 1.0))

    def compare(wanted: EncoderBench, texts: object, settings: object, progress: object) -> Table:
        did.append("bench")
        return table

    def make(
        settings: DemoSettings, folder: Path, tell: Callable[[str, float], None]
    ) -> tuple[DemoSettings, float]:
        did.append("models")
        return settings, 90.0

    def fake(settings: DemoSettings, recovery_s: float, tell: Callable[[Progress], None]) -> Demo:
        did.append("demo")
        return Demo(table, (), 2000, recovery_s, {})

    def prune(*_: object) -> Outcome:
        did.append("prune")
        return outcome(missed=("rank correlation is 0.95",), written=())

    def look(*_: object, **__: object) -> Inspection:
        did.append("inspect")
        return inspection()

    monkeypatch.setattr(bench, "require_comparable", lambda *_: None)  # there is no such model
    monkeypatch.setattr(bench, "compare_encoder", compare)
    monkeypatch.setattr(pruning, "carry_out", prune)
    monkeypatch.setattr(inspect, "inspect", look)
    monkeypatch.setattr(demo, "made", make)
    monkeypatch.setattr(demo, "demo", fake)
    monkeypatch.setattr(demo, "model_folder", lambda: Path("model"))
    return did


@pytest.mark.parametrize(
    ("words", "status", "title"),
    [
        (["bench", "my-model"], 0, "my-model"),
        (["demo"], 0, "all-MiniLM-L6-v2"),
        (["inspect", "my-model"], 0, "by hand: would zeros pay?"),
        # Below its bound, nothing is written; the report says why.
        (["prune", "my-model", "--sparsity", "0.5", "-o", "m.aero"], 1, "little, pruned to 50 % zeros"),
    ],
)
def test_the_report_is_written_beside_what_is_printed(
    words: list[str], status: int, title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.html"
    assert main([*words, "--json", "--report", str(path)]) == status
    shown = capsys.readouterr()
    assert json.loads(shown.out)
    assert f"{path}: a report of " in shown.err and shown.err.endswith(" kB\n")
    assert title in tree(path.read_text(encoding="utf-8")).all("h1")[0].text


@pytest.mark.parametrize(
    "words",
    [
        ["bench", "my-model"],
        ["demo"],
        ["inspect", "my-model"],
        ["prune", "my-model", "--sparsity", "0.5", "-o", "m.aero"],
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_measured(
    words: list[str], tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--report", str(tmp_path / "absent" / "r.html")]) == 2
    assert measured == []
    shown = capsys.readouterr()
    assert shown.err.startswith("aerogel: InputError: there is no folder") and shown.err.count("\n") == 1


def test_without_jinja_nothing_is_measured_either(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["demo", "--report", str(tmp_path / "r.html")]) == 2
    assert measured == []
    assert "pip install 'aerogel[report]'" in capsys.readouterr().err


def test_without_the_option_nothing_is_written_or_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "my-model"]) == main(["demo"]) == 0
    assert list(tmp_path.iterdir()) == []
