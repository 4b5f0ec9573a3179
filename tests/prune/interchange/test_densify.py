"""A checkpoint in an orphaned layout becomes one that transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from aerogel.core.errors import FormatError, InputError
from aerogel.prune import prune
from aerogel.prune.interchange import to_dense, write_checkpoint


@pytest.fixture(scope="module")
def bert() -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    return prune(
        BertModel(BertConfig(vocab_size=20, max_position_embeddings=8, **sizes)), pattern="2:4"
    ).model


@pytest.mark.parametrize("layout", ["sparse-bitmask", "sparse-24-bitmask"])
def test_transformers_loads_what_it_makes(layout: str, bert: torch.nn.Module, tmp_path: Path) -> None:
    write_checkpoint(bert, tmp_path / "sparse", layout)
    (tmp_path / "sparse" / "1_Pooling").mkdir()
    (tmp_path / "sparse" / "1_Pooling" / "config.json").write_text("{}")
    found = to_dense(tmp_path / "sparse", tmp_path / "dense")
    assert set(found.layouts.values()) == {layout}
    assert "quantization_config" not in json.loads((tmp_path / "dense" / "config.json").read_text())
    assert (tmp_path / "dense" / "1_Pooling" / "config.json").is_file()
    loaded = BertModel.from_pretrained(tmp_path / "dense").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in bert.state_dict().items())


def test_what_quantisation_says_is_kept(tmp_path: Path) -> None:
    groups = {"config_groups": {"0": {}}, "sparsity_config": {"format": "dense"}}
    config = {"quantization_config": groups, "x": 1}
    write_checkpoint({"a.weight": torch.eye(64)}, tmp_path / "a", config={})
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    to_dense(tmp_path / "a", tmp_path / "b")
    kept = json.loads((tmp_path / "b" / "config.json").read_text())
    assert kept == {"x": 1, "quantization_config": {"config_groups": {"0": {}}}}


def test_what_is_there_is_kept(bert: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no directory"):
        to_dense(tmp_path / "none", tmp_path / "b")
    write_checkpoint(bert, tmp_path / "a")
    with pytest.raises(InputError, match="is there already"):
        to_dense(tmp_path / "a", tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(FormatError, match="cannot be read"):
        to_dense(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").exists()
