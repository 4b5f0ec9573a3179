"""Grids of linear layers: kept by checkpoints, and only where they are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.trial.little import sentence_encoder

from aerogel.model.save_pretrained import save_pretrained
from aerogel.model.source import load_model
from aerogel.model.torch_grid import SCALE, drop_scale, lies_on, put_scale, restore_scales, scale_of
from aerogel.prune import prune


def layer() -> torch.nn.Linear:
    made = torch.nn.Linear(4, 2)
    made.weight.data = torch.tensor([[0.5, -63.5, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    return made


HALVES = torch.tensor([0.5, 1.0])


def test_a_scale_is_put_copied_and_dropped() -> None:
    made = layer()
    assert scale_of(made) is None
    drop_scale(made)
    put_scale(made, HALVES)
    put_scale(made, 2 * HALVES)
    assert made.state_dict()[SCALE].tolist() == [1.0, 2.0] and HALVES.tolist() == [0.5, 1.0]
    drop_scale(made)
    assert scale_of(made) is None and SCALE not in made.state_dict()


@pytest.mark.parametrize(
    ("scale", "lies"),
    [
        (HALVES, True),
        (torch.tensor([0.25, 1.0]), False),
        (torch.tensor([1.0, 1.0]), False),
        (torch.tensor([0.5, 0.0]), False),
        (torch.tensor([0.5, float("nan")]), False),
        (torch.tensor([0.5, float("inf")]), False),
        (torch.tensor([0.5]), False),
        (torch.tensor([[0.5], [1.0]]), False),
        (HALVES.double(), False),
        (HALVES.bfloat16(), False),
        (HALVES.to(torch.complex64), False),
        (torch.tensor([1e-45, 1.0]), False),
    ],
)
def test_a_weight_lies_on_its_grid_or_not(scale: torch.Tensor, lies: bool) -> None:
    """-63.5 is 127 halves, but 254 quarters."""
    assert lies_on(layer().weight, scale) is lies
    assert not lies_on(layer().weight.double(), scale)


def test_only_true_scales_of_linear_layers_are_restored(tmp_path: Path) -> None:
    module = torch.nn.ModuleDict({"a": layer(), "b": layer(), "norm": torch.nn.LayerNorm(2)})
    file = tmp_path / "model.safetensors"
    names = {"a": HALVES, "b": torch.tensor([0.3, 1.0]), "norm": HALVES, "none": HALVES}
    save_file({f"{name}.{SCALE}": value.clone() for name, value in names.items()}, file)
    restore_scales(module, [file])
    assert [name for name, _ in module.named_buffers()] == [f"a.{SCALE}"]


def test_a_directory_keeps_the_grid(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    source = load_model(str(sentence_encoder(tmp_path / "little")))
    result = prune(source.module, 0.5, precision="int8", inplace=True)
    save_pretrained(result.model, tmp_path / "little", tmp_path / "out", {})
    again = load_model(str(tmp_path / "out")).module
    wanted, found = result.model.state_dict(), again.state_dict()
    assert any(name.endswith(f".{SCALE}") for name in wanted)
    torch.testing.assert_close(dict(found), dict(wanted), rtol=0, atol=0)
