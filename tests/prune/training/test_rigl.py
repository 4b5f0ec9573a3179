"""RigL, against a naive version of it: what goes, what grows, how much of it, and from where."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from tests.prune.training.little import EVERYTHING, adam, loss_of, network, train
from tests.prune.units import SIZES, all_of, units

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.prune import prune
from aerogel.prune.training import RigL
from aerogel.prune.training.ramp import cosine


def scores(values: np.ndarray, pattern: str) -> np.ndarray:
    """By unit: the absolute value of one weight, or the sum of squares of a block."""
    found = np.zeros(all_of(values == 0, pattern).shape)
    for at, place in units(pattern, values.shape):
        block = values[place].astype(np.float64)
        found[at] = abs(block).item() if SIZES[pattern] == (1, 1) else (block**2).sum()
    return found


def moved(kept: np.ndarray, weight: np.ndarray, gradient: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """The units kept next, and how many were replaced, by sorting lists."""
    kept, weight, gradient = kept.reshape(-1).copy(), weight.reshape(-1), gradient.reshape(-1)
    active = [i for i in range(kept.size) if kept[i]]
    count = min(round(share * len(active)), kept.size - len(active))
    for i in sorted(active, key=lambda i: weight[i])[:count]:
        kept[i] = False
    for i in sorted((i for i in range(kept.size) if not kept[i]), key=lambda i: -gradient[i])[:count]:
        kept[i] = True
    return kept, count


@pytest.mark.parametrize("pattern", ["unstructured", "block2x1", "block4x1", "block1x4", "block4x4"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_connections_move_as_written(pattern: str, share: float) -> None:
    model = network(width=18)
    way = RigL(share, end=12, every=4, drop=0.5, pattern=pattern, layers=EVERYTHING)
    optimizer = adam(model)
    moves = 0
    with way.during(model, optimizer) as masks:
        for step in range(14):
            before = masks.arrays()
            loss_of(model, step).backward()
            gradients = {layer.name: layer.weight.grad.numpy().copy() for layer in masks}
            assert any(np.count_nonzero(g[~before[name]]) for name, g in gradients.items()), "dense"
            # A twin that takes the same step, without anything moving.
            twin = copy.deepcopy(model)
            theirs = adam(twin)
            theirs.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            for (name, p), ours in zip(twin.named_parameters(), model.parameters(), strict=True):
                p.grad = ours.grad.clone()
                if name in before:
                    p.grad[torch.from_numpy(~before[name])] = 0
            theirs.step()
            optimizer.step()
            optimizer.zero_grad()
            for name, mask in masks.arrays().items():
                weight = twin.get_parameter(name).detach().numpy()
                wanted, count = ~all_of(~before[name], pattern), 0
                if (step + 1) in (4, 8):
                    part = cosine(0.5, step + 1, 12)
                    weighed, pulled = scores(weight, pattern), scores(gradients[name], pattern)
                    flat, count = moved(wanted, weighed, pulled, part)
                    wanted = flat.reshape(wanted.shape)
                np.testing.assert_array_equal(~all_of(~mask, pattern), wanted)
                found = model.get_parameter(name).detach().numpy()
                np.testing.assert_array_equal(found, np.where(mask & before[name], weight, 0))
                for state in optimizer.state[model.get_parameter(name)].values():
                    assert state.ndim == 0 or not bool(state[torch.from_numpy(~mask | ~before[name])].any())
                moves += count
    assert moves > 0
    for report in way.result.report.layers:
        assert report.pruned == round(share * report.units)


def test_the_start_is_chance_and_the_same_for_all() -> None:
    def first(seed: int) -> dict[str, np.ndarray]:
        model, way = network(), RigL(0.75, end=10, seed=seed, layers=EVERYTHING)
        way.begin(model, adam(model))
        found = way.masks.arrays()
        assert [int((~m).sum()) for m in found.values()] == [72, 36]
        return found

    one, two, other = first(0), first(0), first(1)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["0.weight"], other["0.weight"])
    assert not np.array_equal(one["0.weight"], prune(network(), 0.75).masks["0.weight"])


def test_a_pruned_model_goes_on_from_its_zeros() -> None:
    result = prune(network(), 0.75, layers=EVERYTHING)
    way = RigL(0.75, end=10, layers=EVERYTHING)
    way.begin(result.model, adam(result.model))
    assert all(np.array_equal(way.masks.arrays()[name], mask) for name, mask in result.masks.items())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_nothing_can_move(share: float) -> None:
    model = network()
    way, optimizer = RigL(share, end=10, every=2, layers=EVERYTHING), adam(model)
    with way.during(model, optimizer) as masks:
        list(train(model, optimizer, 6))
        assert masks.sparsity == share


class Idle(torch.optim.Optimizer):
    """Takes steps that do nothing, as some optimisers do when gradients of scaled losses are infinite."""

    def step(self, closure: None = None) -> None:
        pass


def test_without_a_gradient_or_with_an_infinite_one_nothing_moves() -> None:
    model = network()
    way, optimizer = RigL(0.5, end=10, every=1, layers=EVERYTHING), Idle(model.parameters(), {})
    with way.during(model, optimizer) as masks:
        before = masks.arrays()
        model[0].weight.grad = torch.full((12, 8), float("inf"))
        optimizer.step()
        assert all(np.array_equal(before[name], mask) for name, mask in masks.arrays().items())
        model[0].weight.grad = torch.randn(12, 8)
        optimizer.step()
        now = masks.arrays()
    assert not np.array_equal(before["0.weight"], now["0.weight"])
    assert np.array_equal(before["2.weight"], now["2.weight"])


def test_it_finds_what_matters() -> None:
    """The targets depend on half of the inputs: connections move to these."""
    torch.manual_seed(0)
    model = torch.nn.Linear(32, 8)
    mix = torch.zeros(8, 32)
    mix[:, :4] = torch.randn(8, 4).abs() + 1
    way, optimizer = RigL(0.8, end=80, every=5, seed=1), torch.optim.SGD(model.parameters(), 0.05)
    chance = torch.Generator().manual_seed(0)
    with way.during(model, optimizer) as masks:
        began = masks.arrays()["weight"][:, :4].mean()
        for _ in range(100):
            x = torch.randn(64, 32, generator=chance)
            (model(x) - x @ mix.t()).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        ended = masks.arrays()["weight"][:, :4].mean()
    assert began < 0.5 and ended > 0.95


def test_what_cannot_be() -> None:
    with pytest.raises(UnsupportedError, match="not pattern 2:4"):
        RigL(0.5, pattern="2:4")
    with pytest.raises(UnsupportedError, match="not pattern panel4"):
        RigL(0.5, pattern="panel4")
    refused = {"every is 0": {"every": 0}, "drop is 1.0": {"drop": 1.0}, "end is -1": {"end": -1}}
    for told, options in refused.items():
        with pytest.raises(InputError, match=re.escape(told)):
            RigL(0.5, **options)
