"""How much a model's output changes when one layer alone is pruned: which layers can lose most."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aerogel.find.skipped import Skipped

SPARSITIES = (0.5, 0.8)
METHOD = (
    "each layer alone pruned by magnitude, unstructured, without repair; the change of the model's output is "
    "the root mean square of the difference over that of the output, on the sample"
)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """``change``: of the model's output, relative to its size, when ``sparsity`` of this layer's weights
    alone are set to zero."""

    name: str
    shape: tuple[int, int]
    sparsity: float
    change: float


@dataclass(frozen=True, slots=True)
class SensitivityReport:
    """``rows``: layer by layer in the model's order, at each of SPARSITIES; ``about``: what the model was
    fed."""

    about: str
    rows: tuple[Sensitivity, ...]
    missing: tuple[Skipped, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "method": METHOD,
            "rows": [{**asdict(row), "shape": list(row.shape)} for row in self.rows],
            "missing": [asdict(each) for each in self.missing],
        }
