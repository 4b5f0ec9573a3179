"""The frozen answer to "which kernel for which layer": printable, comparable, replayable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aerogel.core.errors import FormatError, require
from aerogel.formats.panel import Kind


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to store and run a layer. ``block``: columns per block, 0 for the whole row.
    ``dense``: zeros are stored and multiplied like any other number."""

    kind: Kind
    block: int
    dense: bool = False

    def __str__(self) -> str:
        if self.dense:
            return "dense"
        return self.kind if self.block == 0 else f"{self.kind}/{self.block}"


# Where the few-columns choice ends: one vector of the widest target.
FEW_COLUMNS = 16


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """The choices for one layer, for many columns and for few (up to FEW_COLUMNS), and the evidence:
    seconds of every candidate timed (best of several runs, one thread); empty when nothing was timed."""

    layer: str
    many: Candidate
    few: Candidate
    many_seconds: Mapping[str, float]
    few_seconds: Mapping[str, float]

    def choice(self, columns: int) -> Candidate:
        """What runs at that many columns."""
        return self.few if columns <= FEW_COLUMNS else self.many


@dataclass(frozen=True, slots=True)
class Plan:
    """Choices for all linear layers of a network, made for one target at one number of columns."""

    target: str
    columns: int
    layers: tuple[LayerPlan, ...]

    def of(self, layer: str) -> LayerPlan:
        """The entry for ``layer``; FormatError if the plan does not know it."""
        for entry in self.layers:
            if entry.layer == layer:
                return entry
        known = ", ".join(entry.layer for entry in self.layers[:3])
        raise FormatError(
            f"the plan has no layer {layer!r} (it has {known}, ...): make a new plan for this model"
        )

    @property
    def fingerprint(self) -> str:
        """Same choices, same target: same fingerprint. Timings do not count."""
        choices = [(entry.layer, str(entry.many), str(entry.few)) for entry in self.layers]
        return hashlib.sha256(json.dumps([self.target, choices]).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "columns": self.columns,
            "fingerprint": self.fingerprint,
            "layers": [asdict(e) for e in self.layers],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Plan:
        """The plan that ``to_json`` wrote; FormatError if it is not one."""
        try:
            layers = tuple(
                LayerPlan(
                    str(e["layer"]),
                    _candidate(e["many"]),
                    _candidate(e["few"]),
                    _seconds(e["many_seconds"]),
                    _seconds(e["few_seconds"]),
                )
                for e in data["layers"]
            )
            return Plan(str(data["target"]), int(data["columns"]), layers)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FormatError(f"this is not a plan ({error!r}): give what Plan.to_json returned") from error

    def __str__(self) -> str:
        lines = [f"plan {self.fingerprint} for {self.target.split('/')[0]}, timed at {self.columns} columns"]
        for e in self.layers:
            lines.append(f"  {e.layer}: {e.many}{_evidence(e.many_seconds)}")
            if e.few != e.many or e.few_seconds:
                lines.append(f"    up to {FEW_COLUMNS} columns: {e.few}{_evidence(e.few_seconds)}")
        return "\n".join(lines)


def _evidence(seconds: Mapping[str, float]) -> str:
    timed = ", ".join(f"{name} {s * 1e6:.0f} us" for name, s in sorted(seconds.items(), key=lambda i: i[1]))
    return f"  ({timed})" if timed else ""


def _seconds(data: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in data.items()}


def _candidate(data: Mapping[str, Any]) -> Candidate:
    kind, block = data["kind"], int(data["block"])
    require(kind in ("panel", "quad"), FormatError, f"kernel kind {kind!r} is unknown: panel or quad")
    require(block >= 0, FormatError, f"a block of {block} columns is impossible")
    dense = data["dense"]
    require(isinstance(dense, bool), FormatError, f"dense is {dense!r}: it must be true or false")
    require(kind == "panel" or not dense, FormatError, f"a {kind} cannot be dense: only a panel can")
    return Candidate(kind, block, dense)
