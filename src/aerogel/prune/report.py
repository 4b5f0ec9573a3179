"""What pruning did, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    ``relative_error``: of the layer's output on the calibration data, root mean square, right after it was
    pruned: None where no data reached it. ``seconds``: to prune it, running the model not counted.
    """

    name: str
    shape: tuple[int, int]
    units: int
    pruned: int
    zeros: int
    relative_error: float | None = None
    seconds: float | None = None

    @property
    def size(self) -> int:
        """Weights in the layer."""
        return self.shape[0] * self.shape[1]

    @property
    def sparsity(self) -> float:
        """Share of the weights that are zero now; 0 for a layer without weights."""
        return self.zeros / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """``first_loss``, ``last_loss``: means over the first and last few steps; ``stopped_early``: before its
    time was up, since nothing was gained any more or the caller said so. ``unseen_before``,
    ``unseen_after``: the loss on batches that were not trained on, None where there were too few; ``undone``:
    it had risen, so the weights are as they were."""

    steps: int
    seconds: float
    first_loss: float
    last_loss: float
    stopped_early: bool
    unseen_before: float | None = None
    unseen_after: float | None = None
    undone: bool = False


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was asked (``requested``: the sparsity of units, on average) and what was done.

    ``peak_bytes``: the most that calibration held at one time; ``recovery``: what training did; each None
    where there was none. ``precision``: ``int8`` where weights lie on a grid, see ``torch_grid``.
    ``method``: the preset, or the importance; ``importance``, ``budget``, ``recoveries``: the axes, as named.
    ``seconds``: all of it took, recovery included, None where unknown; ``notes``: what is worth knowing of
    it; ``restored``: how many layers a run that was interrupted had pruned, see ``checkpoint``.
    """

    method: str
    pattern: str
    scope: str
    requested: float
    layers: tuple[LayerReport, ...]
    peak_bytes: int | None = None
    recovery: RecoveryReport | None = None
    precision: str = "fp32"
    importance: str | None = None
    budget: str = "uniform"
    recoveries: tuple[str, ...] = ()
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    restored: int = 0

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
             "zeros": r.zeros, "sparsity": r.sparsity, "relative_error": r.relative_error,
             "seconds": r.seconds}
            for r in self.layers
        ]  # fmt: skip
        asked = {
            "method": self.method,
            "pattern": self.pattern,
            "scope": self.scope,
            "precision": self.precision,
            "importance": self.importance,
            "budget": self.budget,
            "recoveries": list(self.recoveries),
        }
        done = {
            "requested": self.requested,
            "size": self.size,
            "zeros": self.zeros,
            "sparsity": self.sparsity,
            "peak_bytes": self.peak_bytes,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "restored": self.restored,
            "recovery": None if self.recovery is None else asdict(self.recovery),
            "layers": layers,
        }
        return asked | done

    def _choices(self) -> str:
        budget = "" if self.budget in ("uniform", "global") else f", budget {self.budget}"
        return ", then ".join([self.method, *self.recoveries]) + budget

    def __str__(self) -> str:
        width = max((len(layer.name) for layer in self.layers), default=5)
        grid = ", int8" if self.precision == "int8" else ""
        lines = [f"{self._choices()}, {self.pattern}{grid}, per {self.scope}: {self.requested:.1%} asked"]
        for r in self.layers:
            error = "" if r.relative_error is None else f"  output off by {r.relative_error:6.1%}"
            size = f"{r.shape[0]} x {r.shape[1]}"
            lines.append(f"{r.name:<{width}}  {size:>13}  {r.sparsity:>6.1%} zeros{error}")
        lines.append(f"{'all':<{width}}  {self.size:>13}  {self.sparsity:>6.1%} zeros")
        if self.peak_bytes is not None:
            lines.append(f"calibration held at most {self.peak_bytes / 2**20:.0f} MiB")
        if self.recovery is not None:
            r = self.recovery
            lines.append(f"recovery: {r.steps} steps in {r.seconds:.0f} s, "
                         f"loss {r.first_loss:.4f} -> {r.last_loss:.4f}")  # fmt: skip
            if r.unseen_before is not None:
                undone = ", which is worse, so it was undone: give it more time" if r.undone else ""
                lines.append(f"on data it did not see: {r.unseen_before:.4f} -> {r.unseen_after:.4f}{undone}")
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True)
class PruneResult:
    """``model``: the pruned module; ``masks``: for each pruned parameter, by name, a bool array of its
    shape, True where a weight may be non-zero; ``report``: what was done."""

    model: torch.nn.Module
    masks: Mapping[str, NDArray[np.bool_]]
    report: PruneReport
