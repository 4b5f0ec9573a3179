"""Layer norm and 2-norm against float64."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.machine import Machine

from aerogel.kernels.norm import l2_normalize, layer_norm
from aerogel.kernels.quantise import quantise

EPS = 1e-5


def reference(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    mean, variance = wide.mean(0), wide.var(0)
    return ((wide - mean) / np.sqrt(variance + EPS) * gamma[:, None] + beta[:, None]).astype(np.float32)


def some(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("features", "columns"), [(8, 1), (5, 20), (33, 131), (3, 64), (7, 0)])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_layer_norm(
    machine: Machine, rng: np.random.Generator, features: int, columns: int, residual: bool, in_place: bool
) -> None:
    layout = machine.layout
    x, r = some(rng, features, columns) * 3 + 5, some(rng, features, columns)
    gamma, beta = some(rng, features), some(rng, features)
    packed = layout.pack(x)
    out = packed if in_place else np.full_like(packed, np.nan)
    args = [out] if in_place else [packed]
    args += [layout.pack(r)] if residual else []
    args += [gamma, beta] if in_place else [gamma, beta, out]
    machine.run(layer_norm(layout, residual=residual, in_place=in_place), *args, features, columns, EPS)
    expected = reference(x + r if residual else x, gamma, beta)
    np.testing.assert_allclose(layout.unpack(out, features, columns), expected, rtol=2e-5, atol=2e-6)
    assert np.isfinite(out).all()


def test_layer_norm_of_a_large_mean_keeps_its_digits(machine: Machine, rng: np.random.Generator) -> None:
    layout = machine.layout
    x = some(rng, 64, 5) + 1000
    out = np.zeros(layout.size(64, 5), np.float32)
    ones, zeros = np.ones(64, np.float32), np.zeros(64, np.float32)
    machine.run(layer_norm(layout), layout.pack(x), ones, zeros, out, 64, 5, EPS)
    np.testing.assert_allclose(layout.unpack(out, 64, 5), reference(x, ones, zeros), atol=2e-4)


def test_a_constant_column_becomes_beta(machine: Machine, rng: np.random.Generator) -> None:
    layout, beta = machine.layout, some(rng, 6)
    out = np.zeros(layout.size(6, 2), np.float32)
    machine.run(layer_norm(layout), layout.pack(np.full((6, 2), 0.5, np.float32)), beta, beta, out, 6, 2, EPS)
    np.testing.assert_array_equal(layout.unpack(out, 6, 2), np.stack([beta, beta], 1))


def test_a_nan_spoils_its_own_column_only(machine: Machine, rng: np.random.Generator) -> None:
    layout = machine.layout
    x = some(rng, 9, 7)
    x[4, 2], x[1, 5] = np.nan, np.inf
    out = np.zeros(layout.size(9, 7), np.float32)
    machine.run(
        layer_norm(layout), layout.pack(x), np.ones(9, np.float32), np.zeros(9, np.float32), out, 9, 7, EPS
    )
    spoilt = np.isnan(layout.unpack(out, 9, 7))
    assert spoilt[:, 2].all() and spoilt[:, 5].all() and not spoilt[:, [0, 1, 3, 4, 6]].any()


def test_a_column_has_the_same_bits_wherever_it_stands(machine: Machine, rng: np.random.Generator) -> None:
    layout = machine.layout
    x, gamma, beta = some(rng, 10, 150), some(rng, 10), some(rng, 10)
    results = []
    for columns in (x, x[:, 149:]):
        out = np.zeros(layout.size(10, columns.shape[1]), np.float32)
        machine.run(layer_norm(layout), layout.pack(columns), gamma, beta, out, 10, columns.shape[1], EPS)
        results.append(layout.unpack(out, 10, columns.shape[1])[:, -1])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(("features", "columns"), [(8, 1), (5, 20), (33, 37)])
@pytest.mark.parametrize("bounds", [(), (-1.0, 1.5)], ids=["found", "fixed"])
def test_words_are_those_of_a_step_of_their_own(
    machine: Machine,
    rng: np.random.Generator,
    features: int,
    columns: int,
    bounds: tuple[float, ...],
) -> None:
    layout = machine.layout
    x, r = layout.pack(some(rng, features, columns)), layout.pack(some(rng, features, columns))
    r[0] = np.nan
    gamma, beta = some(rng, features), some(rng, features)
    padded = layout.vectors(columns) * layout.lanes

    def room() -> list[np.ndarray]:
        words = np.full(layout.size(-(-features // 4), columns), -1, np.int32)
        return [words, np.full(padded, 7, np.float32), np.full(padded, -1, np.int32)]

    apart, out = room(), np.zeros_like(x)
    machine.run(layer_norm(layout, residual=True), x, r, gamma, beta, out, features, columns, EPS)
    machine.run(quantise(layout, fixed=bool(bounds)), out, *apart, *bounds, features, columns)
    fused, again = room(), np.zeros_like(x)
    kernel = layer_norm(layout, residual=True, words="fixed" if bounds else "found")
    machine.run(kernel, x, r, gamma, beta, again, *fused, *bounds, features, columns, EPS)
    for wanted, found in zip([out, *apart], [again, *fused], strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("features", "columns"), [(8, 1), (5, 20), (33, 131)])
def test_l2_normalize(machine: Machine, rng: np.random.Generator, features: int, columns: int) -> None:
    layout = machine.layout
    x = some(rng, features, columns)
    x[:, 0] = 0
    out = np.full(layout.size(features, columns), np.nan, np.float32)
    machine.run(l2_normalize(layout), layout.pack(x), out, features, columns, 1e-12)
    expected = x / np.maximum(np.linalg.norm(x.astype(np.float64), axis=0), 1e-12)
    np.testing.assert_allclose(layout.unpack(out, features, columns), expected, rtol=1e-6)
    assert np.isfinite(out).all()
