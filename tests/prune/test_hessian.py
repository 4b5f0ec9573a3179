"""Second moments of a layer's inputs, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aerogel.core.errors import InputError
from aerogel.prune.hessian import Moments, tokens
from aerogel.prune.ledger import Ledger, tensor_bytes

WIDTH = 5


def batches(count: int, *, offset: float = 0.0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    made = torch.Generator().manual_seed(0)
    return [
        (torch.randn(3, 4, WIDTH, generator=made) + offset, torch.rand(3, 4, generator=made) < 0.7)
        for _ in range(count)
    ]


def collected(
    data: list[tuple[torch.Tensor, torch.Tensor]], *, centred: bool, paired: bool = False
) -> Moments:
    moments = Moments(WIDTH, torch.device("cpu"), Ledger(), centred=centred, paired=paired)
    for x, mask in data:
        moments.add(x, x * 2 + 1 if paired else None, mask)
    moments.finish("it")
    return moments


def rows(data: list[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    return np.concatenate([x[mask].double().numpy() for x, mask in data])


@pytest.mark.parametrize("centred", [False, True])
def test_the_hessian_is_two_over_n_of_the_sum_over_tokens_that_count(centred: bool) -> None:
    data = batches(4, offset=2.0)
    x = rows(data)
    about = x - x.mean(0) if centred else x
    moments = collected(data, centred=centred)
    assert moments.count == len(x)
    np.testing.assert_allclose(moments.hessian.numpy(), 2 / len(x) * about.T @ about, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments.norms.numpy(), np.sqrt((x**2).mean(0)), rtol=1e-5)


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    data = batches(4, offset=3000.0)
    x = rows(data)
    moments = collected(data, centred=True)
    np.testing.assert_allclose(moments.hessian.numpy(), 2 * np.cov(x.T, bias=True), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("centred", [False, True])
def test_the_target_does_best_what_the_weight_does_on_the_dense_inputs(centred: bool) -> None:
    made = torch.Generator().manual_seed(1)
    dense = [torch.randn(200, WIDTH, generator=made) + 1 for _ in range(3)]
    noisy = [x + 0.5 * torch.randn(200, WIDTH, generator=made) for x in dense]
    moments = Moments(WIDTH, torch.device("cpu"), Ledger(), centred=centred, paired=True)
    for x, y in zip(noisy, dense, strict=True):
        moments.add(x, y, None)
    moments.finish("it")
    weight = torch.randn(3, WIDTH, generator=made)
    found = moments.target(weight, 1e-6).numpy()
    x, y = (torch.cat(v).double().numpy() for v in (noisy, dense))
    wanted = y @ weight.double().numpy().T
    if centred:
        x = np.concatenate([x, np.ones((len(x), 1))], 1)
    best = np.linalg.lstsq(x, wanted, rcond=None)[0].T
    np.testing.assert_allclose(found, best[:, :WIDTH], rtol=1e-3, atol=1e-3)
    if centred:
        shift = moments.shift(weight, torch.from_numpy(found)).numpy()
        np.testing.assert_allclose(shift, best[:, WIDTH], rtol=1e-3, atol=1e-3)


def test_unpaired_the_target_is_the_weight() -> None:
    weight = torch.ones(2, WIDTH)
    assert collected(batches(2), centred=True).target(weight, 0.01) is weight


def test_the_shift_keeps_the_mean_of_what_comes_out() -> None:
    data = batches(3, offset=1.0)
    moments = collected(data, centred=True)
    dense, pruned = torch.randn(2, 3, WIDTH)
    mean = rows(data).mean(0)
    expected = (dense.double().numpy() - pruned.double().numpy()) @ mean
    np.testing.assert_allclose(moments.shift(dense, pruned).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_padding_is_left_out_where_tokens_are_and_nowhere_else() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    x = torch.arange(8.0).reshape(2, 2, 2)
    assert tokens(x, mask).tolist() == [[0, 1], [4, 5], [6, 7]]
    assert tokens(x.reshape(4, 2), mask).tolist() == [[0, 1], [4, 5], [6, 7]]
    assert len(tokens(x[:, 0], mask)) == 2
    assert len(tokens(x, None)) == 4
    assert len(tokens(x.reshape(1, 4, 2), mask)) == 4


@pytest.mark.parametrize("width", [256, 257, 700, 1111])
def test_the_factor_of_a_wide_layer_is_that_of_the_inverse(width: int) -> None:
    x = torch.randn(2 * width, width, generator=torch.Generator().manual_seed(0))
    moments = Moments(width, torch.device("cpu"), Ledger(), centred=False, paired=False)
    moments.add(x, None, None)
    moments.finish("it")
    factor = moments.factor(0.01).double()
    assert bool((factor == factor.tril()).all())
    damped = moments.hessian.double() + moments.damping * torch.eye(width)
    np.testing.assert_allclose((factor.T @ factor @ damped).numpy(), np.eye(width), atol=1e-4)


def test_no_token_and_nan_are_refused_by_name() -> None:
    empty = Moments(WIDTH, torch.device("cpu"), Ledger(), centred=True, paired=False)
    with pytest.raises(InputError, match=r"'it' was fed no token"):
        empty.finish("it")
    empty.add(torch.full((2, WIDTH), float("nan")), None, None)
    with pytest.raises(InputError, match=r"'it' is fed NaN"):
        empty.finish("it")


def test_the_ledger_counts_what_is_held_and_what_was() -> None:
    ledger = Ledger()
    moments = Moments(WIDTH, torch.device("cpu"), ledger, centred=False, paired=True)
    assert ledger.peak == 2 * WIDTH * WIDTH * 4
    moments.add(torch.ones(3, WIDTH), torch.ones(3, WIDTH), None)
    moments.finish("it")
    moments.factor(0.01)
    assert ledger.peak == 3 * WIDTH * WIDTH * 4
    moments.release()
    ledger.hold(torch.zeros(1))
    assert ledger.peak == 3 * WIDTH * WIDTH * 4
    assert tensor_bytes(({"a": [torch.zeros(2)]}, torch.zeros(3, dtype=torch.int64), "text", None)) == 32
