"""``aerogel prune`` on small models: what is written, what is said, and every way it can go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.trial.little import classifier, sentence_encoder, texts

import aerogel
from aerogel.cli import main
from aerogel.cli import prune as command
from aerogel.core.errors import MeasureError
from aerogel.measure import CaseResult, Comparison, Contender, ContenderFacts, Progress, Settings, Timing
from aerogel.measure import machine as this_machine
from aerogel.model.graph import in_integers
from aerogel.model.source import load_model
from aerogel.prune.axes import BATCH_NORM
from aerogel.prune.budget import BUDGETS
from aerogel.prune.fits import FITS
from aerogel.prune.importance import IMPORTANCES
from aerogel.prune.methods import METHODS
from aerogel.trial import pruning
from aerogel.trial.forecast import Forecast
from aerogel.trial.trade import DENSE, PRUNED, TORCH, Trade

transformers = pytest.importorskip("transformers")

FACTORY = """
import torch
def mlp():
    torch.manual_seed(0)
    layers = torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
    return torch.nn.Sequential(*layers), torch.randn(32, 8)
def broken():
    module, inputs = mlp()
    inputs[3, 3] = float("nan")
    return module, inputs
class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.two.weight = self.one.weight
    def forward(self, x):
        return self.two(torch.relu(self.one(x)))
def tied():
    torch.manual_seed(0)
    return Tied(), torch.randn(32, 8)
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models here are tiny: a second thread would only wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers this small are timed by chance: nothing is foretold but where a test wants it."""
    if "foretold" not in request.fixturenames:
        monkeypatch.setattr(pruning, "forecast", lambda *_: Forecast(1, 0, 0, None))


@pytest.fixture
def foretold() -> None:
    """Layers are timed before they are pruned."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentence_encoder(tmp_path_factory.mktemp("models") / "little")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "texts.txt"
    path.write_text("\n".join(texts(120)))
    return path


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("factories") / "small_factories.py"
    path.write_text(FACTORY)
    return path


class Runs:
    """Runs the command: its exit status, what it printed, and its JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *words: object, measure: bool = False) -> tuple[int, str]:
        more = () if measure else ("--no-measure",)
        status = main(["prune", *map(str, words), *more])
        out, self.err = self._capsys.readouterr()
        return status, out

    def json(self, *words: object, measure: bool = False) -> tuple[int, dict[str, Any]]:
        status, out = self(*words, "--json", measure=measure)
        return status, json.loads(out)

    def refused(self, *words: object, measure: bool = False) -> str:
        """The one line of bad input."""
        status, out = self(*words, measure=measure)
        assert (status, out) == (2, "")
        told = self.err.splitlines()[-1]
        assert told.startswith("aerogel: ")
        return told


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Runs:
    return Runs(capsys)


def zeros(folder: Path) -> dict[str, float]:
    module = load_model(str(folder)).module
    return {
        name: float((m.weight == 0).float().mean())
        for name, m in module.named_modules()
        if isinstance(m, torch.nn.Linear)
    }


def left(tmp_path: Path) -> list[str]:
    return sorted(f.name for f in tmp_path.iterdir())


def test_the_choices_are_those_there_are() -> None:
    assert set(command.METHODS) == set(METHODS)
    assert command.IMPORTANCES == tuple(IMPORTANCES)
    assert command.BUDGETS == tuple(BUDGETS)
    assert command.RECOVERIES == ("none", *FITS, BATCH_NORM)


def test_a_directory_is_written_and_judged_on_texts_held_out(
    model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    out = tmp_path / "pruned"
    status, found = run.json(model, "--sparsity", "0.5", "--data", data, "-o", out)
    assert (status, found["ok"]) == (0, True)
    assert found["calibration"] == {
        "origin": "texts of texts.txt", "texts": 120, "calibration": 96, "training": 0, "held_out": 24,
    }  # fmt: skip
    assert (found["pruned"]["method"], found["pruned"]["sparsity"]) == ("sparsegpt", 0.5)
    assert all(r["relative_error"] is not None for r in found["pruned"]["layers"][:-1])
    assert found["accuracy"]["texts"] == 24
    assert 0.5 < found["accuracy"]["pruned"]["rank correlation"] < 1
    assert found["written"] == [
        {"path": str(out), "kind": "directory", "bytes": (out / "model.safetensors").stat().st_size}
    ]
    assert found["dense_bytes"]["checkpoint"] == (model / "model.safetensors").stat().st_size
    assert (found["trade"], found["trade_missing"]) == (None, "not asked for")
    assert set(zeros(out).values()) == {0.5}
    assert transformers.BertModel.from_pretrained(out).config.hidden_size == 32
    record = json.loads((out / "aerogel.json").read_text())
    assert record["pruning"]["layers"] == found["pruned"]["layers"]
    assert record["accuracy"] == found["accuracy"]
    assert left(tmp_path) == ["pruned"]


def test_both_outputs_are_the_same_model_and_both_are_judged(
    model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    out, file = tmp_path / "pruned", tmp_path / "pruned.aero"
    words = (model, "--sparsity", "0.5", "--data", data, "-o", out, "-o", file, "--keep", "1", "--force")
    status, shown = run(*words)
    assert status == 1
    assert "below the bound: rank correlation is 0." in shown
    assert "below the bound: compiled, rank correlation is 0." in shown
    assert "written all the same (--force)" in shown
    head = shown[: shown.index("\nNeighbours as the dense model's, on 24 texts of texts.txt that ")]
    assert head.splitlines()[-3].split() == ["accuracy", "dense", "pruned", "compiled"]
    assert f"wrote {out}\nwrote {file}\n" in shown
    assert "(its zeros take room, too)" in shown
    assert "time and memory: not measured (not asked for)" in shown
    assert "note: 96" not in run.err
    assert main(["run", str(file), "--text", "w1 w2", "-o", str(tmp_path / "y.npz")]) == 0
    source = load_model(str(out))
    with np.load(tmp_path / "y.npz") as read, torch.no_grad():
        wanted = source.module(*map(torch.from_numpy, source.tokenize(["w1 w2"])))["sentence_embedding"]
        # The file holds its embeddings as 8-bit integers.
        np.testing.assert_allclose(read["sentence_embedding"], wanted.numpy(), atol=0.02)


def test_docstrings_stand_in_for_texts_and_are_said_to(
    model: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Passage:
        def __init__(self, text: str) -> None:
            self.text = text

    monkeypatch.setattr(
        "aerogel.trial.calibration.docstrings", lambda count: [Passage(t) for t in texts(count)]
    )
    words = (model, "--sparsity", "0.5", "--texts", "100", "-o", tmp_path / "out")
    status, found = run.json(*words)
    told = (
        "calibrated on 100 docstrings of Python's standard library: "
        "texts like your own (--data) give a better model"
    )
    assert (status, found["notes"]) == (0, [told])
    assert f"note: {told}" in run.err


def test_magnitude_needs_no_texts_but_is_judged_on_some(
    model: Path, data: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aerogel.trial.calibration.docstrings", lambda count: pytest.fail("not needed"))
    words = (model, "--sparsity", "0.5", "--method", "magnitude", "--pattern", "block4x1")
    (tmp_path / "one.py").write_text("def one(model): return 1")
    status, found = run.json(*words, "--eval", f"{tmp_path}/one.py:one", "-o", tmp_path / "out")
    assert (status, found["calibration"]) == (0, None)
    assert found["pruned"]["peak_bytes"] is None
    # With texts, it is calibrated all the same: what is kept is refitted.
    status, found = run.json(*words, "--data", data, "-o", tmp_path / "out")
    assert (status, found["calibration"]["calibration"]) == (0, 96)
    assert found["pruned"]["peak_bytes"] > 0


def test_int8_weights_keep_their_grid_in_a_directory_and_in_a_file(
    model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    words = (model, "--sparsity", "0.5", "--pattern", "block1x4", "--precision", "int8", "--data", data)
    status, found = run.json(*words, "-o", tmp_path / "out", "-o", tmp_path / "m.aero")
    assert (status, found["pruned"]["precision"], found["asked"]["precision"]) == (0, "int8", "int8")
    assert found["notes"] == []
    module = load_model(str(tmp_path / "out")).module
    name = next(n for n, m in module.named_modules() if hasattr(m, "weight_scale"))
    graph = aerogel.load(tmp_path / "m.aero").built.graph
    assert in_integers(graph.weights[f"{name}.weight"])
    exact = module.get_submodule(name).weight.detach().numpy()
    np.testing.assert_array_equal(graph.weight(f"{name}.weight"), exact)
    # What is rounded in the file besides, the activations, is judged too.
    assert found["file_accuracy"] is not None
    status, found = run.json(*words[:2], "0", *words[5:], "--recover", "5steps", "-o", tmp_path / "out")
    assert (status, found["pruned"]["sparsity"] < 0.05) == (0, True)


def test_a_pattern_may_say_how_many_go(model: Path, data: Path, tmp_path: Path, run: Runs) -> None:
    words = (model, "--pattern", "2:4", "--method", "magnitude", "--no-repair", "--data", data)
    status, found = run.json(*words, "-o", tmp_path / "out")
    assert (status, found["pruned"]["pattern"], found["pruned"]["sparsity"]) == (0, "2:4", 0.5)
    assert "sparsity is 0.8, but" in run.refused(*words, "--sparsity", "0.8", "-o", tmp_path / "out")
    assert "how many weights" in run.refused(model, "--data", data, "-o", tmp_path / "out")


@pytest.mark.parametrize("more", [("--method", "wanda"), ("--budget", "owl"), ("--no-repair",)])
def test_each_axis_can_be_chosen(
    more: tuple[str, ...], model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    status, found = run.json(model, "--sparsity", "0.5", "--data", data, *more, "-o", tmp_path / "out")
    assert status == 0
    assert found["pruned"]["sparsity"] == pytest.approx(0.5, abs=0.01)


def test_only_layers_that_are_named(model: Path, data: Path, tmp_path: Path, run: Runs) -> None:
    words = (model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out")
    status, found = run.json(*words, "--layers", r"layer\.1\.(intermediate|output)")
    assert (status, len(found["pruned"]["layers"])) == (0, 2)
    assert sorted(set(zeros(tmp_path / "out").values())) == [0.0, 0.5]
    assert "is not a regular expression" in run.refused(*words, "--layers", "(")
    assert "takes none of them" in run.refused(*words, "--layers", "nothing")


def test_a_classifier_is_judged_by_its_answers(data: Path, tmp_path: Path, run: Runs) -> None:
    model = classifier(tmp_path / "little")
    words = ("--sparsity", "0.5", "--data", data, "-o", tmp_path / "out", "-o", tmp_path / "m.aero")
    status, found = run.json(model, *words)
    assert status == 0
    for seen in (found["accuracy"], found["file_accuracy"]):
        assert list(seen["dense"]) == ["same answer"]
        assert 0.3 < seen["pruned"]["same answer"] <= 1
    assert "classifier" not in {name for name, share in zeros(tmp_path / "out").items() if share}


EVAL = """
calls = []
def score(model, tokenizer):
    weights = [p for n, p in model.named_parameters() if n.endswith("intermediate.dense.weight")]
    return {"live": sum(float((w != 0).float().mean()) for w in weights) / len(weights), "one": 1}
def late(model):
    calls.append(1)
    if len(calls) == 2:
        raise ValueError("the second time")
    return 1
def broken(model):
    return 1 / 0
"""


@pytest.fixture
def judge(tmp_path: Path) -> str:
    (tmp_path / "judge.py").write_text(EVAL)
    return f"{tmp_path}/judge.py"


def test_a_users_own_number_is_shown_for_both(
    model: Path, data: Path, tmp_path: Path, run: Runs, judge: str
) -> None:
    words = (model, "--sparsity", "0.5", "--data", data, "--eval", f"{judge}:score", "-o", tmp_path / "out")
    status, found = run.json(*words, "--keep", "0.5")
    assert status == 0
    seen = found["accuracy"]
    assert (seen["dense"], seen["pruned"]) == ({"live": 1.0, "one": 1.0}, {"live": 0.5, "one": 1.0})
    # All texts calibrate: none is held out.
    assert (found["calibration"]["calibration"], found["calibration"]["held_out"]) == (120, 0)
    status, shown = run(*words)
    assert "\nlive          1     0.5\n" in shown
    assert "\nBy judge.py:score.\n" in shown


def test_below_the_number_to_keep_nothing_is_written(
    model: Path, data: Path, tmp_path: Path, run: Runs, judge: str
) -> None:
    out = tmp_path / "out"
    words = (model, "--sparsity", "0.5", "--data", data, "--eval", f"{judge}:score", "-o", out)
    status, shown = run(*words, "--keep", "0.9")
    assert status == 1
    assert "below the bound: live is 0.5, below 0.9 of the dense 1 (0.9)\nnothing was written" in shown
    assert left(tmp_path) == ["judge.py"]
    status, found = run.json(*words, "--floor", "0.6", "--force")
    assert (status, found["ok"]) == (1, False)
    assert found["missed"] == ["live is 0.5, below the floor 0.6 (dense: 1)"]
    assert left(tmp_path) == ["judge.py", "out"]


def test_what_texts_judge_can_be_kept_too(model: Path, data: Path, tmp_path: Path, run: Runs) -> None:
    words = (model, "--sparsity", "0.9", "--data", data, "-o", tmp_path / "out")
    assert run(*words, "--keep", "1")[0] == 1
    assert left(tmp_path) == []
    assert run(*words, "--keep", "0.01")[0] == 0


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("broken", r"failed on the dense model: ZeroDivisionError: division by zero (line 12 of judge.py)"),
        ("none", "has no function 'none'"),
    ],
)
def test_an_eval_that_is_broken_is_told_before_anything_is_pruned(
    function: str, told: str, model: Path, data: Path, tmp_path: Path, run: Runs, judge: str
) -> None:
    words = (model, "--sparsity", "0.5", "--data", data, "--eval", f"{judge}:{function}")
    assert told in run.refused(*words, "-o", tmp_path / "out")
    assert "pruning" not in run.err
    assert left(tmp_path) == ["judge.py"]


def test_an_eval_that_fails_later_leaves_nothing_half_written(
    model: Path, data: Path, tmp_path: Path, run: Runs, judge: str
) -> None:
    words = (model, "--sparsity", "0.5", "--data", data, "--eval", f"{judge}:late")
    told = run.refused(*words, "-o", tmp_path / "out")
    assert "failed on the pruned model: ValueError: the second time (line 9 of judge.py)" in told
    assert left(tmp_path) == ["judge.py"]


def test_bounds_without_a_number_are_refused(model: Path, tmp_path: Path, run: Runs) -> None:
    (tmp_path / "few.txt").write_text("\n".join(texts(30)))
    words = (model, "--sparsity", "0.5", "--data", tmp_path / "few.txt", "-o", tmp_path / "out")
    told = run.refused(*words, "--keep", "0.9")
    assert "there is no number to keep: 30 different texts are too few to hold 20 out" in told
    assert "keep=1.5 is no share of the dense number" in run.refused(*words, "--keep", "1.5")


def test_few_texts_are_told_and_not_judged_on(model: Path, tmp_path: Path, run: Runs) -> None:
    words = (model, "--sparsity", "0.5", "-o", tmp_path / "out", "--data", tmp_path / "few.txt")
    (tmp_path / "few.txt").write_text("w1 w2 w3\nw1 w2 w3\n")
    status, found = run.json(*words)
    assert (status, found["accuracy"]) == (0, None)
    assert found["accuracy_missing"] == ("1 different texts are too few to hold 20 out: give more, or --eval")
    assert found["notes"] == ["1 texts to calibrate on are few: some hundred give a better model"]
    assert "accuracy: not measured (1 different texts are too few" in run(*words)[1]


@pytest.mark.parametrize(
    ("name", "contents", "told"),
    [
        ("none.txt", None, "there is no"),
        ("empty.txt", "", "holds no text: give at least one"),
        ("texts.jsonl", '{"label": 1}', "line 1 has the keys 'label': name the text"),
    ],
)
def test_texts_that_cannot_be_read_are_told_before_the_model_is_loaded(
    name: str, contents: str | None, told: str, model: Path, tmp_path: Path, run: Runs
) -> None:
    if contents is not None:
        (tmp_path / name).write_text(contents)
    assert told in run.refused(model, "--sparsity", "0.5", "--data", tmp_path / name, "-o", tmp_path / "out")
    assert "loading" not in run.err


def test_a_directory_without_a_tokenizer(data: Path, tmp_path: Path, run: Runs) -> None:
    model = sentence_encoder(tmp_path / "mute")
    (model / "tokenizer.json").unlink()
    words = (model, "--sparsity", "0.5", "-o", tmp_path / "out")
    assert "mute has no tokenizer.json, so there are no texts to calibrate on" in run.refused(*words)
    assert "so the texts of" in run.refused(*words, "--data", data)
    status, found = run.json(*words, "--method", "magnitude")
    assert (status, found["accuracy_missing"]) == (0, "mute takes no texts: give --eval")
    assert set(zeros(tmp_path / "out").values()) == {0.5}


def test_a_model_from_a_function(factory: Path, tmp_path: Path, run: Runs) -> None:
    file = tmp_path / "m.aero"
    words = ("--sparsity", "0.5", "-o", file)
    status, found = run.json(f"{factory}:mlp", *words)
    assert (status, found["pruned"]["method"]) == (0, "sparsegpt")
    assert found["calibration"] == {"origin": "inputs of small_factories:mlp", "batches": 1}
    assert found["notes"] == [
        "calibrated on the inputs that small_factories:mlp returns: many, and real ones, give a better model"
    ]
    assert file.stat().st_size == found["written"][0]["bytes"]
    told = run.refused(f"{factory}:mlp", "--sparsity", "0.5", "-o", tmp_path / "out")
    assert "is none: give -o FILE.aero" in told
    assert "batch 0 of data holds NaN or infinity" in run.refused(f"{factory}:broken", *words)


def test_tied_weights_are_pruned_once(factory: Path, tmp_path: Path, run: Runs) -> None:
    words = (f"{factory}:tied", "--sparsity", "0.5", "-o", tmp_path / "m.aero")
    status, found = run.json(*words)
    assert (status, [r["name"] for r in found["pruned"]["layers"]]) == (0, ["one.weight"])
    assert found["pruned"]["layers"][0]["zeros"] == 32


def test_a_model_that_is_sparse_already(model: Path, data: Path, tmp_path: Path, run: Runs) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert run(model, "--sparsity", "0.6", "--data", data, "-o", once)[0] == 0
    status, found = run.json(once, "--sparsity", "0.3", "--data", data, "-o", twice)
    assert status == 0
    assert any(n.startswith("60.0% of the weights to prune are zero already: no") for n in found["notes"])
    assert min(zeros(twice).values()) == pytest.approx(0.6, abs=0.01)
    status, found = run.json(once, "--sparsity", "0.8", "--data", data, "-o", twice)
    assert "60.0% of the weights to prune are zero already, which count" in found["notes"]
    assert min(zeros(twice).values()) == pytest.approx(0.8, abs=0.01) == max(zeros(twice).values())


def test_a_model_that_is_broken(data: Path, tmp_path: Path, run: Runs) -> None:
    model = sentence_encoder(tmp_path / "little")
    bert = transformers.BertModel.from_pretrained(model)
    with torch.no_grad():
        bert.encoder.layer[1].output.dense.weight[0, 0] = torch.nan
    bert.save_pretrained(model)
    told = run.refused(model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out")
    assert "the dense model gives NaN or infinity" in told
    (tmp_path / "one.py").write_text("def one(model): return 1")
    words = ("--data", data, "--eval", f"{tmp_path}/one.py:one", "-o", tmp_path / "out")
    assert "non-finite values" in run.refused(model, "--sparsity", "0.5", *words)


@pytest.mark.usefixtures("foretold")
def test_few_zeros_are_warned_of_before(model: Path, data: Path, tmp_path: Path, run: Runs) -> None:
    assert run(model, "--sparsity", "0.05", "--data", data, "-o", tmp_path / "out")[0] == 0
    warned = run.err.index("note: 5 % zeros (unstructured) are not likely to make this model faster")
    assert warned < run.err.index("pruning")


@pytest.mark.parametrize("sparsity", ["0", "1"])
def test_none_and_all(sparsity: str, model: Path, data: Path, tmp_path: Path, run: Runs) -> None:
    status, found = run.json(model, "--sparsity", sparsity, "--data", data, "-o", tmp_path / "out")
    assert (status, found["pruned"]["sparsity"]) == (0, float(sparsity))
    assert set(zeros(tmp_path / "out").values()) == {float(sparsity)}


def test_recovery_is_told_and_goes_on_from_its_file(
    model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    saved = tmp_path / "recovery.safetensors"
    words = (model, "--sparsity", "0.7", "--data", data, "-o", tmp_path / "out", "--checkpoint", saved)
    status, found = run.json(*words, "--recover", "3steps")
    assert (status, found["pruned"]["recovery"]["steps"]) == (0, 3)
    assert found["calibration"]["training"] == 96
    found_zeros = zeros(tmp_path / "out").values()
    assert min(found_zeros) == pytest.approx(0.7, abs=0.01) == max(found_zeros)
    status, found = run.json(*words, "--recover", "5steps")
    assert (status, found["pruned"]["recovery"]["steps"]) == (0, 5)
    assert "recovery: 5 steps in " in run(*words, "--recover", "5steps")[1]
    saved.write_bytes(b"not a checkpoint")
    assert "is no checkpoint of a recovery" in run.refused(*words, "--recover", "5steps")


REFUSED: dict[str, tuple[Callable[[Path], tuple[object, ...]], str]] = {
    "compiled": (lambda at: ("m.aero", "-o", at / "out"), "'m.aero' is compiled already"),
    "no model": (lambda at: (at / "none", "-o", at / "out"), "there is no"),
    "other file": (lambda at: (at, "-o", at / "m.onnx"), "a .onnx file is not written"),
    "no folder": (lambda at: (at, "-o", at / "none" / "m.aero"), "there is no folder"),
    "twice": (lambda at: (at, "-o", at / "out", "-o", at / "x" / ".." / "out"), "is given twice"),
    "inside": (lambda at: (at / "x", "-o", at / "out", "-o", at / "out" / "m.aero"), "in it would be lost"),
    "checkpoint inside": (
        lambda at: (at / "x", "-o", at / "out", "--recover", "1m", "--checkpoint", at / "out" / "c"),
        "in it would be lost: give it another place",
    ),
    "folder for a file": (lambda at: (at, "-o", at / "taken.aero"), "is a directory: give a name for a file"),
    "recover": (lambda at: (at, "-o", at / "out", "--recover", "long"), "is no length of training: give 90s"),
    "checkpoint": (
        lambda at: (at, "-o", at / "out", "--recover", "1m", "--checkpoint", at / "none" / "c"),
        "c cannot be written: there is no folder",
    ),
    "threads": (lambda at: (at, "-o", at / "out", "--threads", "4096"), "is not what every runtime can have"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_at_once(case: str, tmp_path: Path, run: Runs) -> None:
    (tmp_path / "taken.aero").mkdir()
    words, told = REFUSED[case]
    assert told in run.refused(*words(tmp_path), "--sparsity", "0.5")
    assert left(tmp_path) == ["taken.aero"]


def test_other_runtimes_are_known_installed_and_able(
    model: Path, factory: Path, data: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out", "--against")
    assert "runtime 'fast' is unknown" in run.refused(*words, "fast", measure=True)
    words = (f"{factory}:mlp", "--sparsity", "0.5", "-o", tmp_path / "m.aero", "--against", "onnxruntime")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else object())
    assert "onnxruntime needs onnx: pip install" in run.refused(*words, measure=True)
    monkeypatch.undo()
    if all(__import__("importlib").util.find_spec(name) for name in ("onnxruntime", "onnx", "onnxscript")):
        assert "only encoders in a directory" in run.refused(*words, measure=True)


def test_where_others_files_are_nothing_is_written(
    model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "letter.txt").write_text("dear")
    words = (model, "--sparsity", "0.5", "--data", data, "-o", out)
    assert "did not write (letter.txt)" in run.refused(*words, "--force")
    assert "holds the dense model, which would be lost" in run.refused(
        model, "--sparsity", "0.5", "--data", data, "-o", model
    )
    (out / "letter.txt").unlink()
    assert run(*words)[0] == 0
    assert run(*words)[0] == 0, "what it wrote before it may replace"


def test_a_disk_that_is_too_small_is_told_before_anything_is_pruned(
    model: Path, data: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "weight_bytes", lambda source: 10**18)
    told = run.refused(model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out")
    assert "out cannot be written" in told
    assert "MB free of" in told
    assert "judging" not in run.err


def test_an_interrupt_leaves_nothing(
    model: Path, data: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pruning, "prune", interrupted)
    status, out = run(model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out")
    assert (status, out, left(tmp_path)) == (130, "", [])


def trade(*args: object, **options: object) -> Trade:
    """What a measurement could have found."""
    rows = {TORCH: 0.004, DENSE: 0.002, PRUNED: 0.001}
    facts = tuple(
        ContenderFacts(Contender(row, "m:f"), 1.0, "3.11", 10, {"peak_bytes": int(1e11 * t)})
        for row, t in rows.items()
    )
    timings = tuple(Timing(row, (t,) * 9, 90, 0.95) for row, t in rows.items())
    case = CaseResult("1x16", {}, Settings(rounds=9), timings, {})
    return Trade(Comparison(this_machine(), Settings(rounds=9), DENSE, facts, (case,)))


def test_time_and_memory_stand_beside_both_dense_controls(
    model: Path, data: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(wanted: Any, folder: Path, progress: Callable[[Progress], None]) -> Trade:
        asked.append(wanted)
        assert wanted.dense.stat().st_size > wanted.pruned.stat().st_size
        progress(Progress("block", PRUNED, "1x16", 1, 2, 0.001))
        return trade()

    asked: list[Any] = []
    monkeypatch.setattr(pruning, "measure_trade", measured)
    words = (model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out", "--shapes", "1x8,2x16")
    status, shown = run(*words, measure=True)
    assert status == 0
    assert (asked[0].model, asked[0].shapes, asked[0].against) == (str(model), ("1x8", "2x16"), ("torch",))
    assert "torch eager        400.0 MB  4.00 ms [4.00, 4.00]\n" in shown
    assert "aerogel pruned     100.0 MB  1.00 ms [1.00, 1.00]\n" in shown
    assert "aerogel pruned over aerogel dense: 1x16: 2.00x [1.96, 2.04]\n" in shown
    assert "aerogel pruned over torch eager: 1x16: 4.00x [3.92, 4.08]\n" in shown
    assert "[ 50%] measuring: aerogel pruned at 1x16" in run.err
    found = trade().to_json()
    assert found["peak_bytes"] == {TORCH: 400000000, DENSE: 200000000, PRUNED: 100000000}
    assert found["speedups"]["1x16"][TORCH]["verdict"] == "faster"


def test_a_measurement_that_fails_loses_nothing(
    model: Path, data: Path, tmp_path: Path, run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> Trade:
        raise MeasureError("contender 'torch eager' has died")

    monkeypatch.setattr(pruning, "measure_trade", fail)
    words = (model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out")
    status, found = run.json(*words, measure=True)
    assert (status, found["ok"]) == (1, False)
    assert found["trade_missing"] == "the measurement failed: contender 'torch eager' has died"
    assert found["dense_bytes"]["file"] > 0
    assert set(zeros(tmp_path / "out").values()) == {0.5}


def test_shapes_longer_than_the_models_texts_are_refused(
    model: Path, data: Path, tmp_path: Path, run: Runs
) -> None:
    words = (model, "--sparsity", "0.5", "--data", data, "-o", tmp_path / "out", "--shapes")
    assert "shape 1x128 is longer than the 24 tokens" in run.refused(*words, "1x128", measure=True)
    assert "is not of the form BATCHxTOKENS" in run.refused(*words, "big", measure=True)


def test_without_torch_it_says_what_to_install(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from aerogel.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["prune", str(model), "--sparsity", "0.5", "-o", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith('pruning needs torch: pip install "aerogel[bench]"')
