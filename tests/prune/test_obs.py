"""SparseGPT against the textbook: one weight at a time, with the inverse of what is left."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from tests.prune.units import SIZES, spread, units

from aerogel.core.errors import InputError
from aerogel.prune.hessian import Moments
from aerogel.prune.ledger import Ledger
from aerogel.prune.obs import sparsegpt
from aerogel.prune.panel import density
from aerogel.prune.pattern import PATTERNS, pattern_named
from aerogel.prune.problem import Problem
from aerogel.prune.select import per_group, smallest

DAMPING = 0.01


def moments_of(x: np.ndarray, *, centred: bool = False) -> Moments:
    moments = Moments(x.shape[1], torch.device("cpu"), Ledger(), centred=centred, paired=False)
    for part in np.array_split(x, 3):
        moments.add(torch.from_numpy(np.ascontiguousarray(part)), None, None)
    moments.finish("it")
    return moments


def problem_of(weight: np.ndarray, x: np.ndarray, share: float, pattern: str = "unstructured") -> Problem:
    tensor = torch.from_numpy(weight)
    return Problem(tensor, tensor == 0, moments_of(x), pattern_named(pattern), share, DAMPING)


def mixed(tokens: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((tokens, width)) @ rng.standard_normal((width, width))
    return x.astype(np.float32)


def damped(x: np.ndarray) -> np.ndarray:
    hessian = 2 / len(x) * x.astype(np.float64).T @ x
    return hessian + DAMPING * np.diag(hessian).mean() * np.eye(x.shape[1])


def textbook(weight: np.ndarray, hessian: np.ndarray, count: int, pattern: str) -> np.ndarray:
    """What goes of one block: found with the weights as they are at its start, by the inverse of the Hessian
    of a unit's inputs and all before them."""
    shape = (-(-weight.shape[0] // SIZES[pattern][0]), -(-weight.shape[1] // SIZES[pattern][1]))
    costs = np.zeros(shape)
    for at, (rows, columns) in units(pattern, weight.shape):
        inverse = np.linalg.inv(hessian[: columns.stop, : columns.stop])
        own = np.linalg.inv(inverse[columns, columns])
        part = weight[rows, columns].astype(np.float64)
        costs[at] = np.einsum("rc,cd,rd", part, own, part)
    if pattern == "panel4":
        costs = density(costs)
    return spread(smallest(costs, count), pattern, weight.shape)


def by_groups(weight: np.ndarray, hessian: np.ndarray, kept: int, of: int) -> tuple[np.ndarray, np.ndarray]:
    """N:M, every set of every group of every output tried on its own: (what goes, the weights then)."""
    weight, zero = weight.astype(np.float64).copy(), np.zeros(weight.shape, bool)
    for left in reversed(range(0, weight.shape[1], of)):
        right = min(left + of, weight.shape[1])
        inverse = np.linalg.inv(hessian[:right, :right])
        for row in weight:
            changes = []
            for drop in combinations(range(left, right), max(0, right - left - kept)):
                s = list(drop)
                change = -inverse[:, s] @ np.linalg.inv(inverse[np.ix_(s, s)]) @ row[s]
                cost = change @ hessian[:right, :right] @ change
                changes.append((cost, s, change))
            _, s, change = min(changes, key=lambda c: c[0])
            row[:right] += change
            row[s] = 0.0
    zero[weight == 0] = True
    return zero, weight


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
    count = round(share * math.prod(PATTERNS[pattern].unit_shape((7, 10))))
    expected, lost = eliminated(weight, hessian, textbook(weight, hessian, count, pattern))
    solution = sparsegpt(problem_of(weight, x, share, pattern))
    found = solution.weight.numpy()
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    # What was lost, added up step by step, is what the change costs as a whole.
    change = found.astype(np.float64) - weight
    np.testing.assert_allclose(np.trace(change @ hessian @ change.T), lost, rtol=1e-3)


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "3:5", "2:8"])
def test_the_set_of_a_group_that_goes_is_the_cheapest_of_all(pattern: str) -> None:
    x = mixed(80, 10)
    weight = np.random.default_rng(1).standard_normal((7, 10)).astype(np.float32)
    zero, expected = by_groups(weight, damped(x), *map(int, pattern.split(":")))
    solution = sparsegpt(problem_of(weight, x, 0.0, pattern))
    np.testing.assert_array_equal(solution.gone, zero)
    np.testing.assert_allclose(solution.weight.numpy(), expected, rtol=2e-3, atol=2e-3)


def test_many_sets_of_a_group_are_not_tried_one_by_one() -> None:
    """Of 12,870 sets it does not find the best, but one that costs less than the smallest weights."""
    x = mixed(200, 64)
    weight = np.random.default_rng(1).standard_normal((16, 64)).astype(np.float32)
    found = sparsegpt(problem_of(weight, x, 0.0, "8:16"))
    assert (found.gone.reshape(16, 4, 16).sum(2) == 8).all()
    small = per_group(np.abs(weight), np.zeros(weight.shape, bool), 8, 16)
    plain, _ = eliminated(weight, damped(x), small)

    def lost(v: np.ndarray) -> float:
        return float(np.trace((v - weight) @ damped(x) @ (v - weight).T))

    assert lost(found.weight.numpy()) < 0.9 * lost(plain)


@pytest.mark.parametrize("pattern", ["block1x4", "block4x4", "2:4"])
def test_units_are_whole_across_blocks_of_inputs(pattern: str) -> None:
    """Over 302 inputs in blocks whose edges no unit crosses; the last unit is a short one."""
    x = mixed(2000, 302)
    weight = np.random.default_rng(1).standard_normal((6, 302)).astype(np.float32)
    problem = problem_of(weight, x, 0.5, pattern)
    solution = sparsegpt(problem)
    zero = problem.pattern.spread(solution.gone, weight.shape)
    np.testing.assert_array_equal(solution.weight.numpy() == 0, zero)
    if pattern == "2:4":
        expected = by_groups(weight, damped(x), 2, 4)[1]
    else:
        expected, _ = eliminated(weight, damped(x), zero)
    np.testing.assert_allclose(solution.weight.numpy(), expected, rtol=1e-2, atol=1e-2)


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
