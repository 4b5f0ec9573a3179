"""One layer pruned at a time: the change by hand, every weight put back, and what cannot be pruned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.find.networks import factories, mlp, subject

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.find.render import text
from aerogel.find.sensitivity import PATTERNS, SensitivityReport
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.subject import Subject, open_subject
from aerogel.find.torch_module import module_weights
from aerogel.find.torch_sensitivity import _fewer, measure_sensitivity


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
    alone = found.curve("0.weight", "unstructured")
    assert [r.sparsity for r in alone] == [0.3, 0.5, 0.7, 0.8, 0.9]
    assert [r.change for r in alone] == pytest.approx([0.1, 0.3, 0.6, 0.6, 1.0])
    # One block of 4 inputs is all there is: half of one block is none, by the rounding of ``pruned_count``.
    assert [r.change for r in found.curve("0.weight", "block1x4")] == pytest.approx([0, 0, 1, 1, 1])
    assert [(r.sparsity, r.change) for r in found.curve("0.weight", "2:4")] == [(0.5, pytest.approx(0.3))]
    assert [p for p in PATTERNS if found.curve("0.weight", p)] == list(PATTERNS)


def test_each_layer_is_pruned_alone_and_put_back() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    found = measured(module, (torch.randn(5, 8),))
    assert {row.name for row in found.rows} == {"0.weight", "2.weight"}
    assert all(torch.equal(before[name], p) for name, p in module.named_parameters())
    by_layer = {(row.name, row.sparsity): row.change for row in found.rows if row.pattern == "unstructured"}
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
    what = "the sensitivity in 32 of 32 cases of a layer, a pattern and a share"
    assert found.missing == (Skipped(what, NO_TIME),)


def test_where_there_is_little_time_all_layers_come_before_the_next_share() -> None:
    left = iter([1e9] * 3 + [0.0] * 9)
    module = torch.nn.Sequential(line(1, 2, 3, 4), line(1))
    made = Subject("by hand", "module", module_weights(module), None, "why", module, (torch.ones(2, 4),))
    found = measure_sensitivity(made, None, lambda: next(left), lambda _: None)
    assert [(r.name, r.pattern, r.sparsity) for r in found.rows] == [
        ("0.weight", "unstructured", 0.5),
        ("0.weight", "block4x1", 0.5),
        ("1.weight", "unstructured", 0.5),
    ]


def test_fewer_texts_where_there_is_little_time() -> None:
    batches = [{"ids": np.arange(12).reshape(6, 2), "mask": np.ones((6, 2))}, {"ids": np.zeros((3, 2))}]
    few = _fewer(batches, 4)
    assert [len(b["ids"]) for b in few] == [4]
    assert few[0]["mask"].shape == (4, 2)
    assert [len(b["ids"]) for b in _fewer(batches, 8)] == [6, 2]


def test_what_is_no_module() -> None:
    with pytest.raises(InputError, match="give the model it was made from"):
        measure_sensitivity(subject(mlp()), None, lambda: 1e9, lambda _: None)


def test_a_factory_and_its_text(tmp_path: Path) -> None:
    made = open_subject(f"{factories(tmp_path)}:net", None, lambda _: None)
    found = measure_sensitivity(made, None, lambda: 1e9, lambda _: None)
    shown = text(found)
    assert "SENSITIVITY on its example inputs" in shown
    assert "up.weight" in shown and "at 80 %" in shown and "block4x1" in shown
    assert "not measured" in shown, "from where it pays"
