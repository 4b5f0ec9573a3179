"""What pruning costs all-MiniLM-L6-v2, from 50 to 90 % zeros, with one hour of recovery in all.

    .venv/bin/python benchmarks/accuracy.py                  # about 70 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/accuracy.py --keep FOLDER    # goes on there if it was interrupted
    .venv/bin/python benchmarks/accuracy.py --quick          # a minute: to see that it works

The model is pruned step by step, each step followed by training to do what the dense model does. Calibration
and training see docstrings of the standard library; 2,000 others judge. Writes
benchmarks/results/accuracy.json. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aerogel.bench.claims import Claim, write
from aerogel.bench.corpus import docstrings, paragraphs
from aerogel.bench.demo import model_folder
from aerogel.measure.machine import machine
from aerogel.model.source import load_model
from aerogel.prune.gradual import Stage
from aerogel.trial.curve import Curve, Point, Texts

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
CALIBRATION = 512
HOUR = (Stage(0.5, 90), Stage(0.6, 510), Stage(0.7, 600), Stage(0.8, 900), Stage(0.9, 1500))
QUICK = (Stage(0.5, 5), Stage(0.6, 5))
# Sparsity, seconds of recovery in all: least rank correlation, least top-10 overlap.
AIMS = {(0.5, 0): (0.935, 0.75), (0.5, 90): (0.95, 0.78), (0.6, 600): (0.945, 0.77)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where training is saved and goes on from"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    stages = QUICK if options.quick else HOUR

    passages = docstrings(200 if options.quick else 2000)
    others = paragraphs(passages)
    # From all over the library, as the passages that judge are.
    spread = others[:: len(others) // CALIBRATION][:CALIBRATION]
    texts = Texts(spread, others, tuple(p.text for p in passages))
    curve = Curve(load_model(str(model_folder())), texts, show)
    points: list[Point] = []

    def done(point: Point) -> None:
        points.append(point)
        print(point, flush=True)
        save(options.output, points, texts, quick=options.quick)

    done(curve.by_magnitude(stages[0].sparsity))
    for stage in stages:
        done(curve.one_shot(stage.sparsity))
    for point in curve.recovered(stages, options.keep):
        done(point)
    found = claims(points)
    for claim in found:
        print(claim)
    return 0 if all(claim.holds for claim in found) else 1


def show(words: str, share: float) -> None:
    """A line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r[{share:4.0%}] {words:<70.70}", end="", file=sys.stderr, flush=True)


def claims(points: list[Point]) -> list[Claim]:
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


def save(path: Path, points: list[Point], texts: Texts, *, quick: bool) -> None:
    """After each point, so that what an interrupted run found is not lost."""
    evidence = {
        "quick": quick,
        "texts": {
            "calibration": len(texts.calibration),
            "training": len(texts.training),
            "judged": len(texts.judged),
        },
        "machine": machine().to_json(),
        "points": [point.to_json() for point in points],
    }
    write(path, claims(points), evidence)


if __name__ == "__main__":
    sys.exit(main())
