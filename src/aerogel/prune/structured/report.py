"""What structured removal did, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class RemovedUnits:
    """Of ``units`` channels, heads or neurons (``kind``) that the layer ``name`` makes, ``removed`` are gone,
    from all of ``weights``, the parameters and buffers that were cut."""

    name: str
    kind: str
    units: int
    removed: int
    weights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptWhole:
    """Nothing was removed of what the layer ``name`` makes, since ``reason``."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StructuredReport:
    """``requested``: the share of units; ``parameters``, ``parameters_before``: numbers in them, tied ones
    once. ``largest_difference``: between the smaller model's outputs and those of the dense model with the
    same units zeroed, relative to the largest output, on the first batch: rounding alone; None where units
    removed before were removed again, without data. ``reload``: how a Hugging Face model is loaded again,
    empty for others. ``notes``: what was asked and cannot be."""

    pattern: str
    importance: str
    requested: float
    removed: tuple[RemovedUnits, ...]
    kept: tuple[KeptWhole, ...]
    parameters_before: int
    parameters: int
    largest_difference: float | None
    budget: str = "uniform"
    reload: str = ""
    notes: tuple[str, ...] = ()

    @property
    def sparsity(self) -> float:
        """The share of all of the model's parameters that is gone."""
        return 1 - self.parameters / self.parameters_before if self.parameters_before else 0.0

    def to_json(self) -> dict[str, Any]:
        """All fields and the sparsity, as what ``json.dumps`` takes."""
        return asdict(self) | {"sparsity": self.sparsity}

    def __str__(self) -> str:
        where = " of all together" if self.budget == "global" else ""
        lines = [f"{self.pattern} removal by {self.importance}: {self.requested:.1%} of units{where} asked"]
        width = max((len(r.name) for r in (*self.removed, *self.kept)), default=0)
        for r in self.removed:
            plural = "" if r.units == 1 else "s"
            lines.append(f"{r.name:<{width}}  {r.removed} of {r.units} {r.kind}{plural} removed")
        lines += [f"{k.name:<{width}}  whole: {k.reason}" for k in self.kept]
        lines += [f"note: {told}" for told in self.notes]
        lines.append(
            f"{self.parameters_before} -> {self.parameters} parameters, {self.sparsity:.1%} of them gone"
        )
        lines += [self.reload] if self.reload else []
        return "\n".join(lines)


@dataclass(frozen=True)
class StructuredResult:
    """``model``: the smaller module; ``masks``: for each parameter of the dense model that was cut, by name,
    a bool array of its dense shape, True where a weight stayed; ``report``: what was done; ``units``: what
    went, as what ``json.dumps`` takes: ``remove_units(dense, units=...)`` removes it again."""

    model: torch.nn.Module
    masks: Mapping[str, NDArray[np.bool_]]
    report: StructuredReport
    units: Mapping[str, Any]
