"""A network and a task of a few hundred numbers, to train in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

EVERYTHING = "."
"""``layers=``: all of them, the last, too."""


def network(seed: int = 0, *, width: int = 12) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(8, width), torch.nn.Tanh(), torch.nn.Linear(width, 4))


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs and targets of a step: the same for a resumed run."""
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
    return x, torch.stack([x[:, 0], x[:, 1] * x[:, 2], x.sum(1), x[:, 3].abs()], 1)


def loss_of(model: Callable[[torch.Tensor], torch.Tensor], step: int) -> torch.Tensor:
    x, y = batch(step)
    return (model(x) - y).square().mean()


def train(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int, start: int = 0
) -> Iterator[int]:
    """Train, and after each step say which it was."""
    for step in range(start, start + steps):
        loss_of(model, step).backward()
        optimizer.step()
        optimizer.zero_grad()
        yield step + 1


def adam(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)


def zeros(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach() == 0 for name, p in model.named_parameters() if name.endswith("weight")}


def no_negative_zeros(model: torch.nn.Module) -> bool:
    return not any(bool(torch.signbit(p[p == 0]).any()) for p in model.parameters())
