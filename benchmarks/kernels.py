"""All claims about the linear kernel by itself: one thread, against torch's dense product.

    .venv/bin/python benchmarks/kernels.py            # about 10 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/kernels.py --quick    # shorter blocks: to see that it works

Four layer shapes x 32, 128 and 512 columns; the claims are about the geometric mean over these twelve.
Writes benchmarks/results/kernels.json, on a CPU with AVX2 alone kernels_avx2.json.
Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerogel.bench.claims import Claim, at_least, at_most, results, write
from aerogel.bench.layer_set import (
    ONE_THREAD,
    cases,
    geometric_mean,
    largest_error,
    mean,
    roofline_shares,
)
from aerogel.bench.told import show
from aerogel.core.target import current
from aerogel.measure import Comparison, Contender, Settings, compare

RESULTS = results(__file__)
TORCH = "torch dense"
# Never slower than our own dense kernel: of all shapes the worst, its interval's lower end.
WORST_OVER_DENSE = 0.97
OF_ROOFLINE = 0.65


@dataclass(frozen=True)
class Side:
    """One sparsity and pattern, and the speed-up over torch that we claim for it."""

    sparsity: float
    pattern: str
    wanted: float

    @property
    def name(self) -> str:
        return f"{self.pattern} {self.sparsity:.0%}" if self.sparsity else "dense panel"


DENSE = Side(0.0, "unstructured", 1.3)
SPARSE = (
    Side(0.5, "unstructured", 1.7),
    Side(0.7, "unstructured", 2.4),
    Side(0.8, "unstructured", 3.3),
    Side(0.9, "unstructured", 6.0),
    Side(0.95, "unstructured", 10.5),
    Side(0.5, "block2x1", 2.2),
    Side(0.5, "block4x1", 2.2),
    Side(0.9, "block2x1", 8.5),
    Side(0.9, "block4x1", 11.0),
)
SIDES = (DENSE, *SPARSE)


def contenders(target: str | None) -> list[Contender]:
    env = ONE_THREAD | ({"AEROGEL_TARGET": target} if target else {})
    ours = [
        Contender(
            s.name, "aerogel.bench.layers:aerogel_layer", {"sparsity": s.sparsity, "pattern": s.pattern}, env
        )
        for s in SIDES
    ]
    return [Contender(TORCH, "aerogel.bench.layers:torch_layer", {}, ONE_THREAD), *ours]


def measure(settings: Settings, target: str | None) -> tuple[Comparison, list[Claim]]:
    comparison = compare(contenders(target), cases(), settings, reference=TORCH, progress=show)
    where = f", {target}" if target else ""
    claims = [
        at_least(
            f"{side.name} over torch dense{where}", geometric_mean(comparison, side.name, TORCH), side.wanted
        )
        for side in SIDES
    ]
    worst = min(case.speedup(side.name, DENSE.name).low for case in comparison.cases for side in SPARSE)
    about = f"the slowest sparse layer over our dense one, lower end{where}"
    claims.append(Claim(about, worst, WORST_OVER_DENSE, "x", "at least"))
    share = min(mean(roofline_shares(comparison, side.name)) for side in SIDES)
    about = f"the least share of the nonzero roofline{where}"
    claims.append(Claim(about, share, OF_ROOFLINE, "", "at least"))
    error = largest_error(comparison, {side.name: (side.sparsity, side.pattern) for side in SIDES})
    claims.append(at_most(f"largest relative error of an output{where}", error, 1e-4, ""))
    return comparison, claims


def rooflines(comparison: Comparison) -> dict[str, Any]:
    """By side: the mean share of the nonzero roofline, and which of its terms is the largest how often."""
    found: dict[str, Any] = {}
    for side in SIDES:
        floors: Any = comparison.facts(side.name).facts["rooflines_s"]
        binds = [max(terms, key=terms.get) for terms in floors.values()]
        found[side.name] = {
            "share": mean(roofline_shares(comparison, side.name)),
            "binds": {term: binds.count(term) for term in sorted(set(binds))},
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quick = Settings(rounds=6, block_s=0.02, warm_s=0.0, min_runs=2)
    comparison, claims = measure(quick if options.quick else Settings(block_s=0.2), None)
    # The targets are stated for the widest instruction set; AVX2's figures are reported beside them.
    few = quick if options.quick else Settings(rounds=6, block_s=0.1)
    narrow, narrow_claims = (None, []) if current().name == "avx2" else measure(few, "avx2")
    for claim in [*claims, *narrow_claims]:
        print(claim)
    shares = rooflines(comparison)
    for name, found in shares.items():
        print(f"{name:18} {found['share']:.0%} of the roofline, bound by {found['binds']}")
    detail: dict[str, Any] = {"comparison": comparison.to_json(), "rooflines": shares}
    reported = [claim.to_json() for claim in narrow_claims]
    write(options.output, claims, {**detail, "avx2": narrow and narrow.to_json(), "avx2_claims": reported})
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
