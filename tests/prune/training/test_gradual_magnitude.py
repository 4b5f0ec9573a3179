"""Gradual magnitude, against sorting: which go, how many, when."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.prune.training.little import EVERYTHING, adam, batch, loss_of, network, train, zeros
from tests.prune.units import SIZES, all_of, dropped

from aerogel.core.errors import InputError
from aerogel.prune import PATTERNS, prune
from aerogel.prune.training import GradualMagnitude, Masks


def frozen(model: torch.nn.Module) -> torch.optim.Optimizer:
    """Steps that change nothing, so that what goes is known beforehand."""
    return torch.optim.SGD(model.parameters(), lr=0.0)


def test_the_smallest_go_as_the_formula_says() -> None:
    model = network()
    dense = {name: p.detach().clone() for name, p in model.named_parameters()}
    way, optimizer = GradualMagnitude(0.9, begin=2, end=10, every=3, layers=EVERYTHING), frozen(model)
    with way.during(model, optimizer) as masks:
        assert masks.sparsity == 0.0
        for step in train(model, optimizer, 12):
            done = {2: 0.0, 5: 3 / 8, 8: 6 / 8, 10: 1.0}
            latest = max((s for s in done if s <= step), default=None)
            share = 0.0 if latest is None else 0.9 - 0.9 * (1 - done[latest]) ** 3
            for name, mask in masks.arrays().items():
                order = np.argsort(dense[name].abs().numpy(), axis=None, kind="stable")
                wanted = np.ones(mask.size, bool)
                wanted[order[: round(share * mask.size)]] = False
                np.testing.assert_array_equal(mask, wanted.reshape(mask.shape))
    assert way.result.report.requested == 0.9
    assert [r.pruned for r in way.result.report.layers] == [round(0.9 * 96), round(0.9 * 48)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_end_where_pruning_at_once_does(pattern: str) -> None:
    """Where training moves nothing, the last masks are those of ``prune``."""
    model = network(width=10)
    wanted = prune(model, 0.7, pattern=pattern, layers=EVERYTHING).masks
    way = GradualMagnitude(0.7, end=0, pattern=pattern, layers=EVERYTHING)
    with way.during(model, frozen(model)):
        pass
    assert all(np.array_equal(way.result.masks[name], mask) for name, mask in wanted.items())

    model = network(width=10)
    way = GradualMagnitude(0.7, end=8, every=2, pattern=pattern, layers=EVERYTHING)
    optimizer = adam(model)
    with way.during(model, optimizer) as masks:
        counts = [masks.sparsity, *(masks.sparsity for _ in train(model, optimizer, 10))]
    assert all(a <= b for a, b in pairwise(counts))
    for report, mask in zip(way.result.report.layers, way.result.masks.values(), strict=True):
        gone = all_of(~mask, pattern)
        assert report.pruned == np.count_nonzero(gone) == round(0.7 * gone.size)
        if SIZES[pattern] != (1, 1):
            assert np.count_nonzero(~mask) == report.zeros


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "3:8"])
def test_of_every_m_ever_fewer_are_kept(pattern: str) -> None:
    kept, of = map(int, pattern.split(":"))
    model = network(width=10)
    way = GradualMagnitude(end=12, every=2, pattern=pattern, layers=EVERYTHING)
    optimizer = adam(model)
    seen: set[int] = set()
    with way.during(model, optimizer) as masks:
        for _ in train(model, optimizer, 13):
            mask = masks.arrays()["0.weight"]
            found = {int(n) for n in mask.reshape(10, -1, of).sum(2).reshape(-1)}
            assert len(found) == 1
            seen |= found
    assert min(seen) == kept and len(seen) > 1
    counts = [10 * dropped(kept, of, 8), 4 * dropped(kept, of, 10)]
    assert [int((~m).sum()) for m in way.result.masks.values()] == counts


def test_what_goes_never_comes_back() -> None:
    model = network()
    way, optimizer = GradualMagnitude(0.9, end=20, every=1, layers=EVERYTHING), adam(model)
    was = zeros(model)
    with way.during(model, optimizer):
        for _ in train(model, optimizer, 22):
            now = zeros(model)
            assert all(bool((now[name] | ~gone).all()) for name, gone in was.items())
            was = now


def test_all_layers_ranked_together() -> None:
    model = network()
    with torch.no_grad():
        model[2].weight += 10
    way = GradualMagnitude(0.5, end=4, every=2, scope="global", layers=EVERYTHING)
    optimizer = frozen(model)
    with way.during(model, optimizer):
        list(train(model, optimizer, 4))
    assert [int((~m).sum()) for m in way.result.masks.values()] == [72, 0]
    assert way.result.report.scope == "global"


def test_a_model_with_zeros_starts_from_them() -> None:
    model = prune(network(), 0.5, layers=EVERYTHING, inplace=True).model
    was, optimizer = zeros(model), adam(model)
    way = GradualMagnitude(0.8, initial=0.5, end=6, every=2, layers=EVERYTHING)
    with way.during(model, optimizer) as masks:
        assert all(np.array_equal(~gone, masks.arrays()[name]) for name, gone in was.items())
        list(train(model, optimizer, 8))
    assert all(bool((zeros(model)[name] | ~gone).all()) for name, gone in was.items())


def test_ties_and_zeros_of_either_sign() -> None:
    model = torch.nn.Linear(6, 1)
    model.weight.data = torch.tensor([[1.0, -0.0, 1.0, 1.0, 0.0, 1.0]])
    way = GradualMagnitude(0.5, end=0)
    with way.during(model, frozen(model)):
        pass
    np.testing.assert_array_equal(
        way.result.masks["weight"], np.array([[False, False, True, True, False, True]])
    )
    assert not bool(torch.signbit(model.weight).any())


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_layers_of_hardly_anything(shape: tuple[int, int], share: float) -> None:
    model = torch.nn.Linear(shape[1], shape[0])
    way, optimizer = GradualMagnitude(share, end=2, every=1), adam(model)
    with way.during(model, optimizer) as masks:
        for _ in range(3):
            model(torch.ones(2, shape[1])).square().sum().backward()
            optimizer.step()
        assert masks.sparsity == round(share * model.weight.numel()) / model.weight.numel()


def test_three_quarters_of_the_steps_announced() -> None:
    model = network()
    way, optimizer = GradualMagnitude(0.5, every=1, layers=EVERYTHING), frozen(model)
    with way.during(model, optimizer, steps=8) as masks:
        found = [masks.sparsity for _ in train(model, optimizer, 8)]
    assert found[3] < 0.5 and found[5:] == [0.5] * 3
    with pytest.raises(InputError, match=r"give end=, or steps= to begin"):
        GradualMagnitude(0.5, layers=EVERYTHING).begin(model, optimizer)


def test_what_cannot_be_is_told_at_once() -> None:
    with pytest.raises(InputError, match="give 0 <= begin <= end"):
        GradualMagnitude(0.5, begin=10, end=5)
    with pytest.raises(InputError, match="every is 0"):
        GradualMagnitude(0.5, every=0)
    with pytest.raises(InputError, match=r"sparsity is 1\.5"):
        GradualMagnitude(1.5)
    with pytest.raises(InputError, match="sparsity is None"):
        GradualMagnitude()
    with pytest.raises(InputError, match="diagonal"):
        GradualMagnitude(0.5, pattern="diagonal")
    with pytest.raises(InputError, match="leave scope out"):
        GradualMagnitude(pattern="2:4", scope="global")
    with pytest.raises(InputError, match="leave sparsity out"):
        GradualMagnitude(0.9, pattern="2:4")
    with pytest.raises(InputError, match="so there is nothing to prune"):
        GradualMagnitude(0.5, end=1).begin(torch.nn.Sequential(torch.nn.ReLU()), adam(network()))


def test_it_can_learn_with_one_weight_in_ten() -> None:
    """Half of the mean square of the targets, at least, is explained; by nothing, none would be."""
    model = network(width=48)
    way, optimizer = GradualMagnitude(0.9, end=150, every=10, layers=EVERYTHING), adam(model)
    with way.during(model, optimizer):
        list(train(model, optimizer, 250))
    with torch.no_grad():
        assert float(loss_of(model, 10_000)) < 0.5 * float(batch(10_000)[1].square().mean())
    assert Masks.attach(model).sparsity == 0.0, "once trained, it is an ordinary model"
