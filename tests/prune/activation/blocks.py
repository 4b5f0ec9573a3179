"""A tiny stack of gated blocks, and data for it."""

from __future__ import annotations

import torch
from torch import nn

WIDTH, INNER = 16, 24


class Gated(nn.Module):
    """x + down(act(gate(x)) * up(x)), as in Llama."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.gate, self.up, self.down = (
            nn.Linear(WIDTH, INNER),
            nn.Linear(WIDTH, INNER),
            nn.Linear(INNER, WIDTH),
        )
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.act(self.gate(x)) * self.up(x))


class Stack(nn.Module):
    """Blocks, then a head; padding is where ``attention_mask`` is 0, and looks like anything."""

    def __init__(self, act: type[nn.Module] = nn.SiLU, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Gated(act()) for _ in range(blocks))
        self.lm_head = nn.Linear(WIDTH, 5)

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.lm_head(x)


def stack(act: type[nn.Module] = nn.SiLU, seed: int = 0) -> Stack:
    torch.manual_seed(seed)
    return Stack(act).eval()


def batches(count: int = 5, rows: int = 4, length: int = 32) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    mask = torch.ones(rows, length, dtype=torch.long)
    mask[0, length // 2 :] = 0
    found: list[dict[str, torch.Tensor]] = []
    for _ in range(count):
        x = torch.randn(rows, length, WIDTH, generator=draw)
        # Padding is made of numbers that would spoil every count.
        x[mask == 0] = 1e-4
        found.append({"x": x, "attention_mask": mask})
    return found
