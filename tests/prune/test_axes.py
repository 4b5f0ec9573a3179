"""The four choices go together, whichever they are: exact counts, zeros that stay, finite weights."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from tests.prune.encoder import batches, encoder, error
from tests.prune.test_conformance import check_groups, inputs_for, layer_of, random_weight
from tests.prune.units import all_of

from aerogel.core.errors import InputError
from aerogel.prune import PATTERNS, prune
from aerogel.prune.axes import chosen_axes
from aerogel.prune.budget import BUDGETS
from aerogel.prune.fits import FITS
from aerogel.prune.importance import IMPORTANCES
from aerogel.prune.pattern import pattern_named
from aerogel.prune.schedule import Schedule

importances = pytest.mark.parametrize("importance", IMPORTANCES)


def loss_of(x: torch.Tensor):
    return lambda model: ((model(part) - 1).square().mean() for part in x.split(5))


def options(importance: str, x: torch.Tensor) -> dict[str, object]:
    return {"importance": importance, "loss": loss_of(x)} if importance == "taylor" else {
        "importance": importance
    }  # fmt: skip


def hard_weight(shape: tuple[int, int]) -> np.ndarray:
    """Zeros of either sign, a zero column, ties."""
    weight = np.round(random_weight(shape), 1)
    weight[:, shape[1] // 2] = 0.0
    weight[0, 0] = -0.0
    return weight


@importances
@pytest.mark.parametrize("fit", ["none", *FITS])
@pytest.mark.parametrize("pattern", [*PATTERNS, "2:4"])
def test_all_combinations_keep_zeros_and_counts(importance: str, fit: str, pattern: str) -> None:
    for shape in [(1, 1), (7, 13)]:
        (x,) = inputs_for(shape[1])
        x[:, -1] = 0
        weight = hard_weight(shape)
        share = None if pattern == "2:4" else 0.5
        result = prune(
            layer_of(weight), share, pattern=pattern, recovery=fit, data=[x], **options(importance, x)
        )
        found, mask = result.model.weight.detach().numpy(), result.masks["weight"]
        assert np.isfinite(found).all() and not np.signbit(found[found == 0]).any()
        assert (found[~mask] == 0).all() and not mask[weight == 0].any()
        if pattern == "2:4":
            check_groups(result, weight, 2, 4)
            continue
        units = all_of(weight == 0, pattern)
        flags = all_of(~mask, pattern)
        wanted = max(round(0.5 * units.size), int(units.sum()))
        assert (int(flags.sum()), result.report.layers[0].pruned) == (wanted, wanted)


@importances
@pytest.mark.parametrize("budget", BUDGETS)
def test_budgets_and_importances_go_together(importance: str, budget: str) -> None:
    dense, data = encoder(blocks=1), batches(1)
    loss = (lambda model: (model(**b)[0].square().mean() for b in data)) if importance == "taylor" else None
    for pattern, fit, share in [
        ("unstructured", "none", 0.6), ("unstructured", "admm", 0.37), ("block1x4", "obs", 0.43),
        ("block4x4", "none", 0.71), ("panel4", "least_squares", 0.55),
    ]:  # fmt: skip
        found = prune(
            dense,
            share,
            importance=importance,
            budget=budget,
            pattern=pattern,
            recovery=fit,
            data=data,
            loss=loss,
        ).report
        units = [r.units for r in found.layers]
        wanted = sum(round(share * n) for n in units) if budget == "uniform" else round(share * sum(units))
        assert sum(r.pruned for r in found.layers) == wanted, (pattern, fit)
        assert (found.importance, found.budget) == (importance, budget)
    assert all(np.isfinite(p.detach().numpy()).all() for p in dense.parameters())


@importances
def test_ties_go_by_lowest_index_and_equal_models_give_equal_masks(importance: str) -> None:
    x = torch.cat([torch.eye(8), -torch.eye(8)])
    plain = layer_of(np.ones((3, 8), np.float32), bias=False)
    masks = [prune(plain, 0.5, data=[x], **options(importance, x)).masks["weight"] for _ in range(2)]
    np.testing.assert_array_equal(*masks)
    if importance not in ("gradient", "taylor"):
        wanted = np.repeat([False, True], 12).reshape(3, 8)
        if IMPORTANCES[importance].by_rows:
            wanted = np.tile(np.repeat([False, True], 4), (3, 1))
        np.testing.assert_array_equal(masks[0], wanted)


@importances
def test_tied_weights_and_shared_modules_are_pruned_once(importance: str) -> None:
    tied = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    shared = torch.nn.Linear(4, 4)
    (x,) = inputs_for(4)
    for model in (tied, torch.nn.Sequential(shared, torch.nn.Tanh(), shared)):
        for recovery in ("obs", ["admm", "least_squares"]):
            result = prune(model, 0.5, data=[x], recovery=recovery, **options(importance, x))
            assert list(result.masks) == ["0.weight"]
            assert result.model[2].weight is result.model[0].weight
            assert int((result.model[0].weight == 0).sum()) == 8


def test_global_ranks_units_of_all_layers_in_one_list() -> None:
    """Against all scores, worked out here, in one list."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 4))
    (x,) = inputs_for(6)
    masks = prune(model, 0.4, importance="wanda", budget="global", data=[x]).masks
    with torch.no_grad():
        inputs = (x, model[0](x))
        scores = [(model[i].weight.abs() * inputs[i].square().mean(0).sqrt()).reshape(-1) for i in range(2)]
    joined = torch.cat(scores)
    gone = joined <= joined.sort().values[round(0.4 * len(joined)) - 1]
    found = np.concatenate([~masks["0.weight"].reshape(-1), ~masks["1.weight"].reshape(-1)])
    # The second layer is fed by the first, pruned; its share is that of the dense model.
    assert found[:30].sum() == gone[:30].sum() and found[30:].sum() == gone[30:].sum()
    np.testing.assert_array_equal(found[:30], gone[:30].numpy())


def test_what_fits_better_is_better() -> None:
    dense, data, other = encoder(blocks=2), batches(24), batches(12, seed=9)

    def lost(**chosen: object) -> float:
        return error(prune(dense, 0.6, data=data, **chosen).model, dense, other)

    bare, swept = lost(importance="obs"), lost(importance="obs", recovery="obs")
    turns = lost(importance="obs", recovery=["admm", "least_squares"])
    assert turns < swept < bare
    # Least squares is the best for given zeros; ADMM chooses them better.
    assert turns < lost(importance="obs", recovery="least_squares") < bare
    assert lost(importance="gradient") < lost(importance="wanda")


def test_erk_keeps_more_of_small_layers() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Linear(64, 8), torch.nn.Linear(8, 2))
    found = {r.name: r for r in prune(model, 0.7, budget="erk").report.layers}
    wide, middle, small = (1 - found[f"{i}.weight"].sparsity for i in range(3))
    assert small == 1.0
    # Keeping in proportion to (m + n) / m n.
    assert middle / wide == pytest.approx((72 / 512) / (96 / 2048), rel=0.02)
    total = sum(r.size for r in found.values())
    assert sum(r.zeros for r in found.values()) == round(0.7 * total)


def test_presets_name_the_axes_and_each_can_be_set_alone() -> None:
    plain = pattern_named("unstructured")

    def axes(method: str | None = None, importance: str | None = None, recovery: object = None):
        found = chosen_axes(method, importance, plain, "uniform", recovery)  # type: ignore[arg-type]
        return found.importance_name, found.fits, found.after

    assert axes() == ("magnitude", (), ())
    assert axes("sparsegpt") == ("obs", ("obs",), ())
    assert axes("sparsegpt", "wanda") == ("wanda", ("obs",), ())
    assert axes("sparsegpt", recovery="none") == ("obs", (), ())
    assert axes("sparsegpt", recovery=["obs", "least_squares"]) == ("obs", ("obs", "least_squares"), ())
    steps = ["admm", "batch_norm", "distill:3steps"]
    assert axes(None, "gradient", steps) == ("gradient", ("admm",), ("batch_norm", Schedule(steps=3)))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"importance": "size"}, "importance 'size' is unknown: choose from magnitude, wanda"),
        ({"importance": "magnitud"}, "importance 'magnitud' is unknown: did you mean 'magnitude'"),
        ({"method": "obc"}, "method 'obc' is unknown: choose from"),
        ({"recovery": "prayer"}, "recovery 'prayer' is unknown: choose from none, obs, admm"),
        ({"recovery": ["admm", "obs"]}, "'obs' starts from the dense weights: name it before 'admm'"),
        ({"recovery": ["admm", "admm"]}, "named twice"),
        ({"recovery": ["batch_norm", "admm"]}, "one layer at a time: name it before 'batch_norm'"),
        ({"recovery": "distill:fast"}, "recovery 'distill:fast' is unknown"),
        ({"recovery": "batch_norm"}, "Linear has no batch norm"),
        ({"importance": "taylor"}, "'taylor' needs a loss with a slope: give loss="),
        ({"importance": "wanda", "loss": lambda m: []}, "loss is of no use to importance 'wanda'"),
        ({"importance": "gradient", "loss": lambda m: []}, "loss gave no loss"),
        ({"importance": "gradient", "loss": lambda m: [3.0]}, "no scalar of the model's"),
        ({"importance": "gradient", "loss": lambda m: [m.weight.sum() / 0]}, "NaN or infinite"),
        ({"budget": "latency:fast"}, "is no time: write latency:3ms"),
        ({"budget": "latency:2"}, "more than the dense time"),
        ({"budget": "latency:0.5"}, "says how much goes: leave sparsity out"),
        ({"budget": "global", "pattern": "2:4"}, "2:4 is alike in all layers"),
    ],
)
def test_choices_that_cannot_be_carried_out(chosen: dict[str, object], message: str) -> None:
    layer = layer_of(random_weight((3, 4)))
    before = layer.weight.detach().clone()
    with pytest.raises(InputError, match=message):
        prune(layer, 0.5, data=inputs_for(4), inplace=True, **chosen)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(
    "chosen", [{"importance": "obs"}, {"recovery": "admm"}, {"budget": "owl"}, {"method": "sparsegpt"}]
)
def test_what_needs_data_says_so(chosen: dict[str, object]) -> None:
    (what,) = chosen
    with pytest.raises(InputError, match=f"{what}=.* needs data"):
        prune(layer_of(random_weight((3, 4))), 0.5, **chosen)


@pytest.mark.parametrize(("importance", "fit"), list(product(["obs", "gradient"], ["none", *FITS])))
def test_one_sample_is_enough_and_bad_data_is_refused(importance: str, fit: str) -> None:
    layer = layer_of(random_weight((5, 7)))
    found = prune(layer, 0.5, importance=importance, recovery=fit, data=inputs_for(7, tokens=1))
    assert np.isfinite(found.model.weight.detach().numpy()).all()
    for data, message in (([], "data is empty"), ([torch.full((2, 7), torch.nan)], "holds NaN")):
        with pytest.raises(InputError, match=message):
            prune(layer, 0.5, importance=importance, recovery=fit, data=data)


def test_a_layer_that_is_left_with_nothing_is_named() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(9, 9), torch.nn.Linear(9, 1))
    with torch.no_grad():
        model[1].weight *= 1e-3
    report = prune(model, 0.5, budget="global").report
    assert "nothing is kept of '1.weight'" in report.notes[0] and report.notes[0] in str(report)
    assert report.to_json()["notes"] == list(report.notes)
    assert prune(model, 0.5).report.notes == ()
