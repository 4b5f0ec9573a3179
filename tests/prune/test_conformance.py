"""What every method must keep to, whatever the weight and the data."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.prune.encoder import batches, encoder
from tests.prune.units import FIXED, all_of, dropped

from aerogel.prune import PATTERNS, PruneResult, prune
from aerogel.prune.methods import METHODS

methods = pytest.mark.parametrize("method", METHODS)
patterns = pytest.mark.parametrize("pattern", PATTERNS)
every_pattern = pytest.mark.parametrize("pattern", [*PATTERNS, "2:4", "4:8"])


def layer_of(weight: np.ndarray, *, bias: bool = True) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    layer.weight.data = torch.from_numpy(np.array(weight, np.float32))
    return layer


def inputs_for(width: int, *, tokens: int = 20, seed: int = 0) -> list[torch.Tensor]:
    return [torch.from_numpy(np.random.default_rng(seed).standard_normal((tokens, width), np.float32))]


def random_weight(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def gone(result: PruneResult, pattern: str) -> np.ndarray:
    """Units that are wholly masked."""
    (mask,) = result.masks.values()
    return all_of(~mask, pattern)


def rows_apart(flags: np.ndarray, pattern: str) -> list[np.ndarray]:
    """What Wanda ranks apart, of flags of units: each row, or each panel of 4."""
    step = 4 if pattern == "panel4" else 1
    return [flags[top : top + step] for top in range(0, len(flags), step)]


@methods
@patterns
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 3), (8, 8), (4, 300), (7, 130)])
def test_counts_are_exact(method: str, pattern: str, shape: tuple[int, int]) -> None:
    data = inputs_for(shape[1])
    for share, repair in product([0.0, 0.3, 0.5, 0.83, 1.0], [False, True]):
        layer = layer_of(random_weight(shape))
        result = prune(layer, share, method=method, pattern=pattern, data=data, repair=repair)
        flags = gone(result, pattern)
        wanted = round(share * flags.size)
        (report,) = result.report.layers
        assert (np.count_nonzero(flags), report.pruned, report.units) == (wanted, wanted, flags.size)
        if method == "wanda":
            parts = rows_apart(flags, pattern)
            assert all(abs(np.count_nonzero(p) - wanted * p.size / flags.size) < 1 for p in parts)
        weight = result.model.weight.detach().numpy()
        np.testing.assert_array_equal(weight == 0, ~result.masks["weight"])
        assert report.zeros == np.count_nonzero(weight == 0)
        assert np.isfinite(weight).all() and not np.signbit(weight[weight == 0]).any()


few_values = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0]),
)


@methods
@settings(max_examples=40, deadline=None)
@given(weight=few_values, share=st.floats(0, 1), pattern=st.sampled_from(list(PATTERNS)))
def test_zeros_of_either_sign_stay_and_count_and_ties_are_exact(
    method: str, weight: np.ndarray, share: float, pattern: str
) -> None:
    result = prune(layer_of(weight), share, method=method, pattern=pattern, data=inputs_for(weight.shape[1]))
    found = result.model.weight.detach().numpy()
    assert (found[weight == 0] == 0).all() and not np.signbit(found[weight == 0]).any()
    assert not result.masks["weight"][weight == 0].any()
    empty = all_of(weight == 0, pattern)
    assert result.report.layers[0].pruned == max(round(share * empty.size), int(empty.sum()))


def check_groups(result: PruneResult, weight: np.ndarray, kept: int, of: int) -> None:
    """Of every group as many are kept as may be, but none that was zero."""
    (mask,) = result.masks.values()
    for left in range(0, weight.shape[1], of):
        group = np.s_[:, left : left + of]
        np.testing.assert_array_equal(mask[group].sum(1), np.minimum((weight[group] != 0).sum(1), kept))
    found = result.model.weight.detach().numpy()
    np.testing.assert_array_equal(found == 0, ~mask)
    assert np.isfinite(found).all() and not np.signbit(found[found == 0]).any()


@methods
@pytest.mark.parametrize("pattern", FIXED)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 3), (3, 300), (7, 130)])
def test_of_every_m_inputs_n_are_kept(method: str, pattern: str, shape: tuple[int, int]) -> None:
    kept, of = map(int, pattern.split(":"))
    weight, data = random_weight(shape), inputs_for(shape[1])
    for repair in (False, True):
        result = prune(layer_of(weight), method=method, pattern=pattern, data=data, repair=repair)
        check_groups(result, weight, kept, of)
        (report,) = result.report.layers
        assert (report.pruned, report.units) == (shape[0] * dropped(kept, of, shape[1]), weight.size)
        assert result.report.requested == 1 - kept / of
    if method == "magnitude":
        check_groups(prune(layer_of(weight), pattern=pattern), weight, kept, of)


@methods
@settings(max_examples=40, deadline=None)
@given(weight=few_values, pattern=st.sampled_from(FIXED))
def test_zeros_of_either_sign_are_the_first_of_a_group_to_go(
    method: str, weight: np.ndarray, pattern: str
) -> None:
    data = inputs_for(weight.shape[1])
    result = prune(layer_of(weight), method=method, pattern=pattern, data=data)
    check_groups(result, weight, *map(int, pattern.split(":")))


@methods
def test_equal_ones_of_a_group_go_by_lowest_index(method: str) -> None:
    weight = np.ones((3, 9), np.float32)
    # Inputs that know nothing of each other, so that no choice makes up for more than another.
    data = [torch.cat([torch.eye(9), -torch.eye(9)])]
    mask = prune(layer_of(weight), method=method, pattern="2:4", data=data).masks["weight"]
    np.testing.assert_array_equal(mask[0], [False, False, True, True, False, False, True, True, True])
    assert (mask == mask[0]).all()


@methods
def test_equal_models_give_equal_masks(method: str) -> None:
    weight = np.ones((6, 9), np.float32)
    data = [torch.ones(4, 9)]
    first, second = (prune(layer_of(weight), 0.5, method=method, data=data) for _ in range(2))
    np.testing.assert_array_equal(first.masks["weight"], second.masks["weight"])


@methods
@every_pattern
def test_pruning_again_changes_no_mask(method: str, pattern: str) -> None:
    data = inputs_for(12)
    share = None if ":" in pattern else 0.5
    once = prune(layer_of(random_weight((8, 12))), share, method=method, pattern=pattern, data=data)
    twice = prune(once.model, share, method=method, pattern=pattern, data=data)
    np.testing.assert_array_equal(once.masks["weight"], twice.masks["weight"])


@methods
@every_pattern
@pytest.mark.parametrize("bias", [False, True])
def test_inputs_that_are_never_seen(method: str, pattern: str, bias: bool) -> None:
    """Dead columns, and a Hessian that is zero altogether."""
    weight = random_weight((8, 6))
    (x,) = inputs_for(6)
    for dead in ([2, 5], range(6)):
        x[:, list(dead)] = 0
        share = None if ":" in pattern else 0.5
        layer = layer_of(weight, bias=bias)
        result = prune(layer, share, method=method, pattern=pattern, data=[x], repair=True)
        found = result.model.weight.detach().numpy()
        assert np.isfinite(found).all()
        (report,) = result.report.layers
        if ":" in pattern:
            check_groups(result, weight, *map(int, pattern.split(":")))
        else:
            assert report.pruned == round(0.5 * all_of(weight == 0, pattern).size)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_dead_inputs_are_the_first_to_go(method: str) -> None:
    (x,) = inputs_for(6)
    x[:, [1, 4]] = 0
    mask = prune(layer_of(random_weight((8, 6))), 1 / 3, method=method, data=[x]).masks["weight"]
    np.testing.assert_array_equal(mask.all(0), [True, False, True, True, False, True])


@methods
def test_one_token_is_enough(method: str) -> None:
    """A Hessian of rank one; about its mean, of rank nought."""
    result = prune(
        layer_of(random_weight((5, 7))), 0.5, method=method, data=inputs_for(7, tokens=1), repair=True
    )
    assert np.isfinite(result.model.weight.detach().numpy()).all()


@methods
def test_tied_weights_are_pruned_once_with_both_uses_in_view(method: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    model[2].weight = model[0].weight
    biases = [model[i].bias.detach().clone() for i in (0, 2)]
    result = prune(model, 0.5, method=method, data=inputs_for(4), repair=True)
    assert list(result.masks) == ["0.weight"]
    assert result.model[2].weight is result.model[0].weight
    assert int((result.model[0].weight == 0).sum()) == 8
    # No one bias goes with the weight, so none is moved.
    assert all(torch.equal(b, result.model[i].bias) for b, i in zip(biases, (0, 2), strict=True))


@methods
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_types_keep_theirs(method: str, dtype: torch.dtype) -> None:
    model = torch.nn.Linear(6, 4).to(dtype)
    result = prune(model, 0.5, method=method, data=[x.to(dtype) for x in inputs_for(6)])
    assert result.model.weight.dtype == dtype
    assert int((result.model.weight == 0).sum()) == 12


@methods
def test_a_transposed_weight_is_pruned_where_its_mask_says(method: str) -> None:
    layer = torch.nn.Linear(3, 5)
    layer.weight.data = torch.arange(1.0, 16.0).reshape(3, 5).t()
    result = prune(layer, 0.4, method=method, data=inputs_for(3))
    np.testing.assert_array_equal(result.model.weight.detach().numpy() != 0, result.masks["weight"])


@methods
def test_the_model_given_is_left_alone_unless_told(method: str) -> None:
    model, data = encoder(), batches()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = prune(model, 0.5, method=method, data=data)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    placed = prune(model, 0.5, method=method, data=data, inplace=True)
    assert placed.model is model and copied.model is not model
    other = copied.model.state_dict()
    assert all(torch.equal(other[name], value) for name, value in model.state_dict().items())


@methods
@pytest.mark.parametrize("repair", [False, True])
def test_data_makes_it_better(method: str, repair: bool) -> None:
    """Each layer's bias, at least, makes up for something."""
    (x,) = inputs_for(16, tokens=200)
    mixed = x @ torch.from_numpy(random_weight((16, 16), 1)) + 10
    dense = layer_of(random_weight((8, 16)))
    plain = prune(dense, 0.5).model
    found = prune(dense, 0.5, method=method, data=[mixed], repair=repair).model
    wanted = dense(mixed)
    assert (found(mixed) - wanted).square().mean() < 0.6 * (plain(mixed) - wanted).square().mean()
