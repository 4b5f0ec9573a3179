"""Input that cannot be used says what is so, which object, and what to do: pruning, recovery, training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aerogel.core.errors import InputError
from aerogel.prune import PruneResult, prune, recover
from aerogel.prune.structured.entry import remove_units
from aerogel.prune.training import GradualMagnitude, HeldMasks, RigL
from aerogel.prune.training.callback import TrainingMasks

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


DATA: dict[str, tuple[Any, str]] = {
    "no numbers": (X.to("meta"), "batch 0 of data is on the meta device"),
    "other width": (X[:, :4], r"cannot run on this data \(mat1 and mat2.*: give batches that it takes"),
    "other type": (X.double(), "must have the same dtype"),
    "other names": ({"tokens": X}, "cannot run on this data .*unexpected keyword argument 'tokens'"),
    "no rows": (X[:0], "was fed no token"),
}  # fmt: skip


@pytest.mark.parametrize("importance", ["wanda", "obs", "gradient"])
@pytest.mark.parametrize(("batch", "told"), DATA.values(), ids=DATA)
def test_data_that_the_model_cannot_take(batch: Any, told: str, importance: str) -> None:
    dense = model()
    before = [p.detach().clone() for p in dense.parameters()]
    with pytest.raises(InputError, match="no loss|NaN|no token" if told.endswith("no token") else told):
        prune(dense, 0.5, importance=importance, data=[batch], inplace=True)
    assert all(torch.equal(p, b) for p, b in zip(dense.parameters(), before, strict=True))


@pytest.mark.parametrize(("batch", "told"), [DATA["no numbers"], DATA["other width"]])
def test_data_that_cannot_be_followed(batch: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        remove_units(model(), 0.5, pattern="neuron", data=[batch])


def test_a_model_on_two_devices() -> None:
    mixed = model()
    mixed[2].to("meta")
    with pytest.raises(InputError, match="layer '2' is on the meta device: load its weights first"):
        prune(mixed, 0.5, importance="wanda", data=[X])


@pytest.mark.parametrize("budget", ["uniform", "global", "erk", "owl", "sensitivity"])
@pytest.mark.parametrize("recovery", ["none", "obs", "admm", "least_squares", "distill:2steps"])
def test_one_sample_is_enough(budget: str, recovery: str) -> None:
    found = prune(model(), 0.5, importance="obs", budget=budget, recovery=recovery, data=[X[:1]])
    assert sum(r.pruned for r in found.report.layers) == 36
    assert all(bool(torch.isfinite(p).all()) for p in found.model.parameters())


def test_layers_too_small_for_their_budget_are_named() -> None:
    small = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 64))
    (note,) = prune(small, 0.5, pattern="block4x4").report.notes
    assert "nothing goes of '0.weight', too small to lose what was asked by block4x4" in note
    (note,) = prune(nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 2)), pattern="2:4").report.notes
    assert "nothing goes of '0.weight'" in note
    assert prune(small, {"^0": 1.0}).report.notes == () == prune(small, 0.0).report.notes
    gradual = GradualMagnitude(0.9, end=2, every=1, pattern="block4x4", layers=".")
    (note,) = trained(gradual, model()).report.notes
    assert "nothing is kept of '0.weight', '2.weight'" in note


def filled(result: PruneResult) -> None:
    result.model[0].weight.data.fill_(1.0)


def resized(result: PruneResult) -> None:
    result.model[0], result.model[2] = nn.Linear(6, 4), nn.Linear(4, 3)


def replaced(result: PruneResult) -> None:
    result.model[2] = nn.Tanh()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (filled, "24 masked weights of '0.weight' are not zero: something set them since: prune it again"),
        (resized, r"the mask of '0.weight' is \[8, 6\], but the weight \[4, 6\]: prune it again"),
        (replaced, "there is a mask of '2.weight', which the model has no more"),
    ],
)
def test_masks_that_no_longer_match_are_not_trained_with(
    change: Callable[[PruneResult], None], told: str, precision: str
) -> None:
    result = prune(model(), 0.5, precision=precision)
    change(result)
    with pytest.raises(InputError, match=told):
        recover(result, model(), [X], "distill:1steps")


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        (nn.Linear(6, 9), r"the teacher's output is \(5, 9\), not \(5, 3\): give the dense model"),
        (model().to("meta"), "the model is on cpu, the teacher on meta: move one"),
    ],
)
def test_teachers_of_another_model(teacher: nn.Module, told: str) -> None:
    with pytest.raises(InputError, match=told):
        recover(prune(model(), 0.5), teacher, [X], "distill:1steps")


def trained(
    masks: TrainingMasks,
    net: nn.Module,
    x: torch.Tensor = X,
    between: Callable[[nn.Module], None] | None = None,
) -> PruneResult:
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with masks.during(net, optimizer):
        for _ in range(3):
            net(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            if between is not None:
                between(net)
    return masks.result


WAYS: dict[str, Callable[[], TrainingMasks]] = {
    "gradual": lambda: GradualMagnitude(0.5, end=2, every=1, layers="."),
    "rigl": lambda: RigL(0.5, end=2, every=1, layers="."),
    "held": lambda: HeldMasks(layers="."),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@ways
def test_training_with_bad_data_on_a_wrong_device_or_one_sample(way: Callable[[], TrainingMasks]) -> None:
    with pytest.raises(InputError, match=r"'0.weight' has .* non-finite values: lower the rate"):
        trained(way(), prune(model(), 0.5).model, X * np.nan)
    with pytest.raises(InputError, match="layer '0' is on the meta device"):
        trained(way(), model().to("meta"))
    assert trained(way(), prune(model(), 0.5).model, X[:1]).report.sparsity == 0.5


@ways
def test_masks_whose_layer_is_not_the_one_they_were_made_for(way: Callable[[], TrainingMasks]) -> None:
    def other_layer(net: Any) -> None:
        net[0] = nn.Linear(6, 8)

    def other_weight(net: Any) -> None:
        net[0].weight = nn.Parameter(torch.ones(8, 6))

    def smaller(net: Any) -> None:
        remove_units(net, 0.5, pattern="neuron", data=[X], inplace=True)

    for between, told in [
        (other_layer, "the masks of '0.weight' are gone: their layers were replaced in training"),
        (other_weight, "24 masked weights of '0.weight' are not zero"),
        (smaller, r"the mask of '0.weight' is \[8, 6\], but the weight \[4, 6\]: remove it"),
    ]:
        with pytest.raises(InputError, match=told):
            trained(way(), prune(model(), 0.5).model, between=between)


def test_masks_given_for_another_model() -> None:
    for masks, told in [
        ({"0.weight": np.ones((4, 6), bool)}, r"the mask of '0.weight' is \[4, 6\], but the weight \[8, 6\]"),
        ({"0.weight": [[True, False]]}, r"is \[1, 2\], but the weight \[8, 6\]"),
        ({"1.weight": np.ones((4, 6), bool)}, "which is no weight of Sequential"),
    ]:
        with pytest.raises(InputError, match=told):
            trained(HeldMasks(masks), model())  # type: ignore[arg-type]
