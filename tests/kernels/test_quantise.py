"""Activations to 8-bit integers; every run compared bit for bit (see ``machine``)."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.machine import Machine

from aerogel.kernels.quantise import quantise

Bounds = tuple[float, float]


def quantised(
    machine: Machine, x: np.ndarray, bounds: Bounds | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bytes [features, columns], scales, zeros) of x [features, columns]; ``bounds``: of a fixed grid."""
    layout, (features, columns) = machine.layout, x.shape
    count, padded = -(-features // 4), layout.vectors(columns) * layout.lanes
    words = np.full(layout.size(count, columns), -1, np.int32)
    scales, zeros = np.full(padded, np.nan, np.float32), np.full(padded, -1, np.int32)
    function = quantise(layout, fixed=bounds is not None)
    machine.run(function, layout.pack(x), words, scales, zeros, *(bounds or ()), features, columns)
    found = layout.unpack(words.view(np.float32), count, columns).view(np.uint32)
    bytes_ = np.stack([found >> (8 * j) & 255 for j in range(4)], 1).reshape(-1, columns)
    assert not bytes_[features:].any()
    assert ((zeros >= 0) & (zeros <= 255)).all()
    return bytes_[:features].astype(np.int64), scales[:columns], zeros[:columns]


def some(features: int, columns: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(features * 100 + columns)
    return (rng.standard_normal((features, columns)) * scale + shift).astype(np.float32)


@pytest.mark.parametrize(("features", "columns"), [(1, 1), (4, 5), (7, 33), (30, 70)])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_no_element_is_off_by_more_than_half_a_scale(
    machine: Machine, features: int, columns: int, shift: float
) -> None:
    x = some(features, columns, shift=shift)
    bytes_, scales, zeros = quantised(machine, x)
    back = (bytes_ - zeros) * scales.astype(np.float64)
    assert (np.abs(back - x) <= scales * 0.5001).all()
    low, high = np.minimum(x.min(0), 0), np.maximum(x.max(0), 0)
    np.testing.assert_allclose(scales, (high - low) / 255, rtol=1e-6)


def test_zero_is_met_exactly(machine: Machine) -> None:
    x = some(9, 20, shift=1.5)
    x[4] = 0
    bytes_, _, zeros = quantised(machine, x)
    np.testing.assert_array_equal(bytes_[4], zeros)


def test_a_column_of_zeros(machine: Machine) -> None:
    x = some(6, 3)
    x[:, 1] = 0
    bytes_, scales, zeros = quantised(machine, x)
    assert not (bytes_[:, 1] - zeros[1]).any()
    assert np.isfinite(scales).all()


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e38, 3.4e38])
def test_subnormal_and_huge_numbers(machine: Machine, size: float) -> None:
    x = np.array([[size], [-size], [size / 2]], np.float32)
    bytes_, scales, zeros = quantised(machine, x)
    assert np.isfinite(scales).all()
    back = (bytes_ - zeros) * scales.astype(np.float64)
    # A column whose range is below all scales counts as zero.
    assert (np.abs(back - x) <= np.maximum(scales.astype(np.float64) * 0.51, 1e-36)).all()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_column_and_no_other(machine: Machine, number: float) -> None:
    x = some(10, 20)
    spoilt = x.copy()
    spoilt[3, 7] = number
    clean, found = quantised(machine, x), quantised(machine, spoilt)
    others = np.arange(20) != 7
    assert np.isnan(found[1][7])
    for a, b in zip(clean, found, strict=True):
        np.testing.assert_array_equal(a[..., others], b[..., others])


# --- a range that was fixed before -----------------------------------------------------------------


def emulated(x: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.float32, int]:
    """(bytes, scale, zero) in float32, operation for operation."""
    f = np.float32
    scale = max(f(high) * f(1 / 255) - f(low) * f(1 / 255), f(1e-36))
    inverse = f(1) / scale
    zero = int(np.clip(f(0.5) - f(low) * inverse, 0, 255))
    with np.errstate(over="ignore"):
        place = x * inverse + (f(zero) + f(0.5))
    return np.clip(place, 0, 255).astype(np.int64), scale, zero


@pytest.mark.parametrize(("features", "columns"), [(1, 1), (4, 5), (7, 33), (30, 70)])
@pytest.mark.parametrize("bounds", [(-0.17, 2.5), (0.0, 3.0), (-4.0, 0.0)])
def test_a_fixed_range_is_met_exactly(machine: Machine, features: int, columns: int, bounds: Bounds) -> None:
    x = some(features, columns, scale=2.0)
    bytes_, scales, zeros = quantised(machine, x, bounds)
    wanted, scale, zero = emulated(x, *bounds)
    np.testing.assert_array_equal(bytes_, wanted)
    assert (scales == scale).all() and (zeros == zero).all()


def test_what_lies_beyond_a_fixed_range_becomes_its_nearer_end(machine: Machine) -> None:
    x = np.array([[-1e30, -2.0, 0.0, 3.0, 3e38]], np.float32)
    bytes_, scales, zeros = quantised(machine, x, (-1.0, 2.0))
    np.testing.assert_allclose((bytes_[0] - zeros) * scales, [-1, -1, 0, 2, 2], rtol=1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_column_on_a_fixed_range_too(machine: Machine, number: float) -> None:
    x = some(10, 20)
    spoilt = x.copy()
    spoilt[3, 7] = number
    bounds = (-2.0, 2.0)
    clean, found = quantised(machine, x, bounds), quantised(machine, spoilt, bounds)
    others = np.arange(20) != 7
    assert np.isnan(found[1][7])
    for a, b in zip(clean, found, strict=True):
        np.testing.assert_array_equal(a[..., others], b[..., others])
