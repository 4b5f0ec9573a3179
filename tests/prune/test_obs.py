"""SparseGPT against the textbook: one weight at a time, with the inverse of what is left."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aerogel.core.errors import InputError
from aerogel.prune.hessian import Moments
from aerogel.prune.ledger import Ledger
from aerogel.prune.obs import sparsegpt
from aerogel.prune.pattern import PATTERNS
from aerogel.prune.problem import Problem
from aerogel.prune.select import smallest

DAMPING = 0.01


def moments_of(x: np.ndarray, *, centred: bool = False) -> Moments:
    moments = Moments(x.shape[1], torch.device("cpu"), Ledger(), centred=centred, paired=False)
    for part in np.array_split(x, 3):
        moments.add(torch.from_numpy(np.ascontiguousarray(part)), None, None)
    moments.finish("it")
    return moments


def problem_of(weight: np.ndarray, x: np.ndarray, share: float, pattern: str = "unstructured") -> Problem:
    tensor = torch.from_numpy(weight)
    return Problem(tensor, tensor == 0, moments_of(x), PATTERNS[pattern], share, DAMPING)


def mixed(tokens: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((tokens, width)) @ rng.standard_normal((width, width))
    return x.astype(np.float32)


def damped(x: np.ndarray) -> np.ndarray:
    hessian = 2 / len(x) * x.astype(np.float64).T @ x
    return hessian + DAMPING * np.diag(hessian).mean() * np.eye(x.shape[1])


def textbook(weight: np.ndarray, hessian: np.ndarray, count: int, rows: int) -> np.ndarray:
    """What goes of one block: found with the weights as they are at its start."""
    width = weight.shape[1]
    inverses = [np.linalg.inv(hessian[: j + 1, : j + 1]) for j in range(width)]
    costs = np.stack([weight[:, j] ** 2 / inverses[j][j, j] for j in range(width)], 1)
    units = np.add.reduceat(costs, np.arange(0, len(weight), rows), axis=0)
    return np.repeat(smallest(units, count), rows, 0)[: len(weight)]


def eliminated(weight: np.ndarray, hessian: np.ndarray, zero: np.ndarray) -> tuple[np.ndarray, float]:
    """Inputs from the last to the first: the weights then, and what it cost."""
    weight, width = weight.astype(np.float64).copy(), weight.shape[1]
    inverses = [np.linalg.inv(hessian[: j + 1, : j + 1]) for j in range(width)]
    lost = 0.0
    for j in range(width - 1, -1, -1):
        for i in np.flatnonzero(zero[:, j]):
            lost += weight[i, j] ** 2 / inverses[j][j, j]
            weight[i, : j + 1] -= weight[i, j] / inverses[j][j, j] * inverses[j][j]
            weight[i, j] = 0.0
    return weight, lost


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_it_is_the_textbook_one(pattern: str, share: float) -> None:
    x = mixed(80, 10)
    weight = np.random.default_rng(1).standard_normal((7, 10)).astype(np.float32)
    hessian = damped(x)
    rows = PATTERNS[pattern].rows
    count = round(share * -(-7 // rows) * 10)
    expected, lost = eliminated(weight, hessian, textbook(weight, hessian, count, rows))
    solution = sparsegpt(problem_of(weight, x, share, pattern))
    found = solution.weight.numpy()
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    # What was lost, added up step by step, is what the change costs as a whole.
    change = found.astype(np.float64) - weight
    np.testing.assert_allclose(np.trace(change @ hessian @ change.T), lost, rtol=1e-3)


def test_blocks_of_inputs_share_the_budget_and_what_is_lost() -> None:
    """Over 300 inputs in three blocks: what the last loses, the first makes up for."""
    x = mixed(2000, 300)
    weight = np.random.default_rng(1).standard_normal((4, 300)).astype(np.float32)
    solution = sparsegpt(problem_of(weight, x, 0.5))
    counts = [solution.gone[:, a:b].sum() for a, b in ((0, 44), (44, 172), (172, 300))]
    assert counts == [88, 256, 256]
    expected, _ = eliminated(weight, damped(x), solution.gone)
    np.testing.assert_allclose(solution.weight.numpy(), expected, rtol=1e-2, atol=1e-2)


def test_equal_scores_go_by_lowest_index() -> None:
    x = np.eye(4, dtype=np.float32)
    solution = sparsegpt(problem_of(np.ones((3, 4), np.float32), x, 0.5))
    np.testing.assert_array_equal(solution.gone.reshape(-1), [True] * 6 + [False] * 6)


def test_the_factor_serves_every_leading_part() -> None:
    x = mixed(400, 300)
    moments = moments_of(x)
    factor = moments.factor(DAMPING).double().numpy()
    hessian = moments.hessian.double().numpy() + moments.damping * np.eye(300)
    assert (np.triu(factor, 1) == 0).all()
    for j in (1, 7, 150, 300):
        part = factor[:j, :j]
        np.testing.assert_allclose(part.T @ part @ hessian[:j, :j], np.eye(j), atol=2e-3)


def test_damping_grows_until_there_is_a_factor() -> None:
    moments = moments_of(mixed(50, 6))
    # Not positive definite by 3 % of the mean: 1 % of damping is too little, 10 % enough.
    eigenvalues, vectors = torch.linalg.eigh(moments.hessian)
    mean = float(moments.hessian.diagonal().mean())
    eigenvalues[0] = -0.03 * mean
    moments.hessian.copy_(vectors @ torch.diag(eigenvalues) @ vectors.T)
    factor = moments.factor(DAMPING)
    assert moments.damping == pytest.approx(0.1 * float(moments.hessian.diagonal().mean()), rel=1e-3)
    assert torch.isfinite(factor).all()


def test_a_matrix_beyond_damping_is_refused() -> None:
    moments = moments_of(mixed(50, 6))
    moments.hessian[0, 0] = float("nan")
    with pytest.raises(InputError, match="Cholesky"):
        moments.factor(DAMPING)
