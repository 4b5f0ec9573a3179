"""Pooling against NumPy, over sequences of unequal lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.kernels.machine import Machine

from aerogel.kernels.pool import pool

FEATURES = 11


def starts(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def run(
    machine: Machine, kind: Any, x: np.ndarray, lengths: list[int], weights: np.ndarray | None = None
) -> np.ndarray:
    layout, offsets = machine.layout, starts(lengths)
    features, columns = x.shape
    out = np.full(layout.size(features, len(lengths)), np.nan, np.float32)
    kernel = pool(layout, kind, weighted=weights is not None)
    extra = [] if weights is None else [weights]
    machine.run(kernel, layout.pack(x), *extra, offsets, out, features, columns, len(lengths))
    result = layout.unpack(out, features, len(lengths))
    np.testing.assert_array_equal(out, layout.pack(result))
    return result


@pytest.mark.parametrize("kind", ["first", "mean", "max"])
def test_pool(machine: Machine, rng: np.random.Generator, kind: str) -> None:
    lengths = machine.ragged
    x = rng.standard_normal((FEATURES, sum(lengths))).astype(np.float32)
    parts = np.split(x.astype(np.float64), starts(lengths)[1:-1], axis=1)
    expected = [{"first": p[:, 0], "mean": p.mean(1), "max": p.max(1)}[kind] for p in parts]
    np.testing.assert_allclose(run(machine, kind, x, lengths), np.stack(expected, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_tokens_of_weight_zero_do_not_count(machine: Machine, rng: np.random.Generator, kind: str) -> None:
    lengths = [3, 5, 1]
    x = rng.standard_normal((FEATURES, 9)).astype(np.float32)
    weights = np.array([1, 0, 1, 0, 1, 1, 0, 1, 1], np.float32)
    x[0, 1] = 100
    got = run(machine, kind, x, lengths, weights)
    for b, (start, stop) in enumerate([(0, 3), (3, 8), (8, 9)]):
        kept = x[:, start:stop][:, weights[start:stop] > 0].astype(np.float64)
        np.testing.assert_allclose(
            got[:, b], kept.mean(1) if kind == "mean" else kept.max(1), rtol=1e-5, atol=1e-6
        )


def test_mean_over_no_weight_is_zero(machine: Machine) -> None:
    got = run(machine, "mean", np.ones((2, 3), np.float32), [3], np.zeros(3, np.float32))
    np.testing.assert_array_equal(got, 0)


def test_no_sequences(machine: Machine) -> None:
    assert run(machine, "mean", np.zeros((2, 0), np.float32), []).size == 0


def test_max_keeps_a_nan(machine: Machine) -> None:
    x = np.array([[1, np.nan, 3], [4, 5, 6]], np.float32)
    np.testing.assert_array_equal(run(machine, "max", x, [3])[:, 0], np.array([np.nan, 6], np.float32))


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(
    machine: Machine, rng: np.random.Generator, kind: str
) -> None:
    lengths = [5, 40, 2]
    x = rng.standard_normal((FEATURES, 47)).astype(np.float32)
    alone = run(machine, kind, np.ascontiguousarray(x[:, 5:45]), [40])
    np.testing.assert_array_equal(run(machine, kind, x, lengths)[:, 1], alone[:, 0])
