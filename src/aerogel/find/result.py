"""All that an inspection found, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aerogel.find.activations import ActivationReport
from aerogel.find.cost import CostReport
from aerogel.find.history import UNKNOWN, History
from aerogel.find.sensitivity import SensitivityReport
from aerogel.find.skipped import Skipped
from aerogel.find.timing import Timing
from aerogel.find.verdict import Verdict
from aerogel.find.weights import WeightReport
from aerogel.measure import Machine

VERSION = 1


@dataclass(frozen=True)
class Header:
    """``kind``: directory, factory, artefact or module. ``refusal``: why compile would refuse the model, None
    where it would not. ``history``: how it was made sparse, as its files say."""

    model: str
    kind: str
    refusal: str | None
    history: History = UNKNOWN


Section = (
    Header | WeightReport | ActivationReport | CostReport | Timing | SensitivityReport | Verdict | Skipped
)
"""What an inspection hands out, one after the other, as soon as it is known."""


@dataclass(frozen=True)
class Inspection:
    """``activations`` is None where ``skipped`` says why, ``sensitivity`` where it was not asked for.
    ``seconds``: what it took. ``str()`` is a report."""

    header: Header
    weights: WeightReport
    activations: ActivationReport | None
    costs: CostReport
    timing: Timing
    sensitivity: SensitivityReport | None
    verdict: Verdict
    skipped: tuple[Skipped, ...]
    machine: Machine
    seconds: float

    def sections(self) -> tuple[Section, ...]:
        """In the order in which they are found."""
        found = (
            self.header,
            self.weights,
            self.activations,
            *self.skipped,
            self.costs,
            self.timing,
            self.sensitivity,
            self.verdict,
        )
        return tuple(section for section in found if section is not None)

    def to_json(self) -> dict[str, Any]:
        """As ``json.dumps`` takes it, ``version`` first: it grows when a reader must know of a change."""
        return {
            "version": VERSION,
            "model": self.header.model,
            "kind": self.header.kind,
            "refusal": self.header.refusal,
            "history": self.header.history.to_json() if self.header.history else None,
            "verdict": self.verdict.to_json(),
            "weights": self.weights.to_json(),
            "activations": None if self.activations is None else self.activations.to_json(),
            "costs": self.costs.to_json(),
            "timing": self.timing.to_json(),
            "sensitivity": None if self.sensitivity is None else self.sensitivity.to_json(),
            "skipped": {s.what: s.why for s in self.skipped},
            "machine": self.machine.to_json(),
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        from aerogel.find.render import text

        return "\n\n".join(text(section) for section in self.sections())
