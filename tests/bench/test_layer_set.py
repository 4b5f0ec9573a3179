"""One layer by itself: what is timed gives the right product, and knows its limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from aerogel.bench.layer_set import COLUMNS, SHAPES, cases, mean
from aerogel.bench.layers import activations, aerogel_layer, weight
from aerogel.tune.layer_call import Precision

CASE = {"outputs": 40, "inputs": 64, "columns": 33}
NAME = "40x64 33 columns"


def test_twelve_cases_with_names_of_their_own() -> None:
    found = cases()
    assert len({case.name for case in found}) == len(found) == len(SHAPES) * len(COLUMNS) == 12
    assert all(case.output for case in found)


def test_the_mean_is_the_geometric_one() -> None:
    assert mean([1.0, 4.0]) == pytest.approx(2.0)
    assert mean(iter([2.0, 4.0, 8.0])) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("pattern", "sparsity", "precision", "error"),
    [("unstructured", 0.0, "fp32", 1e-6), ("block4x1", 0.5, "fp32", 1e-6), ("block4x4", 0.8, "int8", 0.03)],
)
def test_what_is_timed_is_the_product(
    pattern: str, sparsity: float, precision: Precision, error: float
) -> None:
    layer = aerogel_layer(sparsity, pattern, precision)
    layer.prepare(CASE)
    exact = weight(40, 64, sparsity, pattern).astype(np.float64) @ activations(64, 33)
    assert np.abs(layer.result() - exact).max() <= error * np.abs(exact).max()


def test_the_roofline_of_every_prepared_case_is_among_the_facts() -> None:
    layer = aerogel_layer(0.5, "block4x1")
    layer.prepare(CASE)
    facts: dict[str, Any] = layer.facts()
    (floors,) = facts["rooflines_s"].values()
    assert list(facts["rooflines_s"]) == [NAME]
    assert set(floors) == {"arithmetic", "loads", "memory"}
    assert all(math.isfinite(seconds) and seconds > 0 for seconds in floors.values())


@pytest.mark.parametrize("pattern", ["unstructured", "block2x1", "block1x4", "block4x4"])
def test_a_weight_has_exactly_its_share_of_zeros(pattern: str) -> None:
    assert np.count_nonzero(weight(64, 64, 0.75, pattern)) == 64 * 16
