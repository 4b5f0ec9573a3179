"""What is measured of a pruned model: the cases, the contenders, and (slowly) the whole of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.trial.little import CONFIG, classifier, sentence_encoder

import aerogel
from aerogel.bench import whole_model
from aerogel.bench.encoder import RUNTIMES
from aerogel.core.errors import InputError
from aerogel.measure import Settings
from aerogel.model.loaded import Source
from aerogel.model.source import load_model
from aerogel.trial.trade import DENSE, EXAMPLE, PRUNED, TORCH, Trading, cases, check_against, check_encoder
from aerogel.trial.trade import measure_trade as measure

pytest.importorskip("transformers")

FACTORY = """
import torch
class Add(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 4)
    def forward(self, x, y):
        return self.layer(x + y)
def add():
    torch.manual_seed(0)
    return Add(), (torch.randn(3, 8), torch.randn(3, 8))
def named():
    module, inputs = add()
    return module, dict(zip(("x", "y"), inputs))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentence_encoder(tmp_path_factory.mktemp("models") / "little")


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("factories") / "added_factories.py"
    path.write_text(FACTORY)
    return path


def names(source: Source, shapes: tuple[str, ...] | None, folder: Path) -> list[str]:
    return [case.name for case in cases(source, shapes, folder)]


def test_shapes_are_those_the_model_takes(folder: Path, tmp_path: Path) -> None:
    source = load_model(str(folder))
    assert names(source, None, tmp_path) == ["1x16"]
    assert names(source, ("2x24", "1x1"), tmp_path) == ["2x24", "1x1"]
    with pytest.raises(InputError, match="shape 1x25 is longer than the 24 tokens that little takes"):
        cases(source, ("1x8", "1x25"), tmp_path)
    with pytest.raises(InputError, match="there is no shape to time"):
        cases(source, (), tmp_path)


def test_a_model_of_few_tokens_is_timed_at_all_of_them(folder: Path, tmp_path: Path) -> None:
    source = load_model(str(folder))
    short = Source(source.module, source.example_inputs, None, 7, "short")
    assert names(short, None, tmp_path) == ["1x7"]
    endless = Source(source.module, source.example_inputs, None, None, "endless")
    assert names(endless, None, tmp_path) == ["1x16", "1x128", "8x128"]


@pytest.mark.parametrize("name", ["add", "named"])
def test_both_contenders_of_a_factory_compute_its_example(name: str, factory: Path, tmp_path: Path) -> None:
    spec = f"{factory}:{name}"
    source = load_model(spec)
    (case,) = cases(source, None, tmp_path)
    assert case.name == EXAMPLE
    file = tmp_path / "m.aero"
    aerogel.compile(source.module, source.example_inputs, plan="quick").save(file)
    inputs = source.example_inputs
    given = inputs.values() if isinstance(inputs, dict) else inputs
    wanted = source.module(*given).detach().numpy()
    subjects = whole_model.program(str(file)), whole_model.torch_eager(spec, 400)
    for subject in subjects:
        subject.prepare(case.params)
        np.testing.assert_allclose(np.asarray(subject.run()), wanted, rtol=1e-5, atol=1e-6)
        facts = subject.facts()
        assert facts["peak_bytes"] is None or facts["peak_bytes"] > 1e6
    assert subjects[0].facts()["size_bytes"] == file.stat().st_size
    assert subjects[1].facts()["size_bytes"] == 400
    with pytest.raises(InputError, match="takes no token ids: leave --shapes out"):
        cases(source, ("1x16",), tmp_path)


@pytest.mark.parametrize("make", [pytest.param(sentence_encoder, marks=pytest.mark.slow), classifier])
def test_both_contenders_of_a_directory_compute_the_same(make: Any, tmp_path: Path) -> None:
    folder = make(tmp_path / "little")
    source = load_model(str(folder))
    file = tmp_path / "m.aero"
    aerogel.compile(source.module, source.example_inputs, plan="quick").save(file, embeddings="fp32")
    vocabulary = CONFIG["vocab_size"]
    threads = torch.get_num_threads()
    subjects = (
        whole_model.program(str(file), vocabulary, threads=1),
        whole_model.torch_eager(str(folder), 1, vocabulary, threads=1),
    )
    torch.set_num_threads(threads)
    case = cases(source, ("3x5",), tmp_path)[0]
    found = []
    for subject in subjects:
        subject.prepare(case.params)
        output: Any = subject.run()
        found.append(np.asarray(next(iter(output.values())) if hasattr(output, "values") else output))
        assert subject.facts()["threads"] == 1
    assert found[0].shape[0] == 3
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_places_and_names_come_apart_again() -> None:
    many = {str(i): np.full(1, i) for i in range(11)}
    args, named = whole_model.call_of({"mask": np.zeros(1), **dict(reversed(many.items()))})
    assert [int(a[0]) for a in args] == list(range(11))
    assert list(named) == ["mask"]


def test_an_input_that_is_no_tensor_is_named() -> None:
    with pytest.raises(InputError, match="example input 'scale' is a int: only tensors are timed"):
        whole_model.arrays_of({"x": torch.ones(2), "scale": 3})


def test_runtimes_are_known_and_able(folder: Path, factory: Path) -> None:
    check_against(("torch",))
    with pytest.raises(InputError, match="runtime 'fast' is unknown: choose from torch, onnxruntime"):
        check_against(("torch", "fast"))
    encoder, made = load_model(str(folder)), load_model(f"{factory}:add")
    check_encoder(("torch", "onnxruntime"), str(folder), encoder)
    check_encoder(("torch",), f"{factory}:add", made)
    with pytest.raises(InputError, match="onnxruntime: only encoders in a directory are compared"):
        check_encoder(("torch", "onnxruntime"), f"{factory}:add", made)


def test_a_classifier_is_no_encoder(tmp_path: Path) -> None:
    folder = str(classifier(tmp_path / "little"))
    with pytest.raises(InputError, match="only encoders"):
        check_encoder(("onnxruntime-int8",), folder, load_model(folder))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_time_and_memory_of_all_of_them(tmp_path: Path) -> None:
    # The export to ONNX is traced at 31 tokens.
    folder = sentence_encoder(tmp_path / "little", max_position_embeddings=64)
    source = load_model(str(folder))
    files = tmp_path / "dense.aero", tmp_path / "pruned.aero"
    for file, sparsity in zip(files, (0.0, 0.8), strict=True):
        module = aerogel.prune(source.module, sparsity).model
        aerogel.compile(module, source.example_inputs, plan="quick").save(file)
    others = ("torch", "onnxruntime") if importlib.util.find_spec("onnxscript") else ("torch",)
    wanted = Trading(str(folder), source, *files, against=others, shapes=("1x4", "2x8"), threads=1)
    told: list[float] = []
    settings = Settings(rounds=6, block_s=0.02, warm_s=0.0)
    found = measure(wanted, tmp_path, lambda step: told.append(step.done / step.total), settings)
    assert found.rows == (*(RUNTIMES[name][0] for name in others), DENSE, PRUNED)
    assert told[-1] == 1
    memory = {row: found.peak_bytes(row) for row in found.rows}
    assert None in memory.values() or memory[TORCH] > memory[DENSE]
    read = found.to_json()
    assert read["dense"] == list(found.rows[:-1])
    assert set(read["speedups"]) == {"1x4", "2x8"}
    for case in found.comparison.cases:
        assert found.speedup(case, TORCH).value == case.speedup(PRUNED, over=TORCH).value
