"""What cannot be removed says why, and unusable input what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.prune.structured.zoo import CASES, IMAGE, Residual, Through, made
from torch import nn

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.prune.structured.entry import remove_units

ROWS = [torch.randn(3, 6, generator=torch.Generator().manual_seed(0))]


class Made(nn.Module):
    """``inward``, then ``between``, then ``out``."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inward, self.free, self.out = nn.Linear(6, 4), nn.Linear(4, 6), nn.Linear(6, 2)
        self.last = nn.Linear(4, 2)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.between(self.inward(x))
        return self.out(torch.relu(self.free(y))) + self.last(y)


FIXED = torch.ones(3, 4)
REASONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "norm": (lambda y: nn.functional.layer_norm(y, (4,)), "a layer norm averages over its channels"),
    "softmax": (lambda y: y.softmax(-1), "aten._softmax is taken over its channels"),
    "mean": (lambda y: y - y.mean(-1, keepdim=True), "aten.mean is taken over its channels"),
    "constant": (lambda y: y + FIXED, "combined with a tensor whose size is fixed"),
    "beside": (lambda y: torch.stack([y, FIXED]).sum(0), "beside a tensor whose size is fixed"),
    "number": (lambda y: y * y[:, 2][:, None], "by their number"),
    "product": (lambda y: y @ y.mT @ y, "a product of two activations"),
    "unknown": (lambda y: torch.fft.ifft(torch.fft.fft(y)).real, "aten._fft_r2c is not followed"),
    "buffer": (torch.zeros(6, 4)[:3].copy_, "combined with a tensor whose size is fixed"),
}


@pytest.mark.parametrize(("between", "reason"), REASONS.values(), ids=REASONS)
def test_a_layer_that_must_stay_says_why(
    between: Callable[[torch.Tensor], torch.Tensor], reason: str
) -> None:
    report = remove_units(Made(between), 0.5, pattern="neuron", data=ROWS).report
    assert {r.name for r in report.removed} == {"free"}
    reasons = {k.name: k.reason for k in report.kept}
    assert reason in reasons["inward"]
    assert "output" in reasons["out"] and "output" in reasons["last"]


def test_a_fixed_number_in_the_code_leaves_that_family_whole() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inward, self.mid, self.out = nn.Linear(6, 8), nn.Linear(8, 6), nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.inward(x))
            return self.out(torch.relu(self.mid(torch.cat([y[:, 4:8], y[:, 0:4]], 1))))

    model = Fixed()
    with torch.no_grad():
        model.inward.weight[[0, 5]] *= 1e-3  # these would go, one of each half
    report = remove_units(model, 0.25, pattern="neuron", data=ROWS).report
    assert {r.name for r in report.removed} == {"mid"}
    assert any(k.name == "inward" and "no longer fits together" in k.reason for k in report.kept)


def test_nothing_to_remove_names_the_layers() -> None:
    with pytest.raises(UnsupportedError, match=r"no head can be removed from Sequential \(.*2: it is the"):
        remove_units(
            nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), 0.5, pattern="head", data=ROWS
        )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "pattern": ({"pattern": "row"}, "removes no units"),
    "importance": ({"importance": "obs"}, "importance of neurons .obs. is unknown"),
    "sparsity": ({"sparsity": 1.5}, "fraction from 0 to 1"),
    "no data": ({"data": []}, "data is empty"),
    "NaN": ({"data": [torch.full((2, 6), torch.nan)]}, "NaN"),
    "layers": ({"layers": "("}, "not a regular expression"),
    "loss": ({"importance": "taylor", "loss": lambda out: out}, "must give one number"),
    "bad loss": ({"importance": "taylor", "loss": lambda out: out.sum() * torch.nan}, "the loss on batch 0"),
}


@pytest.mark.parametrize(("options", "told"), BAD.values(), ids=BAD)
def test_unusable_arguments(options: dict[str, Any], told: str) -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    asked: dict[str, Any] = {"sparsity": 0.5, "pattern": "neuron", "data": ROWS} | options
    with pytest.raises(InputError, match=told):
        remove_units(model, asked.pop("sparsity"), **asked)


def test_weights_that_are_not_finite() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.constant_(model[0].bias, torch.inf)
    with pytest.raises(InputError, match=r"'0\.bias' has non-finite"):
        remove_units(model, 0.5, pattern="neuron", data=ROWS)


def test_only_the_layers_chosen() -> None:
    model = made(CASES["residual"])
    report = remove_units(model, 0.5, pattern="channel", data=[IMAGE], layers=r"body\.1").report
    assert {r.name for r in report.removed} == {"body.1.first", "body.1.second"}
    assert "largest" not in str(report) and "body.1.first" in str(report)
    assert report.to_json()["sparsity"] == report.sparsity > 0


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_what_does_nothing_goes_first(importance: str) -> None:
    torch.manual_seed(0)
    model = Through(Residual()).eval()
    useless = [1, 4, 6]
    with torch.no_grad():
        for index in useless:
            model.body.first.weight[index] = 0
            model.body.norm1.weight[index] = model.body.norm1.bias[index] = 0
            if importance == "magnitude":
                model.body.second.weight[:, index] = 0
    data = [tuple(t.float() for t in IMAGE)]
    result = remove_units(model, 3 / 8, pattern="channel", data=data, importance=importance, layers="first")
    gone = (~result.masks["body.first.weight"]).all((1, 2, 3)).nonzero()[0].tolist()
    assert gone == useless
    with torch.no_grad():
        torch.testing.assert_close(result.model(*data[0]), model(*data[0]))


def test_taylor_is_the_first_order_change_of_the_loss() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    data = [torch.randn(5, 6, dtype=torch.float64) for _ in range(2)]
    # The loss is linear in what is removed, so to first order is exact: the naive reference removes each.
    expected = torch.zeros(8, dtype=torch.float64)
    with torch.no_grad():
        for x in data:
            whole = model(x).sum()
            for unit in range(8):
                hidden = model[:2](x)
                hidden[:, unit] = 0
                expected[unit] += (whole - model[2](hidden).sum()) ** 2
    result = remove_units(
        model, 0.5, pattern="neuron", data=data, importance="taylor", loss=lambda out: out.sum()
    )
    kept = result.masks["0.bias"].nonzero()[0].tolist()
    assert kept == sorted(expected.argsort(descending=True)[:4].tolist())
    assert all(p.grad is None for p in model.parameters())
