"""A gain as a product: what our runtime, 8-bit integers and zeros each bring over another runtime in fp32."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from aerogel.bench.peers import PEERS
from aerogel.bench.variant import Variant
from aerogel.measure import CaseResult, Ratio

if TYPE_CHECKING:
    from aerogel.bench.table import Table

Cause = Literal["runtime", "int8", "sparsity"]


@dataclass(frozen=True, slots=True)
class Factor:
    """What one change brings: ``ratio`` is of two rows that differ by this alone."""

    cause: Cause
    ratio: Ratio

    def to_json(self) -> dict[str, Any]:
        return {"cause": self.cause, **self.ratio.to_json()}


@dataclass(frozen=True, slots=True)
class FactoredGain:
    """``total`` of ``case``, and its factors. Each number is a median of paired ratios, so the product of the
    factors is near the total and not exactly it."""

    case: str
    total: Ratio
    factors: tuple[Factor, ...]

    @property
    def product(self) -> float:
        return math.prod(factor.ratio.value for factor in self.factors)

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "total": self.total.to_json(),
            "factors": [factor.to_json() for factor in self.factors],
            "product": self.product,
        }

    def __str__(self) -> str:
        parts = " x ".join(f"{factor.cause} {factor.ratio}" for factor in self.factors)
        return f"{self.case}, {self.total.contender}: {self.total} = {parts}"


def factored_gains(table: Table) -> tuple[FactoredGain, ...]:
    """For every case and every row of our own that is not the dense fp32 one, where the table has the rows
    that take it apart: another runtime in fp32, our own dense in fp32, and for int8 with zeros our own dense
    in int8."""
    base = _base(table)
    names = {variant: row for row, variant in _known(table).items()}
    dense = names.get(Variant())
    if base is None or dense is None:
        return ()
    found: list[FactoredGain] = []
    for case in table.timed:
        for variant, row in names.items():
            chain = _chain(variant, names)
            if row != dense and chain is not None:
                found.append(_gain(case, base, [("runtime", dense), *chain]))
    return tuple(found)


def _known(table: Table) -> dict[str, Variant]:
    """Our own rows as they were made; where from does not matter here."""
    return {row: replace(table.variants[row], file=None) for row in table.rows if row in table.variants}


def _chain(variant: Variant, names: dict[Variant, str]) -> list[tuple[Cause, str]] | None:
    """From our dense fp32 row to ``variant``, one cause at a time; None where a row between is missing."""
    chain: list[tuple[Cause, str]] = []
    if variant.precision == "int8":
        between = names.get(Variant(precision="int8"))
        if between is None:
            return None
        chain.append(("int8", between))
    if variant.sparsity is not None:
        chain.append(("sparsity", names[variant]))
    return chain


def _gain(case: CaseResult, base: str, chain: list[tuple[Cause, str]]) -> FactoredGain:
    factors: list[Factor] = []
    over = base
    for cause, row in chain:
        factors.append(Factor(cause, case.speedup(row, over=over)))
        over = row
    return FactoredGain(case.name, case.speedup(over, over=base), tuple(factors))


def _base(table: Table) -> str | None:
    """Another runtime that computes in fp32 and makes nothing of zeros: the one that all are compared with,
    if it is such, else the first."""
    plain = {peer.row for peer in PEERS.values() if peer.precision == "fp32" and not peer.skips_zeros}
    reference = table.comparison.reference
    return next((row for row in (reference, *table.rows) if row in plain), None)
