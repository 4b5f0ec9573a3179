"""Layers of a pruned network on the chip."""

import numpy as np
import pytest

from aerogel.bench.chip.layers import LayerPlan, _Case, _on_chip, pruned
from aerogel.chip.energy.model import load_model
from aerogel.chip.fabric.read import load
from aerogel.measure import Settings


def test_the_smallest_weights_go():
    weight = np.array([[3.0, -1.0], [0.5, -2.0]], np.float32)
    assert pruned(weight, 0.5).tolist() == [[3.0, 0.0], [0.0, -2.0]]
    assert pruned(weight, 0.0).tolist() == weight.tolist()
    assert np.count_nonzero(pruned(np.ones((4, 5), np.float32), 0.9)) == 2


@pytest.mark.slow
def test_both_modes_compute_the_layer():
    rng = np.random.default_rng(0)
    weight, tokens = (rng.integers(-2, 3, shape).astype(np.float32) for shape in ((12, 10), (6, 10)))
    plan = LayerPlan(load(), load_model(), Settings())
    dense, sparse = _on_chip(_Case("some", 0.0, weight, tokens), plan, None)
    # Whole numbers so small have no rounding: the results were compared with float64.
    assert dense.error == sparse.error == 0
    assert dense.joules > 0 and sparse.joules > 0 and dense.cycles != sparse.cycles
