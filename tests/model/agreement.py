"""A module imported, and the reference interpreter of its graph compared with torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.testing import assert_allclose, assert_array_equal
from tests.model.zoo import as_torch, batch
from torch import nn

from aerogel.model.from_torch import from_torch
from aerogel.model.graph import Graph
from aerogel.model.reference import evaluate

EXAMPLE = as_torch(batch((5, 3)))


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
