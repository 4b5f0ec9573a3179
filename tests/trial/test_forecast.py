"""A quick look before pruning: what it counts and what it says; times are made up, for they vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from aerogel.core.errors import InputError
from aerogel.trial import forecast as module
from aerogel.trial.forecast import Forecast, forecast
from aerogel.tune.choose import DENSE, SPARSE
from aerogel.tune.plan import LayerPlan, Plan


def network() -> torch.nn.Module:
    """Two layers of one shape, one of another, and a head that is not pruned."""
    torch.manual_seed(0)
    layers = {
        "one": torch.nn.Linear(8, 8), "two": torch.nn.Linear(8, 8), "up": torch.nn.Linear(8, 16),
        "head": torch.nn.Linear(16, 2),
    }  # fmt: skip
    return torch.nn.ModuleDict(layers)


def timed(seconds: Mapping[tuple[int, ...], tuple[float, float]], seen: list[float]) -> Any:
    """Stands for ``choose``: by shape, how long dense takes and how long the best sparse kernel does."""

    def choose(weights: Mapping[str, np.ndarray], target: object) -> Plan:
        layers = []
        for name, weight in weights.items():
            seen.append(float((weight == 0).mean()))
            dense, sparse = seconds[weight.shape]
            best = SPARSE[0] if sparse < dense else DENSE
            evidence = {str(DENSE): dense, str(SPARSE[0]): sparse}
            layers.append(LayerPlan(name, best, best, evidence, evidence))
        return Plan("cpu", 128, tuple(layers))

    return choose


def test_every_shape_is_timed_once_and_counts_as_often_as_it_occurs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(module, "choose", timed({(8, 8): (2.0, 1.0), (16, 8): (4.0, 5.0)}, seen))
    model = network()
    before = {name: p.clone() for name, p in model.named_parameters()}
    assert forecast(model, 0.5, "unstructured") == Forecast(3, 3, 1, pytest.approx(8 / 6))
    assert seen == [0.5, 0.5]
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_large_layers_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "choose", timed({(8, 8): (2.0, 1.0)}, []))
    monkeypatch.setattr(module, "MOST_WEIGHTS", 64)
    assert forecast(network(), 0.5, "unstructured") == Forecast(3, 2, 0, pytest.approx(2.0))
    monkeypatch.setattr(module, "MOST_WEIGHTS", 1)
    found = forecast(network(), 0.5, "unstructured")
    assert found == Forecast(3, 0, 0, None)
    assert found.warning(0.5, "unstructured") is None


def test_what_pays_is_not_warned_of_and_what_does_not_is() -> None:
    assert Forecast(3, 3, 1, 1.05).warning(0.3, "unstructured") is None
    assert Forecast(3, 3, 2, 1.04).warning(0.3, "block2x1") == (
        "30 % zeros (block2x1) are not likely to make this model faster on this CPU: "
        "timed, its layers take 1/1.04 of the time, and dense kernels stay the best for 2 of 3"
    )


def test_so_few_zeros_that_no_kernel_is_tried() -> None:
    assert forecast(network(), 0.05, "unstructured", "one|up") == Forecast(2, 2, 2, 1.0)


def test_real_kernels_are_never_slower_than_dense() -> None:
    found = forecast(network(), 0.9, "block4x1")
    assert found.speedup is not None
    assert found.speedup >= 1


def test_layers_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="takes none of them"):
        forecast(network(), 0.5, "unstructured", "nothing")
