"""Products cut into parts, features of single numbers, torch's own encoder layers: the numbers of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.model.agreement import agree, imported  # noqa: E402
from tests.model.zoo import LENGTHS, Over, batch, hugging, randomized  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import aerogel  # noqa: E402
from aerogel.core.errors import UnsupportedError  # noqa: E402
from aerogel.model.compile import build  # noqa: E402
from aerogel.model.from_torch import from_torch  # noqa: E402
from aerogel.model.graph import Graph, Linear  # noqa: E402
from aerogel.model.torch_shapes import Shape, reshaped  # noqa: E402

WIDTH, HEADS = 16, 4
EACH = WIDTH // HEADS


def permuted(y: Any) -> Any:
    return y.view(*y.shape[:2], 3, HEADS, EACH).permute(2, 0, 3, 1, 4)


def unbound(y: Any) -> Any:
    return (part.transpose(1, 2) for part in y.view(*y.shape[:2], 3, HEADS, EACH).unbind(2))


def indexed(y: Any) -> Any:
    parts = y.unflatten(-1, (3, HEADS, EACH))
    return (parts[:, :, i].transpose(1, 2) for i in (0, -2, 2))


def heads_of(*parts: Any) -> Any:
    return (p.view(*p.shape[:2], HEADS, EACH).transpose(1, 2) for p in parts)


SPELLINGS = {
    "permuted": permuted,
    "unbound": unbound,
    "indexed": indexed,
    "chunks": lambda y: heads_of(*y.chunk(3, -1)),
    "parts of a size": lambda y: heads_of(*y.split(WIDTH, -1)),
    "parts of sizes": lambda y: heads_of(*y.split([WIDTH, WIDTH, WIDTH], dim=2)),
    "slices": lambda y: heads_of(y[..., :WIDTH], y[:, :, WIDTH:-WIDTH], y[..., -WIDTH:]),
}


class Fused(nn.Module):
    """Attention whose queries, keys and values are one product."""

    def __init__(self, spelling: str, bias: bool = True) -> None:
        super().__init__()
        self.table, self.qkv = nn.Embedding(100, WIDTH), nn.Linear(WIDTH, 3 * WIDTH, bias=bias)
        self.out, self.parts = nn.Linear(WIDTH, WIDTH), SPELLINGS[spelling]

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        q, k, v = self.parts(self.qkv(self.table(input_ids)))
        seen = attention_mask[:, None, None, :].bool().expand(-1, 1, q.shape[2], -1)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).flatten(2))


QUICK = ("permuted", "chunks")


@pytest.mark.parametrize(
    "spelling", [s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in SPELLINGS]
)
def test_queries_keys_and_values_of_one_product(spelling: str):
    module = randomized(Fused(spelling, bias=spelling != "chunks"))
    graph = imported(module)
    names = [op.weight for op in graph.linears()]
    assert names == ["qkv[0:16].weight", "qkv[16:32].weight", "qkv[32:48].weight", "out.weight"]
    assert "qkv.weight" not in graph.weights
    agree(module, graph, batch((7, 3, 5, 1)))


class Layers(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 24, batch_first=True, **options)
        self.table = nn.Embedding(100, WIDTH)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.layers(self.table(input_ids), src_key_padding_mask=attention_mask == 0)


@pytest.mark.parametrize(
    "options",
    [
        {"norm_first": True, "activation": "gelu"},
        pytest.param({"norm_first": False}, marks=pytest.mark.slow),
        pytest.param({"bias": False}, marks=pytest.mark.slow),
    ],
)
def test_torchs_own_encoder_layers(options: dict[str, Any]):
    module = randomized(Layers(**options))
    graph = imported(module)
    for lengths in LENGTHS.values():
        agree(module, graph, batch(lengths))


class Halves(nn.Module):
    """A gated product, single numbers, and several."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 12), nn.Linear(6, 4)

    def forward(self, x: Any) -> dict[str, Any]:
        gate, value = self.inner(x).chunk(2, dim=-1)
        y = self.outer(functional.silu(gate) * value)
        return {
            "one": y[..., 0],
            "last": y[..., -1:],
            "few": y[..., 1:3],
            "uneven": y.split(3, -1)[1].squeeze(-1),
        }


@pytest.mark.parametrize("shape", [(3, 8), pytest.param((2, 3, 8), marks=pytest.mark.slow)])
def test_gates_and_single_features(shape: tuple[int, ...]):
    module = randomized(Halves())
    graph = from_torch(module, torch.randn(2, *shape[1:]))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    agree(module, graph, {"x": x})
    assert [o.squeezed for o in graph.outputs] == [True, False, False, True]
    program = build(graph, plan="quick")
    with torch.no_grad():
        expected = module(torch.from_numpy(x))
    for name, found in program(x=x).items():
        assert_allclose(found, expected[name].numpy(), rtol=1e-5, atol=1e-5)
    assert program(x=x[:0])["one"].shape == (0, *shape[1:-1])


@pytest.mark.parametrize(
    "name",
    [
        "BertForQuestionAnswering",
        pytest.param("DistilBertForQuestionAnswering", marks=pytest.mark.slow),
        pytest.param("RobertaForQuestionAnswering", marks=pytest.mark.slow),
        pytest.param("ElectraForPreTraining", marks=pytest.mark.slow),
    ],
)
def test_one_number_per_token(name: str, tmp_path: Path):
    module = hugging(name, layers=1)
    graph = imported(module)
    given = batch((7, 3, 5, 1))
    with torch.no_grad():
        expected = module(**{k: torch.from_numpy(v) for k, v in given.items()})
    program = build(graph, plan="quick")
    program.save(tmp_path / "m.aero", embeddings="fp32")
    for ready in (program, aerogel.load(tmp_path / "m.aero", plan="quick")):
        found = ready(**given)
        found = found if isinstance(found, dict) else {graph.outputs[0].name: found}
        for output, array in found.items():
            assert array.shape == (4, 7)
            assert_array_equal(array[given["attention_mask"] == 0], 0)
            wanted = expected[output].numpy() * given["attention_mask"]
            assert_allclose(array, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda x, m: x.chunk(2, -1)[0] * m[..., None],
            "takes part of the features of embedding, which is no",
        ),
        (lambda x, m: x.chunk(2, 1)[0], r"splits dimension 1 of \('B', 'S', 'F'\): only features"),
        (lambda x, m: x.transpose(0, 1).reshape(-1, 8), r"laid out as \('SB', 'F'\)"),
        (lambda x, m: (x.mean(-1), m[..., None] * x), "reduces dimension 2 .*only the tokens"),
        (lambda x, m: (x.amax(-1), m[..., None] * x), "reduces dimension 2 .*only the tokens"),
        (lambda x, m: x.view(x.shape[0], -1), "reshapes"),
        (lambda x, m: (x * m[..., None]).squeeze(-1), r"squeezes \['F'\]"),
    ],
)
def test_what_no_cut_of_a_product_gives_is_refused(step: Any, message: str):
    with pytest.raises(UnsupportedError, match=message):
        imported(Over(step).eval())


def linears(graph: Graph) -> int:
    return sum(isinstance(op, Linear) for op in graph.ops)


def test_a_product_read_whole_and_in_part_is_kept_whole_too():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 4)

        def forward(self, x: Any) -> Any:
            y = self.inner(x)
            return y, y[..., 1:2]

    module = randomized(Both())
    graph = from_torch(module, torch.randn(3, 8))
    assert linears(graph) == 2
    x = np.ones((2, 8), np.float32)
    with torch.no_grad():
        whole, part = module(torch.from_numpy(x))
    found = build(graph, plan="quick")(x=x)
    assert_allclose(found["output_0"], whole.numpy(), rtol=1e-5)
    assert_allclose(found["output_1"], part.numpy(), rtol=1e-5)


# --- reshapes by themselves ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "sizes", "after", "found"),
    [
        ("B S F", (3, 5, 24), (3, 5, 4, 6), "B S H D"),
        ("B S F", (3, 5, 24), (3, 5, 2, 4, 3), "B S P H D"),
        ("B S F", (3, 5, 24), (15, 24), "BS F"),
        ("BS F", (15, 24), (3, 5, 24), "B S F"),
        ("S B F", (5, 3, 24), (15, 24), "SB F"),
        ("SB F", (15, 24), (5, 3, 24), "S B F"),
        ("S B F", (5, 3, 24), (5, 12, 6), "S BH D"),
        ("B S H D", (3, 5, 4, 6), (3, 5, 24), "B S F"),
        ("B S H D", (3, 5, 4, 6), (15, 24), "BS F"),
        ("B S F", (3, 5, 24), (3, 1, 5, 24), "B 1 S F"),
        ("B 1 F", (3, 1, 24), (3, 24), "B F"),
        ("B S F", (3, 5, 1), (3, 5, 1, 1), "B S F 1"),
        ("L0 L1 F", (3, 5, 24), (3, 5, 4, 6), "L0 L1 H D"),
        ("L0 L1 F", (3, 5, 24), (15, 24), None),
        ("B S F", (3, 5, 24), (5, 3, 24), None),
        ("B S F", (3, 5, 24), (3, 120), None),
        ("B S F", (3, 5, 24), (3, 5, 5), None),
        ("B S F", (3, 5, 24), (3, 5, 2, 2, 2, 3), None),
        ("B H S D", (3, 4, 5, 6), (12, 5, 6), "BH S D"),
        ("B H S D", (3, 4, 5, 6), (3, 20, 6), None),
    ],
)
def test_reshapes(axes: str, sizes: tuple[int, ...], after: tuple[int, ...], found: str | None):
    heads = sizes[axes.split().index("H")] if "H" in axes.split() else 1
    got = reshaped(Shape(tuple(axes.split()), sizes, heads), after, (3, 5))
    assert (None if got is None else " ".join(got.axes)) == found
    if got is not None and "H" in "".join(got.axes):
        assert got.heads == 4


def test_what_was_joined_comes_apart_again():
    joined = Shape(("BH", "S", "D"), (12, 5, 6), 4)
    assert reshaped(joined, (3, 4, 5, 6), (3, 5)) == Shape(("B", "H", "S", "D"), (3, 4, 5, 6), 4)
