"""``aerogel prune --recipe``: the same as its options, recorded in whatever is written, wrong ones told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from aerogel.cli import main
from aerogel.model import artefact
from aerogel.model.source import load_model
from aerogel.prune import prune
from aerogel.prune.interchange import load_sparse, save_sparse
from aerogel.prune.recipe_file import PruneRecipe
from aerogel.trial import pruning
from aerogel.trial.forecast import Forecast
from aerogel.trial.prune_job import PruneJob
from aerogel.trial.torch_memory import TorchMemory, measure_torch_memory

FACTORY = """
import torch
def mlp():
    torch.manual_seed(0)
    layers = torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
    return torch.nn.Sequential(*layers), torch.randn(32, 8)
def image():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 4)
    return torch.nn.Sequential(*layers), torch.randn(4, 2, 6, 6)
def score(model):
    return 1.0
"""


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "of_recipes.py"
    path.write_text(FACTORY)
    return path


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is foretold of layers this small."""
    monkeypatch.setattr(pruning, "forecast", lambda *_: Forecast(1, 0, 0, None))


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["prune", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def found(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    status, out, err = run(capsys, *words, "--json")
    assert status == 0, err
    return json.loads(out)


def recipe(tmp_path: Path, text: str) -> Path:
    (tmp_path / "recipe.yaml").write_text(text)
    return tmp_path / "recipe.yaml"


def test_a_recipe_is_the_same_as_its_options_and_as_python(
    factory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "sparsity: 0.75\nimportance: wanda\nrecovery: [least_squares]\nnote: mine\n"
    file, out = recipe(tmp_path, text), tmp_path / "by_recipe.safetensors"
    done = found(capsys, f"{factory}:mlp", "--recipe", file, "-o", out, "--no-measure")
    said = PruneRecipe.from_json(done["recipe"])
    assert (said.sparsity, said.importance, said.recovery, said.note) == (
        0.75,
        "wanda",
        ("least_squares",),
        "mine",
    )
    saved = load_sparse(out)
    assert saved.recipe == said
    assert done["written"] == [{"path": str(out), "kind": "weights", "bytes": out.stat().st_size}]
    space: dict[str, Any] = {}
    exec(FACTORY, space)
    model, inputs = space["mlp"]()
    for same in (PruneRecipe.read(file), said):
        expected = same.apply(model, [inputs]).model.state_dict()
        assert all(torch.equal(expected[name], tensor) for name, tensor in saved.state.items())
    assert prune(model, 0.75, data=[inputs], importance="wanda").report.sparsity == pytest.approx(0.75)


def test_what_is_given_beside_it_replaces_what_it_says(
    factory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recipe(tmp_path, "sparsity: 0.75\npattern: block4x1\n")
    words = (f"{factory}:mlp", "--recipe", file, "-o", tmp_path / "m.aero", "--no-measure")
    done = found(capsys, *words, "--sparsity", "0.5")
    assert done["pruned"]["sparsity"] == 0.5
    assert done["recipe"] == {
        "sparsity": 0.5, "pattern": "block4x1", "budget": "uniform", "repair": False, "precision": "fp32",
    }  # fmt: skip
    record = artefact.load(tmp_path / "m.aero").provenance
    assert record["recipe"] == done["recipe"]


def test_a_map_of_sparsities(factory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recipe(tmp_path, 'sparsity: {"^0": 0.5, "^2": 0.25}\n')
    done = found(capsys, f"{factory}:mlp", "--recipe", file, "-o", tmp_path / "m.aero", "--no-measure")
    assert [layer["sparsity"] for layer in done["pruned"]["layers"]] == [0.5, 0.25]
    assert done["asked"]["sparsity"] == {"^0": 0.5, "^2": 0.25}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sparsty: 0.8\n", "a recipe has no 'sparsty': did you mean 'sparsity'?"),
        ("sparsity: 80\n", "write 0.8 for 80 %"),
        ("pattern: block4x1\n", "how many weights shall go?"),
        ("sparsity: 0.5\nprecision: int4\n", "precision 'int4' is unknown"),
        ("sparsity: 0.5\nrecovery: ['distill:5steps', batch_norm]\n", "aerogel prune trains last, and once"),
        ("sparsity: 0.5\nscope: global\nbudget: owl\n", "scope: global is a budget, as is 'owl'"),
        ("sparsity: 0.5\nscope: all\n", "scope 'all' is layer or global"),
    ],
)
def test_recipes_that_cannot_be(
    text: str, told: str, factory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"{factory}:mlp", "--recipe", recipe(tmp_path, text), "-o", tmp_path / "m.aero")
    status, out, err = run(capsys, *words, "--no-measure")
    assert (status, out) == (2, "")
    assert told in err
    assert not (tmp_path / "m.aero").exists()


def test_training_at_the_end_is_the_jobs_own() -> None:
    plain = PruneJob("model", None, ())
    job = plain.following(PruneRecipe(0.8, recovery=("obs", "distill:10m")))
    assert (job.recovery, job.recover, job.method) == (("obs",), "10m", None)
    assert job.recipe.recovery == ("obs", "distill:10m")
    assert plain.following(PruneRecipe(0.8, recovery="distill:5steps")).recover == "5steps"
    assert plain.following(PruneRecipe(0.8, scope="global")).budget == "global"


def test_a_model_that_is_not_compiled_has_bytes_and_memory_and_no_speed(
    factory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measured(*args: Any) -> TorchMemory:
        asked.append(args)
        return TorchMemory(200_000_000, 210_000_000)

    monkeypatch.setattr(pruning, "measure_torch_memory", measured)
    out = tmp_path / "image.safetensors"
    words = (f"{factory}:image", "--sparsity", "0.5", "--method", "magnitude", "-o", out)
    status, shown, err = run(capsys, *words, "--eval", f"{factory}:score")
    assert status == 0
    assert asked[0][:2] == (f"{factory}:image", out)
    assert "peak memory     dense    pruned\nin torch     200.0 MB  210.0 MB\n" in shown
    assert "time: not compiled: aten.conv2d in module '0'" in shown
    assert "so no speed is claimed" in shown
    assert "aerogel pruned over" not in shown
    assert "note: not compiled: aten.conv2d" in err


@pytest.mark.slow
def test_memory_in_torch_is_measured_in_processes(factory: Path, tmp_path: Path) -> None:
    source = load_model(f"{factory}:image")
    save_sparse(prune(source.module, 0.5).model, tmp_path / "w.safetensors")
    kept = (f"{factory}:image", tmp_path / "w.safetensors", source.example_inputs, tmp_path)
    seen = measure_torch_memory(*kept)
    assert seen.dense_bytes is not None and seen.pruned_bytes is not None
    assert min(seen.dense_bytes, seen.pruned_bytes) > 10_000_000
