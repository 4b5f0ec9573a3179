"""Convolutions are pruned as the linear layers of their patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.prune.test_conformance import layer_of

from aerogel.core.errors import InputError
from aerogel.prune import prune
from aerogel.prune.batch_norm import batch_norms
from aerogel.prune.fits import FITS
from aerogel.prune.importance import IMPORTANCES
from aerogel.prune.unfold import rows_fed

CONVOLUTIONS = [
    torch.nn.Conv2d(3, 4, 3, padding=1),
    torch.nn.Conv2d(3, 4, (2, 3), stride=2, padding="valid", bias=False),
    torch.nn.Conv2d(3, 4, 3, padding="same", dilation=2, padding_mode="reflect"),
    torch.nn.Conv2d(3, 4, 1),
    torch.nn.Conv2d(3, 4, 3, padding=(2, 1), padding_mode="circular"),
    torch.nn.Conv1d(3, 4, 3, padding=1),
    torch.nn.Conv1d(3, 4, 2, stride=2, padding=2, padding_mode="replicate"),
]


def images(module: torch.nn.Module, count: int = 5, *, seed: int = 0) -> torch.Tensor:
    shape = (count, 3, 8) if isinstance(module, torch.nn.Conv1d) else (count, 3, 6, 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("module", CONVOLUTIONS, ids=str)
def test_patches_times_the_matrix_are_the_convolution(module: torch.nn.Conv2d) -> None:
    x = images(module)
    with torch.no_grad():
        wanted = module(x)
        matrix = module.weight.reshape(4, -1)
        rows = torch.cat(list(rows_fed(module, x, None)))
        found = rows @ matrix.t() + (0 if module.bias is None else module.bias)
    outputs = wanted.movedim(1, -1).reshape(-1, 4)
    torch.testing.assert_close(found, outputs)
    one = torch.cat(list(rows_fed(module, x[0], None)))
    torch.testing.assert_close(one, rows[: len(one)])


@pytest.mark.parametrize("importance", [name for name in IMPORTANCES if name != "taylor"])
@pytest.mark.parametrize("fit", ["none", *FITS])
def test_a_convolution_is_pruned_as_the_linear_layer_of_its_patches(importance: str, fit: str) -> None:
    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, 4, 3, padding=1)
    x = images(module)
    found = prune(module, 0.5, importance=importance, recovery=fit, data=[x])
    mask = found.masks["weight"]
    assert mask.shape == (4, 3, 3, 3) and found.report.layers[0].shape == (4, 27)
    np.testing.assert_array_equal(found.model.weight.detach().numpy() == 0, ~mask)
    if importance == "gradient":
        return  # the draws differ
    rows = torch.cat(list(rows_fed(module, x, None)))
    layer = layer_of(module.weight.detach().reshape(4, -1).numpy())
    layer.bias.data = module.bias.detach().clone()
    same = prune(layer, 0.5, importance=importance, recovery=fit, data=[rows])
    np.testing.assert_array_equal(mask.reshape(4, -1), same.masks["weight"])
    torch.testing.assert_close(found.model.weight.reshape(4, -1), same.model.weight)
    torch.testing.assert_close(found.model.bias, same.model.bias)
    assert found.report.layers[0].relative_error == pytest.approx(same.report.layers[0].relative_error)


class Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.short = torch.nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn1(self.conv1(x)) + self.short(x))


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.Sequential(Block(6), Block(6)),
        torch.nn.Conv2d(6, 6, 3, groups=6),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 5),
    )


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_network_block_by_block_wherever_its_numbers_lie(memory: torch.memory_format) -> None:
    model, data = network().to(memory_format=memory), [images(torch.nn.Identity(), seed=i) for i in range(4)]
    for norm in batch_norms(model):
        norm.momentum = None
    with torch.no_grad():
        for x in data:
            model.train()(x)
    found = prune(model, 0.6, method="sparsegpt", recovery=["least_squares", "batch_norm"], data=data)
    assert "3.weight" not in found.masks and len(found.masks) == 6
    for name, mask in found.masks.items():
        weight = found.model.get_parameter(name)
        np.testing.assert_array_equal(weight.detach().numpy() == 0, ~mask)
        assert (~mask).sum() == round(0.6 * mask.size)
    with torch.no_grad():
        wanted = torch.cat([model.eval()(x) for x in data])
        lost = torch.cat([found.model.eval()(x) for x in data]) - wanted
        plain = torch.cat([prune(model, 0.6).model.eval()(x) for x in data]) - wanted
    assert lost.square().sum() < 0.5 * plain.square().sum()


def test_convolutions_by_groups_go_by_magnitude_if_they_are_asked_for() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=2), torch.nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 4, 5, 5)
    for budget in ("uniform", "global"):
        found = prune(model, 0.5, importance="wanda", budget=budget, data=[x], layers=lambda *_: True)
        plain = prune(model, 0.5, layers=lambda *_: True)
        np.testing.assert_array_equal(found.masks["0.weight"], plain.masks["0.weight"])


def test_whole_numbers_are_for_linear_layers() -> None:
    with pytest.raises(InputError, match="is a convolution's"):
        prune(network(), 0.5, precision="int8")


def test_batch_norms_are_estimated_anew_and_left_alone_on_an_error() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4, momentum=0.3), torch.nn.Dropout()
    )
    data = [torch.randn(6, 3, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    found = prune(model, 0.5, recovery="batch_norm", data=data, inplace=True).model
    with torch.no_grad():
        fed = [found[0](x) for x in data]
    torch.testing.assert_close(found[1].running_mean, torch.stack([f.mean(0) for f in fed]).mean(0))
    torch.testing.assert_close(found[1].running_var, torch.stack([f.var(0) for f in fed]).mean(0))
    assert found is model and found[1].momentum == 0.3 and found[1].training
    kept = found[1].running_mean.clone()
    with pytest.raises(InputError, match="give batches of several samples"):
        prune(model, 0.5, recovery="batch_norm", data=[torch.ones(1, 3)], inplace=True)
    torch.testing.assert_close(model[1].running_mean, kept)
