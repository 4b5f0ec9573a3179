"""How much of each layer goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.prune.encoder import batches, encoder

from aerogel.core.errors import InputError
from aerogel.prune import prune
from aerogel.prune.budget import REACH, exact


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_a_map_gives_each_layer_its_share(method: str) -> None:
    shares = {r"layer\.0": 0.25, "query|value": 0.5, "down": 1.0}
    result = prune(encoder(), shares, method=method, data=None if method == "magnitude" else batches())
    achieved = {layer.name: layer.sparsity for layer in result.report.layers}
    assert achieved["layer.0.query.weight"] == achieved["layer.0.down.weight"] == 0.25
    assert achieved["layer.2.query.weight"] == achieved["layer.1.value.weight"] == 0.5
    assert achieved["layer.1.down.weight"] == 1.0
    assert "layer.1.up.weight" not in achieved and "pooler.weight" not in result.masks
    zeros = sum(layer.zeros for layer in result.report.layers)
    assert result.report.requested == result.report.sparsity == zeros / result.report.size


def test_a_map_names_only_layers_that_are_there() -> None:
    with pytest.raises(
        InputError, match=r"'layer.1.qeury', which is no layer's: did you mean 'layer.1.query'\?"
    ):
        prune(encoder(), {"layer.1.qeury": 0.5})
    with pytest.raises(InputError, match=r"'zzz', which is no layer's: layers are 'layer.0.query'"):
        prune(encoder(), {"layer": 0.5, "zzz": 0.5})


@pytest.mark.parametrize(
    ("sparsity", "message"),
    [
        ({}, "empty map"),
        ({"(": 0.5}, "not a regular expression"),
        ({"layer": 1.5}, "sparsity is 1.5"),
        ({3: 0.5}, "sparsity key 3 is no text"),
    ],
)
def test_maps_that_cannot_be_used(sparsity: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prune(encoder(), sparsity)  # type: ignore[arg-type]


def test_a_map_is_a_budget_and_other_budgets_are_known() -> None:
    with pytest.raises(InputError, match="a map of sparsities is a budget"):
        prune(encoder(), {"layer": 0.5}, budget="owl", data=batches())
    with pytest.raises(InputError, match="budget 'even' is unknown: choose from uniform"):
        prune(encoder(), 0.5, budget="even")


@pytest.mark.parametrize("pattern", ["unstructured", "block4x1", "block4x4", "panel4"])
@pytest.mark.parametrize("share", [0.0, 0.37, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("budget", ["owl", "sensitivity"])
def test_unequal_budgets_are_exact_in_all(budget: str, pattern: str, share: float) -> None:
    model = encoder()
    with torch.no_grad():
        model.layer[0].query.weight[0, :2] *= 100
    result = prune(model, share, method="sparsegpt", data=batches(), budget=budget, pattern=pattern)
    units = sum(layer.units for layer in result.report.layers)
    assert sum(layer.pruned for layer in result.report.layers) == round(share * units)


def test_a_map_may_choose_the_layers_of_a_fixed_pattern() -> None:
    result = prune(encoder(), {"query": 0.5}, pattern="2:4")
    assert {layer.sparsity for layer in result.report.layers} == {0.5} and len(result.masks) == 3
    with pytest.raises(InputError, match=r"sparsity is 0.8, but pattern 2:4 is 0.5"):
        prune(encoder(), {"query": 0.5, "value": 0.8}, pattern="2:4")
    with pytest.raises(InputError, match="2:4 is alike in all layers"):
        prune(encoder(), pattern="2:4", budget="owl", data=batches())


def test_owl_spares_layers_with_outliers() -> None:
    model = encoder()
    with torch.no_grad():
        model.layer[1].up.weight[:, 0] *= 100
    result = prune(model, 0.5, method="wanda", data=batches(), budget="owl")
    shares = {r.name: r.pruned / r.units for r in result.report.layers}
    spared = shares.pop("layer.1.up.weight")
    assert all(spared < share for share in shares.values())
    assert max(shares.values()) - spared <= 2 * REACH + 2 / 8


def test_sensitivity_spares_the_layers_that_matter_and_leaves_the_model_as_it_was() -> None:
    model = encoder()
    with torch.no_grad():
        model.layer[0].up.weight *= 4
        model.layer[2].query.weight *= 0.01
    result = prune(model, 0.5, method="magnitude", data=batches(), budget="sensitivity")
    shares = {r.name: r.pruned / r.units for r in result.report.layers}
    assert shares["layer.0.up.weight"] < 0.5 < shares["layer.2.query.weight"]
    kept = result.masks["layer.0.up.weight"]
    found = result.model.layer[0].up.weight.detach().numpy()
    np.testing.assert_array_equal(found[kept], model.layer[0].up.weight.detach().numpy()[kept])


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(-0.5, 0.5), st.integers(0, 1000)), min_size=1, max_size=6),
)
def test_shares_are_whole_units_and_add_up(share: float, layers: list[tuple[float, int]]) -> None:
    units = [n for _, n in layers]
    found = exact(share, np.array([o for o, _ in layers]), units)
    counts = [s * n for s, n in zip(found, units, strict=True)]
    assert all(0 <= s <= 1 for s in found)
    assert all(abs(c - round(c)) < 1e-6 for c in counts)
    assert sum(round(c) for c in counts) == round(share * sum(units))
