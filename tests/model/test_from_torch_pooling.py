"""What the importer makes of steps after the last layer: pooling, merged tokens, changes in place."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.model.agreement import agree, imported  # noqa: E402
from tests.model.zoo import POOLS, Over, batch, masked, pooled, randomized  # noqa: E402
from torch.nn import functional  # noqa: E402

from aerogel.core.errors import UnsupportedError  # noqa: E402
from aerogel.model.graph import Activation, Embedding, Linear, Normalize, Pool  # noqa: E402


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
        return masked(y, mask)

    module = randomized(Over(followed))
    agree(module, imported(module), batch((4, 2)))

    def behind(x: Any, mask: Any) -> Any:
        y = x.clone()
        z = y.view(-1, 8)
        y.relu_()
        return z.view(*mask.shape, 8)

    with pytest.raises(UnsupportedError, match="read through another view afterwards"):
        imported(Over(behind).eval())
