"""The streamed pass: the same by blocks as through the whole model, padding left out, memory bounded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.prune.encoder import WIDTH, Encoder, batches, encoder, error

from aerogel.core.errors import InputError
from aerogel.prune import PruneResult, prune
from aerogel.prune.batches import calls_of
from aerogel.prune.blocks import Slot, like_blocks, stages
from aerogel.prune.layers import prunable


def same(a: PruneResult, b: PruneResult) -> None:
    assert list(a.masks) == list(b.masks)
    for name, mask in a.masks.items():
        np.testing.assert_array_equal(mask, b.masks[name])
        torch.testing.assert_close(a.model.get_parameter(name), b.model.get_parameter(name))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repair": True},
        {"method": "wanda"},
        {"pattern": "block2x1"},
        {"pattern": "block4x4", "precision": "int8"},
        {"pattern": "2:4", "repair": True},
    ],
)
def test_blocks_in_a_chain_give_what_the_whole_model_gives(options: dict[str, object]) -> None:
    """With an operation between blocks they are no chain, and each layer is reached through the model."""
    settings = {"method": "sparsegpt", "data": batches(), "sparsity": 0.5, **options}
    same(*(prune(encoder(chained=chained), **settings) for chained in (True, False)))


@pytest.mark.parametrize("chained", [True, False])
def test_stages_in_the_order_of_running(chained: bool) -> None:
    model = encoder(chained=chained)
    todo, unreached = stages(model, prunable(model, None), calls_of(model, batches())[0])
    assert not unreached
    if chained:
        stack, pooler = todo
        assert stack.stack is not None and stack.stack.slot == Slot(0)
        assert stack.stack.names == ("layer.0", "layer.1", "layer.2")
        assert [layer.name for layer in pooler.layers] == ["pooler.weight"]
        assert len(stack.layers) == 12 and pooler.stack is None
    else:
        (stage,) = todo
        assert stage.stack is None and len(stage.layers) == 13


class ByName(torch.nn.Module):
    def __init__(self, model: Encoder) -> None:
        super().__init__()
        self.inner = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.inner.table(input_ids)
        for block in self.inner.layer:
            (x,) = block(x=x, mask=attention_mask)
        return x


def test_hidden_states_may_be_passed_by_name() -> None:
    model = ByName(encoder())
    model.inner.pooler = torch.nn.Identity()
    (stage,), _ = stages(model, prunable(model, None), calls_of(model, batches())[0])
    assert stage.stack is not None and stage.stack.slot == Slot("x")
    data = batches()
    found = prune(model, 0.5, method="sparsegpt", data=data).masks
    other = prune(encoder(), 0.5, method="sparsegpt", data=data).masks
    assert all((found[f"inner.{name}"] == other[name]).all() for name in other if name != "pooler.weight")


def test_each_block_is_fed_by_those_already_pruned() -> None:
    """What a layer loses is made up for by the next ones: so errors grow less from block to block."""
    dense, data = encoder(), batches(40)
    found = prune(dense, 0.5, method="sparsegpt", data=data).model
    alone = encoder()
    for name in like_blocks(alone):
        piece = prune(dense, 0.5, method="sparsegpt", data=data, layers=f"^{name}\\.").model
        alone.get_submodule(name).load_state_dict(piece.get_submodule(name).state_dict())
    assert error(found, dense, data) < 0.9 * error(alone, dense, data)


def test_repair_and_calibration_beat_magnitude_on_other_data() -> None:
    dense, data, other = encoder(), batches(60), batches(20, seed=9)
    magnitude = error(prune(dense, 0.5).model, dense, other)
    wanda = error(prune(dense, 0.5, method="wanda", data=data).model, dense, other)
    obs = error(prune(dense, 0.5, method="sparsegpt", data=data).model, dense, other)
    repaired = error(prune(dense, 0.5, method="sparsegpt", data=data, repair=True).model, dense, other)
    assert repaired < obs < 0.7 * min(wanda, magnitude)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_padding_does_not_count(method: str) -> None:
    """Other words under the padding, more padding, batches cut otherwise: the same masks."""
    data = batches()
    garbled = [{**b, "input_ids": torch.where(b["attention_mask"] == 0, 7, b["input_ids"])} for b in data]
    longer = [{k: torch.nn.functional.pad(v, (0, 5)) for k, v in b.items()} for b in data]
    single = [{k: v[i : i + 1] for k, v in b.items()} for b in data for i in range(3)]
    expected = prune(encoder(), 0.5, method=method, data=data).masks
    for other in (garbled, longer, single):
        found = prune(encoder(), 0.5, method=method, data=other).masks
        agree = [np.mean(found[name] == mask) for name, mask in expected.items()]
        assert min(agree) > 0.96, "but for sums in another order"


def test_batches_may_be_tensors_tuples_or_dicts_and_come_from_a_generator() -> None:
    data = batches()
    tuples = ((b["input_ids"], b["attention_mask"]) for b in data)
    same(*(prune(encoder(), 0.5, method="wanda", data=d) for d in (data, tuples)))
    layer = torch.nn.Linear(3, 2)
    assert prune(layer, 0.5, method="wanda", data=[torch.ones(4, 3)]).report.peak_bytes


def test_dropout_sleeps_and_modes_come_back() -> None:
    model, data = encoder(), batches()
    model.layer[1].eval()
    modes = [module.training for module in model.modules()]
    first, second = (prune(model, 0.5, method="sparsegpt", data=data) for _ in range(2))
    same(first, second)
    assert [module.training for module in model.modules()] == modes
    assert [module.training for module in first.model.modules()] == modes
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in first.model.modules())
    assert all(p.requires_grad for p in first.model.parameters())


class Caching(Encoder):
    """Fails if its configuration lets it keep a cache while it is calibrated."""

    class Config:
        use_cache = True

    def __init__(self) -> None:
        super().__init__()
        self.config = self.Config()
        self.caching: list[bool] = []

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.caching.append(self.config.use_cache)
        return super().forward(*args, **kwargs)


def test_no_cache_of_keys_grows_while_calibrating() -> None:
    model = Caching()
    found = prune(model, 0.5, method="wanda", data=batches()).model
    assert found.caching and not any(found.caching)
    assert model.config.use_cache and found.config.use_cache


def test_what_the_data_never_reaches_goes_by_magnitude() -> None:
    model = encoder()
    model.spare = torch.nn.Linear(WIDTH, WIDTH)
    result = prune(model, 0.5, method="sparsegpt", data=batches())
    plain = prune(model, 0.5)
    np.testing.assert_array_equal(result.masks["spare.weight"], plain.masks["spare.weight"])
    reports = {layer.name: layer for layer in result.report.layers}
    assert reports["spare.weight"].relative_error is None
    assert reports["pooler.weight"].relative_error is not None


def test_layers_without_weights_have_nothing_to_prune() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        model = torch.nn.Sequential(torch.nn.Linear(4, 0), torch.nn.Linear(0, 4))
    report = prune(model, 0.5, method="sparsegpt", data=[torch.ones(2, 4)]).report
    assert (report.size, report.zeros) == (0, 0)


def test_torch_own_encoder_is_watched_in_spite_of_its_fused_path() -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    result = prune(model, 0.5, method="sparsegpt", data=[torch.randn(3, 5, 8)])
    measured = {r.name for r in result.report.layers if r.relative_error is not None}
    assert {"layers.0.linear1.weight", "layers.1.linear2.weight"} <= measured


def test_memory_held_does_not_grow_with_depth() -> None:
    data = batches()
    few, many = (prune(encoder(blocks=n), 0.5, method="sparsegpt", data=data).report for n in (2, 8))
    assert few.peak_bytes == many.peak_bytes
    hidden = 2 * sum(b["input_ids"].numel() * WIDTH * 4 for b in data)
    assert hidden < (few.peak_bytes or 0) < 3 * hidden


@pytest.mark.parametrize("inputs", [16, 512, 1100])
def test_the_error_reported_is_that_of_the_output(inputs: int) -> None:
    layer = torch.nn.Linear(inputs, 8, bias=False)
    x = torch.randn(100, inputs)
    result = prune(layer, 0.5, method="wanda", data=[x])
    with torch.no_grad():
        lost, whole = result.model(x) - layer(x), layer(x)
    expected = float(lost.norm() / whole.norm())
    (report,) = result.report.layers
    assert report.relative_error == pytest.approx(expected, rel=1e-4)
    assert report.seconds is not None and report.seconds > 0
    assert "output off by" in str(result.report)


def test_nan_inside_the_model_names_the_layer_and_changes_nothing() -> None:
    model = encoder()
    with torch.no_grad():
        model.layer[1].norm.weight[0] = float("nan")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=r"'layer\.2\.query\.weight' is fed NaN"):
        prune(model, 0.5, method="sparsegpt", data=batches(), inplace=True)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0, equal_nan=True)


def test_progress_names_each_layer_in_order() -> None:
    names: list[str] = []
    result = prune(encoder(), 0.5, method="wanda", data=batches(), progress=names.append)
    assert sorted(names) == sorted(result.masks) and names[-1] == "pooler.weight"
