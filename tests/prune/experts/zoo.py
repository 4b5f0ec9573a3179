"""Small mixtures of experts with random weights: the library's, fused and as a dict, and one of our own."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

EXPERTS, TOP_K, WIDTH = 6, 2, 16
SMALL: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 24, "num_experts_per_tok": TOP_K,
    "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip


class Expert(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(WIDTH, 12), nn.ReLU(), nn.Linear(12, WIDTH))


class Listed(nn.Module):
    """A residual block whose experts are a list; each is called with just its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = EXPERTS
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.shared_gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        rows = x.reshape(-1, WIDTH)
        gates, chosen = self.gate(rows).softmax(-1).topk(TOP_K)
        gates = gates / gates.sum(-1, keepdim=True)
        y = rows + self.shared_gate(rows).sum(-1, keepdim=True)
        for index in range(self.num_experts):
            at, place = (chosen == index).nonzero(as_tuple=True)
            if len(at):
                y = y.index_add(0, at, gates[at, place, None] * self.experts[index](rows[at]))
        return y.view_as(x)


def mixtral() -> nn.Module:
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**SMALL, num_local_experts=EXPERTS))


def qwen3() -> nn.Module:
    sizes = {"num_experts": EXPERTS, "moe_intermediate_size": 12, "norm_topk_prob": True}
    return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**SMALL, **sizes))


def qwen2() -> nn.Module:
    sizes = {"num_experts": EXPERTS, "moe_intermediate_size": 12, "shared_expert_intermediate_size": EXPERTS}
    return transformers.Qwen2MoeForCausalLM(transformers.Qwen2MoeConfig(**SMALL, **sizes))


def gpt_oss() -> nn.Module:
    return transformers.GptOssForCausalLM(transformers.GptOssConfig(**SMALL, num_local_experts=EXPERTS))


def deepseek(groups: int = 1) -> nn.Module:
    sizes = {key: value for key, value in SMALL.items() if key != "head_dim"} | {
        "num_key_value_heads": 2, "n_routed_experts": EXPERTS, "n_group": groups, "topk_group": 1,
        "first_k_dense_replace": 1, "moe_intermediate_size": 12, "q_lora_rank": 8, "kv_lora_rank": 8,
        "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8,
    }  # fmt: skip
    return transformers.DeepseekV3ForCausalLM(transformers.DeepseekV3Config(**sizes))


def switch() -> nn.Module:
    sizes = {"d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_heads": 2, "num_layers": 2, "vocab_size": 40}
    config = transformers.SwitchTransformersConfig(**sizes, num_experts=EXPERTS, num_sparse_encoder_layers=1)
    return transformers.SwitchTransformersEncoderModel(config)


def made(make: Any) -> nn.Module:
    """In use, with weights large enough for experts to differ."""
    torch.manual_seed(0)
    model = make().eval()
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
    return model


def texts(count: int = 2) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    mask = torch.ones(3, 10, dtype=torch.long)
    mask[0, 6:] = 0
    return [
        {"input_ids": torch.randint(0, 40, (3, 10), generator=draw), "attention_mask": mask}
        for _ in range(count)
    ]


def rows(count: int = 2) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    mask = texts()[0]["attention_mask"]
    return [{"x": torch.randn(3, 10, WIDTH, generator=draw), "attention_mask": mask} for _ in range(count)]
