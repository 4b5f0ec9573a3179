"""Pruning onto the int8 grid: what every method and pattern must keep to, and what is lost by it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.prune.encoder import batches, encoder, error
from tests.prune.test_conformance import check_groups, inputs_for, layer_of, random_weight
from tests.prune.units import all_of

from aerogel.core.errors import InputError
from aerogel.prune import PATTERNS, PruneResult, prune
from aerogel.prune.methods import METHODS

methods = pytest.mark.parametrize("method", METHODS)
repairs = pytest.mark.parametrize("repair", [False, True])


def on_the_grid(layer: torch.nn.Linear) -> None:
    """weight == scale * whole numbers of at most 127, to the bit."""
    weight, scale = layer.weight.detach().numpy(), layer.weight_scale.numpy()
    assert (scale.dtype, scale.shape) == (np.float32, weight.shape[:1])
    assert np.isfinite(scale).all() and (scale > 0).all()
    whole = np.rint(weight.astype(np.float64) / scale[:, None].astype(np.float64))
    assert (np.abs(whole) <= 127).all()
    np.testing.assert_array_equal(scale[:, None] * whole.astype(np.float32), weight)
    assert not np.signbit(weight[weight == 0]).any()


def check(result: PruneResult) -> None:
    on_the_grid(result.model)
    (mask,) = result.masks.values()
    weight = result.model.weight.detach().numpy()
    assert (weight[~mask] == 0).all()
    assert result.report.layers[0].zeros == np.count_nonzero(weight == 0)
    assert result.report.precision == "int8" and result.report.to_json()["precision"] == "int8"


@methods
@pytest.mark.parametrize("pattern", [*PATTERNS, "2:4", "4:8"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 3), (3, 300), (7, 130)])
def test_every_pattern_ends_on_the_grid_with_its_zeros(
    method: str, pattern: str, shape: tuple[int, int]
) -> None:
    weight, data = random_weight(shape), inputs_for(shape[1])
    for share, repair in ((0.0, False), (0.5, True), (0.83, False), (1.0, True)):
        layer = layer_of(weight)
        if ":" in pattern:
            result = prune(layer, method=method, pattern=pattern, data=data, repair=repair, precision="int8")
            kept, of = map(int, pattern.split(":"))
            assert (result.masks["weight"].sum(1) <= kept * -(-shape[1] // of)).all()
        else:
            result = prune(
                layer, share, method=method, pattern=pattern, data=data, repair=repair, precision="int8"
            )
            flags = all_of(~result.masks["weight"], pattern)
            wanted = round(share * flags.size)
            assert (np.count_nonzero(flags), result.report.layers[0].pruned) == (wanted, wanted)
        check(result)


numbers = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    elements=st.one_of(
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-40, 1e-30]), st.floats(-2, 2, width=32)
    ),
)


@settings(max_examples=100, deadline=None)
@given(weight=numbers, share=st.floats(0, 1), method=st.sampled_from([None, *METHODS]), repair=st.booleans())
def test_any_weight_ends_on_the_grid(
    weight: np.ndarray, share: float, method: str | None, repair: bool
) -> None:
    if method is None:
        result = prune(layer_of(weight), share, precision="int8")
    else:
        data = inputs_for(weight.shape[1])
        result = prune(layer_of(weight), share, method=method, data=data, repair=repair, precision="int8")
    check(result)
    assert not result.masks["weight"][weight == 0].any() or method is None
    assert (result.model.weight.detach().numpy()[weight == 0] == 0).all()


@methods
@pytest.mark.parametrize("bias", [False, True])
def test_inputs_that_are_never_seen(method: str, bias: bool) -> None:
    weight = random_weight((8, 6))
    (x,) = inputs_for(6)
    for dead in ([2, 5], range(6)):
        x[:, list(dead)] = 0
        layer = layer_of(weight, bias=bias)
        check(prune(layer, 0.5, method=method, data=[x], repair=True, precision="int8"))


def mixed(width: int) -> list[torch.Tensor]:
    (x,) = inputs_for(width, tokens=400)
    return [x @ torch.from_numpy(random_weight((width, width), 1)) + 3]


def test_without_data_each_weight_goes_to_the_nearest_of_its_grid() -> None:
    weight = random_weight((6, 40))
    result = prune(layer_of(weight), 0.0, precision="int8")
    found, scale = result.model.weight.detach().numpy(), result.model.weight_scale.numpy()[:, None]
    inside = np.abs(weight) <= 127 * scale
    assert (np.abs(found - weight)[inside] <= 0.5001 * np.broadcast_to(scale, weight.shape)[inside]).all()
    assert (scale <= np.abs(weight).max(1, keepdims=True) / 127 * (1 + 1e-6)).all()
    plain = np.abs(weight).max(1, keepdims=True) / 127
    rounded = np.rint(weight / plain) * plain
    assert ((found - weight) ** 2).sum() <= ((rounded - weight) ** 2).sum()


@repairs
def test_with_data_rounding_is_made_up_for(repair: bool) -> None:
    """Half the error of rounding to the nearest, and less than a fiftieth added to that of zeros."""
    data, dense = mixed(32), layer_of(random_weight((16, 32)))

    def lost(model: torch.nn.Module) -> float:
        return float((model(data[0]) - dense(data[0])).detach().square().mean())

    nearest = prune(dense, 0.0, precision="int8").model
    found = prune(dense, 0.0, data=data, repair=repair, precision="int8").model
    assert lost(found) < 0.5 * lost(nearest)
    zeros = prune(dense, 0.5, method="sparsegpt", data=data, repair=repair).model
    both = prune(dense, 0.5, method="sparsegpt", data=data, repair=repair, precision="int8").model
    assert lost(both) < 1.02 * lost(zeros)


def test_masks_are_those_of_the_method_alone() -> None:
    data = mixed(32)
    for method in METHODS:
        plain, both = (
            prune(layer_of(random_weight((16, 32))), 0.5, method=method, data=data, precision=p).masks[
                "weight"
            ]
            for p in ("fp32", "int8")
        )
        np.testing.assert_array_equal(plain, both)


def test_a_model_recovered_is_rounded_without_losing_zeros() -> None:
    dense, data = encoder(), batches(20)
    pruned = prune(dense, 0.5, method="sparsegpt", data=data, repair=True)
    found = prune(pruned.model, 0.0, data=data, repair=True, precision="int8")
    for name, mask in pruned.masks.items():
        assert not found.masks[name][~mask].any()
        on_the_grid(found.model.get_submodule(name.removesuffix(".weight")))
    assert error(found.model, dense, data) < 1.1 * error(pruned.model, dense, data)


@pytest.mark.parametrize("data", [False, True])
def test_the_scales_go_where_the_model_goes(data: bool) -> None:
    more = {"data": batches()} if data else {}
    dense = encoder()
    copied = prune(dense, 0.5, precision="int8", **more).model
    assert not any("weight_scale" in name for name in dense.state_dict())
    placed = prune(dense, 0.5, precision="int8", inplace=True, **more).model
    assert placed is dense
    state = copied.state_dict()
    assert "layer.0.query.weight_scale" in state
    torch.testing.assert_close(dict(dense.state_dict()), dict(state), rtol=0, atol=0)
    again = copy.deepcopy(copied)
    again.load_state_dict(state)
    on_the_grid(again.layer[0].query)


def test_tied_weights_share_a_grid_but_no_memory() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    model[2].weight = model[0].weight
    for more in ({}, {"data": inputs_for(4)}):
        found = prune(model, 0.5, precision="int8", **more).model
        on_the_grid(found[0])
        on_the_grid(found[2])
        assert found[0].weight_scale.data_ptr() != found[2].weight_scale.data_ptr()


def test_a_grid_that_is_left_is_forgotten() -> None:
    layer, data = layer_of(random_weight((8, 12))), mixed(12)
    on_it = prune(layer, 0.25, precision="int8")
    still = prune(on_it.model, 0.5)
    on_the_grid(still.model)
    moved = prune(on_it.model, 0.5, method="sparsegpt", data=data)
    assert not hasattr(moved.model, "weight_scale") and hasattr(on_it.model, "weight_scale")
    placed = prune(on_it.model, 0.5, method="sparsegpt", data=data, inplace=True)
    assert placed.model is on_it.model and not hasattr(placed.model, "weight_scale")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_types_have_no_grid(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=r"takes float32, so give model\.float\(\)"):
        prune(torch.nn.Linear(6, 4).to(dtype), 0.5, precision="int8")


def test_other_precisions_are_refused() -> None:
    with pytest.raises(InputError, match="precision 'int4' is unknown: did you mean 'int8'"):
        prune(torch.nn.Linear(6, 4), 0.5, precision="int4")


def test_the_report_says_so() -> None:
    assert "magnitude, 2:4, int8, per layer: 50.0% asked" in str(
        prune(torch.nn.Linear(8, 4), pattern="2:4", precision="int8").report
    )


def test_groups_keep_as_many_as_may_be_before_rounding() -> None:
    weight = random_weight((3, 30))
    plain = prune(layer_of(weight), method="sparsegpt", pattern="2:4", data=mixed(30))
    check_groups(plain, weight, 2, 4)
    both = prune(layer_of(weight), method="sparsegpt", pattern="2:4", data=mixed(30), precision="int8")
    np.testing.assert_array_equal(plain.masks["weight"], both.masks["weight"])
