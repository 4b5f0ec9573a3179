"""Attention over random packed sequences, and what must come of it in float64."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from tests.kernels.machine import Machine

from aerogel.kernels import attention_float, attention_int8
from aerogel.kernels.attention import Attention, attention
from aerogel.kernels.layout import Layout

Array = np.ndarray


def keys_at_once(layout: Layout, kind: Attention) -> int:
    """Keys of a block."""
    if kind.products == "int8":
        return attention_int8.sizes(layout, kind).keys
    return attention_float.keys_at_once(layout, kind)


@dataclass
class Case:
    """Random q, k, v [heads * size, tokens], biases, and what must come of them."""

    kind: Attention
    lengths: list[int]
    heads: int = 2
    scale: float = 0.3
    seed: int = 0
    sharpness: float = 1.0
    qkv: list[Array] = field(init=False)
    keys: Array = field(init=False)
    table: Array = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        tokens, features = sum(self.lengths), self.heads * self.kind.head_size
        self.qkv = [
            rng.standard_normal((features, tokens)).astype(np.float32) * self.sharpness for _ in range(3)
        ]
        self.keys = np.where(rng.random(tokens) < 0.3, -np.inf, 0).astype(np.float32)
        self.keys[self.offsets[:-1]] = 0
        self.limit = max(self.lengths, default=1) + 2
        self.table = rng.standard_normal((self.heads, 2 * self.limit - 1)).astype(np.float32)

    @property
    def offsets(self) -> Array:
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)

    def expected(self) -> Array:
        size, offsets = self.kind.head_size, self.offsets
        out = np.zeros(self.qkv[0].shape)
        for start, stop in pairwise(offsets):
            for h in range(self.heads):
                at = (slice(h * size, (h + 1) * size), slice(start, stop))
                q, k, v = (x[at].astype(np.float64) for x in self.qkv)
                scores = self.scale * q.T @ k
                if self.kind.key_bias:
                    scores = scores + self.keys[start:stop]
                if self.kind.relative:
                    i = np.arange(stop - start)
                    scores = scores + self.table[h, i[None, :] - i[:, None] + self.limit - 1]
                weights = np.exp(scores - scores.max(1, keepdims=True))
                out[at] = v @ (weights / weights.sum(1, keepdims=True)).T
        return out

    def run(self, machine: Machine, interpreted: bool = True) -> Array:
        layout, tokens = machine.layout, sum(self.lengths)
        features = self.heads * self.kind.head_size
        # Rows before, between and after q, k and v belong to somebody else.
        spare = np.full((3, tokens), np.nan, np.float32)
        fused = np.concatenate([spare, self.qkv[2], self.qkv[0], spare[:1], self.qkv[1], spare])
        rows = {"v": 3, "q": 3 + features, "k": 4 + 2 * features}
        out = np.full(layout.size(features, tokens), np.nan, np.float32)
        extra = [self.keys] if self.kind.key_bias else []
        extra += [np.ascontiguousarray(self.table[:, ::-1]).ravel()] if self.kind.relative else []
        numbers = [len(self.lengths), tokens, self.heads, len(fused), rows["q"], rows["k"], rows["v"]]
        numbers += [self.limit] if self.kind.relative else []
        args = [layout.pack(fused), *extra, self.offsets, out, *numbers, self.scale]
        machine.run(attention(layout, self.kind), *args, interpreted=interpreted)
        result = layout.unpack(out, features, tokens)
        np.testing.assert_array_equal(out, layout.pack(result))
        return result

    def errors(self, got: Array) -> Array:
        """Per sequence and head, the norm of the error over that of what is expected."""
        size, expected = self.kind.head_size, self.expected()
        parts = [
            (slice(h * size, (h + 1) * size), slice(a, b))
            for a, b in pairwise(self.offsets)
            for h in range(self.heads)
        ]
        return np.array([np.linalg.norm(got[p] - expected[p]) / np.linalg.norm(expected[p]) for p in parts])


def check(machine: Machine, case: Case, interpreted: bool = True) -> None:
    """The documented error: of the numbers in fp32, of the norm in int8."""
    got = case.run(machine, interpreted)
    if case.kind.products == "int8":
        assert case.errors(got).max(initial=0) < 0.03
        return
    expected = case.expected()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-6 * max(1, np.abs(expected).max(initial=0)))
