"""Rounding with what it loses carried on, against one sweep that zeroes and rounds, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.prune.test_obs import DAMPING, damped, mixed, moments_of, problem_of

from aerogel.prune.grid import fitted_scale, largest_scale, on_grid
from aerogel.prune.obs import sparsegpt
from aerogel.prune.rounding import rounded


def one_sweep(weight: np.ndarray, hessian: np.ndarray, zero: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """From the last input to the first: zeroed or rounded, the rest made to make up for it."""
    weight = weight.astype(np.float64).copy()
    for j in range(weight.shape[1] - 1, -1, -1):
        inverse = np.linalg.inv(hessian[: j + 1, : j + 1])
        settled = np.where(zero[:, j], 0.0, np.clip(np.rint(weight[:, j] / scale), -127, 127) * scale)
        lost = (weight[:, j] - settled) / inverse[j, j]
        weight[:, : j + 1] -= np.outer(lost, inverse[j])
        weight[:, j] = settled
    return weight


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("width", [10, 140])
def test_it_is_one_sweep_that_zeroes_and_rounds(share: float, width: int) -> None:
    """Begun from what SparseGPT made of the weights, as good as begun from the weights."""
    x = mixed(20 * width, width)
    weight = np.random.default_rng(1).standard_normal((7, width)).astype(np.float32)
    problem = problem_of(weight, x, share)
    pruned = sparsegpt(problem)
    zero = torch.from_numpy(problem.pattern.spread(pruned.gone, weight.shape))
    found, scale = rounded(pruned.weight, zero, problem.moments, DAMPING)
    expected = one_sweep(weight, damped(x), zero.numpy(), scale.numpy().astype(np.float64))
    steps = (found.numpy() - expected) / scale.numpy()[:, None]
    # A number near the middle between two of the grid may go either way, and others then follow.
    off = np.abs(steps) > 0.01
    assert off.mean() < 0.05
    assert off[:, -3:].sum() == 0


def test_it_loses_less_than_the_nearest_numbers() -> None:
    x = mixed(400, 48)
    weight = np.random.default_rng(1).standard_normal((16, 48)).astype(np.float32)
    tensor, hessian = torch.from_numpy(weight), damped(x)
    found, scale = rounded(tensor, tensor == 0, moments_of(x), DAMPING)

    def lost(v: torch.Tensor) -> float:
        change = (v - tensor).double().numpy()
        return float(np.trace(change @ hessian @ change.T))

    assert lost(found) < 0.7 * lost(on_grid(tensor, scale[:, None]))


def test_the_largest_scale_cuts_nothing_off() -> None:
    weight = torch.tensor([[3.0, -254.0, 1.0], [0.0, 0.0, 0.0], [1e-45, 0.0, 0.0]])
    scale = largest_scale(weight)
    assert scale.tolist()[:2] == [2.0, 1.0] and scale[2] >= torch.finfo(torch.float32).tiny
    assert largest_scale(torch.zeros(2, 0)).tolist() == [1.0, 1.0]
    torch.testing.assert_close(on_grid(weight, scale[:, None])[0], torch.tensor([4.0, -254.0, 0.0]))


def test_an_outlier_that_matters_little_is_cut_off() -> None:
    weight = torch.full((1, 1001), 0.0035)
    weight[0, 0] = 1.0
    worth = torch.ones(1001)
    assert float(fitted_scale(weight, worth)) == float(largest_scale(weight))
    worth[0] = 1e-9
    cut = fitted_scale(weight, worth)
    assert float(cut) < float(largest_scale(weight))


def test_equal_rows_get_equal_scales() -> None:
    weight = torch.randn(1, 30).repeat(600, 1)
    assert len(set(fitted_scale(weight).tolist())) == 1
    assert fitted_scale(torch.zeros(0, 4)).shape == (0,)


def test_a_scale_is_that_of_its_row_alone() -> None:
    # So wide that they are tried one by one, and so many that they are tried some at a time.
    made = torch.Generator().manual_seed(0)
    for weight in (torch.randn(3, 2**20 + 1, generator=made), torch.randn(2**15 + 1, 40, generator=made)):
        rows = (0, 1, 2, len(weight) - 1)
        alone = torch.cat([fitted_scale(weight[i : i + 1]) for i in rows])
        assert torch.equal(fitted_scale(weight)[list(rows)], alone)
