"""Loops along a pattern as one: the same values, where nobody asks in which fiber they are and where somebody
does."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag
from aerogel.loop.printer import show
from aerogel.lower.emit import module
from aerogel.tensor import entry

SHAPE = (7, 6, 9)


def sparse(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = rng.random(SHAPE) * (rng.random(SHAPE) < 0.25)
    # Empty fibers, at the ends too.
    dense[[0, 3, 6]] = 0
    return dense


def loops_of_last() -> str:
    """The Loop IR of the kernel that ran last."""
    prepared = list(entry._plans.values())[-1]
    return show(module(prepared.choice.scheduled, "run", prepared.kernel.target))


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("Y(i,j) = T(i,j,k) * v(k)", 1),
        ("Y(i,j) = T(i,j,k) * v(k) * w(j)", 1),
        ("Y(i,j) = T(i,j,k) * v(k) * u(i)", 2),
        ("Y(i,j,k) = T(i,j,k) * v(k)", 1),
        ("Y(i,j,k) = T(i,j,k) * w(j)", 2),
        ("Y(i,j,k) = 2 * T(i,j,k)", 1),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_same_values(text: str, loops: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    monkeypatch.setattr("aerogel.tensor.request.WORTH_A_THREAD", 1e-9)
    monkeypatch.setattr("aerogel.tensor.request.WORTH_WAKING", 0.0)
    entry._plans.clear()
    dense, rng = sparse(), np.random.default_rng(1)
    given = {"T": ag.tensor(dense, "csf"), "u": rng.random(7), "w": rng.random(6), "v": rng.random(9)}
    used = {name: value for name, value in given.items() if f"{name}(" in text}
    rank = text.split("=", maxsplit=1)[0].count(",") + 1
    found = ag.evaluate(text, **used, out_format="dcsr" if rank == 2 else "csf", threads=threads)
    factors = {"u": given["u"][:, None, None], "w": given["w"][:, None], "v": given["v"]}
    wanted = dense * (2 if "2 *" in text else 1)
    for name in used.keys() - {"T"}:
        wanted = wanted * factors[name]
    np.testing.assert_allclose(found.to_numpy(), wanted if rank == 3 else wanted.sum(axis=2))
    ir = loops_of_last()
    outer = sum(f"for q.{index} in" in ir for index in ("i", "j", "k")[:rank])
    assert outer == loops, ir


def test_of_nothing() -> None:
    nothing = ag.tensor(np.zeros(SHAPE), "csf")
    assert ag.evaluate("Y(i,j) = T(i,j,k) * v(k)", T=nothing, v=np.ones(9), out_format="dcsr").nnz == 0
