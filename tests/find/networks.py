"""Networks whose zeros are known by hand, and the files that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.model.graphs import Draft, rows_of

from aerogel.find.subject import Subject, weights_of
from aerogel.model.graph import Graph

FACTORY = """
import torch

class Net(torch.nn.Module):
    def __init__(self, size=8, hidden=16):
        super().__init__()
        self.up, self.down = torch.nn.Linear(size, hidden), torch.nn.Linear(hidden, 4)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))

class Odd(Net):
    def forward(self, x):
        return torch.fft.fft(super().forward(x)).real

class Bare(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(8)

    def forward(self, x):
        return self.norm(x)

def made(kind, **sizes):
    torch.manual_seed(0)
    net = kind(**sizes)
    if hasattr(net, "up"):
        with torch.no_grad():
            net.up.weight[:, 0] = -0.0
            net.up.weight[0] = 0.0
    return net, torch.ones(3, sizes.get("size", 8))

def net():
    return made(Net)

def large():
    return made(Net, size=64, hidden=128)

def odd():
    return made(Odd)

def large_odd():
    return made(Odd, size=64, hidden=128)

def bare():
    return made(Bare)

def broken():
    net, x = made(Net)
    with torch.no_grad():
        net.down.weight[1, 2] = float("nan")
    return net, x
"""


def factories(folder: Path) -> Path:
    """The file of the functions above."""
    path = folder / "networks_by_hand.py"
    path.write_text(FACTORY)
    return path


def subject(graph: Graph, **more: object) -> Subject:
    return Subject("by hand", "artefact", weights_of(graph), graph, **more)  # type: ignore[arg-type]


def mlp() -> Graph:
    """x [8] -> 6, ReLU -> 4. ``up`` has 9 zeros of 48, one of them -0.0; its first input is not used."""
    draft = rows_of(8)
    hidden = draft.activation(draft.linear("x", 6, weight="up"), "relu")
    graph = draft.graph(draft.linear(hidden, 4, weight="down"))
    weights = dict(graph.weights)
    up = np.arange(1, 49, dtype=np.float32).reshape(6, 8)
    up[:, 0] = 0
    up[2, 3] = -0.0
    up[5, 1:3] = 0
    weights["up.weight"] = up
    weights["up.bias"] = np.array([-1, -1, -1, 1, 1, 1], np.float32)
    return Graph(graph.inputs, graph.ops, graph.outputs, weights)


def encoder() -> Graph:
    """Tokens of 8 features, an attention layer of 2 heads, a product, ReLU, and a pooled head of 3."""
    draft = Draft()
    tokens = draft.embedding(8)
    mixed = draft.add(tokens, draft.attend(tokens))
    hidden = draft.activation(draft.linear(mixed, 12, weight="up"), "relu")
    return draft.graph(draft.linear(draft.pool(hidden), 3, weight="head"))


def tied() -> Graph:
    """Two layers with one weight."""
    draft = rows_of(8)
    return draft.graph(draft.linear(draft.linear("x", 8, weight="same"), 8, weight="same"))
