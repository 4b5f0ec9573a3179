"""Heads and neurons of the library's models; and what is left compiles where the dense model did."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import aerogel as ag
from aerogel.prune.structured.entry import remove_units

SMALL: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 32,
}  # fmt: skip


def bert(how: str) -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(**SMALL, attn_implementation=how))


def llama(how: str) -> nn.Module:
    config = transformers.LlamaConfig(**SMALL, num_key_value_heads=2, attn_implementation=how)
    return transformers.LlamaForCausalLM(config)


def gpt2(how: str) -> nn.Module:
    sizes = {"vocab_size": 50, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return transformers.GPT2Model(transformers.GPT2Config(**sizes, **ends, attn_implementation=how))


def t5(how: str) -> nn.Module:
    sizes = {"vocab_size": 50, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    return transformers.T5EncoderModel(transformers.T5Config(**sizes))


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    ids = torch.randint(0, 50, (2, 6), generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids, "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2])}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("make", "heads", "neurons"),
    [
        (bert, "encoder.layer.0.attention.self.query", "encoder.layer.0.intermediate.dense"),
        (llama, "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.gate_proj"),
        (gpt2, "h.0.attn.c_attn", "h.0.mlp.c_fc"),
        (t5, "encoder.block.0.layer.0.SelfAttention.q", "encoder.block.0.layer.1.DenseReluDense.wi"),
    ],
)
def test_heads_and_neurons(make: Callable[[str], nn.Module], heads: str, neurons: str, how: str) -> None:
    if make is t5 and how == "eager":
        pytest.skip("T5 has one way alone")
    torch.manual_seed(0)
    model = make(how).double().eval()
    small = model
    for pattern, name in (("head", heads), ("neuron", neurons)):
        before = small
        result = remove_units(before, 0.5, pattern=pattern, data=[batch()])
        removed = {r.name: (r.removed, r.units) for r in result.report.removed}
        assert removed[name][0] * 2 == removed[name][1]
        small = result.model
        with torch.no_grad():
            for weight, mask in result.masks.items():
                before.get_parameter(weight)[torch.from_numpy(~mask)] = 0
            wanted, got = before(**batch(1))[0], small(**batch(1))[0]
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def reloaded(model: Any, folder: Path) -> nn.Module:
    model.save_pretrained(folder)
    return type(model).from_pretrained(folder).eval()


def equal(one: nn.Module, other: nn.Module) -> bool:
    with torch.no_grad():
        return torch.equal(one(**batch(1))[0], other(**batch(1))[0])


TRIPS = [
    (llama, "head", {"num_attention_heads": 2, "num_key_value_heads": 1}),
    pytest.param(llama, "neuron", {"intermediate_size": 24}, marks=pytest.mark.slow),
    pytest.param(bert, "neuron", {"intermediate_size": 24}, marks=pytest.mark.slow),
    pytest.param(gpt2, "neuron", {"n_inner": 64}, marks=pytest.mark.slow),
    pytest.param(t5, "head", {"num_heads": 2}, marks=pytest.mark.slow),
    pytest.param(t5, "neuron", {"d_ff": 24}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("make", "pattern", "config"), TRIPS)
def test_what_is_left_alike_in_all_layers_is_saved_and_loaded_bit_for_bit(
    make: Callable[[str], nn.Module], pattern: str, config: dict[str, int], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = make("sdpa").eval()
    before = model.config.to_dict()
    result = remove_units(model, 0.5, pattern=pattern, data=[batch()])
    assert result.units["config"] == config
    assert "from_pretrained reload the smaller model" in result.report.reload
    assert result.report.reload in str(result.report)
    assert equal(reloaded(result.model, tmp_path / "once"), result.model)
    assert model.config.to_dict() == before
    # And so does what is removed again, in place.
    remove_units(model, units=result.units, inplace=True)
    assert equal(reloaded(model, tmp_path / "again"), result.model)


@pytest.mark.parametrize(
    ("make", "pattern", "budget", "told"),
    [
        (
            llama,
            "neuron",
            "global",
            r"layers differ in what is left \(model.layers.0.mlp.gate_proj \d+ of 48",
        ),
        # The width of a head is that of the model over their number: no configuration says otherwise.
        pytest.param(bert, "head", "uniform", "no BertConfig says what is left", marks=pytest.mark.slow),
        pytest.param(gpt2, "head", "uniform", "no GPT2Config says what is left", marks=pytest.mark.slow),
    ],
)
def test_what_no_configuration_says_is_loaded_by_its_record(
    make: Callable[[str], nn.Module], pattern: str, budget: str, told: str
) -> None:
    torch.manual_seed(0)
    model = make("sdpa").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(1.5 if "1.mlp" in name else 1)
    result = remove_units(model, 0.5, pattern=pattern, budget=budget, data=[batch()])
    assert re.search(told, result.report.reload) and "remove_units(dense, units=" in result.report.reload
    assert result.units["config"] == {} and result.model.config.to_dict() == model.config.to_dict()
    fresh = remove_units(make("sdpa").eval(), units=result.units).model
    fresh.load_state_dict(result.model.state_dict())
    assert equal(fresh, result.model)


@pytest.mark.slow
def test_what_is_left_compiles() -> None:
    torch.manual_seed(0)
    model = bert("sdpa").eval()
    for pattern in ("head", "neuron"):
        model = remove_units(model, 0.5, pattern=pattern, data=[batch()]).model
    inputs = tuple(batch().values())
    with torch.no_grad():
        wanted = model(*inputs)[0].numpy()
    got = np.asarray(ag.compile(model, inputs)(*inputs)["last_hidden_state"])
    counts = inputs[1].bool().numpy()
    np.testing.assert_allclose(got[counts], wanted[counts], rtol=1e-4, atol=1e-5)
