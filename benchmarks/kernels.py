"""All claims about the linear kernel by itself: one thread, against torch's dense product.

    .venv/bin/python benchmarks/kernels.py            # about 15 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/kernels.py --quick    # shorter blocks: to see that it works

Four layer shapes x 32, 128 and 512 columns; the claims are about the geometric mean over these twelve.
Writes benchmarks/results/kernels.json. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aerogel.bench.claims import Claim, at_least, write
from aerogel.bench.layers import activations, weight
from aerogel.measure import Case, Comparison, Contender, Progress, Ratio, Settings, compare

RESULTS = Path(__file__).parent / "results" / "kernels.json"
SHAPES = ((1536, 384), (384, 1536), (3072, 768), (768, 768))
COLUMNS = (32, 128, 512)
TORCH = "torch dense"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Side:
    """One sparsity and pattern, and the speed-up over torch that we claim for it."""

    sparsity: float
    pattern: str
    wanted: float

    @property
    def name(self) -> str:
        return f"{self.pattern} {self.sparsity:.0%}" if self.sparsity else "dense panel"


SIDES = (
    Side(0.0, "unstructured", 1.2),
    Side(0.5, "unstructured", 1.4),
    Side(0.7, "unstructured", 2.0),
    Side(0.8, "unstructured", 2.7),
    Side(0.9, "unstructured", 4.5),
    Side(0.95, "unstructured", 8.0),
    Side(0.5, "block2x1", 2.2),
    Side(0.5, "block4x1", 2.2),
    Side(0.9, "block2x1", 7.0),
    Side(0.9, "block4x1", 9.0),
)


def contenders(target: str | None) -> list[Contender]:
    env = ONE_THREAD | ({"AEROGEL_TARGET": target} if target else {})
    ours = [
        Contender(
            s.name, "aerogel.bench.layers:aerogel_layer", {"sparsity": s.sparsity, "pattern": s.pattern}, env
        )
        for s in SIDES
    ]
    return [Contender(TORCH, "aerogel.bench.layers:torch_layer", {}, ONE_THREAD), *ours]


def cases() -> list[Case]:
    return [
        Case(f"{m}x{k} {n} columns", {"outputs": m, "inputs": k, "columns": n}, output=True)
        for m, k in SHAPES
        for n in COLUMNS
    ]


def geometric_mean(comparison: Comparison, side: Side) -> Ratio:
    """Over the cases; the interval's ends are the means of the intervals' ends, which is wide."""
    ratios = [case.speedup(side.name, TORCH) for case in comparison.cases]

    def mean(values: list[float]) -> float:
        return math.exp(sum(map(math.log, values)) / len(values))

    low, high = mean([r.low for r in ratios]), mean([r.high for r in ratios])
    return Ratio(side.name, TORCH, mean([r.value for r in ratios]), low, high, comparison.settings.confidence)


def check_outputs(comparison: Comparison) -> float:
    """The largest relative error of any of our outputs; each against NumPy's product of the same weight."""
    worst = 0.0
    for case in comparison.cases:
        m, k, n = (int(case.params[name]) for name in ("outputs", "inputs", "columns"))  # type: ignore[arg-type]
        for side in SIDES:
            exact = weight(m, k, side.sparsity, side.pattern).astype(np.float64) @ activations(k, n)
            worst = max(worst, float(np.abs(case.outputs[side.name] - exact).max() / np.abs(exact).max()))
    return worst


def show(progress: Progress) -> None:
    if sys.stderr.isatty():
        print(
            f"\r{progress.done}/{progress.total} {progress.contender:<24}",
            end="",
            file=sys.stderr,
            flush=True,
        )


def measure(settings: Settings, target: str | None) -> tuple[Comparison, list[Claim]]:
    comparison = compare(contenders(target), cases(), settings, reference=TORCH, progress=show)
    where = f", {target}" if target else ""
    claims = [
        at_least(f"{side.name} over torch dense{where}", geometric_mean(comparison, side), side.wanted)
        for side in SIDES
    ]
    error = check_outputs(comparison)
    claims.append(Claim(f"largest relative error of an output{where}", error, 1e-4, "", "at most"))
    return comparison, claims


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quick = Settings(rounds=6, block_s=0.02, warm_s=0.0, min_runs=2)
    comparison, claims = measure(quick if options.quick else Settings(rounds=6), None)
    # The targets are stated for the widest instruction set; AVX2's figures are reported beside them.
    narrow, narrow_claims = measure(quick if options.quick else Settings(rounds=6, block_s=0.1), "avx2")
    detail: dict[str, Any] = {"comparison": comparison.to_json(), "avx2": narrow.to_json()}
    reported = [claim.to_json() for claim in narrow_claims]
    for claim in [*claims, *narrow_claims]:
        print(claim)
    write(options.output, claims, {**detail, "avx2_claims": reported})
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
