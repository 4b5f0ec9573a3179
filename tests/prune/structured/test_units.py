"""What was removed is removed again from the dense model, from a record that JSON holds."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from tests.prune.structured.zoo import CASES, Case, made
from torch import nn

from aerogel.core.errors import InputError
from aerogel.prune.structured.entry import remove_units

ROWS = [torch.randn(3, 6, generator=torch.Generator().manual_seed(0))]


def plain(width: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 2))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_removed_again_from_a_fresh_model(case: Case, inplace: bool) -> None:
    result = remove_units(made(case), 0.5, pattern=case.pattern, data=[case.data], budget="global")
    torch.manual_seed(7)
    fresh = case.make().double().eval()
    again = remove_units(fresh, units=json.loads(json.dumps(result.units)), inplace=inplace)
    assert (again.model is fresh) == inplace
    again.model.load_state_dict(result.model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.model(*case.data), result.model(*case.data), rtol=0, atol=0)
    assert again.units == result.units and again.report.removed == result.report.removed
    assert again.report.largest_difference is None and again.report.parameters == result.report.parameters
    assert {n: m.tolist() for n, m in again.masks.items()} == {n: m.tolist() for n, m in result.masks.items()}


def test_one_removal_after_another() -> None:
    case = CASES["torch encoder"]
    first = remove_units(made(case), 0.5, pattern="head", data=[case.data])
    second = remove_units(first.model, 0.5, pattern="neuron", data=[case.data])
    again = remove_units(remove_units(made(case), units=first.units).model, units=second.units).model
    with torch.no_grad():
        assert torch.equal(again(*case.data), second.model(*case.data))


def broken(**changes: Any) -> dict[str, Any]:
    units = copy.deepcopy(dict(remove_units(plain(), 0.5, pattern="neuron", data=ROWS).units))
    return units | changes


def test_another_model_is_refused_and_left_alone() -> None:
    units = broken()
    smaller = remove_units(plain(), units=units).model
    for model, told in [
        (smaller, r"'0.weight' with 8 in axis 0, but here it is \[4, 6\]: give the dense model"),
        (plain(10), r"here it is \[10, 6\]"),
        (nn.Linear(6, 2), "'0.weight', which Linear has not"),
    ]:
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(InputError, match=told):
            remove_units(model, units=units, inplace=True)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ([], "is no record of removed units"),
        ({}, "is no record of removed units: give StructuredResult.units .KeyError: 'cuts'"),
        ({"sizes": {"0": {"heads": 2}}}, "units set 'heads' of '0', which Sequential has not"),
        ({"config": {"a.b": 2}}, "units set 'a.b' of a configuration, which Sequential has not"),
        ({"told": {}}, "units lack what was told"),
        ({"cuts": [{"weight": "0.weight", "axis": 0, "of": 8, "gone": [8]}]}, "go beyond its 8 in axis 0"),
    ],
)
def test_records_that_are_none(units: Any, told: str) -> None:
    given = broken(**units) if units else units
    with pytest.raises(InputError, match=told):
        remove_units(plain(), units=given)


def test_units_stand_alone() -> None:
    with pytest.raises(InputError, match="leave sparsity, pattern and data out"):
        remove_units(plain(), 0.5, units=broken())
