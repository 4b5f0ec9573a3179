"""Calls made before: the same results as the long way, whatever changes between them."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import aerogel as ag
from aerogel.core.errors import AerogelError
from aerogel.tensor import again, entry, request

SPMV = "y(i) = A(i,j) * x(j)"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    again._kept.clear()


def matrix(seed: int, shape: tuple[int, int] = (40, 30)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(shape) * (rng.random(shape) < 0.3)


def test_the_second_call_is_taken_from_the_first_and_sees_new_values() -> None:
    dense = matrix(0)
    A = ag.tensor(dense, "csr")
    for seed in range(4):
        x = np.random.default_rng(seed).random(30)
        np.testing.assert_allclose(ag.evaluate(SPMV, A=A, x=x), dense @ x)
    assert len(again._kept) == 1


def test_another_tensor_type_or_shape_is_another_call() -> None:
    x = np.ones(30)
    for seed in range(3):
        dense = matrix(seed)
        np.testing.assert_allclose(ag.evaluate(SPMV, A=ag.tensor(dense, "csr"), x=x), dense @ x)
        gc.collect()
    dense = matrix(7)
    A = ag.tensor(dense, "csr")
    for values in (x, x.astype(np.float32), np.arange(30), x[::-1], np.ones(60)[::2]):
        found = ag.evaluate(SPMV, A=A, x=values)
        assert found.dtype == (dense @ values).dtype
        np.testing.assert_allclose(found, dense @ values)
    with pytest.raises(AerogelError, match="30"):
        ag.evaluate(SPMV, A=A, x=np.ones(31))
    with pytest.raises(AerogelError, match="threads=0"):
        ag.evaluate(SPMV, A=A, x=x, threads=0)


def test_what_a_tensor_kept_goes_with_it() -> None:
    A = ag.tensor(matrix(1), "csr")
    ag.evaluate(SPMV, A=A, x=np.ones(30))
    assert len(again._kept) == 1
    del A
    gc.collect()
    assert not again._kept


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "dcsr", "bsr:2x2", "dense"])
@pytest.mark.parametrize(
    ("text", "numpy"),
    [
        (SPMV, lambda a, x: a @ x),
        ("y(j) = A(i,j) * A(i,j) * x(j)", lambda a, x: (a * a * x).sum(0)),
        ("C(i,j) = A(i,j) * x(j)", lambda a, x: a * x),
        ("C(i,j) = A(i,j) + x(j)", lambda a, x: a + x),
        ("s = A(i,j) * x(j)", lambda a, x: (a @ x).sum()),
    ],
)
def test_every_kind_of_result_twice(fmt: str, text: str, numpy: object) -> None:
    dense = matrix(2)
    A = ag.tensor(dense, fmt)
    first = None
    for seed in (0, 1, 0):
        x = np.random.default_rng(seed).random(30)
        found = np.asarray(ag.evaluate(text, A=A, x=x))
        np.testing.assert_allclose(found, numpy(dense, x), rtol=1e-12)  # type: ignore[operator]
        if seed == 0:
            # The short way gives the bits of the long one.
            assert first is None or first.tobytes() == found.tobytes()
            first = found


def test_callers_at_once_each_have_their_own_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    monkeypatch.setattr(request, "WORTH_A_THREAD", 1e-9)
    monkeypatch.setattr(request, "WORTH_WAKING", 0.0)
    dense = matrix(3, (300, 200))
    A = ag.tensor(dense, "csr")

    def call(seed: int) -> bool:
        x = np.random.default_rng(seed).random(200)
        return np.allclose(ag.evaluate(SPMV, A=A, x=x, threads=1 + seed % 3), dense @ x)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, range(200)))


def test_a_pattern_is_shared_and_read_only() -> None:
    dense = matrix(4)
    A = ag.tensor(dense, "csr")
    u, v = np.random.default_rng(0).random((40, 5)), np.random.default_rng(1).random((30, 5))
    for _ in range(3):
        found = ag.evaluate("C(i,j) = A(i,j) * U(i,k) * V(j,k)", A=A, U=u, V=v)
        np.testing.assert_allclose(found.to_numpy(), dense * (u @ v.T))
        assert not found.storage.values.flags.writeable


def test_little_work_wakes_no_thread_and_much_does(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = matrix(1)
    ag.evaluate(SPMV, A=ag.tensor(dense, "csr"), x=np.ones(30))
    prepared = list(entry._plans.values())[-1]
    crew = request.pool()
    monkeypatch.setattr(crew, "ready", lambda wanted: wanted)

    def threads(work: float, *, lively: bool, wanted: int = 8) -> int:
        monkeypatch.setattr(crew, "lively", lambda: lively)
        return replace(prepared, choice=replace(prepared.choice, work=work)).threads(wanted)

    assert threads(request.WORTH_A_THREAD, lively=True) == 1
    assert threads(3 * request.WORTH_A_THREAD, lively=True) == 3
    assert threads(3 * request.WORTH_A_THREAD, lively=True, wanted=2) == 2
    assert threads(3 * request.WORTH_A_THREAD, lively=False) == 1
    assert threads(request.WORTH_WAKING, lively=False) == 8
    assert threads(request.WORTH_WAKING, lively=False, wanted=1) == 1
    assert threads(np.inf, lively=False) == 8
