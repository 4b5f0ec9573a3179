"""A budget in time, with times that are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from tests.prune.encoder import batches, encoder
from tests.prune.test_conformance import inputs_for, layer_of, random_weight

from aerogel.core.errors import InputError
from aerogel.prune import latency, prune
from aerogel.prune.latency import LatencyBudget, Times
from aerogel.prune.pattern import Pattern

ASKED: list[tuple[tuple[int, int], int, str, str]] = []


def clock(shape: tuple[int, int], columns: int, pattern: Pattern, precision: str) -> Times:
    """A microsecond per thousand multiply-adds; sparse kernels pay from 40 % on."""
    ASKED.append((shape, columns, pattern.name, precision))
    dense = 1e-9 * shape[0] * shape[1] * columns
    return {0.0: dense} | {s: dense * 1.25 * (1 - s / 2 - s * s / 2) for s in (0.1, 0.3, 0.5, 0.7, 0.9)}


@pytest.fixture(autouse=True)
def _known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    monkeypatch.setattr(latency, "timed", clock)


def taken(shape: tuple[int, int], columns: int, share: float) -> float:
    times = clock(shape, columns, Pattern("unstructured"), "fp32")
    return float(np.interp(share, list(times), list(times.values())))


def test_layers_take_no_longer_and_are_as_dense_as_time_allows() -> None:
    data = batches(3)
    tokens = int(data[0]["attention_mask"].sum())
    found = prune(encoder(blocks=2), budget="latency:0.5", importance="wanda", data=data).report
    used = whole = 0.0
    for layer in found.layers:
        columns = 3 if layer.name == "pooler.weight" else tokens
        whole += taken(layer.shape, columns, 0.0)
        used += taken(layer.shape, columns, round(layer.pruned / layer.units / 0.05) * 0.05)
    assert 0.4 * whole < used <= 0.52 * whole
    assert found.budget == "latency:0.5" and 0.4 < found.requested == found.sparsity < 0.9
    # Each shape is timed once.
    assert len({(s, c) for s, c, *_ in ASKED}) == 4


def test_the_layers_that_lose_least_are_those_that_get_sparse() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 16))
    with torch.no_grad():
        # Nine in ten of its weights hardly matter.
        model[1].weight.masked_fill_(torch.rand(16, 16) < 0.9, 1e-3)
    shares = prune(model, budget="latency:0.7", data=inputs_for(16)).report.layers
    assert shares[1].sparsity > 0.8 and shares[0].sparsity < 0.5


def test_a_layer_that_no_share_makes_faster_stays_dense() -> None:
    def slow(shape: tuple[int, int], columns: int, pattern: Pattern, precision: str) -> Times:
        return {0.0: 1.0, 0.5: 2.0, 0.9: 1.0} if shape == (8, 16) else {0.0: 1.0, 0.5: 0.5, 0.9: 0.1}

    latency.timed = slow  # put back by the fixture's monkeypatch
    model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.Linear(8, 16))
    first, second = prune(model, budget="latency:0.6", data=inputs_for(16)).report.layers
    assert first.sparsity == 0 and second.sparsity == pytest.approx(0.8, abs=0.01)
    with pytest.raises(InputError, match=r"cannot be met: .*'0\.weight' 1000000 us"):
        prune(model, budget="latency:0.3", data=inputs_for(16))
    assert prune(model, budget="latency:3s", data=inputs_for(16)).report.sparsity == 0


def test_the_choice_is_near_the_best_there_is() -> None:
    rng = np.random.default_rng(0)
    options = []
    for _ in range(3):
        seconds = np.sort(rng.random(5))[::-1]
        options.append((np.linspace(0, 0.9, 5), seconds, np.concatenate([[0], np.sort(rng.random(4))])))
    for target in (0.7, 1.0, 1.6, 3.0):
        if sum(o[1].min() for o in options) > target:
            continue
        picked = latency._cheapest(options, target)
        cost = sum(o[2][i] for o, i in zip(options, picked, strict=True))
        assert sum(o[1][i] for o, i in zip(options, picked, strict=True)) <= target
        fits = [
            p
            for p in product(range(5), repeat=3)
            if sum(o[1][i] for o, i in zip(options, p, strict=True)) <= target
        ]
        best = min(sum(o[2][i] for o, i in zip(options, p, strict=True)) for p in fits)
        # A price finds all choices on the hull; between two of them it takes the faster.
        assert best <= cost <= best + max(o[2].max() for o in options)


def test_times_and_layers_that_cannot_be() -> None:
    assert LatencyBudget.parse("latency:250us").seconds == pytest.approx(250e-6)
    assert LatencyBudget.parse("latency:0.25").share == 0.25
    with pytest.raises(InputError, match="needs data"):
        prune(layer_of(random_weight((3, 4))), budget="latency:1ms")
    model = torch.nn.Conv2d(3, 4, 3)
    with pytest.raises(InputError, match="is a convolution, which is not compiled"):
        prune(model, budget="latency:1ms", data=[torch.randn(1, 3, 8, 8)])


@pytest.mark.slow
def test_this_cpu_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    times = latency.timed((256, 256), 64, Pattern("unstructured"), "fp32")
    assert sorted(times) == [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9]
    assert times[0.9] < times[0.3] and all(seconds > 0 for seconds in times.values())
