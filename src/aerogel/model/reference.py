"""The slow interpreter of a graph: what every compiled program must agree with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aerogel.core.errors import InputError, require
from aerogel.kernels.quantise import LEAST_SCALE
from aerogel.model.graph import (
    Activation,
    ActivationFn,
    Add,
    Attention,
    Embedding,
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Lookup,
    Mul,
    Normalize,
    Op,
    Pool,
    Range,
    in_integers,
)

Array = NDArray[Any]


def evaluate(graph: Graph, inputs: Mapping[str, Array], dtype: DTypeLike = np.float64) -> dict[str, Array]:
    """The graph's outputs by name, computed in ``dtype`` and shaped as Output says. InputError where the
    inputs are not what the graph's Inputs ask for."""
    run = _Run(graph, inputs, np.dtype(dtype))
    for op in graph.ops:
        run.values[op.out.name] = run.compute(op)
    shaped = {output: run.shaped(output.value) for output in graph.outputs}
    return {output.name: a[..., 0] if output.squeezed else a for output, a in shaped.items()}


def integer_grid(x: Array, known: Range | None = None) -> Array:
    """``x`` (features, columns) rounded to the 256 steps that integer layers see of each column, or from
    end to end of what is ``known`` (see ``kernels.quantise``). The grid is found in float32, as they do: a
    step may still go the other way where float32 rounds to it."""
    low = np.minimum(x.min(axis=0, initial=0.0), 0).astype(np.float32)
    high = np.maximum(x.max(axis=0, initial=0.0), 0).astype(np.float32)
    if known is not None:
        low, high = np.full_like(low, known.low), np.full_like(high, known.high)
    scale = np.maximum(high * np.float32(1 / 255) - low * np.float32(1 / 255), np.float32(LEAST_SCALE))
    inverse = np.float32(1) / scale
    zero = np.trunc(np.clip(np.float32(0.5) - low * inverse, 0, 255))
    steps = np.trunc(np.clip(x.astype(np.float32) * inverse + (zero + np.float32(0.5)), 0, 255))
    return scale.astype(x.dtype) * (steps - zero).astype(x.dtype)


class _Run:
    """Activations as (features, columns) matrices. Columns of tokens are all B x S positions: padding is
    computed too, seen by no key or pool, and cleared in the outputs."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Array], dtype: np.dtype[Any]) -> None:
        self.graph = graph
        self.dtype = dtype
        self.values: dict[str, Array] = {}
        unknown = sorted(set(inputs) - {i.name for i in graph.inputs})
        require(
            not unknown,
            InputError,
            f"the graph has no inputs {unknown}, only {[i.name for i in graph.inputs]}",
        )
        given = {i: np.asarray(inputs[i.name]) for i in graph.inputs if i.name in inputs}
        missing = [i.name for i in graph.inputs if i.name not in inputs and not i.optional]
        require(not missing, InputError, f"inputs {missing} are missing")
        self.ids: dict[str, Array] = {}
        self.leading: tuple[int, ...] | None = None
        tokens = {i: a for i, a in given.items() if i.kind != "features"}
        if tokens:
            self._take_tokens(tokens)
        for item, array in given.items():
            if item.kind == "features":
                self._take_features(item, array)

    def _take_tokens(self, tokens: Mapping[Input, Array]) -> None:
        shape = next(iter(tokens.values())).shape
        self.mask: NDArray[np.bool_] = np.ones(shape, bool)
        self.length = int(shape[-1])
        for item, array in tokens.items():
            right = array.ndim == 2 and array.shape == shape and array.shape[1] > 0
            require(
                right,
                InputError,
                f"input {item.name!r} is {array.shape}: token inputs are all (B, S), S at least 1",
            )
            require(
                array.dtype.kind in "iub" or item.kind == "mask",
                InputError,
                f"input {item.name!r}: {array.dtype}",
            )
            inside = bool(((array >= 0) & (array < item.limit)).all())
            require(inside, InputError, f"input {item.name!r} holds numbers outside 0 to {item.limit - 1}")
            if item.kind == "mask":
                self.mask = array.astype(bool)
            else:
                self.ids[item.name] = array.astype(np.int64)
        for item in self.graph.inputs:
            if item.kind == "ids":
                self.ids.setdefault(item.name, np.zeros(shape, np.int64))
        longest = self.graph.max_length
        fits = longest is None or shape[1] <= longest
        require(fits, InputError, f"sequences of {shape[1]} tokens: the model's positions end at {longest}")
        require(self.mask.any(1).all(), InputError, "a sequence has no token: its mask is 0 everywhere")

    def _take_features(self, item: Input, array: Array) -> None:
        right = array.ndim >= 1 and array.shape[-1] == item.limit
        require(
            right,
            InputError,
            f"input {item.name!r} is {array.shape}: its last dimension must be {item.limit}",
        )
        self.leading = array.shape[:-1]
        self.values[item.name] = array.reshape(-1, item.limit).T.astype(self.dtype)

    def weight(self, name: str) -> Array:
        return self.graph.weight(name).astype(self.dtype)

    def compute(self, op: Op) -> Array:
        match op:
            case Embedding():
                return self.weight(op.table)[self.rows(op.lookup).ravel()].T
            case Linear():
                product = self.weight(op.weight) @ self._read(op)
                return product if op.bias is None else product + self.weight(op.bias)[:, None]
            case Activation():
                return activate(op.fn, self.values[op.x])
            case LayerNorm():
                return self._layer_norm(op)
            case Add():
                return self.values[op.a] + self.values[op.b]
            case Mul():
                return self.values[op.a] * self.values[op.b]
            case Attention():
                return self._attention(op)
            case Pool():
                return self._pool(op)
            case Normalize():
                x = self.values[op.x]
                return x / np.maximum(np.sqrt((x * x).sum(0)), self.dtype.type(op.eps))
            case _:
                assert_never(op)

    def rows(self, lookup: Lookup) -> NDArray[np.int64]:
        """The table row of every position, (B, S)."""
        match lookup:
            case FromInput():
                return self.ids[lookup.name]
            case FromPosition():
                return np.broadcast_to(np.arange(self.length) + lookup.offset, self.mask.shape)
            case FromUnpadded():
                real = self.ids[lookup.name] != lookup.padding
                return real.cumsum(1) * real + lookup.padding
            case FromConstant():
                return np.full(self.mask.shape, lookup.row)
            case _:
                assert_never(lookup)

    def _read(self, op: Linear) -> Array:
        x = self.values[op.x]
        integers = in_integers(self.graph.weights[op.weight])
        return integer_grid(x, self.graph.range_of(op.x)) if integers else x

    def _layer_norm(self, op: LayerNorm) -> Array:
        x = self.values[op.x]
        centred = x - x.mean(0)
        scaled = centred / np.sqrt((centred * centred).mean(0) + self.dtype.type(op.eps))
        return scaled * self.weight(op.weight)[:, None] + self.weight(op.bias)[:, None]

    def _attention(self, op: Attention) -> Array:
        q, k, v = (self.values[name] for name in (op.q, op.k, op.v))
        size = op.out.features // op.heads
        length = self.length
        result = np.empty_like(v)
        for sequence, mask in enumerate(self.mask):
            columns = slice(sequence * length, (sequence + 1) * length)
            for head in range(op.heads):
                rows = slice(head * size, (head + 1) * size)
                scores = self.dtype.type(op.scale) * (q[rows, columns].T @ k[rows, columns])
                if op.bias is not None:
                    table, index = self.weight(op.bias)[head], np.arange(length)
                    scores = scores + table[index[None, :] - index[:, None] + (len(table) - 1) // 2]
                scores[:, ~mask] = -np.inf
                weights = np.exp(scores - scores.max(1, keepdims=True))
                result[rows, columns] = v[rows, columns] @ (weights / weights.sum(1, keepdims=True)).T
        return result

    def _pool(self, op: Pool) -> Array:
        tokens = self.values[op.x].T.reshape(*self.mask.shape, op.out.features)
        match op.kind:
            case "first":
                rows = tokens[:, 0]
            case "mean":
                kept = self.mask[..., None]
                rows = np.where(kept, tokens, 0).sum(1) / np.maximum(kept.sum(1), self.dtype.type(1e-9))
            case "max":
                rows = np.where(self.mask[..., None], tokens, -np.inf).max(1, initial=-np.inf)
            case _:
                assert_never(op.kind)
        return rows.T

    def shaped(self, name: str) -> Array:
        value = self.values[name]
        if self._columns(name) == "rows":
            return value.T if self.leading is None else value.T.reshape(*self.leading, len(value))
        return np.where(self.mask[..., None], value.T.reshape(*self.mask.shape, len(value)), 0)

    def _columns(self, name: str) -> str:
        return "rows" if any(i.name == name for i in self.graph.inputs) else self.graph.value(name).columns


_erf = np.vectorize(math.erf, otypes=[np.float64])


def activate(fn: ActivationFn, x: Array) -> Array:
    """The activation as its formula says, in the dtype of ``x``."""
    match fn:
        case "gelu":
            return (0.5 * x * (1 + _erf(x / math.sqrt(2)))).astype(x.dtype)
        case "gelu_tanh":
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        case "relu":
            return np.maximum(x, 0)
        case "silu":
            return x * activate("sigmoid", x)
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return 0.5 * (1 + np.tanh(0.5 * x))
        case _:
            assert_never(fn)
