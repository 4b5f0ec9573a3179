"""What pruning did, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One weight [outputs, inputs] after pruning.

    ``units``: its units under the pattern; ``pruned``: how many of them were set to zero;
    ``zeros``: weights that are zero now, kept ones that were zero before included.
    """

    name: str
    shape: tuple[int, int]
    units: int
    pruned: int
    zeros: int

    @property
    def size(self) -> int:
        """Weights in the layer."""
        return self.shape[0] * self.shape[1]

    @property
    def sparsity(self) -> float:
        """Share of the weights that are zero now; 0 for a layer without weights."""
        return self.zeros / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was asked (``requested``: the sparsity of units) and what was done."""

    method: str
    pattern: str
    scope: str
    requested: float
    layers: tuple[LayerReport, ...]

    @property
    def size(self) -> int:
        """Weights in all pruned layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def zeros(self) -> int:
        """Weights of the pruned layers that are zero now."""
        return sum(layer.zeros for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Share of the pruned layers' weights that are zero now; 0 where there are none."""
        return self.zeros / self.size if self.size else 0.0

    def to_json(self) -> dict[str, Any]:
        """All fields, with the sparsity achieved per layer and in all, as what ``json.dumps`` takes."""
        layers = [
            {"name": r.name, "shape": list(r.shape), "units": r.units, "pruned": r.pruned,
             "zeros": r.zeros, "sparsity": r.sparsity}
            for r in self.layers
        ]  # fmt: skip
        asked = {
            "method": self.method,
            "pattern": self.pattern,
            "scope": self.scope,
            "requested": self.requested,
        }
        done = {
            "requested": self.requested,
            "size": self.size,
            "zeros": self.zeros,
            "sparsity": self.sparsity,
            "layers": layers,
        }
        return asked | done

    def __str__(self) -> str:
        width = max((len(layer.name) for layer in self.layers), default=5)
        rows: list[tuple[str, str, float]] = [
            (r.name, f"{r.shape[0]} x {r.shape[1]}", r.sparsity) for r in self.layers
        ]
        rows.append(("all", f"{self.size}", self.sparsity))
        lines = [f"{n:<{width}}  {s:>13}  {z:>6.1%} zeros" for n, s, z in rows]
        head = f"{self.method}, {self.pattern}, per {self.scope}: {self.requested:.1%} asked"
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class PruneResult:
    """``model``: the pruned module; ``masks``: for each pruned parameter, by name, a bool array of its
    shape, True where a weight may be non-zero; ``report``: what was done."""

    model: torch.nn.Module
    masks: Mapping[str, NDArray[np.bool_]]
    report: PruneReport
