"""Checkpoints full of zeros are seen to be sparse, with the pattern they keep to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aerogel.prune import prune
from aerogel.prune.interchange import already_sparse, write_checkpoint
from aerogel.prune.interchange.recognise import pattern_of


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32))


@pytest.mark.parametrize(
    ("pattern", "sparsity"),
    [
        *[
            (name, s)
            for name in ("unstructured", "block2x1", "block4x1", "block1x4", "block4x4")
            for s in (0.3, 0.9)
        ],
        *[("1:4", 0.75), ("2:4", 0.5), ("4:8", 0.5)],
    ],
)
def test_a_pruned_model_is_recognised(pattern: str, sparsity: float) -> None:
    found = already_sparse(prune(net(), sparsity, pattern=pattern, layers="0").model)
    (layer,) = found.layers
    assert (layer.name, layer.pattern, layer.size) == ("0.weight", pattern, 64 * 64)
    assert layer.sparsity == found.sparsity == pytest.approx(sparsity, abs=0.02)
    assert found
    assert (found.pattern, found.weights) == (pattern, 2)
    assert str(found).startswith("already sparse: 1 of 2 weights, ")


def test_a_dense_model_is_not() -> None:
    model = net()
    model[0].weight.data[0, :40] = -0.0  # type: ignore[operator, union-attr, index]
    found = already_sparse(model)
    assert not found
    assert (found.sparsity, found.pattern, str(found)) == (
        0.0,
        None,
        "not pruned: none of 2 weights has 5% zeros",
    )


def test_minus_zero_counts_and_convolutions_are_seen_by_output() -> None:
    weight = torch.randn(8, 4, 3, 3)
    weight[:, 1] = -0.0
    (layer,) = already_sparse({"conv.weight": weight, "bias": torch.zeros(8)}).layers
    assert (layer.zeros, layer.shape, layer.pattern) == (8 * 9, (8, 4, 3, 3), "block4x1")


def test_what_meets_n_of_m_by_being_sparse_is_not_called_so() -> None:
    live = np.zeros((64, 64), bool)
    live[np.arange(64), np.arange(64)] = True
    assert pattern_of(~live) == "unstructured"
    assert pattern_of(np.ones((3, 3), bool)) == "block2x1"
    assert pattern_of(np.zeros((1, 1), bool)) == "unstructured"


RECIPE = """\
modifiers:
  - !MagnitudePruningModifier
    final_sparsity: 0.8
  - !ConstantPruningModifier {}
  - !SparseGPTModifier {}
"""


def test_a_directory_of_sparseml_is_recognised(tmp_path: Path) -> None:
    """Dense files, a recipe beside them, and a configuration that says per cent."""
    state = prune(net(), 0.8).model.state_dict()
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    config = {"sparsity_config": {"format": "dense", "global_sparsity": 79.3, "sparsity_structure": "0:0"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = already_sparse(tmp_path)
    assert [layer.name for layer in found.layers] == ["0.weight", "2.weight"]
    assert found.sparsity == pytest.approx(0.8, abs=1e-3)
    said = found.declared
    assert said.modifiers == ("MagnitudePruningModifier", "ConstantPruningModifier", "SparseGPTModifier")
    assert (said.layout, said.structure, said.sparsity) == ("dense", "0:0", pytest.approx(0.793))
    assert str(found).endswith(
        "unstructured; stored as dense; its recipe names MagnitudePruningModifier, ConstantPruningModifier, "
        "SparseGPTModifier"
    )


@pytest.mark.parametrize("share", [None, "many", True, -1, 101, float("inf")])
def test_a_share_that_says_nothing_is_none(share: object, tmp_path: Path) -> None:
    save_file({"w": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"sparsity_config": {"global_sparsity": share}}))
    assert already_sparse(str(tmp_path)).declared.sparsity is None


def test_a_directory_in_a_sparse_layout_is_recognised(tmp_path: Path) -> None:
    write_checkpoint(prune(net(), pattern="2:4").model, tmp_path, "sparse-24-bitmask")
    found = already_sparse(tmp_path)
    assert (found.pattern, found.declared.structure, len(found.layers)) == ("2:4", "2:4", 2)
