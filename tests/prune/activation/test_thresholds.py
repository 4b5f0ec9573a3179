"""Thresholds go wherever the module goes, and off again."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from tests.prune.activation.blocks import WIDTH, Stack, stack
from torch import nn

from aerogel.core.errors import InputError
from aerogel.prune.activation import apply_thresholds, remove_thresholds, thresholds_of
from aerogel.prune.activation.thresholds import paused

THRESHOLDS = {"blocks.0.up": 0.5, "blocks.1.down": 0.125, "blocks.1.act": 0.25}


@pytest.fixture
def model() -> Stack:
    return apply_thresholds(stack(), THRESHOLDS)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(3, 7, WIDTH, generator=torch.Generator().manual_seed(2))


def cut(x: torch.Tensor, threshold: float) -> torch.Tensor:
    return torch.where(x.abs() > threshold, x, torch.zeros(()))


def naive(dense: Stack, x: torch.Tensor) -> torch.Tensor:
    first, second = dense.blocks
    x = x + first.down(first.act(first.gate(x)) * first.up(cut(x, 0.5)))
    x = x + second.down(cut(cut(second.act(second.gate(x)), 0.25) * second.up(x), 0.125))
    return dense.lm_head(x)


def test_inputs_of_linear_layers_and_outputs_of_functions_are_cut(model: Stack, x: torch.Tensor) -> None:
    torch.testing.assert_close(model(x), naive(stack(), x), rtol=0, atol=0)
    assert not torch.equal(model(x), stack()(x))


def test_what_equals_the_threshold_goes_and_nan_stays() -> None:
    layer = apply_thresholds(nn.Linear(4, 4), {"": 0.5})
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    got = layer(input=torch.tensor([0.5, -0.5, 0.75, -1.0]))
    assert got.tolist() == [0.0, 0.0, 0.75, -1.0]
    assert layer(torch.full((4,), torch.nan)).isnan().all()


def test_copies_pickles_and_saved_files_have_them(model: Stack, x: torch.Tensor) -> None:
    wanted = model(x)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(file, weights_only=False),
    ):
        assert torch.equal(other(x), wanted)
        assert thresholds_of(other) == THRESHOLDS
        # Off the copy, they are still on the model.
        assert torch.equal(remove_thresholds(other)(x), stack()(x))
        assert torch.equal(model(x), wanted)


def test_a_state_dict_has_them_and_weights_keep_their_names(model: Stack, x: torch.Tensor) -> None:
    state = model.state_dict()
    assert set(state) - set(stack().state_dict()) == {f"{name}.activation_threshold" for name in THRESHOLDS}
    other = apply_thresholds(stack(seed=5), thresholds_of(state))
    other.load_state_dict(state)
    assert torch.equal(other(x), model(x))


def test_removed_and_paused_nothing_is_left(model: Stack, x: torch.Tensor) -> None:
    wanted, dense = model(x), stack()
    with paused(model):
        assert torch.equal(model(x), dense(x))
    assert torch.equal(model(x), wanted)
    remove_thresholds(model)
    assert torch.equal(model(x), dense(x))
    assert set(model.state_dict()) == set(dense.state_dict()) and thresholds_of(model) == {}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_applied_again_they_are_replaced(model: Stack, x: torch.Tensor) -> None:
    apply_thresholds(model, dict.fromkeys(THRESHOLDS, 0.0))
    torch.testing.assert_close(model(x), stack()(x), rtol=0, atol=0)
    assert sum(len(m._forward_pre_hooks) for m in model.modules()) == 2


def test_narrow_types_and_gradients(model: Stack, x: torch.Tensor) -> None:
    model(x).sum().backward()
    assert model.blocks[0].up.weight.grad is not None
    assert model.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("thresholds", "told"),
    [
        ({"blocks.7.up": 0.5}, "no module 'blocks.7.up'"),
        ({"blocks.0.up": -0.5}, "is -0.5: give a finite number from 0"),
        ({"blocks.0.up": float("nan")}, "is nan"),
        ({"blocks.0.up": float("inf")}, "is inf"),
    ],
)
def test_thresholds_that_cannot_be(thresholds: dict[str, float], told: str) -> None:
    model = stack()
    with pytest.raises(InputError, match=told):
        apply_thresholds(model, {"blocks.0.gate": 0.5, **thresholds})
    assert thresholds_of(model) == {}
