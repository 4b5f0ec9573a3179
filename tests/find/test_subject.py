"""What is inspected: directories, factories, files, modules; and what is said of those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.find.networks import encoder, factories

import aerogel
from aerogel.core.errors import AerogelError, FormatError, InputError, UnsupportedError
from aerogel.find.samples import sample
from aerogel.find.subject import Subject, linears, open_subject
from aerogel.model.artefact import Artefact, save


def opened(model: object, example: object = None) -> Subject:
    return open_subject(model, example, lambda _: None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return factories(tmp_path_factory.mktemp("models"))


def test_a_factory(file: Path) -> None:
    found = opened(f"{file}:net")
    assert (found.kind, found.refusal, found.name) == ("factory", None, "networks_by_hand:net")
    assert [held.name for held in linears(found)] == ["up.weight", "down.weight"]
    assert found.example is not None and found.example["x"].shape == (3, 8)


def test_a_module_with_example_inputs() -> None:
    found = opened(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.ones(1, 4))
    assert (found.kind, found.name) == ("module", "Sequential")
    assert found.graph is not None


def test_an_artefact_needs_no_torch(tmp_path: Path) -> None:
    save(tmp_path / "m.aero", Artefact(encoder()))
    found = opened(tmp_path / "m.aero")
    assert (found.kind, found.name, found.module) == ("artefact", "m.aero", None)
    assert found.graph is not None and len(list(linears(found))) == 5


def test_a_refused_module_still_shows_its_weights(file: Path) -> None:
    found = opened(f"{file}:odd")
    assert found.graph is None
    assert found.refusal is not None and "fft" in found.refusal
    weights = {held.name: held for held in found.weights}
    assert weights["up.weight"].role == "linear" and weights["up.weight"].shape == (16, 8)
    assert (weights["up.weight"].load()[:, 0] == 0).all()
    assert weights["up.bias"].role == "other"


def test_tied_parameters_of_a_refused_module_are_one_weight() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = torch.nn.Embedding(6, 4), torch.nn.Linear(4, 6, bias=False)
            self.head.weight = self.table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft(self.head(self.table(ids))).real

    found = opened(Tied(), (torch.ones(2, 3, dtype=torch.long),))
    assert [(held.name, held.readers, held.role) for held in found.weights] == [
        ("table.weight", ("table.weight", "head.weight"), "linear")
    ]


def test_a_directory_of_another_kind_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    tensors = {
        "h.0.mlp.c_fc.weight": torch.arange(6.0, dtype=torch.bfloat16).reshape(2, 3),
        "wte.weight": torch.ones(4, 3),
        "h.0.mlp.c_fc.bias": torch.ones(3),
        "steps": torch.ones(1, dtype=torch.int64),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    found = opened(tmp_path)
    assert found.refusal is not None and "gpt2" in found.refusal
    assert (found.graph, found.module, found.kind) == (None, None, "directory")
    roles = {held.name: (held.role, held.shape) for held in found.weights}
    assert roles == {
        "h.0.mlp.c_fc.weight": ("linear", (2, 3)),
        "wte.weight": ("embedding", (4, 3)),
        "h.0.mlp.c_fc.bias": ("other", (3,)),
    }
    with pytest.raises(UnsupportedError, match="only its weights can be read"):
        sample(found, None)
    weight = next(linears(found)).load()
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, np.arange(6).reshape(2, 3))


def test_a_damaged_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(FormatError, match="cannot be read"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("bare", InputError, "networks_by_hand:bare has no linear layer"),
        ("broken", InputError, r"weight 'down\.weight' holds 1 NaN"),
        ("absent", InputError, "has no 'absent'"),
    ],
)
def test_what_a_factory_may_make(file: Path, name: str, error: type[AerogelError], said: str) -> None:
    with pytest.raises(error, match=said):
        opened(f"{file}:{name}")


@pytest.mark.parametrize("path", ["/no/such/model", "/no/such/model.aero", "/no/such.py:function"])
def test_unknown_paths(path: str) -> None:
    with pytest.raises(InputError, match=r"(?i)no such|there is no"):
        opened(path)


@pytest.mark.parametrize("model", [3, None, ["a"]])
def test_what_is_no_model(model: object) -> None:
    with pytest.raises(InputError, match=r"give a path, or a torch\.nn\.Module"):
        opened(model)


def test_example_inputs_go_with_a_module_and_with_nothing_else(file: Path) -> None:
    with pytest.raises(InputError, match="go with a torch module"):
        opened(f"{file}:net", torch.ones(1))
    with pytest.raises(InputError, match="needs example_inputs"):
        opened(torch.nn.Linear(2, 2))


def test_an_unsupported_factory_is_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise UnsupportedError("nothing known")

    monkeypatch.setattr("aerogel.find.subject.load_model", refuse)
    with pytest.raises(UnsupportedError, match="nothing known"):
        opened(tmp_path / "absent")


def test_the_public_name() -> None:
    from aerogel.find.inspect import inspect

    assert aerogel.inspect is inspect
