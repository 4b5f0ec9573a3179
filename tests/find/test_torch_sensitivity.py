"""One layer pruned at a time: the change by hand, every weight put back, and what cannot be pruned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.find.networks import factories, mlp, subject

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.find.render import text
from aerogel.find.sensitivity import SensitivityReport
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.subject import Subject, open_subject
from aerogel.find.torch_module import module_weights
from aerogel.find.torch_sensitivity import measure_sensitivity


def measured(module: torch.nn.Module, example: object, seconds: float = 1e9) -> SensitivityReport:
    made = Subject("by hand", "module", module_weights(module), None, "why", module, example)
    return measure_sensitivity(made, None, lambda: seconds, lambda _: None)


def line(*weights: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(weights)
    return layer


def test_the_change_by_hand() -> None:
    """1 + 2 + 3 + 4 = 10; without 1 and 2 it is 7, without 3 as well 4."""
    found = measured(torch.nn.Sequential(line(1, -2, 3, 4)), (torch.tensor([[1.0, -1.0, 1.0, 1.0]]),))
    assert [(r.name, r.sparsity) for r in found.rows] == [("0.weight", 0.5), ("0.weight", 0.8)]
    assert [r.change for r in found.rows] == pytest.approx([0.3, 0.6])


def test_each_layer_is_pruned_alone_and_put_back() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    found = measured(module, (torch.randn(5, 8),))
    assert {row.name for row in found.rows} == {"0.weight", "2.weight"}
    assert all(torch.equal(before[name], p) for name, p in module.named_parameters())
    by_layer = {(row.name, row.sparsity): row.change for row in found.rows}
    assert 0 < by_layer["0.weight", 0.5] < by_layer["0.weight", 0.8]


def test_weights_are_put_back_when_the_module_fails() -> None:
    class Fails(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = line(1, 2), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("no more")
            return self.layer(x)

    module = Fails()
    with pytest.raises(UnsupportedError, match="fails on its sample: RuntimeError: no more"):
        measured(module, (torch.ones(1, 2),))
    assert module.layer.weight.tolist() == [[1.0, 2.0]]


def test_zeros_that_are_there_already_change_nothing() -> None:
    found = measured(torch.nn.Sequential(line(0, 0, 3, 4)), (torch.ones(2, 4),))
    assert found.rows[0].change == 0


def test_when_time_is_up_the_rest_is_named() -> None:
    found = measured(torch.nn.Sequential(line(1, 2), line(1)), (torch.ones(2, 2),), seconds=0)
    assert found.rows == ()
    assert found.missing == (Skipped("the sensitivity of 2 layers", NO_TIME),)


def test_what_is_no_module() -> None:
    with pytest.raises(InputError, match="give the model it was made from"):
        measure_sensitivity(subject(mlp()), None, lambda: 1e9, lambda _: None)


def test_a_factory_and_its_text(tmp_path: Path) -> None:
    made = open_subject(f"{factories(tmp_path)}:net", None, lambda _: None)
    found = measure_sensitivity(made, None, lambda: 1e9, lambda _: None)
    shown = text(found)
    assert "SENSITIVITY on its example inputs" in shown
    assert "up.weight" in shown and "at 80 %" in shown
