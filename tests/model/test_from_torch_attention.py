"""Attention under masks of all kinds: the padding mask and a bias by distance, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.model.agreement import agree, imported  # noqa: E402
from tests.model.zoo import VOCABULARY, batch, randomized  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from aerogel.core.errors import UnsupportedError  # noqa: E402
from aerogel.model.graph import Attention  # noqa: E402


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
