"""Outcomes of ``aerogel prune``, made up: what reports on them are tested with."""

from __future__ import annotations

from typing import Any

from aerogel.measure import CaseResult, Comparison, Contender, ContenderFacts, Settings, Timing, machine
from aerogel.prune.report import LayerReport, PruneReport, RecoveryReport
from aerogel.trial.accuracy import NEIGHBOURS, RANKS, Accuracy
from aerogel.trial.outcome import Outcome, Written
from aerogel.trial.trade import DENSE, PRUNED, TORCH, Trade

SETTINGS = Settings(rounds=9)
SECONDS = {TORCH: 0.004, DENSE: 0.002, PRUNED: 0.001}


def trade(seconds: dict[str, float] | None = None, shapes: tuple[str, ...] = ("1x16", "8x128")) -> Trade:
    """``seconds``: by row, at the first shape; at each further one all take twice as long."""
    rows = seconds or SECONDS
    facts = tuple(
        ContenderFacts(Contender(row, "m:f"), 1.0, "3.11", 10, {"peak_bytes": int(1e11 * t)})
        for row, t in rows.items()
    )
    cases = tuple(
        CaseResult(
            shape, {}, SETTINGS, tuple(Timing(row, (t * 2**i,) * 9, 90, 0.95) for row, t in rows.items())
        )
        for i, shape in enumerate(shapes)
    )
    return Trade(Comparison(machine(), SETTINGS, DENSE, facts, cases))


def accuracy(ranks: float = 0.96, neighbours: float = 0.92, kind: str = "") -> Accuracy:
    return Accuracy(
        f"{kind}neighbours as the dense model's, on 500 texts that neither calibration nor recovery saw",
        {RANKS: 1.0, NEIGHBOURS: 1.0},
        {RANKS: ranks, NEIGHBOURS: neighbours},
        (RANKS,),
        500,
    )


def report(recovery: RecoveryReport | None = None) -> PruneReport:
    layers = (
        LayerReport("layer.0.up.weight", (16, 8), 128, 64, 64, 0.1),
        LayerReport("layer.0.down.weight", (8, 16), 128, 64, 64, 0.05),
        LayerReport("layer.1.unseen.weight", (8, 16), 128, 64, 64),
    )
    return PruneReport("sparsegpt", "unstructured", "layer", 0.5, layers, 1 << 20, recovery)


def outcome(**more: Any) -> Outcome:
    """A model pruned to half and written to both kinds of output; everything can be replaced by name."""
    given: dict[str, Any] = {
        "model": "little",
        "asked": {"sparsity": 0.5, "budget": "uniform", "recover": None, "keep": None, "floor": None},
        "report": report(),
        "calibration": {"origin": "texts of mine", "texts": 100, "calibration": 80, "held_out": 20},
        "accuracy": accuracy(),
        "accuracy_missing": None,
        "file_accuracy": accuracy(0.95, 0.91, "compiled, "),
        "missed": (),
        "written": (Written("out", "directory", 90_000_000), Written("out.aero", "file", 35_000_000)),
        "checkpoint_bytes": 100_000_000,
        "artefact_bytes": 55_000_000,
        "trade": trade(),
        "trade_missing": None,
        "trade_failed": False,
        "notes": ("texts are few",),
        "seconds": 141.8,
    }
    return Outcome(**given | more)
