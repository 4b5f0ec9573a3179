"""Recovery of a model on the int8 grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.prune.encoder import batches, encoder, error
from tests.prune.test_integers import on_the_grid

from aerogel.core.errors import InputError
from aerogel.prune import PruneResult, Schedule, prune, recover
from aerogel.prune import recovery as home
from aerogel.prune.recovery import Step
from aerogel.prune.straight_through import StraightThrough


def on_it(dense: torch.nn.Module, share: float = 0.5) -> PruneResult:
    return prune(dense, share, data=batches(20), repair=True, precision="int8")


def check(result: PruneResult) -> None:
    for name, mask in result.masks.items():
        layer = result.model.get_submodule(name.removesuffix(".weight"))
        on_the_grid(layer)
        assert (layer.weight.detach().numpy()[~mask] == 0).all()


def state(result: PruneResult) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in result.model.state_dict().items()}


def test_it_gets_better_and_ends_on_the_grid() -> None:
    dense, other = encoder(), batches(10, seed=5)
    result = on_it(dense)
    before = error(result.model, dense, other)
    found = recover(result, dense, batches(40), Schedule(steps=60, rate=4e-3))
    assert error(found.model, dense, other) < 0.7 * before
    check(found)
    assert found.report.precision == "int8"
    zeros = {r.name: r.zeros for r in found.report.layers}
    for name in found.masks:
        assert zeros[name] == int((found.model.get_parameter(name) == 0).sum())


def test_prune_recovers_onto_the_grid_when_told() -> None:
    data = batches(20)
    found = prune(encoder(), 0.5, method="sparsegpt", data=data, precision="int8", recovery="distill:10steps")
    check(found)
    placed = encoder()
    prune(placed, 0.5, method="sparsegpt", data=data, precision="int8", recovery="distill:10steps",
          inplace=True)  # fmt: skip
    torch.testing.assert_close(dict(placed.state_dict()), dict(found.model.state_dict()), rtol=0, atol=0)


def test_what_was_rounded_to_zero_may_come_back_but_nothing_else() -> None:
    dense = encoder()
    with torch.no_grad():
        dense.layer[0].up.weight[:, 1] = 0.0
        dense.layer[0].up.weight[:, 2] *= 1e-4
    result = prune(dense, 0.0, precision="int8")
    up = result.model.layer[0].up
    assert int((up.weight[:, 1:3] == 0).sum()) == 2 * len(up.weight)
    recover(result, dense, batches(), Schedule(steps=30, rate=2e-2))
    assert (up.weight[:, 1] == 0).all() and (up.weight[:, 2] != 0).any()


def test_until_the_first_step_nothing_changes() -> None:
    result = on_it(encoder())
    before = state(result)
    grid = StraightThrough(result.model, result.masks)
    with grid.rounded():
        torch.testing.assert_close(state(result), before, rtol=0, atol=0)
    grid.settle()
    torch.testing.assert_close(state(result), before, rtol=0, atol=0)


def test_inside_weights_are_rounded_and_outside_they_are_whole() -> None:
    result = on_it(encoder())
    layer = result.model.layer[0].query
    grid = StraightThrough(result.model, ["layer.0.query.weight"])
    with torch.no_grad():
        layer.weight += 0.3 * layer.weight_scale[:, None]
        layer.weight[0, 0] = 3.0
    whole = layer.weight.detach().clone()
    with grid.rounded():
        assert layer.weight[0, 0].item() == pytest.approx(3.0)
        assert not torch.equal(layer.weight, whole)
    assert torch.equal(layer.weight, whole)
    grid.settle()
    on_the_grid(layer)
    assert float(layer.weight_scale[0]) == pytest.approx(3.0 / 127)


def test_worse_weights_are_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "UNSEEN_OF", 4)
    result = on_it(encoder())
    before = state(result)
    found = recover(result, encoder(), batches(12), Schedule(steps=3, rate=5.0))
    assert found.report.recovery is not None and found.report.recovery.undone
    torch.testing.assert_close(state(found), before, rtol=0, atol=0)


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    dense, data, schedule = encoder(), batches(12), Schedule(steps=12)
    straight = recover(on_it(dense), dense, data, schedule)

    def stop(step: Step) -> bool:
        return step.step == 5

    file = tmp_path / "state.safetensors"
    broken = recover(on_it(dense), dense, data, schedule, checkpoint=file, progress=stop)
    check(broken)
    resumed = recover(on_it(dense), dense, data, schedule, checkpoint=file)
    torch.testing.assert_close(state(resumed), state(straight), rtol=0, atol=0)


def test_a_run_that_fails_leaves_weights_on_the_grid() -> None:
    dense = encoder()
    result = on_it(dense)

    def fail(step: Step) -> None:
        if step.step == 3:
            raise InputError("told to")

    with pytest.raises(InputError, match="told to"):
        recover(result, dense, batches(), Schedule(steps=12), progress=fail)
    check(result)


def test_weights_of_other_layers_are_trained_as_they_are() -> None:
    dense = encoder()
    half = prune(dense, 0.5, precision="int8", layers="query")
    recover(replace(half, model=half.model), dense, batches(), Schedule(steps=5))
    on_the_grid(half.model.layer[0].query)
    assert not hasattr(half.model.layer[0].up, "weight_scale")
    assert not np.array_equal(half.model.layer[0].up.weight.detach(), dense.layer[0].up.weight.detach())
