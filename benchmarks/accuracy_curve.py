"""The curve of all-MiniLM-L6-v2 from 50 to 90 % zeros, with one hour of recovery in all. Imports torch.

The model is pruned step by step, each step followed by training to do what the dense model does. Calibration
and training see docstrings of the standard library; 2,000 others judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from accuracy_task import Task
from aerogel.bench.claims import Claim
from aerogel.bench.corpus import docstrings, paragraphs
from aerogel.bench.demo import model_folder
from aerogel.model.source import load_model
from aerogel.prune.gradual import Stage
from aerogel.trial.curve import Curve, Point, Texts

CALIBRATION, JUDGED = 512, 2000
HOUR = (Stage(0.5, 90), Stage(0.6, 510), Stage(0.7, 600), Stage(0.8, 900), Stage(0.9, 1500))
QUICK = (Stage(0.5, 5), Stage(0.6, 5))
# Sparsity, seconds of recovery in all: least rank correlation, least top-10 overlap.
AIMS = {(0.5, 0): (0.935, 0.75), (0.5, 90): (0.95, 0.78), (0.6, 600): (0.945, 0.77)}


def measured(task: Task) -> Iterator[Point]:
    stages = QUICK if task.quick else HOUR
    passages = docstrings(200 if task.quick else JUDGED)
    others = paragraphs(passages)
    # From all over the library, as the passages that judge are.
    spread = others[:: len(others) // CALIBRATION][:CALIBRATION]
    texts = Texts(spread, others, tuple(p.text for p in passages))
    curve = Curve(load_model(str(model_folder())), texts, task.tell)
    yield curve.by_magnitude(stages[0].sparsity)
    yield from (curve.one_shot(stage.sparsity) for stage in stages)
    yield from curve.recovered(stages, task.kept)


def claims(points: Sequence[Point], _: str) -> list[Claim]:
    found: list[Claim] = []
    for point in points:
        wanted = AIMS.get((point.sparsity, round(point.recovered_s)))
        if wanted is None or point.method == "magnitude":
            continue
        when = f"after {point.recovered_s:.0f} s of recovery" if point.recovered_s else "in one shot"
        named = (("rank correlation", point.quality.spearman), ("top-10 overlap", point.quality.top_overlap))
        for (name, value), least in zip(named, wanted, strict=True):
            found.append(Claim(f"{name} at {point.sparsity:.0%} {when}", value, least, "", "at least"))
    return found


def settings(_: str) -> dict[str, Any]:
    """What a reader needs to do it again."""
    passages = docstrings(JUDGED)
    return {"texts": {"calibration": CALIBRATION, "training": len(paragraphs(passages)), "judged": JUDGED}}
