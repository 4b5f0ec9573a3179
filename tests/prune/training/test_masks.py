"""Masks that are buffers: they go where the module goes, and hold what they say."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict

import numpy as np
import pytest
import torch
from tests.prune.training.little import EVERYTHING, network, no_negative_zeros, zeros

from aerogel.core.errors import InputError
from aerogel.prune import prune
from aerogel.prune.training import Masks


def masked(seed: int = 0) -> torch.nn.Sequential:
    """A network pruned to half, with masks."""
    model = network(seed)
    result = prune(model, 0.5, layers=EVERYTHING, inplace=True)
    Masks.attach(model, result.masks)
    return model


def dense_state(seed: int = 7) -> dict[str, torch.Tensor]:
    return network(seed).state_dict()


def same(a: Masks, b: Masks) -> bool:
    left, right = a.arrays(), b.arrays()
    return left.keys() == right.keys() and all(np.array_equal(left[n], right[n]) for n in left)


def holds(model: torch.nn.Module, like: torch.nn.Module) -> bool:
    """Masks equal those of ``like``, and the weights keep to them."""
    masks = Masks.of(model)
    masks.check()
    return same(masks, Masks.of(like)) and masks.sparsity == 0.5 and no_negative_zeros(model)


def test_masks_as_prune_found_them() -> None:
    model = network()
    result = prune(model, 0.5, layers=EVERYTHING)
    masks = Masks.attach(model, result.masks)
    assert all(np.array_equal(found, result.masks[name]) for name, found in masks.arrays().items())
    for name, gone in zeros(model).items():
        np.testing.assert_array_equal(gone.numpy(), ~result.masks[name])
    assert (len(masks), masks.size, masks.sparsity) == (2, 8 * 12 + 12 * 4, 0.5)
    assert no_negative_zeros(model)


def test_without_masks_everything_is_kept_and_attaching_again_changes_nothing() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    masks = Masks.attach(model, layers="^0$")
    assert [layer.name for layer in masks] == ["0.weight"] and masks.sparsity == 0.0
    masks = Masks.attach(model)
    assert [layer.name for layer in masks] == ["0.weight"], "a model that has masks gets no more"
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert len(Masks.attach(model, layers=EVERYTHING)) == 2
    model = masked()
    assert same(Masks.attach(model, layers=EVERYTHING), Masks.of(masked()))


def test_a_copy_has_its_own() -> None:
    model = masked()
    other = copy.deepcopy(model)
    other.load_state_dict(dense_state())
    assert holds(other, model)
    Masks.of(other).remove()
    assert holds(model, masked()), "the copy's hooks were the copy's"
    model.load_state_dict(dense_state())
    assert holds(model, masked())


def test_a_state_with_masks_brings_them_and_one_without_leaves_them() -> None:
    model, fresh = masked(), network(3)
    Masks.attach(fresh, layers=EVERYTHING)
    fresh.load_state_dict(model.state_dict())
    assert holds(fresh, model)
    for assign in (False, True):
        fresh.load_state_dict(dense_state(), assign=assign)
        assert holds(fresh, model)
        assert bool((fresh[0].weight != 0).any())
    fresh[0].load_state_dict({"weight": torch.ones(12, 8), "bias": torch.zeros(12)})
    assert holds(fresh, model)


def test_pickled_and_moved_to_another_type() -> None:
    model = masked()
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    found = torch.load(file, weights_only=False)
    found.load_state_dict(dense_state())
    assert holds(found, model)
    half = copy.deepcopy(model).to(torch.bfloat16)
    assert Masks.of(half).arrays()["0.weight"].dtype == np.bool_ and holds(half, model)


def test_in_a_wrapper_and_in_a_larger_model() -> None:
    model = masked()
    larger = torch.nn.Sequential(OrderedDict(first=model, then=torch.nn.Linear(4, 2)))
    assert [layer.name for layer in Masks.of(larger)] == ["first.0.weight", "first.2.weight"]
    state = {f"first.{name}": value for name, value in dense_state().items()}
    larger.load_state_dict(state | {f"then.{n}": v for n, v in torch.nn.Linear(4, 2).state_dict().items()})
    assert holds(model, masked())
    wrapped = torch.nn.DataParallel(model)
    assert [layer.name for layer in Masks.of(wrapped)] == ["0.weight", "2.weight"]


def test_tied_weights_and_shared_modules_have_one_mask() -> None:
    def tied() -> torch.nn.Sequential:
        model = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Tanh(), torch.nn.Linear(6, 6))
        model[2].weight = model[0].weight
        model.append(model[0])
        return model

    model = tied()
    Masks.attach(model, prune(model, 0.5).masks)
    assert [layer.name for layer in Masks.of(model)] == ["0.weight"]
    # The second module is loaded after the one that has the mask.
    model.load_state_dict(tied().state_dict(), strict=False)
    assert int((model[2].weight == 0).sum()) == 18 and model[2].weight is model[0].weight


def test_removed_it_is_the_module_that_it_was() -> None:
    model, plain = masked(), network()
    Masks.of(model).remove()
    assert list(model.state_dict()) == list(plain.state_dict())
    assert all(
        a.__dict__.keys() == b.__dict__.keys() for a, b in zip(model.modules(), plain.modules(), strict=True)
    )
    assert int((model[0].weight == 0).sum()) == 48
    model.load_state_dict(dense_state())
    assert torch.equal(model[0].weight, network(7)[0].weight)
    with pytest.raises(InputError, match="Sequential has no masks"):
        Masks.of(model)


# ------------------------------------------------------------------------------------------------ adapters


class Adapter(torch.nn.Module):
    """A low-rank adapter around a linear layer, as such libraries have them."""

    def __init__(self, layer: torch.nn.Linear, rank: int = 2, scale: float = 0.5) -> None:
        super().__init__()
        self.base_layer, self.scale = layer, scale
        self.down = torch.nn.Parameter(torch.randn(rank, layer.in_features))
        self.up = torch.nn.Parameter(torch.randn(layer.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.scale * (x @ self.down.t() @ self.up.t())

    def merged(self) -> torch.nn.Linear:
        with torch.no_grad():
            self.base_layer.weight += self.scale * self.up @ self.down
        return self.base_layer


def test_merged_adapters_are_masked_again() -> None:
    model, plain = masked(), masked()
    adapter = Adapter(model[0])
    model[0] = adapter
    names = [layer.name for layer in Masks.of(model)]
    assert names == ["0.base_layer.weight", "2.weight"], "inside an adapter it is masked all the same"
    model[0] = adapter.merged()
    gone = int((~Masks.of(plain).arrays()["0.weight"]).sum())
    with pytest.raises(InputError, match=r"48 masked weights of '0.weight' are not zero"):
        Masks.of(model).check()
    assert Masks.of(model).apply() == gone and Masks.of(model).apply() == 0
    assert holds(model, plain)

    Masks.of(plain).merge("0.weight", adapter.up, adapter.down, adapter.scale)
    assert torch.equal(plain[0].weight, model[0].weight)
    kept = torch.from_numpy(Masks.of(plain).arrays()["0.weight"])
    wanted = masked()[0].weight + 0.5 * adapter.up @ adapter.down
    torch.testing.assert_close(plain[0].weight, wanted * kept)


# ------------------------------------------------------------------------------------------------ bad input


def test_masks_of_another_model() -> None:
    model = network()
    with pytest.raises(InputError, match=r"'1.weight', which is no weight of Sequential"):
        Masks.attach(model, {"1.weight": np.ones((2, 2), bool)})
    with pytest.raises(InputError, match=r"mask of '0.weight' is \[2, 2\], but the weight \[12, 8\]"):
        Masks.attach(model, {"0.weight": np.ones((2, 2), bool)})
    model = masked()
    model[0].weight = torch.nn.Parameter(torch.ones(3, 8))
    with pytest.raises(InputError, match=r"mask of '0.weight' is \[12, 8\], but the weight \[3, 8\]"):
        Masks.of(model).apply()


def test_adapters_of_another_layer() -> None:
    masks = Masks.of(masked())
    with pytest.raises(InputError, match=r"those that do are 0.weight, 2.weight"):
        masks.merge("4.weight", torch.ones(12, 1), torch.ones(1, 8))
    with pytest.raises(InputError, match=r"adapter is \[12, 9\], but '0.weight' is \[12, 8\]"):
        masks.merge("0.weight", torch.ones(12, 1), torch.ones(1, 9))
