"""Least squares on the kept weights, against the normal equations."""

from __future__ import annotations

import numpy as np
import torch
from tests.prune.test_obs import DAMPING, mixed, moments_of

from aerogel.prune.repair import repaired


def test_each_row_is_the_least_squares_of_its_kept_weights() -> None:
    moments = moments_of(mixed(200, 12))
    rng = np.random.default_rng(2)
    target = torch.from_numpy(rng.standard_normal((6, 12)).astype(np.float32))
    zero = torch.from_numpy(rng.random((6, 12)) < 0.5)
    zero[0], zero[1] = True, False
    found = repaired(torch.zeros_like(target), target, zero, moments, DAMPING).double().numpy()
    hessian = moments.hessian.double().numpy()
    hessian += DAMPING * np.diag(hessian).mean() * np.eye(12)
    assert (found[zero.numpy()] == 0).all()
    for i in range(6):
        kept = np.flatnonzero(~zero[i].numpy())
        right = hessian[kept] @ target[i].double().numpy()
        expected = np.linalg.solve(hessian[np.ix_(kept, kept)], right)
        np.testing.assert_allclose(found[i, kept], expected, rtol=1e-2, atol=1e-3)


def test_what_is_best_already_stays() -> None:
    moments = moments_of(mixed(50, 8))
    target = torch.randn(4, 8)
    kept = repaired(target.clone(), target, torch.zeros(4, 8, dtype=torch.bool), moments, DAMPING)
    torch.testing.assert_close(kept, target)


def test_inputs_that_are_all_zero_leave_the_weights() -> None:
    moments = moments_of(np.zeros((5, 3), np.float32))
    target = torch.ones(2, 3)
    zero = torch.tensor([[True, False, False]] * 2)
    found = repaired(target.clone(), target, zero, moments, DAMPING)
    torch.testing.assert_close(found, target.masked_fill(zero, 0.0))
