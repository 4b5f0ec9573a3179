"""How much a model's output changes when one layer alone is pruned, by pattern and share of zeros, and from
which share on that layer is faster: which layers can lose most, and where it pays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from aerogel.find.paymap import MapRow, PayMap, Use
from aerogel.find.skipped import Skipped
from aerogel.prune.pattern import pattern_named
from aerogel.tune.breakeven import Breakeven, Way

PATTERNS = ("unstructured", "block4x1", "block1x4", "2:4")
"""As many as can be told apart in a picture, one of each kind."""
SHARES = (0.5, 0.8, 0.7, 0.9, 0.3)
"""The most telling first: what there is no time for is left out from the end."""
METHOD = (
    "each layer alone pruned by magnitude, without repair; the change of the model's output is the root mean "
    "square of the difference over that of the output, on the sample"
)


def sweep() -> Iterator[tuple[str, float]]:
    """Every pattern at every share, the most telling first; N:M at its own share alone."""
    fixed = {name: pattern_named(name).sparsity for name in PATTERNS}
    for share in SHARES:
        for name in PATTERNS:
            if fixed[name] is None or fixed[name] == share:
                yield name, share


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """``change``: of the model's output, relative to its size, when ``sparsity`` of this layer's units of
    ``pattern`` alone are set to zero."""

    name: str
    shape: tuple[int, int]
    sparsity: float
    change: float
    pattern: str = "unstructured"


@dataclass(frozen=True, slots=True)
class Pays:
    """From which share of zeros on a layer, computed in this ``way``, is faster than dense in float32:
    measured for the product it is part of, at ``columns`` columns. Of both precisions the one that needs
    fewer zeros."""

    name: str
    way: Way
    columns: int
    breakeven: Breakeven

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "pattern": self.way.pattern,
            "precision": self.way.precision,
            "columns": self.columns,
            **asdict(self.breakeven),
        }


@dataclass(frozen=True, slots=True)
class SensitivityReport:
    """``rows``: layer by layer in the model's order, by pattern, by share; ``about``: what the model was fed;
    ``pays``: where zeros pay, for the layers and patterns of which that was measured."""

    about: str
    rows: tuple[Sensitivity, ...]
    missing: tuple[Skipped, ...]
    pays: tuple[Pays, ...] = ()

    def curve(self, name: str, pattern: str) -> tuple[Sensitivity, ...]:
        """One layer under one pattern, by ascending share; empty where there was no time for it."""
        return tuple(row for row in self.rows if (row.name, row.pattern) == (name, pattern))

    def pays_from(self, name: str, pattern: str) -> Pays | None:
        return next((p for p in self.pays if (p.name, p.way.pattern) == (name, pattern)), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "method": METHOD,
            "rows": [{**asdict(row), "shape": list(row.shape)} for row in self.rows],
            "pays": [each.to_json() for each in self.pays],
            "missing": [asdict(each) for each in self.missing],
        }


def with_breakevens(report: SensitivityReport, uses: Iterable[Use], pay: PayMap) -> SensitivityReport:
    """``report`` and where zeros pay, by the map, at its largest number of columns that each layer sees."""
    found: list[Pays] = []
    use_of = {name: use for use in uses for name in use.layers}
    for name in dict.fromkeys(row.name for row in report.rows):
        use = use_of.get(name)
        if use is None:
            continue
        columns = pay.columns[0] if use.pooled else pay.columns[-1]
        rows = [row for row in pay.rows if row.curve.columns == columns and _is_of(row, use)]
        for pattern in PATTERNS:
            here = [row for row in rows if row.curve.way.pattern == pattern]
            if here:
                best = min(here, key=_needed)
                found.append(Pays(name, best.curve.way, columns, best.over_dense))
    return replace(report, pays=tuple(found))


def _is_of(row: MapRow, use: Use) -> bool:
    return (row.curve.outputs, row.curve.inputs) == (use.outputs, use.inputs)


def _needed(row: MapRow) -> tuple[float, int]:
    """The share from which on it is proven to pay, a full one for what never does; fp32 first of equals."""
    proven = row.over_dense.verdict == "pays" and row.over_dense.high is not None
    return (row.over_dense.high or 0.0) if proven else 2.0, int(row.curve.way.precision != "fp32")
