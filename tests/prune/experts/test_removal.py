"""A smaller model computes what the dense one does when the removed experts cannot be chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.prune.experts.zoo import (
    EXPERTS,
    TOP_K,
    Listed,
    deepseek,
    gpt_oss,
    made,
    mixtral,
    qwen2,
    qwen3,
    rows,
    switch,
    texts,
)  # fmt: skip
from torch import nn

import aerogel as ag
from aerogel.core.errors import InputError, UnsupportedError
from aerogel.prune.experts.cut import cut
from aerogel.prune.experts.mixtures import mixtures

LINEAR = torch.nn.functional.linear
FUSED = [mixtral, qwen2, qwen3, gpt_oss, deepseek]


def without(model: nn.Module, removed: dict[str, tuple[int, ...]]) -> nn.Module:
    """``model``, in place, in which no token can be routed to ``removed``: the router's matrix of logits is
    made to hold minus infinity there."""
    for mixture in mixtures(model):
        gone = list(removed[mixture.name])
        holder = next((m for m in mixture.router.modules() if isinstance(m, nn.Linear)), mixture.router)
        forward = holder.forward

        def masked(*args: Any, gone: list[int] = gone, forward: Any = forward, **kwargs: Any) -> Any:
            def barred(x: torch.Tensor, *weights: Any) -> torch.Tensor:
                return LINEAR(x, *weights).index_fill(-1, torch.tensor(gone), -torch.inf)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch.nn.functional, "linear", barred)
                return forward(*args, **kwargs)

        holder.forward = masked
    return model


@pytest.mark.parametrize("make", [*FUSED, switch, Listed])
@torch.no_grad()
def test_it_computes_what_the_dense_one_does_without_them(make: Any) -> None:
    data = rows() if make is Listed else texts()
    result = ag.remove_experts(made(make), 0.5, data=data)
    small, report = result.model, result.report
    assert all(len(m.removed) == 3 and m.experts == EXPERTS for m in report.mixtures)
    dense = without(made(make), {m.name: m.removed for m in report.mixtures})
    for batch in data:
        wanted, got = dense(**batch), small(**batch)
        if make is not Listed:
            wanted, got = wanted[0], got[0]
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert report.parameters == sum(p.numel() for p in small.parameters()) < report.parameters_before
    assert report.bytes == 4 * report.parameters


@pytest.mark.parametrize("make", [mixtral, qwen2, switch, deepseek])
@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(make: Any, tmp_path: Path) -> None:
    small = ag.remove_experts(made(make), 0.5, data=texts()).model
    small.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert EXPERTS not in {v for k, v in config.items() if k.endswith("_experts")}
    assert 3 in {v for k, v in config.items() if k.endswith("_experts")}
    loaded = type(small).from_pretrained(tmp_path).eval()
    for batch in texts():
        torch.testing.assert_close(loaded(**batch)[0], small(**batch)[0], rtol=0, atol=0)


@torch.no_grad()
def test_those_go_that_add_least_and_the_dense_model_is_left_alone() -> None:
    model = made(mixtral)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = ag.remove_experts(model, 1 / 3, data=texts())
    for mixture in result.report.mixtures:
        order = sorted(range(EXPERTS), key=lambda e, s=mixture.saliency: s[e])
        assert mixture.removed == tuple(sorted(order[:2])) and len(mixture.kept) == 4
        ours = result.model.get_submodule(mixture.name)
        theirs = model.get_submodule(mixture.name)
        assert torch.equal(ours.gate_up_proj, theirs.gate_up_proj[list(mixture.kept)])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert result.model.num_experts == result.model.config.num_local_experts == 4 and model.num_experts == 6


@torch.no_grad()
def test_it_can_be_trained_on_and_made_smaller_again() -> None:
    data = texts()
    small = ag.remove_experts(ag.remove_experts(made(qwen3), 1 / 3, data=data).model, 0.5, data=data).model
    assert small.config.num_experts == TOP_K
    with torch.enable_grad():
        small(**data[0], labels=data[0]["input_ids"], output_router_logits=True).loss.backward()
    assert all(p.requires_grad for p in small.parameters())


def test_the_change_is_measured_and_quality_asked() -> None:
    data, held = texts(3)[:2], texts(3)[2:]
    model = made(mixtral)
    counted = {"evaluate": lambda m: float(sum(p.numel() for p in m.parameters())), "held_out": held}
    result = ag.remove_experts(model, 0.5, data=data, **counted)
    report, real = result.report, held[0]["attention_mask"] == 1
    with torch.no_grad():
        y, changed = (m(**held[0]).logits[real] for m in (model, result.model))
    wanted = ((changed - y).square().sum() / y.square().sum()).sqrt().item()
    assert report.output_error == pytest.approx(wanted, rel=1e-5) and wanted > 0.01
    assert (report.measured_on, report.tokens) == ("held_out", int(real.sum()))
    assert (report.quality_before, report.quality_after) == (report.parameters_before, report.parameters)
    assert "held-out tokens; quality" in str(report) and "not fewer operations" in str(report)
    assert json.loads(json.dumps(report.to_json()))["mixtures"][0]["experts"] == EXPERTS


@torch.no_grad()
def test_experts_that_no_token_reaches_go_first_and_are_named() -> None:
    model = made(Listed)
    model.gate.bias[1] = model.gate.bias[4] = -1e4
    report = ag.remove_experts(model, 1 / 3, data=rows()).report
    assert report.mixtures[0].removed == (1, 4) and report.output_error == pytest.approx(0, abs=1e-6)
    assert "experts: no token was routed to 1, 4" in str(report)


def test_nothing_asked_is_nothing_gone() -> None:
    report = ag.remove_experts(made(Listed), 0.0, data=rows()).report
    assert report.mixtures[0].removed == () and report.output_error == 0.0
    assert report.parameters == report.parameters_before and "(none)" in str(report)


@pytest.mark.parametrize("make", [mixtral, Listed])
def test_no_fewer_are_left_than_a_token_goes_to(make: Any) -> None:
    data = rows() if make is Listed else texts()
    with pytest.raises(InputError, match=r"1 would be left, but a token goes to 2.*at most 0\.67"):
        ag.remove_experts(made(make), 0.8, data=data)
    assert len(ag.remove_experts(made(make), 0.67, data=data).report.mixtures[0].kept) == TOP_K


def test_models_that_have_no_experts_or_ones_by_groups() -> None:
    with pytest.raises(UnsupportedError, match="Sequential has no experts that are known"):
        ag.remove_experts(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), 0.5, data=[torch.ones(1, 4)])
    with pytest.raises(UnsupportedError, match="routed in 2 groups"):
        ag.remove_experts(made(lambda: deepseek(groups=2)), 0.5, data=texts())


class Classifier(nn.Module):
    """As many layers as classes: no mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]), nn.Linear(4, 2)


def test_layers_beside_a_head_are_no_experts() -> None:
    with pytest.raises(UnsupportedError, match="no experts"):
        mixtures(Classifier())


def test_two_routers_are_one_too_many() -> None:
    model = Listed()
    model.other_gate = nn.Linear(16, EXPERTS)
    with pytest.raises(UnsupportedError, match="gate, other_gate could each be the router of experts"):
        mixtures(model)


def test_a_config_has_one_number_for_all_layers() -> None:
    model = made(mixtral)
    found = mixtures(model)
    with pytest.raises(UnsupportedError, match="one number for all"):
        cut(model, found, [(0, 1, 2), (0, 1)])
    assert found[0].experts.down_proj.shape[0] == EXPERTS


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"data": []}, "data is empty"),
        ({"sparsity": -0.5}, "give a fraction from 0 to 1"),
        ({"data": [{"x": torch.full((1, 2, 16), torch.nan)}]}, "NaN or infinity"),
        ({"evaluate": lambda _: "good"}, "evaluate gave 'good'"),
    ],
)
def test_unusable_input_says_what_to_do(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ag.remove_experts(made(Listed), **({"sparsity": 0.5, "data": rows()} | options))
