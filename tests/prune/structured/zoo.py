"""Small networks, one for each way in which layers depend on each other; float64, so that sums agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Through(nn.Module):
    """``body`` between a convolution and a linear head."""

    def __init__(self, body: nn.Module, width: int = 8, out: int | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.body = body
        self.head = nn.Linear(out or width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Residual(nn.Module):
    def __init__(self, width: int = 8, out: int = 8, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.short = nn.Conv2d(width, out, 1, stride) if (width, stride) != (out, 1) else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.second(torch.relu(self.norm1(self.first(x)))))
        y += self.short(x)
        return torch.relu_(y)


class Dense(nn.Module):
    """Concatenation, as in DenseNet, and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.grow = nn.Conv2d(8, 6, 3, padding=1)
        self.again = nn.Conv2d(14, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, self.grow(torch.relu(self.norm(x)))], 1)
        return functional.max_pool2d(torch.cat([x, self.again(x)], dim=1), 2)


class Squeeze(nn.Module):
    """Squeeze-and-excitation around a depthwise convolution, with a group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.GroupNorm(4, 8)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.depth(x))
        scale = functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.up(functional.silu(self.down(scale))))


class Split(nn.Module):
    """A gated pair, split, and a slice that is as wide as an attribute says."""

    def __init__(self) -> None:
        super().__init__()
        self.inner_dim = 6
        self.both = nn.Linear(10, 12)
        self.down = nn.Linear(6, 4)
        self.twice = nn.Linear(4, 12)
        self.out = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.both(x).chunk(2, -1)
        y = self.twice(self.down(value * functional.gelu(gate)))
        return self.out(y[..., : self.inner_dim] * y[..., self.inner_dim :])


class Attention(nn.Module):
    """Heads by attributes; keys and values have ``few``, each read by ``heads / few``; ``fused``: one layer
    for all three."""

    def __init__(self, heads: int, few: int, width: int, *, fused: bool = False) -> None:
        super().__init__()
        self.num_heads, self.kv_heads, self.head_dim = heads, few, width
        self.fused = fused
        if fused:
            self.qkv = nn.Linear(12, 3 * heads * width)
        else:
            self.q = nn.Linear(12, heads * width)
            self.k, self.v = nn.Linear(12, few * width), nn.Linear(12, few * width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(heads * width, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        if self.fused:
            q, k, v = self.qkv(x).view(b, t, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        else:
            q = self.q(x).view(b, t, self.num_heads, self.head_dim).transpose(1, 2)
            k, v = (f(x).view(b, t, self.kv_heads, self.head_dim).transpose(1, 2) for f in (self.k, self.v))
            k, v = (y.repeat_interleave(self.num_heads // self.kv_heads, 1) for y in (k, v))
        scores = self.norm(q) @ k.transpose(-1, -2) / self.head_dim**0.5
        mixed = torch.softmax(scores, -1) @ v
        return x + self.out(mixed.transpose(1, 2).reshape(b, t, self.num_heads * self.head_dim))


class Cross(nn.Module):
    """torch's attention, over a memory of another width, padding in it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 4, kdim=6, vdim=6, batch_first=True)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, padding: torch.Tensor) -> Any:
        # The weights, averaged over the heads, are asked for and thrown away, as much code does.
        return self.attention(x, memory, memory, key_padding_mask=padding)[0]


class Tied(nn.Module):
    """One module used twice, one weight in two modules, and neurons that both widths share."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Linear(4, 6)
        self.shared = nn.Linear(6, 6)
        self.twin = nn.Linear(6, 6)
        self.twin.weight = self.shared.weight
        self.out = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.inward(x))
        y = y + self.shared(torch.relu(self.shared(y)))
        return self.out(torch.relu(self.twin(y)))


class Sequence1d(nn.Module):
    """1-D convolutions and their transposes, PReLU, padding, scale per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(2, 6, 3, 2)
        self.act = nn.PReLU(6)
        self.scale = nn.Parameter(torch.randn(6, 1))
        self.up = nn.ConvTranspose1d(6, 4, 3, 2)
        self.norm = nn.InstanceNorm1d(4, affine=True)
        self.out = nn.Conv1d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.pad(self.act(self.down(x)) * self.scale, (1, 1))
        return self.out(self.norm(self.up(y)))


@dataclass(frozen=True)
class Case:
    """``removed``: the layers that lose units to ``pattern`` at one half, and how many."""

    make: Callable[[], nn.Module]
    data: tuple[Any, ...]
    pattern: str
    removed: dict[str, int]


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


IMAGE = (_randn(2, 3, 8, 8),)
TOKENS = (_randn(2, 5, 12),)
PADDING = torch.arange(5) > torch.tensor([[4], [2]])
CASES: dict[str, Case] = {
    "residual": Case(lambda: Through(nn.Sequential(Residual(), Residual(8, 12, 2)), out=12), IMAGE, "channel",
                     {"stem": 4, "body.0.first": 4, "body.1.first": 6, "body.1.second": 6}),
    "concatenation": Case(lambda: Through(Dense(), out=18), IMAGE, "channel",
                          {"stem": 4, "body.grow": 3, "body.again": 2}),
    "excitation": Case(lambda: Through(Squeeze()), IMAGE, "channel", {"stem": 2, "body.down": 2}),
    "grouped": Case(lambda: Through(nn.Sequential(nn.Conv2d(8, 12, 3, groups=4), nn.BatchNorm2d(12)), out=12),
                    IMAGE, "channel", {"stem": 2}),
    "flattened": Case(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 6),
                                            nn.ReLU(), nn.Linear(6, 2)), IMAGE, "channel", {"0": 2}),
    "split": Case(Split, (_randn(3, 10),), "neuron", {"both": 3, "down": 2, "twice": 3}),
    "heads": Case(lambda: Attention(4, 4, 3), TOKENS, "head", {"q": 2}),
    "square heads": Case(lambda: Attention(4, 4, 4), TOKENS, "head", {"q": 2}),
    "grouped queries": Case(lambda: Attention(8, 4, 3), TOKENS, "head", {"q": 2}),
    "fused heads": Case(lambda: Attention(4, 4, 3, fused=True), TOKENS, "head", {"qkv": 2}),
    "torch encoder": Case(lambda: nn.TransformerEncoderLayer(12, 4, 20, batch_first=True), TOKENS, "head",
                          {"self_attn": 2}),
    "torch encoder, neurons": Case(lambda: nn.TransformerEncoderLayer(12, 4, 20), TOKENS, "neuron",
                                   {"linear1": 10}),
    "cross attention": Case(Cross, (_randn(2, 3, 12), _randn(2, 5, 6), PADDING), "head", {"attention": 2}),
    "tied": Case(Tied, (_randn(3, 4),), "neuron", {"inward": 3}),
    "sequence": Case(Sequence1d, (_randn(2, 2, 9),), "channel", {"down": 3, "up": 2}),
}  # fmt: skip


def made(case: Case) -> nn.Module:
    """Deterministic, with statistics and norms that are not trivial."""
    torch.manual_seed(0)
    model = case.make().double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias)
    return model
