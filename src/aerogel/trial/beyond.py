"""What ``aerogel prune`` makes sparse besides weights: activations below thresholds, and whole experts.

Neither is a choice of ``ag.prune``, so neither stands in its recipes: an activation is zero by a threshold
that is applied to the model, and a model without some experts is another one. ``beyond_run`` does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aerogel.core.errors import InputError, require
from aerogel.core.folders import require_place
from aerogel.model.save_pretrained import check_folder
from aerogel.trial.accuracy import Accuracy, Bounds
from aerogel.trial.outcome_text import accuracy_text, end_text
from aerogel.trial.trade import check_threads

if TYPE_CHECKING:
    from aerogel.prune.activation import ActivationReport
    from aerogel.prune.experts import ExpertsReport

What = Literal["inputs", "gates", "experts"]
"""``inputs`` of linear layers and ``gates``, outputs of activation functions: the smallest become zero;
``experts``: those that add least are removed."""
Allocation = Literal["uniform", "greedy"]
"""As ``prune.activation`` has it, which cannot be imported before torch is known to be there."""
THRESHOLDS = ".json"


@dataclass(frozen=True, slots=True)
class BeyondJob:
    """``model``: a Hugging Face directory with a tokenizer: of ``experts``, a causal language model.
    ``output``: of ``experts`` a directory, else a file that ends in .json, for the thresholds.

    ``allocation``, ``layers``: as for ``aerogel.sparsify_activations``; experts have neither. ``data`` to
    ``threads``: as of ``PruneJob``.
    """

    model: str
    what: What
    sparsity: float
    output: Path
    allocation: Allocation | None = None
    layers: str | None = None
    data: Path | None = None
    texts: int = 512
    evaluate: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    force: bool = False
    threads: int | None = None

    def check(self) -> None:
        """InputError for what cannot be done whatever the model is like."""
        in_python = "remove_experts" if self.what == "experts" else "sparsify_activations"
        told = (
            f"--what {self.what} takes a model's directory with its tokenizer, and {self.model} is none: "
            f"call aerogel.{in_python} in Python, with batches of your own"
        )
        require(Path(self.model).is_dir(), InputError, told)
        check_threads(self.threads)
        if self.what != "experts":
            told = f"{self.output}: thresholds of {self.what} are one JSON file: give -o FILE.json"
            require(self.output.suffix == THRESHOLDS, InputError, told)
            require_place(self.output)
            require(not self.output.is_dir(), InputError, f"{self.output} is a directory: give a file's name")
            return
        for name, value in (("--layers", self.layers), ("--allocation", self.allocation)):
            told = f"{name} is of activations: of experts as many are removed in each layer, so leave it out"
            require(value is None, InputError, told)
        told = f"{self.output}: a model without some experts is a directory: give -o DIRECTORY"
        require(not self.output.suffix, InputError, told)
        check_folder(self.output, Path(self.model), force=self.force)

    def to_json(self) -> dict[str, Any]:
        """What was asked for, as ``json.dumps`` takes it."""
        return {
            "what": self.what,
            "sparsity": self.sparsity,
            "allocation": self.allocation,
            "layers": self.layers,
            "eval": self.evaluate,
            "keep": self.bounds.keep,
            "floor": self.bounds.floor,
            "threads": self.threads,
        }


@dataclass(frozen=True, slots=True)
class BeyondOutcome:
    """What was asked and done, beside the dense model. ``missed``: each bound that is not met, in words;
    ``written``: None if so, unless by force. ``notes``: what was told on the way; ``seconds``: all of it."""

    model: str
    asked: BeyondJob
    report: ActivationReport | ExpertsReport
    calibration: Mapping[str, Any]
    accuracy: Accuracy | None
    accuracy_missing: str | None
    missed: tuple[str, ...]
    written: Path | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Were all bounds met?"""
        return not self.missed

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "ok": self.ok,
            "asked": self.asked.to_json(),
            "calibration": dict(self.calibration),
            "pruned": self.report.to_json(),
            "accuracy": self.accuracy and self.accuracy.to_json(),
            "accuracy_missing": self.accuracy_missing,
            "missed": list(self.missed),
            "written": None if self.written is None else str(self.written),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        written = [] if self.written is None else [str(self.written)]
        end = end_text(self.missed, written, "a lower --sparsity or more --data")
        parts = (str(self.report), accuracy_text(self.accuracy, self.accuracy_missing), end)
        return "\n\n".join(part for part in parts if part)
