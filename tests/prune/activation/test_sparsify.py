"""Thresholds found on data: what is achieved on other data, where it goes, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.prune.activation.blocks import WIDTH, Stack, batches, stack
from torch import nn

import aerogel as ag
from aerogel.core.errors import InputError
from aerogel.prune.activation import ActivationResult, thresholds_of
from aerogel.prune.activation.allocate import greedy
from aerogel.prune.activation.magnitudes import Magnitudes
from aerogel.prune.activation.report import NO_KERNEL
from aerogel.prune.activation.sites import sites
from aerogel.prune.batches import calls_of

DATA = batches()
ROWS = [torch.ones(2, 4)] * 2


@pytest.fixture(scope="module")
def half() -> ActivationResult:
    return ag.sparsify_activations(stack(), 0.5, data=DATA)


def zeros_by_hand(result: ActivationResult, name: str, batch: dict[str, torch.Tensor]) -> tuple[int, int]:
    """Of the values that one layer is multiplied with, padding left out, how many are 0."""
    seen: list[torch.Tensor] = []
    layer = result.model.get_submodule(name)
    handle = layer.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    with torch.no_grad():
        result.model(**batch)
    handle.remove()
    rows = [row for x, m in zip(seen[0], batch["attention_mask"], strict=True) for row in x[m == 1].tolist()]
    values = [value for row in rows for value in row]
    return sum(value == 0 for value in values), len(values)


def test_achieved_is_what_is_found_on_all_held_out_tokens(half: ActivationResult) -> None:
    assert {site.name for site in half.report.sites} == {
        f"blocks.{i}.{part}" for i in (0, 1) for part in ("gate", "up", "down")
    }
    for site in half.report.sites:
        zeros, values = zeros_by_hand(half, site.name, DATA[-1])
        assert site.achieved == zeros / values
        assert values == half.report.held_out_tokens * (site.features or 0)
        assert site.achieved == pytest.approx(0.5, abs=0.06) and site.exact_zeros == 0
    assert half.report.held_out_tokens == int(DATA[-1]["attention_mask"].sum())
    assert half.report.calibration_tokens == 4 * half.report.held_out_tokens
    total = sum((s.achieved or 0) * s.weights for s in half.report.sites)
    assert half.report.achieved == pytest.approx(total / sum(s.weights for s in half.report.sites))


def test_the_output_error_is_that_of_the_held_out_batch(half: ActivationResult) -> None:
    batch, dense = DATA[-1], stack()
    with torch.no_grad():
        real = batch["attention_mask"] == 1
        y, changed = dense(**batch)[real].double(), half.model(**batch)[real].double()
    wanted = ((changed - y).square().sum() / y.square().sum()).sqrt().item()
    assert half.report.output_error == pytest.approx(wanted, rel=1e-6) and wanted > 0.01


def test_the_dense_model_is_as_it_was_unless_in_place() -> None:
    model = stack()
    result = ag.sparsify_activations(model, 0.5, data=DATA)
    assert thresholds_of(model) == {} and thresholds_of(result.model) == pytest.approx(result.thresholds)
    again = ag.sparsify_activations(model, 0.5, data=DATA, inplace=True)
    assert again.model is model and again.thresholds == result.thresholds


def test_nothing_asked_is_nothing_lost() -> None:
    report = ag.sparsify_activations(stack(), 0.0, data=DATA).report
    assert report.output_error == 0.0 and report.achieved == 0.0


def test_relu_is_seen_by_its_exact_zeros_and_costs_nothing() -> None:
    report = ag.sparsify_activations(stack(nn.ReLU), 0.3, data=DATA, layers="down").report
    assert report.relu_like == ("blocks.0.down", "blocks.1.down")
    assert all((s.exact_zeros or 0) > 0.3 and s.threshold == 0 for s in report.sites)
    assert report.output_error == 0.0 and (report.achieved or 0) > 0.3
    assert "like ReLU" in str(report) and "as after ReLU, at 2 of 2 places" in str(report)


@pytest.mark.parametrize("act", [nn.SiLU, nn.GELU])
def test_gates_are_the_outputs_of_activation_functions(act: type[nn.Module]) -> None:
    result = ag.sparsify_activations(stack(act), 0.6, data=DATA, place="gates")
    assert list(result.thresholds) == ["blocks.0.act", "blocks.1.act"]
    seen: list[torch.Tensor] = []
    result.model.get_submodule("blocks.1.act").register_forward_hook(lambda _, __, y: seen.append(y))
    result.model(**DATA[-1])
    rows = seen[0][DATA[-1]["attention_mask"] == 1]
    assert result.report.sites[1].achieved == (rows == 0).double().mean().item()
    assert result.report.sites[1].achieved == pytest.approx(0.6, abs=0.06)


class Spiky(Stack):
    """In each block, what ``up`` is fed hardly matters: greedy should find out."""

    def __init__(self) -> None:
        super().__init__()
        for block in self.blocks:
            nn.init.normal_(block.up.weight, std=1e-3)
            nn.init.ones_(block.up.bias)


def test_greedy_takes_where_it_hurts_least_and_in_all_what_is_asked() -> None:
    torch.manual_seed(3)
    model = Spiky().eval()
    told: list[str] = []
    even = ag.sparsify_activations(model, 0.5, data=DATA).report
    found = ag.sparsify_activations(model, 0.5, data=DATA, allocation="greedy", progress=told.append).report
    targets = {site.name: site.target for site in found.sites}
    for block in ("blocks.0", "blocks.1"):
        parts = [s for s in found.sites if s.name.startswith(block)]
        mean = sum(s.target * s.weights for s in parts) / sum(s.weights for s in parts)
        assert mean == pytest.approx(0.5, abs=1e-6)
        assert targets[f"{block}.up"] > 0.9 > targets[f"{block}.gate"]
    assert told == ["blocks.0", "blocks.1"]
    assert found.output_error is not None and even.output_error is not None
    assert found.output_error < 0.7 * even.output_error


def test_greedy_at_the_ends_leaves_no_thresholds_behind() -> None:
    model = stack()
    found = sites(model, "inputs", None)
    dense = {site.name: Magnitudes() for site in found}
    calls = calls_of(model, DATA[:1])
    with torch.no_grad():
        assert set(greedy(model, found, dense, calls, 0.0, lambda _: None).values()) == {0.0}
        ends = greedy(model, found, dense, calls, 1.0, lambda _: None)
    assert all(share == pytest.approx(1.0) for share in ends.values())
    assert thresholds_of(model) == {}


def test_quality_is_asked_before_and_after_and_shown(half: ActivationResult) -> None:
    def evaluate(model: nn.Module) -> float:
        return float(len(thresholds_of(model)) and model(DATA[0]["x"]).square().mean())

    report = ag.sparsify_activations(stack(), 0.9, data=DATA, evaluate=evaluate).report
    assert report.quality_before == pytest.approx(stack()(DATA[0]["x"]).square().mean().item())
    assert report.quality_after not in (None, report.quality_before)
    assert "quality" in str(report) and "quality" not in str(half.report)
    assert half.report.quality_before is None


def test_the_report_claims_no_speed(half: ActivationResult) -> None:
    assert NO_KERNEL in str(half.report) and "no native kernel yet: no speed claim" in NO_KERNEL
    read = json.loads(json.dumps(half.report.to_json()))
    assert read["speed"] == NO_KERNEL and read["achieved"] == half.report.achieved
    assert read["sites"][0]["relu_like"] is False


def test_a_layer_that_no_token_reaches_is_said_and_left_alone() -> None:
    model = stack()
    model.spare = nn.Linear(WIDTH, WIDTH)
    report = ag.sparsify_activations(model, 0.5, data=DATA).report
    spare = next(site for site in report.sites if site.name == "spare")
    assert spare.achieved is None and spare.threshold == 0.0 and "not reached" in str(report)
    assert "nothing is made zero there: spare" in str(report)


def given(**options: Any) -> Callable[[], object]:
    return lambda: ag.sparsify_activations(stack(), **({"sparsity": 0.5, "data": DATA} | options))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (given(data=[]), "data is empty"),
        (given(data=DATA[:1]), "data is one batch, and none is left"),
        (given(data=[torch.full((2, 3, WIDTH), torch.nan)] * 2), "NaN or infinity"),
        (given(held_out=[]), "data is empty"),
        (given(sparsity=1.5), "give a fraction from 0 to 1"),
        (given(place="outputs"), "place 'outputs' is unknown: did you mean 'inputs'"),
        (given(allocation="teal"), "allocation 'teal' is unknown: choose from uniform, greedy"),
        (given(layers="nowhere"), "takes none of them"),
        (given(place="gates", layers="nowhere"), "takes none of Stack's activation functions"),
        (given(evaluate=lambda _: float("nan")), "evaluate gave nan"),
        (lambda: ag.sparsify_activations(nn.ReLU(), 0.5, data=DATA), "no nn.Linear"),
        (lambda: ag.sparsify_activations(nn.Linear(4, 4), 0.5, data=ROWS, place="gates"),
         "no activation function that is a module"),
        (lambda: ag.sparsify_activations(nn.Linear(4, 4), 0.5, data=ROWS, allocation="greedy"),
         "no list of like blocks"),
    ],
)  # fmt: skip
def test_unusable_input_says_what_to_do(call: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        call()


def test_infinite_activations_are_refused_and_the_model_stays_dense() -> None:
    model = stack()
    with torch.no_grad():
        model.blocks[0].down.bias.fill_(torch.inf)
    with pytest.raises(InputError, match=r"blocks\.1\.gate: \d+ activations are NaN or infinite"):
        ag.sparsify_activations(model, 0.5, data=DATA, inplace=True)
    assert thresholds_of(model) == {}


def test_thresholds_are_not_stacked() -> None:
    model = ag.sparsify_activations(stack(), 0.5, data=DATA).model
    with pytest.raises(InputError, match="has thresholds already"):
        ag.sparsify_activations(model, 0.5, data=DATA, inplace=True)
    assert len(thresholds_of(model)) == 6
