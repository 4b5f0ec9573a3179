"""Heads and neurons of the library's models; and what is left compiles where the dense model did."""

from __future__ import annotations

from collections.abc import Callable
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
