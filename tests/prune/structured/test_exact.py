"""What is left computes what the dense model does with the removed units at zero, however it is wired."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from tests.prune.structured.zoo import CASES, Case, made

from aerogel.prune.structured import StructuredResult
from aerogel.prune.structured.entry import remove_units


def outputs(model: torch.nn.Module, data: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    with torch.no_grad():
        out = model(*data)
    return [t for t in (out if isinstance(out, tuple) else (out,)) if t is not None]


def zeroed(model: torch.nn.Module, result: StructuredResult) -> torch.nn.Module:
    """The dense model under the result's masks."""
    dense = copy.deepcopy(model)
    with torch.no_grad():
        for name, mask in result.masks.items():
            dense.get_parameter(name)[torch.from_numpy(~mask)] = 0
    return dense


def remade(data: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Other numbers, of other samples, than those that were followed."""
    fresh = (t.roll(1, 0) * -1.5 if t.is_floating_point() else t for t in data)
    return tuple(torch.cat([t, t.flip(0)]) for t in fresh)


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_smaller_model_is_the_masked_dense_model(case: Case, importance: str) -> None:
    model = made(case)
    before = copy.deepcopy(model.state_dict())
    result = remove_units(model, 0.5, pattern=case.pattern, data=[case.data], importance=importance)
    assert {r.name: r.removed for r in result.report.removed} == case.removed
    small, dense = outputs(result.model, remade(case.data)), outputs(zeroed(model, result), remade(case.data))
    for got, wanted in zip(small, dense, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)
    # Something was lost, or the comparison says nothing; and what was given is as it was.
    whole = outputs(model, remade(case.data))
    assert not torch.allclose(small[0], whole[0], atol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_really_shrinks(case: Case) -> None:
    model = made(case)
    result = remove_units(model, 0.5, pattern=case.pattern, data=[case.data])
    sizes = {name: p.numel() for name, p in result.model.named_parameters()}
    assert sum(sizes.values()) == result.report.parameters < result.report.parameters_before
    for name, mask in result.masks.items():
        assert sizes[name] == int(mask.sum()) < mask.size
    untouched = set(sizes) - set(result.masks)
    assert all(torch.equal(result.model.get_parameter(n), model.get_parameter(n)) for n in untouched)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_can_be_copied_saved_and_trained(case: Case) -> None:
    small = remove_units(made(case), 0.5, pattern=case.pattern, data=[case.data]).model
    again = pickle.loads(pickle.dumps(copy.deepcopy(small)))
    again.load_state_dict(small.state_dict())
    assert torch.equal(outputs(again, case.data)[0], outputs(small, case.data)[0])
    again.train()
    out = again(*case.data)
    (out[0] if isinstance(out, tuple) else out).square().mean().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in again.parameters())


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_counts_are_exact_and_one_stays(share: float) -> None:
    case = CASES["residual"]
    removed = remove_units(made(case), share, pattern="channel", data=[case.data]).report.removed
    assert [r.removed for r in removed] == [min(round(share * r.units), r.units - 1) for r in removed]


def test_tied_weights_stay_tied() -> None:
    case = CASES["tied"]
    small = remove_units(made(case), 0.5, pattern="neuron", data=[case.data]).model
    assert small.get_parameter("twin.weight") is small.get_parameter("shared.weight")
    assert small.get_parameter("shared.weight").shape == (3, 3)
