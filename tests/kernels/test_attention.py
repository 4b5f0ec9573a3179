"""Attention against float64, over packed sequences of unequal lengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from tests.kernels.machine import Machine

from aerogel.kernels.attention import Attention, attention
from aerogel.loop.nodes import Alloc

Array = np.ndarray


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


def check(machine: Machine, case: Case, interpreted: bool = True) -> None:
    got, expected = case.run(machine, interpreted), case.expected()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-6 * max(1, np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("key_bias", [False, True])
@pytest.mark.parametrize("relative", [False, True])
def test_unequal_sequences_across_tiles(machine: Machine, key_bias: bool, relative: bool) -> None:
    check(machine, Case(Attention(5, key_bias, relative), machine.ragged))


@pytest.mark.parametrize("lengths", [[], [1], [1, 1, 1], [17], [16, 16]])
def test_few_tokens(machine: Machine, lengths: list[int]) -> None:
    check(machine, Case(Attention(8), lengths))


@pytest.mark.parametrize("size", [1, 3, 4, 12, 64])
def test_head_sizes(machine: Machine, size: int) -> None:
    check(machine, Case(Attention(size), [9, 21], heads=1))


def test_several_blocks_of_keys(machine: Machine) -> None:
    keys = Attention(4).keys_at_once(machine.layout)
    check(machine, Case(Attention(4, key_bias=True, relative=True), [3, keys + 5], heads=1))


def test_a_first_block_of_masked_keys_weighs_nothing(machine: Machine) -> None:
    kind = Attention(4, key_bias=True)
    case = Case(kind, [kind.keys_at_once(machine.layout) + 3], heads=1)
    case.keys[:-2] = -np.inf
    check(machine, case, interpreted=machine.target is None)


def test_large_scores_neither_overflow_nor_vanish(machine: Machine) -> None:
    check(machine, Case(Attention(4), [30, 5], sharpness=20.0, scale=1.0))


@pytest.mark.parametrize("size", [32, 64, 128])
def test_real_sizes(machine: Machine, size: int) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    kind = Attention(size, key_bias=True, relative=True)
    check(machine, Case(kind, [128, 37, 300, 1, 64], heads=3, scale=size**-0.5), interpreted=False)


def test_thousands_of_tokens(machine: Machine) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    check(machine, Case(Attention(4), [2500], heads=1), interpreted=False)


def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(machine: Machine) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    kind = Attention(4)
    batch = Case(kind, [5, 90, 3])
    together = batch.run(machine, interpreted=False)[:, 5:95]
    alone = Case(kind, [90])
    alone.qkv = [np.ascontiguousarray(x[:, 5:95]) for x in batch.qkv]
    np.testing.assert_array_equal(alone.run(machine, interpreted=False), together)


def test_scratch_memory_is_bounded(machine: Machine) -> None:
    for size in (1, 32, 64, 96, 128, 256):
        for function in attention(machine.layout, Attention(size)):
            assert sum(4 * s.count for s in function.body if isinstance(s, Alloc)) <= 64 * 1024


def test_a_nan_spoils_its_own_head_and_sequence_only(machine: Machine) -> None:
    case = Case(Attention(4), [6, 20, 3])
    case.qkv[1][5, 10] = np.nan
    spoilt = np.isnan(case.run(machine))
    assert spoilt[4:, 6:26].all()
    assert not spoilt[:4].any() and not spoilt[:, :6].any() and not spoilt[:, 26:].any()
