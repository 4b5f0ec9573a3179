"""A model as it is given: read once, written as ONNX, run by every runtime, in other environments too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aerogel
from aerogel.bench import encoder, native_program, onnx_runtime, torch_eager
from aerogel.bench.encoder import EncoderBench, Variant, compare_encoder
from aerogel.bench.given_model import Given, is_given, read_given
from aerogel.bench.onnx_graph import onnx_model
from aerogel.bench.step_profile import profiles
from aerogel.core.errors import InputError, MeasureError
from aerogel.measure import Contender, Settings
from aerogel.model.source import load_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
QUICK = Settings(rounds=6, block_s=0.005, warm_s=0.0, min_runs=1)
MODELS = """
import torch

def mlp():
    torch.manual_seed(0)
    first, last = torch.nn.Linear(24, 32), torch.nn.Linear(32, 5)
    return torch.nn.Sequential(first, torch.nn.ReLU(), last, torch.nn.Tanh()), (torch.randn(4, 24),)

def classifier():
    from transformers import BertConfig, BertForSequenceClassification
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    model = BertForSequenceClassification(
        BertConfig(vocab_size=300, max_position_embeddings=48, num_labels=3, **sizes)
    ).eval()
    ids = torch.randint(0, 300, (2, 16))
    return model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("models") / "given_models.py"
    file.write_text(MODELS)
    return file


def quiet(words: str, share: float) -> None: ...


def read(name: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    return read_given(f"{models}:{name}", ("fp32", "int8"), tmp_path_factory.mktemp(name), quiet)


@pytest.mark.parametrize(
    ("model", "given"),
    [("m.aero", True), ("m.py:f", True), ("m.py", True), ("folder", False), ("a.b", False)],
)
def test_what_is_compared_as_it_is(model: str, given: bool) -> None:
    assert is_given(model) == is_given(Path(model)) == given


@pytest.mark.parametrize("name", ["mlp", pytest.param("classifier", marks=pytest.mark.slow)])
def test_every_runtime_computes_what_the_module_does(
    name: str, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given, spec = read(name, models, tmp_path_factory), f"{models}:{name}"
    signature = given.signature.to_json()
    assert json.loads(json.dumps(signature)) and given.zeros == 0
    subjects = {
        "torch": torch_eager.make_given(spec, signature),
        "onnx": onnx_runtime.make_given(str(given.onnx["fp32"]), signature, threads=1),
        "int8": onnx_runtime.make_given(str(given.onnx["int8"]), signature, "int8", threads=1),
        "ours": native_program.make_given(spec, signature, threads=1),
        "pruned": native_program.make_given(spec, signature, sparsity=0.9, threads=1),
    }
    found = {}
    for row, subject in subjects.items():
        subject.prepare({"lengths": [7, 31, 1, 48]})
        found[row] = subject.result()
        assert subject.facts()["size_bytes"] > 0
    wanted = found["torch"]
    largest = np.abs(wanted).max()
    errors = {row: float(np.abs(array - wanted).max() / largest) for row, array in found.items()}
    assert errors["onnx"] < 1e-5 and errors["ours"] < 1e-5
    assert 1e-5 < errors["int8"] < 0.3 < errors["pruned"] * 10


@pytest.mark.slow
def test_a_file_is_compared_as_it_is(models: Path, tmp_path: Path) -> None:
    source = load_model(f"{models}:classifier")
    path = tmp_path / "m.aero"
    pruned = aerogel.prune(source.module, sparsity=0.75).model
    aerogel.compile(pruned, source.example_inputs, plan="quick").save(path, embeddings="fp32")
    given = read_given(str(path), ("fp32",), tmp_path, quiet)
    assert 0.7 < given.zeros < 0.8
    signature = given.signature.to_json()
    results = []
    for subject in (
        native_program.make_given(str(path), signature),
        onnx_runtime.make_given(str(given.onnx["fp32"]), signature),
    ):
        subject.prepare({"lengths": [5, 2]})
        results.append(subject.result())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_file_in_integers_is_compared_with_the_numbers_these_stand_for(
    models: Path, tmp_path: Path
) -> None:
    source = load_model(f"{models}:mlp")
    path = tmp_path / "m.aero"
    aerogel.compile(source.module, source.example_inputs, plan="quick", precision="int8").save(path)
    given = read_given(str(path), ("fp32",), tmp_path, quiet)
    assert given.precision == "int8"
    bench = EncoderBench(path, ("onnxruntime",), (Variant(),)).labelled(given.zeros, given.precision)
    other, ours = bench.contenders(given)
    assert ours.name == "aerogel dense int8" and "precision" not in ours.args
    results = []
    for subject in (native_program.make_given(**ours.args), onnx_runtime.make_given(**other.args)):
        subject.prepare({"lengths": [5, 2]})
        results.append(subject.result())
    error = float(np.abs(results[0] - results[1]).max() / np.abs(results[1]).max())
    # Alike, but for the integers that our own row rounds activations to.
    assert 1e-6 < error < 0.05


def test_rows_are_named_after_the_zeros_that_are_there() -> None:
    bench = EncoderBench(Path("pruned"), variants=(Variant(), Variant(precision="int8")))
    assert bench.labelled(0.001) is bench
    assert [v.name for v in bench.labelled(0.899).variants] == ["aerogel 90 %", "aerogel 90 % int8"]
    both = EncoderBench(Path("pruned"), variants=(Variant(),), dense=Path("dense")).labelled(0.9)
    assert [(v.name, v.file) for v in both.variants] == [
        ("aerogel dense", Path("dense")), ("aerogel 90 %", Path("pruned"))
    ]  # fmt: skip


def test_what_a_file_cannot_be_compared_with_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "m.aero"
    file.touch()
    for bench, told in (
        (EncoderBench(file, variants=(Variant(),)), "holds no torch module"),
        (EncoderBench(file, (), (Variant(0.5),)), "has the zeros it has"),
        (EncoderBench(file, (), (Variant(precision="int8"),)), "has the precision it was compiled with"),
        (EncoderBench(tmp_path / "gone.aero"), "there is no"),
    ):
        with pytest.raises(InputError, match=told):
            compare_encoder(bench)
    with pytest.raises(InputError, match="give a directory to compare it on texts"):
        compare_encoder(EncoderBench(file, ()), ["a text"])


def test_an_onnx_file_that_computes_something_else_is_refused(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx import numpy_helper

    def wrong(graph: Any) -> bytes:
        import onnx

        model = onnx.load_from_string(onnx_model(graph))
        weight = model.graph.initializer[0]
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.01, weight.name))
        return model.SerializeToString()

    monkeypatch.setattr("aerogel.bench.given_model.onnx_model", wrong)
    with pytest.raises(MeasureError, match="differs from it by"):
        read_given(f"{models}:mlp", ("fp32",), tmp_path, quiet)


FAKE = '''
__version__ = "fake"
import onnxruntime

class Engine:
    """As the true one: it is for one shape, and writes that into the file it is given."""

    fraction_of_supported_ops = 1.0

    def __init__(self, model, batch_size, num_cores, input_shapes):
        self.num_cores, self.shapes, self.batch_size = num_cores, input_shapes, batch_size
        self.session = onnxruntime.InferenceSession(model)
        open(model, "w").close()

    def run(self, arrays, val_inp=True):
        assert [list(a.shape) for a in arrays] == self.shapes and self.batch_size == arrays[0].shape[0]
        names = [i.name for i in self.session.get_inputs()]
        return self.session.run(None, dict(zip(names, arrays)))
'''


@pytest.mark.slow
@pytest.mark.timeout(400)  # six processes start one after the other
def test_a_runtime_in_an_environment_of_its_own_takes_part(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's interpreter is this one, with a library that is nowhere else."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "deepsparse.py").write_text(FAKE)
    python = tmp_path / "python"
    own = f"PYTHONPATH=$PYTHONPATH:{tmp_path / 'own'}"
    python.write_text(f'#!/bin/sh\n{own} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("aerogel.bench.peers.interpreter", lambda wanted: python)
    model = Path(f"{models}:mlp")
    bench = EncoderBench(model, ("onnxruntime", "deepsparse"), (Variant(),), ("1x8", "3x4"), threads=1)
    found = compare_encoder(bench, settings=QUICK)
    assert found.rows == ("onnxruntime fp32", "deepsparse fp32", "aerogel dense")
    assert max(found.errors.values()) < 1e-5
    facts = found.comparison.facts("deepsparse fp32")
    assert facts.facts["version"] == "fake" and facts.facts["own_share"] == 1.0
    assert facts.contender.env == {"NM_DISABLE_ANALYTICS": "True"} and facts.contender.python == python
    (one,) = profiles(found, "2x8", quiet)
    told = one.to_json()
    assert one.row == "aerogel dense" and told["shape"] == "2x8"
    assert sum(step["time_share"] for step in told["steps"]) == pytest.approx(1)
    assert sum(told["by_kernel"].values()) == pytest.approx(1)
    assert str(one).splitlines()[0].startswith("aerogel dense at 2x8, ") and "32 x 24" in str(one)
    assert json.dumps(told, allow_nan=False)


def test_what_runs_in_another_environment_needs_numpy_alone() -> None:
    """NumPy aside, the engine's file imports nothing that is not in Python or in this package."""
    code = (
        "import sys, aerogel.measure.worker, aerogel.bench.deepsparse_engine\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops & {'llvmlite', 'safetensors', 'torch', 'onnx', 'onnxruntime', 'transformers'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_row_that_computes_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        def case(self, name: str) -> Any:
            assert name == "agreement"
            return self

        outputs = {"one": np.ones((2, 3)), "other": np.ones((2, 4))}  # noqa: RUF012

    with pytest.raises(MeasureError, match=r"'other' computes something else .* \(2, 4\) for the \(2, 3\)"):
        encoder._errors(Found(), "one")  # pyright: ignore[reportArgumentType]


def test_a_peer_says_which_interpreter_and_variables_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from aerogel.bench import peers

    monkeypatch.setattr(peers, "interpreter", lambda wanted: Path("/other/python"))
    made: Contender = peers.PEERS["deepsparse"].contender("m:f", {"threads": 1})
    assert made.python == Path("/other/python") and made.env == {"NM_DISABLE_ANALYTICS": "True"}
    assert peers.PEERS["openvino"].contender("m:f", {}).args == {"precision": "f32"}
    assert peers.PEERS["openvino-default"].contender("m:f", {}).args == {}
