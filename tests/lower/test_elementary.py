"""exp, log, tanh, sigmoid, sin, cos and pow of floats: within their errors, and the same bits everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.lower.built import Array, everywhere, run, ulps

from aerogel.lower.elementary import SIN_RANGE
from aerogel.lower.functions import BINARY, UNARY

WIDE = {np.float32: np.float64, np.float64: np.longdouble}
DTYPES = [
    np.float32,
    pytest.param(
        np.float64,
        marks=pytest.mark.skipif(
            np.finfo(np.longdouble).nmant < 60, reason="long double is no wider than f64"
        ),
    ),
]
Dtype = type[np.float32] | type[np.float64]
COUNT = 40_000


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


REFERENCE: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "sin": np.sin,
    "cos": np.cos,
}
# As the docstrings of elementary.py and power.py state them.
BOUND = {
    "exp": (1.1, 1.1),
    "log": (0.9, 0.9),
    "tanh": (2.6, 2.6),
    "sigmoid": (2.4, 2.4),
    "sin": (0.51, 0.8),
    "cos": (0.51, 0.8),
    "pow": (0.51, 0.8),
}


def bound(name: str, dtype: Dtype) -> float:
    return BOUND[name][dtype is np.float64]


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def any_bits(dtype: Dtype, seed: int = 3) -> Array:
    """Positive numbers of every exponent, subnormal ones among them."""
    bits = f"u{np.dtype(dtype).itemsize}"
    most = int(np.array(np.finfo(dtype).max).view(bits))
    return np.random.default_rng(seed).integers(1, most, COUNT).astype(bits).view(dtype)


def arguments(name: str, dtype: Dtype) -> Array:
    """Everywhere that the function is neither 0 nor 1 nor infinite, and close to where it is hard."""
    uniform, tiny = rng().uniform, float(np.finfo(dtype).tiny)
    scales = np.concatenate(
        [uniform(-1, 1, COUNT) * np.geomspace(tiny, 1, COUNT), np.arange(-99, 99) * 1e-45]
    )
    low, high = (-104, 89) if dtype is np.float32 else (-746, 710)
    match name:
        case "exp":
            found = [uniform(low, high, COUNT), uniform(-1, 1, COUNT), scales]
        case "log":
            near = 1 + uniform(-1, 1, COUNT) * np.geomspace(1e-15, 0.1, COUNT)
            return np.concatenate(
                [any_bits(dtype), np.concatenate([uniform(0.5, 2, COUNT), near]).astype(dtype)]
            )
        case "tanh" | "sigmoid":
            found = [uniform(-25, 25, COUNT), uniform(-3, 3, COUNT), uniform(low, 20, COUNT), scales]
        case _:
            quarters = np.concatenate([np.arange(1, 5000), rng().integers(1, int(SIN_RANGE / 1.6), COUNT)])
            # Next to multiples of pi/2, where one of the two vanishes.
            near = (quarters * np.longdouble(np.pi / 2)).astype(dtype)
            found = [
                uniform(-10, 10, COUNT),
                uniform(-1e5, 1e5, COUNT),
                uniform(0, SIN_RANGE, COUNT),
                near,
                scales,
            ]
    return np.concatenate(found).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REFERENCE)
def test_errors_are_within_what_is_stated(name: str, dtype: Dtype) -> None:
    x = arguments(name, dtype)
    with np.errstate(all="ignore"):
        errors = ulps(run(UNARY[name], x), REFERENCE[name](x.astype(WIDE[dtype])))
    worst = int(np.argmax(errors))
    assert not np.isnan(errors).any()
    assert errors[worst] < bound(name, dtype), f"{name}({x[worst]!r})"
    # A function that is exact where it need not be would mean that the measure is broken.
    assert errors[worst] > 0.45


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REFERENCE)
def test_the_same_bits_everywhere(name: str, dtype: Dtype) -> None:
    x = rng().permutation(arguments(name, dtype))[:96]
    edges = [
        0.0,
        -0.0,
        1,
        -1,
        np.inf,
        -np.inf,
        np.nan,
        1e-45,
        -1e-45,
        1e38,
        -1e38,
        88.7,
        -87.4,
        709.7,
        -708.5,
        1e4,
    ]
    everywhere(UNARY[name], np.concatenate([x, np.array(edges, dtype)]))


INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (1e30, INF), (-1e30, 0), (NAN, NAN)],
    "log": [(0.0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-1, NAN), (-INF, NAN), (NAN, NAN), (-1e-45, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (30, 1), (-30, -1), (1e-45, 1e-45), (NAN, NAN)],
    "sigmoid": [(0.0, 0.5), (INF, 1), (-INF, 0), (100, 1), (-800, 0), (NAN, NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (1e13, NAN), (NAN, NAN), (-1e-45, -1e-45)],
    "cos": [(0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (-1e13, NAN), (NAN, NAN)],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, dtype: Dtype) -> None:
    x, want = (np.array(column, dtype) for column in zip(*SPECIAL[name], strict=True))
    got = run(UNARY[name], x)
    np.testing.assert_array_equal(got, want)
    kept = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[kept]), np.signbit(want[kept]))


def test_sin_reaches_its_bound_and_no_further() -> None:
    for dtype in (np.float32, np.float64):
        last = np.array([SIN_RANGE, -SIN_RANGE], dtype)
        np.testing.assert_allclose(run(UNARY["sin"], last), np.sin(last.astype(np.float64)), rtol=1e-6)
        assert np.isnan(run(UNARY["sin"], np.nextafter(last, 2 * last))).all()


# --- pow ----------------------------------------------------------------------------------------


def powers(dtype: Dtype) -> list[tuple[Array, Array]]:
    """Results of every size, bases next to 1 with huge exponents, negative and subnormal bases, any bits."""
    uniform, most = rng().uniform, 88 if dtype is np.float32 else 709
    anything = any_bits(dtype)
    with np.errstate(all="ignore"):
        fitting = uniform(-1.06, 1.04, COUNT) * most / np.log(anything.astype(np.float64))
        near = (1 + uniform(-1, 1, COUNT) * np.geomspace(1e-14, 0.1, COUNT)).astype(dtype)
        near[near == 1] = 2
        steep = uniform(-1, 1, COUNT) * most / np.log(near.astype(WIDE[dtype]))
    negative, whole = -uniform(0, 30, COUNT), rng().integers(-20, 20, COUNT)
    subnormal = np.arange(1, 3000) * np.finfo(dtype).smallest_subnormal
    pairs = [
        (anything, fitting),
        (near, steep),
        (uniform(0.3, 3, COUNT), uniform(-30, 30, COUNT)),
        (negative, whole),
        (subnormal, uniform(-1, 1, 2999)),
        (anything, any_bits(dtype, seed=4)),
    ]
    return [(x.astype(dtype), y.astype(dtype)) for x, y in pairs]


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_is_within_its_error(dtype: Dtype) -> None:
    for x, y in powers(dtype):
        with np.errstate(all="ignore"):
            errors = ulps(run(BINARY["pow"], x, y), np.power(x.astype(WIDE[dtype]), y.astype(WIDE[dtype])))
        worst = int(np.argmax(errors))
        assert errors[worst] < bound("pow", dtype), f"{x[worst]!r} ** {y[worst]!r}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pow_of_special_values_is_C_s_everywhere(dtype: Dtype) -> None:
    info = np.finfo(dtype)
    one = [0, 1, 2, 3, 0.5, 1.5, INF, info.max, info.tiny, info.smallest_subnormal, 2.0**24 + 1, 2.0**53 - 1]
    every = np.array([*one, *(-v for v in one), NAN], dtype)
    x, y = (part.ravel() for part in np.meshgrid(every, every))
    with np.errstate(all="ignore"):
        want = np.power(x, y)
    got = everywhere(BINARY["pow"], x, y)
    np.testing.assert_array_max_ulp(got[np.isfinite(want)], want[np.isfinite(want)], maxulp=1)
    np.testing.assert_array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)])
    kept = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[kept]), np.signbit(want[kept]))
