"""All claims about a whole encoder (all-MiniLM-L6-v2): speed, agreement, quality, threads, start-up.

    .venv/bin/python benchmarks/encoder.py            # about 10 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/encoder.py --quick    # shorter blocks, fewer texts: to see that it works

Writes benchmarks/results/encoder.json, on a CPU with AVX2 alone encoder_avx2.json.
Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from aerogel.bench import DENSE, EncoderBench, Table, Variant, compare_encoder, plain
from aerogel.bench.cases import lengths_case, shape_case
from aerogel.bench.claims import Claim, at_least, at_most, results, write
from aerogel.bench.corpus import docstrings
from aerogel.bench.demo import model_folder
from aerogel.bench.encoder import relative_error
from aerogel.bench.startup import startup
from aerogel.bench.told import show
from aerogel.core.errors import MissingDependencyError
from aerogel.core.target import current
from aerogel.measure import Case, Comparison, Contender, Settings, compare
from aerogel.model.aero_file import write_file
from aerogel.model.source import load_model
from aerogel.prune import prune

RESULTS = results(__file__)
HALF, EIGHTY, NINETY, BLOCKS = Variant(0.5), Variant(0.8), Variant(0.9), Variant(0.9, "block4x1")
INTEGERS = Variant(precision="int8")
INTEGERS_80 = Variant(0.8, "block1x4", precision="int8")
INTEGERS_90 = Variant(0.9, "block4x4", precision="int8")
VARIANTS = (DENSE, INTEGERS, HALF, EIGHTY, NINETY, BLOCKS, INTEGERS_80, INTEGERS_90)
AGAINST = ("torch", "onnxruntime", "onnxruntime-int8", "openvino", "openvino-default")
TORCH, ONNX, ONNX_INT8, OPENVINO = "torch eager", "onnxruntime fp32", "onnxruntime int8", "openvino fp32"
DEEPSPARSE = "deepsparse fp32"
AVX2 = "avx2"
RAGGED = [16, 32, 48, 64, 80, 96, 112, 128]
SHAPES = SMALL, MIDDLE, LARGE = "1x16", "1x128", "8x128"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--model", type=Path, help="a Hugging Face directory, by default the demo's model")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    settings = Settings(rounds=6, block_s=0.1, warm_s=0.0, min_runs=2) if options.quick else Settings()
    bench = EncoderBench(options.model or model_folder(), variants=VARIANTS, against=AGAINST)

    texts = [passage.text for passage in docstrings(50 if options.quick else 500)]
    table = compare_encoder(bench, texts, settings, show)
    print(f"\n{plain(table)}\n", flush=True)
    sparse = against_deepsparse(bench, settings)
    own = compare(own_contenders(bench), [shape_case(LARGE)], settings, progress=show)
    targets = compare(target_contenders(bench), [agreement_case()], settings, progress=show)
    narrow = (
        None if current().name == AVX2 else compare_encoder(on_avx2(bench), settings=settings, progress=show)
    )
    if narrow is not None:
        print(f"\nAEROGEL_TARGET=avx2 (the others as they are)\n{plain(narrow)}\n", flush=True)
    waits = startup(bench.model)

    claims = [
        *speed_claims(table),
        *quality_claims(table),
        *(deepsparse_claims(sparse) if sparse else ()),
        *(avx2_claims(narrow) if narrow else ()),
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
        "deepsparse": sparse and sparse.to_json(),
        "own": own.to_json(),
        "avx2": narrow and narrow.to_json(),
        "startup": waits.to_json(),
    }
    write(options.output, claims, evidence)
    return 0 if all(claim.holds for claim in claims) else 1


def speed_claims(table: Table) -> list[Claim]:
    wanted = [
        (DENSE, ONNX, SHAPES, 1.15),
        (DENSE, OPENVINO, SHAPES, 1.15),
        (NINETY, ONNX, (MIDDLE, LARGE), 3.3),
        (NINETY, ONNX, (SMALL,), 2.5),
        (BLOCKS, ONNX, (MIDDLE, LARGE), 4.5),
        (INTEGERS, ONNX_INT8, SHAPES, 1.25),
        (INTEGERS_80, ONNX_INT8, SHAPES, 2.2),
        (INTEGERS_90, ONNX, (SMALL, MIDDLE), 6.0),
        (INTEGERS_90, ONNX, (LARGE,), 5.0),
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


def quality_claims(table: Table) -> list[Claim]:
    """Of 8-bit integers without zeros, against the dense model."""
    found = table.qualities[INTEGERS.name]
    return [
        Claim(f"{INTEGERS.name}: rank correlation", found.spearman, 0.992, "", "at least"),
        Claim(f"{INTEGERS.name}: top-10 overlap", found.top_overlap, 0.91, "", "at least"),
    ]


def avx2_claims(table: Table) -> list[Claim]:
    """With narrower vectors than the other runtime has."""
    return [
        at_least(
            f"{NINETY.name} over {ONNX} at {shape}, avx2",
            table.comparison.case(shape).speedup(NINETY.name, over=ONNX),
            2.0,
        )
        for shape in (MIDDLE, LARGE)
    ]


def against_deepsparse(bench: EncoderBench, settings: Settings) -> Table | None:
    """The same weights, 90 % zeros, on DeepSparse and on ours; None where its environment was not made."""
    source = load_model(str(bench.model))
    pruned = prune(source.module, 0.9)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pruned.aero"
        write_file(source, pruned.model, file, {})
        try:
            return compare_encoder(
                EncoderBench(file, variants=(Variant(),), against=("deepsparse",), threads=2),
                settings=settings,
                progress=show,
            )
        except MissingDependencyError as error:
            print(f"DeepSparse is not compared: {error}", flush=True)
            return None


def deepsparse_claims(table: Table) -> list[Claim]:
    (ours,) = table.own
    return [
        at_least(
            f"{ours} over {DEEPSPARSE} at {shape}",
            table.comparison.case(shape).speedup(ours, over=DEEPSPARSE),
            factor,
        )
        for shape, factor in ((MIDDLE, 1.3), (LARGE, 1.05))
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
    names = [name for name in (AVX2, "sse2") if name != current().name]
    narrower = [bench.ours(DENSE, name, env={"AEROGEL_TARGET": name}) for name in names]
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
    some = (DENSE, INTEGERS, NINETY, BLOCKS)
    return replace(bench, variants=some, against=("onnxruntime",), environment={"AEROGEL_TARGET": AVX2})


if __name__ == "__main__":
    sys.exit(main())
