"""What every pruning must keep to: exact counts, ties by index, tied weights once, clear refusals."""

from __future__ import annotations

import copy
import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.prune.units import SIZES, units

import aerogel.prune
from aerogel.core.errors import AerogelError, InputError, UnsupportedError
from aerogel.prune import PATTERNS, prune
from aerogel.prune.panel import LOAD


def linear(weight: np.ndarray) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data = torch.from_numpy(np.array(weight))
    return layer


def oracle(weight: np.ndarray, sparsity: float, pattern: str) -> np.ndarray:
    """The mask, found by sorting a list of (saliency, row-major index)."""
    squares = weight.astype(np.float64) ** 2
    if pattern == "panel4":
        squares = by_time(squares)
    ranked = [(float(squares[place].sum()), place) for _, place in units(pattern, weight.shape)]
    # Sorting is stable, and units come in order.
    ranked.sort(key=lambda unit: unit[0])
    mask = np.ones(weight.shape, bool)
    for _, place in ranked[: round(sparsity * len(ranked))]:
        mask[place] = False
    return mask


def by_time(squares: np.ndarray) -> np.ndarray:
    """Each weight's gain per time: of the set of weights of its panel's column that it enters with."""
    found = squares.copy()
    for top, k in product(range(0, len(squares), 4), range(squares.shape[1])):
        column = sorted(range(top, min(top + 4, len(squares))), key=lambda i: -squares[i, k])
        gains = [squares[column[:n], k].sum() / (LOAD + n) for n in range(1, len(column) + 1)]
        together = int(np.argmax(gains)) + 1
        found[column[:together], k] = max(gains)
    return found


# Few distinct values, so that ties, zeros and -0.0 are common, and squares exact.
weights = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 7)),
    elements=st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5]),
)


@given(weights, st.floats(0, 1), st.sampled_from(list(PATTERNS)))
def test_the_mask_is_the_one_found_by_sorting(weight: np.ndarray, sparsity: float, pattern: str) -> None:
    result = prune(linear(weight), sparsity, pattern=pattern)
    expected = oracle(weight, sparsity, pattern)
    np.testing.assert_array_equal(result.masks["weight"], expected)
    pruned = result.model.weight.detach().numpy()
    np.testing.assert_array_equal(pruned, np.where(expected, weight, 0))
    assert not np.signbit(pruned[~expected]).any()
    (report,) = result.report.layers
    assert report.zeros == np.count_nonzero(pruned == 0)
    assert report.pruned == round(sparsity * report.units)


@given(weights, weights, st.floats(0, 1))
def test_global_scope_ranks_all_layers_in_one_list(a: np.ndarray, b: np.ndarray, sparsity: float) -> None:
    model = torch.nn.ModuleDict({"a": linear(a), "b": linear(b)})
    masks = prune(model, sparsity, scope="global").masks
    joined = np.concatenate([a.reshape(1, -1), b.reshape(1, -1)], axis=1)
    got = np.concatenate([masks["a.weight"].reshape(1, -1), masks["b.weight"].reshape(1, -1)], axis=1)
    np.testing.assert_array_equal(got, oracle(joined, sparsity, "unstructured"))


@pytest.mark.parametrize("pattern", list(PATTERNS))
def test_global_scope_counts_units_of_all_layers(pattern: str) -> None:
    rng = np.random.default_rng(0)
    model = torch.nn.ModuleDict({
        name: linear(rng.standard_normal(shape).astype(np.float32) * scale)
        for name, shape, scale in (("a", (8, 12), 1.0), ("b", (5, 7), 0.1))
    })  # fmt: skip
    found = prune(model, 0.5, scope="global", pattern=pattern).report
    first, second = (layer.pruned / layer.units for layer in found.layers)
    assert sum(r.pruned for r in found.layers) == round(0.5 * sum(r.units for r in found.layers))
    assert first < 0.5 < second == 1.0


@pytest.mark.parametrize("pattern", list(PATTERNS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 3), (8, 8)])
@pytest.mark.parametrize("sparsity", [0, 0.0, 0.5, 1, 1.0])
def test_counts_are_exact_at_the_edges(pattern: str, shape: tuple[int, int], sparsity: float) -> None:
    weight = np.arange(1, 1 + shape[0] * shape[1], dtype=np.float32).reshape(shape)
    result = prune(linear(weight), sparsity, pattern=pattern)
    count = math.prod(-(-n // size) for n, size in zip(shape, SIZES[pattern], strict=True))
    (report,) = result.report.layers
    assert (report.units, report.pruned, report.shape) == (count, round(sparsity * count), shape)
    if sparsity in (0, 1):
        assert result.report.sparsity == sparsity


def test_ties_go_by_lowest_index() -> None:
    mask = prune(linear(np.ones((3, 4), np.float32)), 0.5).masks["weight"]
    np.testing.assert_array_equal(mask.reshape(-1), [False] * 6 + [True] * 6)


def test_zeros_of_either_sign_go_first() -> None:
    weight = np.array([[1e-40, -0.0, 5.0, 0.0, -1e-45]], np.float32)
    np.testing.assert_array_equal(
        prune(linear(weight), 0.4).masks["weight"], [[True, False, True, False, True]]
    )


def test_more_zeros_than_asked_are_all_reported() -> None:
    weight = np.zeros((4, 4), np.float32)
    weight[:, 3] = 1
    (report,) = prune(linear(weight), 0.25).report.layers
    assert (report.pruned, report.zeros, report.sparsity) == (4, 12, 0.75)


@pytest.mark.parametrize("pattern", list(PATTERNS))
def test_zero_rows_columns_and_matrices(pattern: str) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 8)).astype(np.float32)
    for index in (np.s_[2, :], np.s_[:, 5], np.s_[:, :]):
        weight[index] = 0
        mask = prune(linear(weight), 0.5, pattern=pattern).masks["weight"]
        np.testing.assert_array_equal(mask, oracle(weight, 0.5, pattern))


def test_a_partial_last_block_is_a_block_of_its_own() -> None:
    weight = np.array([[3.0], [3.0], [3.0], [3.0], [5.0]], np.float32)  # squares: 36 against 25
    mask = prune(linear(weight), 0.5, pattern="block4x1").masks["weight"]
    np.testing.assert_array_equal(mask[:, 0], [True, True, True, True, False])
    mask = prune(linear(weight.T), 0.5, pattern="block1x4").masks["weight"]
    np.testing.assert_array_equal(mask[0], [True, True, True, True, False])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_dtypes_keep_theirs(dtype: torch.dtype) -> None:
    model = torch.nn.Linear(6, 4).to(dtype)
    result = prune(model, 0.5)
    assert result.model.weight.dtype == dtype
    assert int((result.model.weight == 0).sum()) == 12


def test_a_transposed_weight_is_pruned_where_its_mask_says() -> None:
    layer = torch.nn.Linear(3, 5)
    layer.weight.data = torch.arange(15.0).reshape(3, 5).t()
    result = prune(layer, 0.4)
    np.testing.assert_array_equal(result.model.weight.detach().numpy() != 0, result.masks["weight"])


def test_layers_without_weights_have_nothing_to_prune() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        model = torch.nn.Sequential(torch.nn.Linear(4, 0), torch.nn.Linear(0, 4))
    for pattern in PATTERNS:
        report = prune(model, 0.5, pattern=pattern).report
        assert (report.size, report.zeros, report.sparsity) == (0, 0, 0.0)


def mlp() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 6))


def test_the_model_given_is_left_alone_unless_told() -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    pruned = prune(model, 0.5).model
    assert pruned is not model
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert prune(model, 0.5, inplace=True).model is model
    assert torch.equal(model[0].weight, pruned[0].weight)


def test_pruning_again_changes_nothing() -> None:
    once = prune(mlp(), 0.5)
    twice = prune(once.model, 0.5)
    assert all(np.array_equal(once.masks[name], twice.masks[name]) for name in once.masks)


def test_tied_weights_are_pruned_once() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].weight = model[0].weight  # one parameter
    model[2].weight.data = model[0].weight.data  # two parameters, one memory
    result = prune(model, 0.5, inplace=True)
    assert list(result.masks) == ["0.weight"]
    assert all(int((layer.weight == 0).sum()) == 8 for layer in result.model)
    copied = prune(model, 0.5).model
    assert copied[1].weight is copied[0].weight


def test_a_shared_module_is_pruned_once() -> None:
    shared = torch.nn.Linear(4, 4)
    assert list(prune(torch.nn.Sequential(shared, shared), 0.5).masks) == ["0.weight"]


class Classifier(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)
        self.dense = torch.nn.Linear(4, 4)
        self.pooler = torch.nn.Linear(4, 4)
        self.decoder = torch.nn.Linear(4, 10, bias=False)
        self.decoder.weight = self.table.weight
        self.classifier = torch.nn.Linear(4, 2)


def test_by_default_heads_and_embedding_tables_stay_dense() -> None:
    assert list(prune(Classifier(), 0.5).masks) == ["dense.weight", "pooler.weight"]


def test_layers_chooses_by_expression_or_predicate() -> None:
    assert list(prune(Classifier(), 0.5, layers="^(dense|decoder)$").masks) == [
        "dense.weight",
        "decoder.weight",
    ]
    assert list(prune(Classifier(), 0.5, layers=lambda _, m: m.out_features == 2).masks) == [
        "classifier.weight"
    ]


@pytest.mark.parametrize("sparsity", [-0.01, 1.01, float("nan"), float("inf"), "0.5", None, True])
def test_sparsity_outside_its_range_is_refused(sparsity: object) -> None:
    with pytest.raises(InputError, match="sparsity is"):
        prune(mlp(), sparsity)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_weights_are_refused_by_name_and_nothing_changes(bad: float) -> None:
    model = mlp()
    with torch.no_grad():
        model[2].weight[1, 1] = bad
    first = model[0].weight.detach().clone()
    with pytest.raises(InputError, match=r"'2\.weight' has 1 non-finite"):
        prune(model, 0.5, inplace=True)
    assert torch.equal(model[0].weight, first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "block3x1"}, "pattern 'block3x1' is unknown: did you mean 'block"),
        ({"pattern": "4:4"}, "pattern '4:4': of every M at most N are kept, 1 <= N < M"),
        ({"pattern": "0:4"}, "1 <= N < M"),
        ({"pattern": "2:1000000000000"}, "is unknown"),
        ({"pattern": "1:4"}, "sparsity is 0.5, but pattern 1:4 is 0.75: leave sparsity out"),
        ({"pattern": "2:4", "scope": "global"}, "2:4 is alike in all layers"),
        ({"pattern": ["2:4"]}, "pattern \\['2:4'\\] is unknown"),
        ({"method": "magic"}, "method 'magic' is unknown: choose from magnitude"),
        ({"scope": "world"}, "scope 'world' is unknown"),
        ({"layers": "nowhere"}, "takes none of them"),
        ({"layers": "("}, "not a regular expression"),
        ({"layers": 3}, "a regular expression or a predicate"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prune(mlp(), 0.5, **options)  # type: ignore[arg-type]


def test_models_without_prunable_layers_are_refused() -> None:
    with pytest.raises(InputError, match=r"ReLU has no nn\.Linear"):
        prune(torch.nn.ReLU(), 0.5)
    with pytest.raises(InputError, match="all are heads"):
        prune(torch.nn.ModuleDict({"classifier": torch.nn.Linear(2, 2)}), 0.5)
    with pytest.raises(InputError, match=r"torch\.nn\.Module"):
        prune(np.ones(3), 0.5)  # type: ignore[arg-type]


def test_weights_that_are_not_plain_are_refused() -> None:
    computed = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 3))
    with pytest.raises(UnsupportedError, match="parametrisation"):
        prune(torch.nn.Sequential(computed), 0.5, inplace=True)
    with pytest.raises(AerogelError, match="no weights yet"):
        prune(torch.nn.Sequential(torch.nn.LazyLinear(3)), 0.5, inplace=True)
    with pytest.raises(InputError, match="meta"):
        prune(torch.nn.Linear(3, 3, device="meta"), 0.5)


def test_a_model_that_cannot_be_copied_says_what_to_do() -> None:
    model = mlp()
    model.cached = model[0].weight * 2  # not a leaf: torch refuses to copy it
    with pytest.raises(InputError, match="inplace=True"):
        prune(model, 0.5)


def test_the_report_is_plain_json() -> None:
    report = prune(mlp(), 0.5, pattern="block2x1").report
    read = json.loads(json.dumps(report.to_json()))
    assert (read["pattern"], read["requested"], read["sparsity"]) == ("block2x1", 0.5, 0.5)
    assert [layer["name"] for layer in read["layers"]] == ["0.weight", "2.weight"]
    assert "0.weight" in str(report)


def test_the_module_called_is_the_function() -> None:
    called = aerogel.prune(mlp(), 0.5)  # type: ignore[operator]
    assert isinstance(called, aerogel.prune.PruneResult)
