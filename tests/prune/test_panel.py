"""Masks for the panel kernel: what they keep, for what the kernel would take."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aerogel.prune import prune
from aerogel.prune.panel import LOAD, density, panel_cost
from aerogel.prune.select import smallest

MASKS = [np.array(bits, bool) for bits in product((0, 1), repeat=4)]


def test_the_cost_is_a_load_for_each_live_column_and_one_for_each_weight() -> None:
    kept = np.zeros((6, 3), bool)
    kept[0, 0] = kept[1, 0] = kept[5, 2] = True
    assert panel_cost(kept) == 2 * LOAD + 3
    assert panel_cost(kept, load=0.0) == 3
    assert panel_cost(np.zeros((0, 4), bool)) == 0
    dense = np.ones((8, 5), bool)
    assert panel_cost(dense) == 2 * 5 * (LOAD + 4)


small = hnp.arrays(np.float64, (4, 2), elements=st.floats(0, 1e3).map(lambda v: round(v, 2)))


@given(small, st.sampled_from([0.0, 1.0, LOAD]))
def test_no_choice_of_masks_keeps_more_for_no_more_time(saliency: np.ndarray, load: float) -> None:
    """All 256 pairs of masks against those the densities lead to, wherever a column is not cut in two."""
    ranked = density(saliency, load)
    for threshold in np.unique(ranked[ranked > 0]):
        kept = ranked >= threshold
        spent, gained = panel_cost(kept, load), saliency[kept].sum()
        for a, b in product(MASKS, MASKS):
            other = np.stack([a, b], axis=1)
            if panel_cost(other, load) <= spent:
                assert saliency[other].sum() <= gained * (1 + 1e-12)


def test_without_a_load_it_is_plain_saliency() -> None:
    saliency = np.random.default_rng(0).random((10, 7))
    np.testing.assert_array_equal(density(saliency, 0.0), saliency)


def test_only_zeros_are_worth_nothing_and_short_panels_compete() -> None:
    saliency = np.array([[0.0, 4.0], [0.0, 1e-12], [8.0, 0.0], [0.0, 0.0], [8.0, 0.0]])
    found = density(saliency)
    np.testing.assert_array_equal(found == 0, saliency == 0)
    assert found[2, 0] == found[4, 0] == 8 / (LOAD + 1)


def test_more_is_kept_for_as_much_time() -> None:
    """On a random weight: as many zeros take less time, and for as much time more saliency is kept."""
    squares = np.random.default_rng(0).standard_normal((64, 96)) ** 2
    ranked = density(squares)
    for share in (0.5, 0.8, 0.9):
        plain = ~smallest(squares, round(share * squares.size))
        grouped = ~smallest(ranked, round(share * squares.size))
        assert panel_cost(grouped) < 0.95 * panel_cost(plain)
        counts = range(round(share * squares.size), 0, -8)
        fuller = next(n for n in counts if panel_cost(~smallest(ranked, n)) >= panel_cost(plain))
        as_fast = ~smallest(ranked, fuller + 8)
        assert panel_cost(as_fast) <= panel_cost(plain)
        assert squares[as_fast].sum() > squares[plain].sum()


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_every_method_keeps_columns_of_panels_together(method: str) -> None:
    torch.manual_seed(0)
    layer, data = torch.nn.Linear(64, 32), [torch.randn(200, 64)]
    plain, grouped = (
        prune(layer, 0.8, method=method, pattern=pattern, data=data).masks["weight"]
        for pattern in ("unstructured", "panel4")
    )
    assert panel_cost(grouped) < 0.9 * panel_cost(plain)
