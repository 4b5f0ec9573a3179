"""Layers of few columns by themselves: what they take, what they refuse, and which form is timed best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aerogel.core.errors import InputError
from aerogel.core.target import available, current
from aerogel.formats.bitmap import unpack
from aerogel.tune.few import MOST_COLUMNS, FewColumns, pack_rows, time_forms


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine code made by tests stays out of the user's cache."""
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "native-cache"))


def weight(rows: int = 6, inputs: int = 100) -> np.ndarray:
    rng = np.random.default_rng(0)
    full = rng.standard_normal((rows, inputs)).astype(np.float32)
    return np.where(rng.random((rows, inputs)) < 0.4, full, np.float32(0))


def some(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2])
def test_columns_in_columns_out(threads: int) -> None:
    matrix, bias = weight(), some(6)
    layer = FewColumns(pack_rows(matrix, "fp32", "bitmap", current()), bias)
    for columns in (MOST_COLUMNS, 3, 1):
        x = some(columns, 100)
        np.testing.assert_allclose(layer(x, threads), x @ matrix.T + bias, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer(some(100)), some(100) @ matrix.T + bias, rtol=1e-5, atol=1e-5)


def test_results_do_not_change_with_the_next_call() -> None:
    layer = FewColumns(pack_rows(weight(), "int8", "bitmap", current()))
    first = layer(some(100))
    kept = first.copy()
    layer(2 * some(100))
    np.testing.assert_array_equal(first, kept)


def test_int8_rounds_every_row_to_its_own_grid() -> None:
    matrix = weight()
    matrix[1] *= 1e-3
    stored = unpack(pack_rows(matrix, "int8", "nested", current()))
    step = np.abs(matrix).max(axis=1) / 127
    assert (np.abs(stored - matrix).max(axis=1) <= step * 0.501).all()
    assert not np.array_equal(stored, matrix)


def test_int4_rounds_every_group_to_its_own_grid() -> None:
    matrix = weight()
    matrix[:, 32:64] *= 1e-3
    stored = unpack(pack_rows(matrix, "int4", "bitmap", current()))
    for group in (slice(0, 32), slice(32, 64), slice(64, 96), slice(96, 100)):
        error = np.abs(stored - matrix)[:, group].max(axis=1)
        assert (error <= np.abs(matrix[:, group]).max(axis=1) * (1 + 2**-8) / 14).all()
    x = some(2, 100)
    layer = FewColumns(pack_rows(matrix, "int4", "bitmap", current()), some(6))
    np.testing.assert_allclose(layer(x), x @ stored.T + some(6), atol=0.3)


@pytest.mark.parametrize(
    "x", [np.zeros(99, np.float32), np.zeros((0, 100), np.float32), np.zeros((9, 100), np.float32),
          np.zeros((1, 1, 100), np.float32), np.zeros(100)]
)  # fmt: skip
def test_an_input_that_does_not_fit_is_refused(x: np.ndarray) -> None:
    layer = FewColumns(pack_rows(weight(), "fp32", "dense", current()))
    with pytest.raises(InputError, match=r"x is float32 \[100\] or \[1 to 8, 100\]"):
        layer(x)


@pytest.mark.parametrize("bias", [np.zeros(5, np.float32), np.zeros(6)])
def test_a_bias_that_does_not_fit_is_refused(bias: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"a bias is float32 \[6\]"):
        FewColumns(pack_rows(weight(), "fp32", "dense", current()), bias)


def test_a_packing_for_another_width_is_refused() -> None:
    packed = pack_rows(weight(), "fp32", "dense", available()[-1])
    if available()[-1] == current():
        pytest.skip("this CPU has one target")
    with pytest.raises(InputError, match="packed for 4 lanes"):
        FewColumns(packed)


def test_an_unknown_number_is_refused() -> None:
    unknown: Any = "int2"
    with pytest.raises(InputError, match="'int2' is unknown: fp32, bf16, int8, int4"):
        pack_rows(weight(), unknown, "dense", current())


def test_every_form_is_timed_fastest_first() -> None:
    found = time_forms(weight(), "fp32", current(), columns=2)
    assert set(found) == {"dense", "bitmap", "nested", "sliced"}
    assert list(found.values()) == sorted(found.values())
    assert min(found.values()) > 0
