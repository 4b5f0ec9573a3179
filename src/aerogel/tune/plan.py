"""The frozen answer to "which kernel for which layer": printable, comparable, replayable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from aerogel.core.errors import FormatError, require
from aerogel.formats.rows import Form
from aerogel.kernels.few_tiled import MOST_COLUMNS

# "rows" to "sliced": see ``formats.bitmap`` and ``sliced``; the first of them stores zeros, too.
Way = Literal["panel", "quad", "rows", "bitmap", "nested", "sliced"]
FORMS: Mapping[str, Form] = {"rows": "dense", "bitmap": "bitmap", "nested": "nested", "sliced": "sliced"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to store and run a layer. ``block``: columns per block, 0 for the whole row.
    ``dense``: zeros are stored and multiplied like any other number."""

    kind: Way
    block: int
    dense: bool = False

    @property
    def form(self) -> Form | None:
        """Of those for few columns only: how rows are stored."""
        return FORMS.get(self.kind)

    @property
    def most_columns(self) -> int:
        """Up to how many columns it can be the choice for few."""
        return FEW_COLUMNS if self.form is None else MOST_COLUMNS

    def __str__(self) -> str:
        if self.dense:
            return "dense" if self.form is None else "dense rows"
        return self.kind if self.block == 0 else f"{self.kind}/{self.block}"


# Where the few-columns choice ends, unless the plan says earlier: one vector of the widest target.
FEW_COLUMNS = 16


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """The choices for one layer, for many columns and for few (up to ``few_columns``), and the evidence:
    seconds of every candidate timed (best of several runs, one thread); empty when nothing was timed.
    ``few_seconds``: at FEW_COLUMNS columns; ``rows_seconds``: at ``rows_columns``, rows for few columns and
    what they were tried against. FormatError for a choice that cannot be."""

    layer: str
    many: Candidate
    few: Candidate
    many_seconds: Mapping[str, float]
    few_seconds: Mapping[str, float]
    few_columns: int = FEW_COLUMNS
    rows_columns: int = 1
    rows_seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        wrong = f"{self.layer}: a kernel of {self.many} is for up to {MOST_COLUMNS} columns, not for many"
        require(self.many.form is None, FormatError, wrong)
        most = self.few.most_columns
        wrong = f"{self.layer}: {self.few} cannot run up to {self.few_columns} columns: give 1 to {most}"
        require(1 <= self.few_columns <= most, FormatError, wrong)
        wrong = f"{self.layer}: rows were tried at {self.rows_columns} columns: give 1 to {MOST_COLUMNS}"
        require(1 <= self.rows_columns <= MOST_COLUMNS, FormatError, wrong)

    def choice(self, columns: int) -> Candidate:
        """What runs at that many columns."""
        return self.few if columns <= self.few_columns else self.many


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
        choices = [(entry.layer, str(entry.many), _few(entry)) for entry in self.layers]
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
                    # Plans of earlier versions know none of these.
                    int(e.get("few_columns", FEW_COLUMNS)),
                    int(e.get("rows_columns", 1)),
                    _seconds(e.get("rows_seconds", {})),
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
            rows = e.few.form is not None
            if e.few != e.many or e.few_seconds:
                seconds = e.rows_seconds if rows else e.few_seconds
                lines.append(f"    up to {_columns(e.few_columns)}: {e.few}{_evidence(seconds)}")
            if e.rows_seconds and not rows:
                tried = _evidence(e.rows_seconds).strip(" ()")
                lines.append(f"    tried at {_columns(e.rows_columns)}: {tried}")
        return "\n".join(lines)


def _few(entry: LayerPlan) -> str:
    where = "" if entry.few_columns == FEW_COLUMNS else f" up to {entry.few_columns}"
    return f"{entry.few}{where}"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _evidence(seconds: Mapping[str, float]) -> str:
    timed = ", ".join(f"{name} {s * 1e6:.0f} us" for name, s in sorted(seconds.items(), key=lambda i: i[1]))
    return f"  ({timed})" if timed else ""


def _seconds(data: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in data.items()}


def _candidate(data: Mapping[str, Any]) -> Candidate:
    kind, block = data["kind"], int(data["block"])
    known = get_args(Way)
    require(kind in known, FormatError, f"kernel kind {kind!r} is unknown: {', '.join(known)}")
    require(block >= 0, FormatError, f"a block of {block} columns is impossible")
    dense = data["dense"]
    require(isinstance(dense, bool), FormatError, f"dense is {dense!r}: it must be true or false")
    may = {"panel": (False, True), "rows": (True,)}.get(kind, (False,))
    require(dense in may, FormatError, f"a kernel of kind {kind} cannot have dense {dense}")
    found = Candidate(kind, block, dense)
    whole = found.form is None or block == 0
    require(whole, FormatError, f"{kind} has whole rows, not blocks of {block} columns: give 0")
    return found
