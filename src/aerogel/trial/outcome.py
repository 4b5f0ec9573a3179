"""What ``aerogel prune`` did and found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aerogel.prune.recipe_file import PruneRecipe
from aerogel.prune.report import PruneReport
from aerogel.trial.accuracy import Accuracy
from aerogel.trial.payback import PayBack, paybacks
from aerogel.trial.spent import Spent
from aerogel.trial.torch_memory import TorchMemory
from aerogel.trial.trade import Trade


@dataclass(frozen=True, slots=True)
class Written:
    """``kind``: a model's directory; a file of our own, which runs; or sparse weights alone, to be loaded
    into the model. ``bytes``: of the weights of a directory, of all of a file."""

    path: str
    kind: Literal["directory", "file", "weights"]
    bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was asked and done, and every number beside its dense control; None for what was not measured, and
    then why (``accuracy_missing``, ``trade_missing``).

    ``calibration``: on what; ``file_accuracy``: of the compiled program, whose embeddings are rounded;
    ``missed``: each bound that is not met, in words; ``written``: empty if so, unless by force.
    ``checkpoint_bytes``: the dense weights; ``artefact_bytes``: the dense model as a file of our own;
    ``memory``: of a model that is not compiled, in torch. ``recipe``: the choices, as recorded in what was
    written. ``spent``: what it took. ``notes``: what was told on the way; ``seconds``: all of it.
    """

    model: str
    asked: Mapping[str, Any]
    report: PruneReport
    calibration: Mapping[str, Any] | None
    accuracy: Accuracy | None
    accuracy_missing: str | None
    file_accuracy: Accuracy | None
    missed: tuple[str, ...]
    written: tuple[Written, ...]
    checkpoint_bytes: int
    artefact_bytes: int | None
    trade: Trade | None
    trade_missing: str | None
    trade_failed: bool
    notes: tuple[str, ...]
    seconds: float
    memory: TorchMemory | None = None
    recipe: PruneRecipe | None = None
    spent: Spent | None = None

    @property
    def paybacks(self) -> tuple[PayBack, ...]:
        """After how many calls what it took is saved again; empty where no speed is claimed."""
        return () if self.trade is None or self.spent is None else paybacks(self.spent, self.trade)

    @property
    def ok(self) -> bool:
        """Were all bounds met, and was all measured that was to be?"""
        return not self.missed and not self.trade_failed

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "ok": self.ok,
            "asked": dict(self.asked),
            "calibration": None if self.calibration is None else dict(self.calibration),
            "pruned": self.report.to_json(),
            "accuracy": self.accuracy and self.accuracy.to_json(),
            "accuracy_missing": self.accuracy_missing,
            "file_accuracy": self.file_accuracy and self.file_accuracy.to_json(),
            "missed": list(self.missed),
            "written": [asdict(written) for written in self.written],
            "dense_bytes": {"checkpoint": self.checkpoint_bytes, "file": self.artefact_bytes},
            "trade": self.trade and self.trade.to_json(),
            "trade_missing": self.trade_missing,
            "torch_memory": self.memory and self.memory.to_json(),
            "recipe": self.recipe and self.recipe.to_json(),
            "spent": self.spent and self.spent.to_json(),
            "pays_back": [each.to_json() for each in self.paybacks] if self.trade else None,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }
