"""A tiny encoder with padding, a pooler and dropout; and batches for it."""

from __future__ import annotations

from typing import Any

import torch

WIDTH = 8


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = torch.nn.Linear(WIDTH, WIDTH)
        self.value = torch.nn.Linear(WIDTH, WIDTH)
        self.up = torch.nn.Linear(WIDTH, 2 * WIDTH)
        self.down = torch.nn.Linear(2 * WIDTH, WIDTH, bias=False)
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor]:
        weights = mask[:, :, None] / mask.sum(1)[:, None, None]
        x = x + torch.tanh(self.query(x)) * (self.value(x) * weights).sum(1, keepdim=True)
        return (self.norm(x + self.dropout(self.down(torch.relu(self.up(x))))),)


class Encoder(torch.nn.Module):
    """``chained=False``: an operation between blocks, so that one's output is not the next one's input."""

    def __init__(self, blocks: int = 3, *, chained: bool = True) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(40, WIDTH)
        self.layer = torch.nn.ModuleList(Block() for _ in range(blocks))
        self.pooler = torch.nn.Linear(WIDTH, WIDTH)
        self.chained = chained

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.table(input_ids)
        for block in self.layer:
            x = block(x if self.chained else x * 1.0, mask=attention_mask)[0]
        return x, torch.tanh(self.pooler(x[:, 0]))


def encoder(*, blocks: int = 3, chained: bool = True) -> Encoder:
    torch.manual_seed(1)
    return Encoder(blocks, chained=chained)


def batches(count: int = 6, *, seed: int = 0) -> list[dict[str, Any]]:
    made = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([[7], [4], [2]])
    mask = (torch.arange(7) < lengths).long()
    ids = [torch.randint(0, 40, (3, 7), generator=made) for _ in range(count)]
    return [{"input_ids": i, "attention_mask": mask} for i in ids]


def error(model: torch.nn.Module, dense: torch.nn.Module, data: list[dict[str, Any]]) -> float:
    """Mean square of the difference of hidden states, on tokens that are not padding."""
    model.eval()
    dense.eval()
    with torch.no_grad():
        kept = [b["attention_mask"].bool() for b in data]
        pairs = [(model(**b)[0][k], dense(**b)[0][k]) for b, k in zip(data, kept, strict=True)]
    return float(torch.stack([(a - b).square().mean() for a, b in pairs]).mean())
