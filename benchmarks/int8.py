"""All claims about the linear kernel of 8-bit integers by itself: one thread, against torch's dense float32
product, and against onnxruntime's dense 8-bit one. Ours and onnxruntime's times include finding the grid of
the activations.

    .venv/bin/python benchmarks/int8.py            # about 6 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/int8.py --quick    # shorter blocks: to see that it works

Four layer shapes x 32, 128 and 512 columns; the claims are about the geometric mean over these twelve.
Writes benchmarks/results/int8.json, on a CPU with AVX2 alone int8_avx2.json.
Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aerogel.bench.claims import at_least, at_most, results, write
from aerogel.bench.layer_set import ONE_THREAD, cases, geometric_mean, largest_error
from aerogel.bench.told import show
from aerogel.measure import Contender, Settings, compare

RESULTS = results(__file__)
TORCH, ONNX, DENSE = "torch dense fp32", "onnxruntime dense int8", "dense int8"
SIDES = {
    DENSE: (0.0, "unstructured"),
    "block1x4 50%": (0.5, "block1x4"),
    "block1x4 80%": (0.8, "block1x4"),
    "block1x4 90%": (0.9, "block1x4"),
    "block4x4 80%": (0.8, "block4x4"),
    "block4x4 90%": (0.9, "block4x4"),
}
CLAIMS = (
    (DENSE, ONNX, 1.3),
    ("block4x4 80%", TORCH, 12.0),
    ("block4x4 80%", DENSE, 3.0),
    ("block4x4 90%", TORCH, 22.0),
)


def contenders() -> list[Contender]:
    ours = [
        Contender(
            name,
            "aerogel.bench.layers:aerogel_layer",
            {"sparsity": sparsity, "pattern": pattern, "precision": "int8"},
            ONE_THREAD,
        )
        for name, (sparsity, pattern) in SIDES.items()
    ]
    onnx = Contender(ONNX, "aerogel.bench.int8_layer:onnx_layer", {"precision": "int8"}, ONE_THREAD)
    return [Contender(TORCH, "aerogel.bench.layers:torch_layer", {}, ONE_THREAD), onnx, *ours]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quick = Settings(rounds=6, block_s=0.02, warm_s=0.0, min_runs=2)
    settings = quick if options.quick else Settings(rounds=6, block_s=0.3)
    comparison = compare(contenders(), cases(), settings, reference=TORCH, progress=show)
    claims = [
        at_least(f"{side} over {over}", geometric_mean(comparison, side, over), wanted)
        for side, over, wanted in CLAIMS
    ]
    error = largest_error(comparison, SIDES)
    claims.append(at_most("largest relative error of an output, against float64", error, 0.03, ""))
    ratios = {
        side: {over: geometric_mean(comparison, side, over).to_json() for over in (TORCH, ONNX, DENSE)}
        for side in SIDES
    }
    for side, found in ratios.items():
        print(f"{side:16}", ", ".join(f"{r['value']:.2f} x {over}" for over, r in found.items()))
    for claim in claims:
        print(claim)
    write(options.output, claims, {"comparison": comparison.to_json(), "ratios": ratios})
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
