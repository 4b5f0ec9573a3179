"""Inspections, made up: what reports on them are tested with. Counts are those of a tiny model, timings are
invented."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.find.evidence import QUICK, USES, control, curve, evidence, pay_map, row, split
from tests.find.networks import mlp, subject

from aerogel.find.activations import measure_activations
from aerogel.find.controls import Control
from aerogel.find.cost import count_costs
from aerogel.find.estimate import estimates
from aerogel.find.result import Header, Inspection
from aerogel.find.sensitivity import Sensitivity, SensitivityReport
from aerogel.find.timing import Timing
from aerogel.find.verdict import verdict
from aerogel.find.weights import measure_weights
from aerogel.measure import machine
from aerogel.tune.breakeven import Way

CONTROL = control()
WAYS = (Way("unstructured"), Way("block4x1"))


def timing(found: Control | None = CONTROL, ways: tuple[Way, ...] = WAYS) -> Timing:
    pay = pay_map(tuple(row(curve(QUICK, way), found) for way in ways), found)
    whole = split()
    return Timing(pay, (whole,), estimates(pay, (whole,), USES), (), ())


def inspection(**more: Any) -> Inspection:
    """Of a model of two layers, all of it; everything can be replaced by name."""
    made = subject(mlp(), example={"x": np.ones((2, 8), np.float32)})
    weights = measure_weights(made.weights, lambda _: None)
    activations = measure_activations(made, None)
    rows = tuple(Sensitivity("up.weight", (6, 8), s, s / 10) for s in (0.5, 0.8))
    given: dict[str, Any] = {
        "header": Header("by hand", "artefact", None),
        "weights": weights,
        "activations": activations,
        "costs": count_costs(made, weights, activations.live),
        "timing": timing(),
        "sensitivity": SensitivityReport("example inputs", rows, ()),
        "verdict": verdict(evidence(found=CONTROL)),
        "skipped": (),
        "machine": machine(),
        "seconds": 61.2,
    }
    return Inspection(**given | more)
