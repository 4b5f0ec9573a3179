"""All claims about a whole encoder (all-MiniLM-L6-v2): speed, agreement, quality, threads, start-up.

    .venv/bin/python benchmarks/encoder.py            # about 10 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/encoder.py --quick    # shorter blocks, fewer texts: to see that it works

Writes benchmarks/results/encoder.json. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from aerogel.bench import DENSE, EncoderBench, Table, Variant, compare_encoder, plain
from aerogel.bench.cases import lengths_case, shape_case
from aerogel.bench.claims import Claim, at_least, at_most, write
from aerogel.bench.corpus import docstrings
from aerogel.bench.demo import model_folder
from aerogel.bench.encoder import relative_error
from aerogel.bench.startup import startup
from aerogel.measure import Case, Comparison, Contender, Progress, Settings, compare

RESULTS = Path(__file__).parent / "results" / "encoder.json"
HALF, EIGHTY, NINETY, BLOCKS = Variant(0.5), Variant(0.8), Variant(0.9), Variant(0.9, "block4x1")
TORCH, ONNX = "torch eager", "onnxruntime fp32"
RAGGED = [16, 32, 48, 64, 80, 96, 112, 128]
SMALL, MIDDLE, LARGE = "1x16", "1x128", "8x128"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--model", type=Path, help="a Hugging Face directory, by default the demo's model")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    settings = Settings(rounds=6, block_s=0.1, warm_s=0.0, min_runs=2) if options.quick else Settings()
    bench = EncoderBench(options.model or model_folder(), variants=(DENSE, HALF, EIGHTY, NINETY, BLOCKS))

    texts = [passage.text for passage in docstrings(50 if options.quick else 500)]
    table = compare_encoder(bench, texts, settings, show)
    print(f"\n{plain(table)}\n", flush=True)
    own = compare(own_contenders(bench), [shape_case(LARGE)], settings, progress=show)
    targets = compare(target_contenders(bench), [agreement_case()], settings, progress=show)
    narrow = compare_encoder(on_avx2(bench), settings=settings, progress=show)
    print(f"\nAEROGEL_TARGET=avx2 (the others as they are)\n{plain(narrow)}\n", flush=True)
    waits = startup(bench.model)

    claims = [
        *speed_claims(table),
        *agreement_claims(table, targets),
        *own_claims(own),
        at_most("first compile", waits.first_compile_s, 10, "s"),
        at_most("load with the code in the cache", waits.cached_load_s, 0.5, "s"),
        at_most("import aerogel", waits.import_s, 0.3, "s"),
        at_most("share of one core while idle", waits.idle_cpu_share, 0.005, ""),
    ]
    for claim in claims:
        print(claim)
    evidence: dict[str, Any] = {
        "quick": options.quick,
        "table": table.to_json(),
        "own": own.to_json(),
        "avx2": narrow.to_json(),
        "startup": waits.to_json(),
    }
    write(options.output, claims, evidence)
    return 0 if all(claim.holds for claim in claims) else 1


def speed_claims(table: Table) -> list[Claim]:
    wanted = [
        (DENSE, ONNX, (MIDDLE, LARGE), 1.05),
        (EIGHTY, ONNX, (MIDDLE, LARGE), 1.8),
        (EIGHTY, TORCH, (MIDDLE, LARGE), 2.4),
        (NINETY, ONNX, (MIDDLE, LARGE), 2.5),
        (BLOCKS, ONNX, (MIDDLE, LARGE), 3.5),
        (NINETY, ONNX, (SMALL,), 1.5),
    ]
    return [
        at_least(
            f"{variant.name} over {other} at {shape}",
            table.comparison.case(shape).speedup(variant.name, over=other),
            factor,
        )
        for variant, other, shapes, factor in wanted
        for shape in shapes
    ]


def agreement_claims(table: Table, targets: Comparison) -> list[Claim]:
    """Outputs relative to torch's largest, dense, at full width and with narrower vectors."""
    outputs = targets.case("agreement").outputs
    best = outputs["best target"]
    narrower = {name: relative_error(found, best) for name, found in outputs.items() if found is not best}
    return [
        at_most("dense output against torch fp32", table.errors[DENSE.name], 1e-4, "relative"),
        *(
            at_most(f"dense output under {name} against the best target", error, 1e-4, "relative")
            for name, error in narrower.items()
        ),
    ]


def target_contenders(bench: EncoderBench) -> list[Contender]:
    """Not timed here: sse2 has no fused multiply-add, and computing it exactly takes minutes."""
    narrower = [bench.ours(DENSE, name, env={"AEROGEL_TARGET": name}) for name in ("avx2", "sse2")]
    return [bench.ours(DENSE, "best target"), *narrower]


def agreement_case() -> Case:
    return lengths_case("agreement", [7, 31, 1], output=True, timed=False)


def own_contenders(bench: EncoderBench) -> list[Contender]:
    """Aerogel against itself, to see one thing at a time; the last twin shows what is mere noise."""
    full = {"lengths": [max(RAGGED)] * len(RAGGED)}
    return [
        bench.ours(DENSE, "2 threads", env={"AEROGEL_NUM_THREADS": "2"}),
        bench.ours(DENSE, "1 thread", env={"AEROGEL_NUM_THREADS": "1"}),
        bench.ours(DENSE, "ragged", args={"pinned": {"lengths": RAGGED}}),
        bench.ours(DENSE, "padded", args={"pinned": full}),
        bench.ours(DENSE, "twin", env={"AEROGEL_NUM_THREADS": "2"}),
    ]


def own_claims(own: Comparison) -> list[Claim]:
    case = own.case(LARGE)
    twin = case.speedup("twin", over="2 threads")
    return [
        at_least(f"two threads over one at {LARGE}", case.speedup("2 threads", over="1 thread"), 1.75),
        at_least(
            "a batch of 8 with lengths 16 to 128 over padded", case.speedup("ragged", over="padded"), 1.6
        ),
        at_most("a program over its twin, proven to differ", float(twin.proven), 0, "(1 is yes)"),
    ]


def on_avx2(bench: EncoderBench) -> EncoderBench:
    return replace(bench, against=("onnxruntime",), environment={"AEROGEL_TARGET": "avx2"})


def show(progress: Progress) -> None:
    step = (
        f"[{progress.done:3}/{progress.total}] {progress.stage:8} {progress.contender:22} {progress.case:10}"
    )
    print(step if progress.seconds is None else f"{step} {progress.seconds * 1e3:8.2f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(main())
