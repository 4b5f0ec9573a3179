"""What the importer makes of networks without tokens, and of weights of all kinds."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.model.agreement import agree, imported  # noqa: E402
from tests.model.zoo import batch, gated, hugging, mlp  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from aerogel.core.errors import InputError  # noqa: E402
from aerogel.model.from_torch import from_torch  # noqa: E402
from aerogel.model.graph import Input, Linear, Value  # noqa: E402
from aerogel.model.reference import evaluate  # noqa: E402


@pytest.mark.parametrize("shape", [(3, 8), (1, 8), (8,), (2, 3, 8), (0, 8)])
def test_a_residual_mlp_agrees_with_torch(shape: tuple[int, ...]):
    module = mlp(nn.GELU())
    graph = from_torch(module, torch.randn(3, 8))
    assert graph.inputs == (Input("input", "features", 8),) and graph.max_length is None
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    found = evaluate(graph, {"input": x})["output"]
    assert found.shape == expected.shape
    assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_gates_matrices_and_norms_without_parameters():
    module = gated()
    graph = from_torch(module, torch.randn(2, 3, 8))
    agree(module, graph, {"x": np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)})
    assert_array_equal(graph.weights["mix.transposed"], module.mix.detach().numpy().T)
    assert_array_equal(graph.weights["norm.weight"], np.ones(24))


def test_torch_keeps_nothing_of_a_trace_for_the_next_one():
    def kept() -> int:
        return sum(type(each).__name__ == "_DispatchCacheValidEntry" for each in gc.get_objects())

    module, example = mlp(nn.GELU()), torch.randn(3, 8)
    before = kept()
    from_torch(module, example)
    assert kept() == before


def test_computed_weights_of_one_name_are_kept_apart():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 4))

        def forward(self, x: Any) -> Any:
            return functional.linear(torch.relu(functional.linear(x, self.w * 2)), self.w * 3)

    module = Twice()
    graph = from_torch(module, torch.randn(3, 4))
    assert set(graph.weights) == {"weight", "weight_1"}
    agree(module, graph, {"x": np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)})


def test_a_product_and_a_sum_are_one_linear():
    class Spelt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = nn.Parameter(torch.randn(8, 4)), nn.Parameter(torch.randn(4))

        def forward(self, x: Any) -> Any:
            return torch.relu(x @ self.w + self.b)

    module = Spelt()
    graph = from_torch(module, torch.randn(3, 8))
    assert graph.ops[0] == Linear(Value("matmul", 4, "rows"), "x", "w.transposed", "b", graph.ops[0].origin)
    agree(module, graph, {"x": np.ones((2, 8), np.float32)})


def test_torchs_own_pruning_masks_are_applied():
    module = mlp()
    prune.l1_unstructured(module[0], "weight", 0.5)
    graph = from_torch(module, torch.randn(3, 8))
    assert np.count_nonzero(graph.weights["0.weight"]) == 64
    agree(module, graph, {"input": np.ones((2, 8), np.float32)})


def test_minus_zero_becomes_zero_in_a_copy():
    module = nn.Linear(4, 4)
    with torch.no_grad():
        module.weight[1, 2] = -0.0
    graph = from_torch(module, torch.randn(3, 4))
    assert not np.signbit(graph.weights["weight"][1, 2])
    assert np.signbit(module.weight[1, 2].detach().numpy())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(bad: float):
    module = mlp()
    with torch.no_grad():
        module[2].up.weight[5, 7] = bad
    with pytest.raises(InputError, match=r"weight '2.up.weight' holds 1 NaN or infinite .* at \(5, 7\)"):
        from_torch(module, torch.randn(3, 8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_converted_and_said_to_be(dtype: Any):
    module = hugging("BertModel", layers=1)
    halves = hugging("BertModel", layers=1).to(dtype)
    graph = imported(halves)
    assert graph.linears()[0].origin.endswith(f"[from {str(dtype).removeprefix('torch.')}]")
    name = graph.linears()[0].weight
    assert_array_equal(graph.weights[name], halves.get_parameter(name).float().detach().numpy())
    agree(module, graph, batch((5, 3)), 0.1)
