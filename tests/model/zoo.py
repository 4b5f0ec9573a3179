"""Tiny networks with random weights, one per family the importer knows; the same on every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

VOCABULARY, POSITIONS, HIDDEN = 100, 40, 32


FAMILIES = (
    *("Albert", "Bert", "Camembert", "Data2VecText", "DistilBert", "Electra", "Ernie", "MPNet"),
    *("MegatronBert", "RemBert", "Roberta", "RobertaPreLayerNorm", "XLMRoberta", "XLMRobertaXL"),
)


def _config(family: str, layers: int, **options: Any) -> Any:
    shared = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
        "attn_implementation": "sdpa",
    } | options
    if family == "DistilBert":
        sizes = {"dim": HIDDEN, "n_layers": layers, "n_heads": 4, "hidden_dim": 64}
    else:
        sizes = {
            "hidden_size": HIDDEN,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "intermediate_size": 64,
        }
    if family in ("MPNet", "MegatronBert", "RemBert"):  # they have no fused attention
        del shared["attn_implementation"]
    narrow = {
        "Albert": {"embedding_size": 16},
        "Electra": {"embedding_size": 16},
        "RemBert": {"input_embedding_size": 16, "output_embedding_size": 16},
    }
    return getattr(transformers, f"{family}Config")(**(sizes | narrow.get(family, {}) | shared))


def randomized(module: nn.Module) -> nn.Module:
    """Every parameter drawn anew, so that biases and norms matter too; in eval mode."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module.eval()


def hugging(name: str, layers: int = 2, **options: Any) -> nn.Module:
    """A transformers class by name, such as ``BertForSequenceClassification``."""
    known = [f for f in FAMILIES if name.startswith(f)]
    family = max(known, key=len)
    torch.manual_seed(0)
    return randomized(getattr(transformers, name)(_config(family, layers, **options)))


class Pooled(nn.Module):
    """An encoder, its tokens pooled to one row, and what may follow."""

    def __init__(
        self, encoder: nn.Module, pool: Callable[..., Any], head: nn.Module | None, unit: bool
    ) -> None:
        super().__init__()
        self.encoder, self.pool, self.head, self.unit = encoder, pool, head, unit

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        rows = self.pool(tokens, attention_mask)
        if self.head is not None:
            rows = self.head(rows)
        return functional.normalize(rows, p=2, dim=1) if self.unit else rows


def mean_tokens(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """As sentence-transformers spells it."""
    real = mask.unsqueeze(-1).expand(tokens.size()).to(tokens.dtype)
    return torch.sum(tokens * real, 1) / torch.clamp(real.sum(1), min=1e-9)


def mean_shares(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    shares = mask / mask.sum(dim=1, keepdim=True)
    return (tokens * shares[:, :, None]).sum(dim=1)


def mean_filled(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return tokens.masked_fill(~mask[..., None].bool(), 0.0).sum(dim=1) / mask.sum(dim=1)[..., None]


def mean_where(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    kept = torch.where(mask.unsqueeze(-1) > 0, tokens, 0.0)
    return kept.sum(dim=1) * (1.0 / mask.sum(dim=1, keepdim=True))


def max_tokens(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """As sentence-transformers spells it: writes -1e9 over padding in place."""
    tokens = tokens.clone()
    tokens[mask.unsqueeze(-1).expand(tokens.size()) == 0] = -1e9
    return torch.max(tokens, 1)[0]


def max_filled(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return tokens.masked_fill(mask[..., None] == 0, -torch.inf).amax(dim=1)


def first_token(tokens: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
    return tokens[:, 0]


POOLS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (mean_tokens, mean_shares, mean_filled, mean_where, max_tokens, max_filled, first_token)
}


def pooled(pool: str, family: str = "Bert", head: bool = False, unit: bool = True) -> nn.Module:
    layers = (
        nn.Sequential(nn.Linear(HIDDEN, 16), nn.GELU(approximate="tanh"), nn.Linear(16, 3)) if head else None
    )
    return randomized(Pooled(hugging(f"{family}Model"), POOLS[pool], layers, unit))


class Residual(nn.Module):
    """A block of an MLP: norm, two layers, and the input added."""

    def __init__(self, size: int, activation: nn.Module) -> None:
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(size),
            nn.Linear(size, 2 * size),
            nn.Linear(2 * size, size),
        )
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.activation(self.up(self.norm(x))))


class Gated(nn.Module):
    """Two branches multiplied, no biases, a norm without parameters, and a matrix applied with @."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(8, 24, bias=False), nn.Linear(8, 24, bias=False)
        self.norm = nn.LayerNorm(24, elementwise_affine=False)
        self.mix = nn.Parameter(torch.zeros(24, 5))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.norm(functional.silu(self.gate(x)) * self.up(x))
        return {"mixed": torch.sigmoid(hidden @ self.mix), "hidden": hidden}


def mlp(activation: nn.Module | None = None) -> nn.Module:
    blocks = (Residual(16, activation or nn.ReLU()) for _ in range(2))
    return randomized(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), *blocks, nn.Linear(16, 3)))


def gated() -> nn.Module:
    return randomized(Gated())


class Over(nn.Module):
    """Some last step over the tokens and the mask of an embedding."""

    def __init__(self, step: Callable[..., Any]) -> None:
        super().__init__()
        self.table, self.step = nn.Embedding(VOCABULARY, 8), step

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.step(self.table(input_ids), attention_mask)


def masked(tokens: Any, mask: Any) -> Any:
    """A step that uses both, and keeps one vector per token."""
    return tokens * mask[..., None]


LENGTHS: dict[str, tuple[int, ...]] = {"unequal": (7, 3, 5, 1), "one sequence": (6,), "one token": (1, 1)}


def batch(lengths: tuple[int, ...], seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Ids and mask, padded on the right with id 1 as RoBERTa does; no real token has id 0 or 1."""
    random = np.random.default_rng(seed)
    mask = (np.arange(max(lengths))[None] < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.where(mask == 1, random.integers(2, VOCABULARY, mask.shape), 1)
    return {"input_ids": ids, "attention_mask": mask}


def as_torch(inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in inputs.items()}
