"""Small graphs made by hand, and programs compared with the interpreter of graphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.target import Target
from aerogel.model.compile import build
from aerogel.model.graph import (
    Activation,
    ActivationFn,
    Add,
    Attention,
    Columns,
    Embedding,
    FromInput,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Lookup,
    Mul,
    Normalize,
    Op,
    Output,
    Pool,
    PoolKind,
    Value,
)
from aerogel.model.program import Program
from aerogel.model.reference import evaluate

Array = NDArray[Any]
IDS, MASK = Input("ids", "ids", 50), Input("mask", "mask", 2)


@dataclass
class Draft:
    """Operations one after the other, weights drawn at random; every method gives its value's name."""

    inputs: tuple[Input, ...] = (IDS, MASK)
    ops: list[Op] = field(default_factory=list[Op])
    weights: dict[str, Array] = field(default_factory=dict[str, Array])
    max_length: int | None = 40

    def graph(self, *outputs: str) -> Graph:
        named = tuple(Output(f"out{i}", value) for i, value in enumerate(outputs))
        return Graph(self.inputs, tuple(self.ops), named, self.weights, self.max_length)

    def weight(self, name: str, *shape: int) -> str:
        if name not in self.weights:
            random = np.random.default_rng(len(self.weights))
            self.weights[name] = (0.4 * random.standard_normal(shape)).astype(np.float32)
        return name

    def _made(self, op: Op) -> str:
        self.ops.append(op)
        return op.out.name

    def _value(self, features: int, columns: Columns) -> Value:
        return Value(f"v{len(self.ops)}", features, columns)

    def _like(self, x: str, features: int | None = None) -> Value:
        for i in self.inputs:
            if i.name == x:
                return self._value(features or i.limit, "rows")
        found = next(op.out for op in self.ops if op.out.name == x)
        return self._value(features or found.features, found.columns)

    def embedding(self, features: int = 8, lookup: Lookup | None = None, rows: int = 50) -> str:
        table = self.weight(f"table{len(self.ops)}", rows, features)
        return self._made(
            Embedding(self._value(features, "tokens"), table, lookup or FromInput("ids"), "here")
        )

    def linear(self, x: str, features: int = 8, *, weight: str | None = None, bias: bool = True) -> str:
        out, name = self._like(x, features), weight or f"layer{len(self.ops)}"
        self.weight(f"{name}.weight", features, self._like(x).features)
        bound = self.weight(f"{name}.bias", features) if bias else None
        return self._made(Linear(out, x, f"{name}.weight", bound, "here"))

    def activation(self, x: str, fn: ActivationFn = "gelu") -> str:
        return self._made(Activation(self._like(x), x, fn, "here"))

    def add(self, a: str, b: str) -> str:
        return self._made(Add(self._like(a), a, b, "here"))

    def mul(self, a: str, b: str) -> str:
        return self._made(Mul(self._like(a), a, b, "here"))

    def norm(self, x: str) -> str:
        out = self._like(x)
        gamma = self.weight(f"norm{len(self.ops)}.weight", out.features)
        beta = self.weight(f"norm{len(self.ops)}.bias", out.features)
        return self._made(LayerNorm(out, x, gamma, beta, 1e-5, "here"))

    def attention(self, q: str, k: str, v: str, heads: int = 2) -> str:
        return self._made(Attention(self._like(q), q, k, v, heads, 0.5, origin="here"))

    def attend(self, x: str) -> str:
        """An attention layer with its three products."""
        size = self._like(x).features
        return self.attention(self.linear(x, size), self.linear(x, size), self.linear(x, size))

    def pool(self, x: str, kind: PoolKind = "mean") -> str:
        return self._made(Pool(self._value(self._like(x).features, "rows"), x, kind, "here"))

    def normalize(self, x: str) -> str:
        return self._made(Normalize(self._like(x), x, 1e-12, "here"))


def rows_of(features: int = 8) -> Draft:
    """A draft whose input is rows of numbers, called ``x``."""
    return Draft((Input("x", "features", features),), max_length=None)


def quick(graph: Graph, target: Target | None = None) -> Program:
    """A program built without timing; one thread unless a call says otherwise."""
    return build(graph, plan="quick", target=target, threads=1)


def as_dict(graph: Graph, result: Any) -> dict[str, Array]:
    return result if isinstance(result, dict) else {graph.outputs[0].name: result}


def agree(
    program: Program, inputs: dict[str, Array], tolerance: float = 2e-5, **call: Any
) -> dict[str, Array]:
    """What the program gives, after checking it against float64: the largest error is at most ``tolerance``
    of the largest number."""
    graph = program.built.graph
    expected = evaluate(graph, inputs)
    got = as_dict(graph, program(**inputs, **call))
    assert list(got) == [o.name for o in graph.outputs]
    for name, array in got.items():
        assert array.dtype == np.float32 and array.shape == expected[name].shape, name
        error = np.abs(array - expected[name]).max(initial=0)
        assert error <= tolerance * max(1.0, np.abs(expected[name]).max(initial=0)), (name, error)
    return got


def tokens(lengths: tuple[int, ...], seed: int = 0) -> dict[str, Array]:
    """Ids and mask, padded on the right."""
    random = np.random.default_rng(seed)
    mask = (np.arange(max(lengths))[None] < np.array(lengths)[:, None]).astype(np.int64)
    return {"ids": random.integers(0, 50, mask.shape), "mask": mask}
