"""REAP's measure against its definition, token by token."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tests.prune.experts.zoo import EXPERTS, TOP_K, Listed, gpt_oss, made, mixtral, qwen3, rows, texts
from torch import nn

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.prune.batches import calls_of
from aerogel.prune.experts.mixtures import mixtures
from aerogel.prune.experts.saliency import worths


def naive_gates(logits: list[float]) -> dict[int, float]:
    """The chosen experts, and their gates, by softmax, the best, renormalised."""
    shares = np.exp(np.array(logits) - max(logits))
    shares /= shares.sum()
    best = sorted(range(len(logits)), key=lambda e: -shares[e])[:TOP_K]
    return {e: float(shares[e] / sum(shares[b] for b in best)) for e in best}


def naive(tokens: torch.Tensor, router: nn.Module, expert: Any) -> tuple[np.ndarray, np.ndarray]:
    """Saliency and counts, of ``tokens`` [n, width]."""
    sums, counts = np.zeros(EXPERTS), np.zeros(EXPERTS, int)
    for x in tokens:
        logits = router.weight @ x + (router.bias if getattr(router, "bias", None) is not None else 0)
        for e, gate in naive_gates(logits.tolist()).items():
            sums[e] += gate * np.linalg.norm(expert(e, x).numpy())
            counts[e] += 1
    return np.where(counts > 0, sums / np.maximum(counts, 1), 0.0), counts


def fused_expert(experts: nn.Module) -> Any:
    def run(e: int, x: torch.Tensor) -> torch.Tensor:
        gate, up = (experts.gate_up_proj[e] @ x).chunk(2)
        return experts.down_proj[e] @ (torch.nn.functional.silu(gate) * up)

    return run


def fed(model: nn.Module, block: nn.Module, data: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """What the block is fed, padding left out, [tokens, width]."""
    seen: list[torch.Tensor] = []
    handle = block.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for batch in data:
        model(**batch)
    handle.remove()
    return torch.cat([x[b["attention_mask"] == 1] for x, b in zip(seen, data, strict=True)])


@pytest.mark.parametrize("make", [mixtral, qwen3])
@torch.no_grad()
def test_fused_experts(make: Any) -> None:
    model, data = made(make), texts()
    found = mixtures(model)
    assert [(m.count, m.fused, m.top_k) for m in found] == [(EXPERTS, True, TOP_K)] * 2
    for mixture, worth in zip(found, worths(model, found, calls_of(model, data)), strict=True):
        tokens = fed(model, mixture.block, data)
        saliency, counts = naive(tokens, mixture.router, fused_expert(mixture.experts))
        np.testing.assert_allclose(worth.saliency, saliency, rtol=1e-5)
        assert worth.tokens.tolist() == counts.tolist() and counts.sum() == TOP_K * len(tokens)
        assert worth.most == TOP_K


@torch.no_grad()
def test_listed_experts_by_what_the_block_loses_without_them() -> None:
    model, data = made(Listed), rows()
    found = mixtures(model)
    assert [(m.name, m.count, m.fused, m.top_k) for m in found] == [("experts", EXPERTS, False, None)]
    (worth,) = worths(model, found, calls_of(model, data))
    saliency, counts = naive(fed_rows(data), model.gate, lambda e, x: model.experts[e](x))
    np.testing.assert_allclose(worth.saliency, saliency, rtol=1e-4)
    assert worth.tokens.tolist() == counts.tolist() and worth.most == TOP_K
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def fed_rows(data: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    return torch.cat([batch["x"][batch["attention_mask"] == 1] for batch in data])


@torch.no_grad()
def test_arguments_by_name_are_as_good() -> None:
    model, data = made(mixtral), texts()
    named = copy.deepcopy(model)
    for mixture in mixtures(named):
        forward = mixture.block.forward

        def by_name(hidden: torch.Tensor, block: nn.Module = mixture.block) -> torch.Tensor:
            flat = hidden.reshape(-1, hidden.shape[-1])
            _, gates, chosen = block.gate(flat)
            made_ = block.experts(top_k_weights=gates, top_k_index=chosen, hidden_states=flat)
            return made_.view_as(hidden)

        assert forward is not by_name
        mixture.block.forward = by_name
    ours, theirs = (worths(m, mixtures(m), calls_of(m, data)) for m in (model, named))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.saliency, other.saliency)


@torch.no_grad()
def test_an_expert_that_gives_nothing_is_worth_nothing() -> None:
    model = made(gpt_oss)
    experts = mixtures(model)[0].experts
    experts.down_proj[3] = 0.0
    experts.down_proj_bias[3] = 0.0
    worth = worths(model, mixtures(model), calls_of(model, texts()))[0]
    assert worth.saliency[3] == 0.0 and (np.delete(worth.saliency, 3) > 0).any()


@torch.no_grad()
def test_experts_that_are_not_finite_are_refused() -> None:
    model = made(mixtral)
    mixtures(model)[1].experts.down_proj[:] = torch.inf
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.experts: an expert gives NaN or infinity"):
        worths(model, mixtures(model), calls_of(model, texts()))


class Blind(nn.Module):
    """Fused experts that are all computed for all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(4, 3)
        self.experts = Dense()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.router(x).softmax(-1).unsqueeze(-1) * self.experts(x)).sum(1)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nd,edh->neh", x, self.weight)


def test_fused_experts_that_are_called_otherwise_are_refused() -> None:
    model = Blind()
    with pytest.raises(UnsupportedError, match="experts is not called with tokens, the experts chosen"):
        worths(model, mixtures(model), calls_of(model, [torch.randn(5, 4)]))
