"""How many units go where: exact counts, never a whole layer, and what cannot be is said."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.prune.structured.zoo import CASES, Case, made
from torch import nn

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.prune.structured.entry import remove_units

ROWS = [torch.randn(3, 6, generator=torch.Generator().manual_seed(0))]


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)
    )


@pytest.mark.parametrize(("importance", "share"), [("magnitude", 0.3), ("taylor", 0.85)])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_all_together_are_exact_and_one_of_each_stays(case: Case, share: float, importance: str) -> None:
    report = remove_units(
        made(case), share, pattern=case.pattern, data=[case.data], budget="global", importance=importance
    ).report
    units = sum(r.units for r in report.removed)
    assert sum(r.removed for r in report.removed) == min(round(share * units), units - len(report.removed))
    assert all(r.removed < r.units for r in report.removed)


def test_the_least_important_go_wherever_they_are() -> None:
    """Against the root mean squares of all units' weights, worked out here, in one list."""
    model = plain()
    with torch.no_grad():
        model[2].weight[:9] *= 0.01
        model[2].bias[:9] = 0
        model[4].weight[:, :9] *= 0.01
    masks = remove_units(model, 10 / 24, pattern="neuron", data=ROWS, budget="global").masks
    scores = []
    for i, after in ((0, 2), (2, 4), (4, 6)):
        own, bias, read = model[i].weight, model[i].bias, model[after].weight
        total = own.square().sum(1) + bias.square() + read.square().sum(0)
        scores.append((total / (own.shape[1] + 1 + read.shape[0])).sqrt().detach().numpy())
    wanted = np.concatenate(scores) <= np.sort(np.concatenate(scores))[9]
    kept = [masks.get(f"{i}.bias", np.ones(n, bool)) for i, n in ((0, 8), (2, 12), (4, 4))]
    np.testing.assert_array_equal(~np.concatenate(kept), wanted)
    assert wanted[8:17].all()


def test_a_whole_layer_is_never_away() -> None:
    model = plain()
    with torch.no_grad():
        for module in (model[2], model[4]):
            module.weight *= 1e-4
            module.bias *= 1e-4
    report = remove_units(model, 0.75, pattern="neuron", data=ROWS, budget="global").report
    assert {r.name: r.removed for r in report.removed} == {"0": 4, "2": 11, "4": 3}
    assert report.notes == () and "of units of all together asked" in str(report)


def test_what_cannot_be_is_said() -> None:
    whole = remove_units(plain(), 1.0, pattern="neuron", data=ROWS, budget="global").report
    assert whole.notes == ("3 units fewer went than asked: one of each layer stays",)
    assert whole.notes[0] in str(whole)
    each = remove_units(plain(), 1.0, pattern="neuron", data=ROWS).report
    assert each.notes == ("one unit stays of '0', '2', '4', though more was asked",)
    little = remove_units(plain(), 0.1, pattern="neuron", data=ROWS).report
    assert little.notes == ("too small to lose 10.0%: '4'",)
    with pytest.raises(InputError, match="budget of units 'erk' is unknown: choose from uniform, global"):
        remove_units(plain(), 0.5, pattern="neuron", data=ROWS, budget="erk")
    with pytest.raises(InputError, match=r"needs data: give data=\[batch\]"):
        remove_units(plain(), 0.5, pattern="neuron")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_place_is_what_the_copy_is(case: Case) -> None:
    model = made(case)
    copied = remove_units(model, 0.5, pattern=case.pattern, data=[case.data])
    placed = remove_units(model, 0.5, pattern=case.pattern, data=[case.data], inplace=True)
    assert placed.model is model and copied.model is not model
    one, other = model.state_dict(), copied.model.state_dict()
    assert list(one) == list(other) and all(torch.equal(one[n], other[n]) for n in one)
    assert str(model) == str(copied.model) and placed.report == copied.report
    with torch.no_grad():
        got, wanted = model(*case.data), copied.model(*case.data)
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)
    assert all(np.array_equal(copied.masks[n], placed.masks[n]) for n in placed.masks)


@pytest.mark.parametrize("training", [False, True])
def test_what_trains_goes_on_training(training: bool) -> None:
    model = nn.Sequential(plain(), nn.Dropout(0.5)).train(training)
    model[0][1].eval()
    small = remove_units(model, 0.5, pattern="neuron", data=ROWS).model
    assert [m.training for m in small.modules()] == [m.training for m in model.modules()]


def test_in_place_changes_nothing_on_an_error() -> None:
    model = plain()
    before = copy.deepcopy(model)
    with pytest.raises(UnsupportedError):
        remove_units(model, 0.5, pattern="head", data=ROWS, inplace=True)
    assert str(model) == str(before)
    assert all(torch.equal(p, before.get_parameter(n)) for n, p in model.named_parameters())
    with pytest.raises(UnsupportedError, match="cannot lose heads in place"):
        remove_units(nn.MultiheadAttention(8, 2), 0.5, pattern="head", data=ROWS, inplace=True)
