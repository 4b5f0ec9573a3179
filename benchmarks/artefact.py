"""What a ``.aero`` file costs (all-MiniLM-L6-v2): on disk, in memory while it runs, until the first answer.

    .venv/bin/python benchmarks/artefact.py            # about 5 minutes on an otherwise idle machine
    .venv/bin/python benchmarks/artefact.py --quick    # fewer and shorter measurements: to see that it works

Zeros are made by magnitude: what a file costs depends on how many there are, not on which. Writes
benchmarks/results/artefact.json. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import aerogel
from aerogel.bench.artefacts import ArtefactComparison, compare_artefacts
from aerogel.bench.claims import Claim, at_most, write
from aerogel.bench.demo import model_folder
from aerogel.bench.footprint import (
    SHAPES,
    Footprint,
    Runner,
    aerogel_runner,
    footprint,
    onnx_runner,
    torch_runner,
)
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.startup import FirstAnswer, first_answer
from aerogel.bench.told import show
from aerogel.measure import Settings
from aerogel.model.source import load_model

RESULTS = Path(__file__).parent / "results" / "artefact.json"
DENSE = "aerogel dense"
ZEROS = {DENSE: 0.0, "aerogel 50 %": 0.5, "aerogel 80 %": 0.8, "aerogel 90 %": 0.9}
TORCH, ONNX = "torch eager", "onnxruntime fp32"
FIRST = ", first load"
DISK = {"aerogel 50 %": 0.42, "aerogel 80 %": 0.28}
ANSWER_S = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument("--model", type=Path, help="a Hugging Face directory, by default the demo's model")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    settings = Settings(rounds=6, block_s=0.1, warm_s=0.0, min_runs=2) if options.quick else Settings()
    times = 1 if options.quick else 5
    folder = ModelFolder.open(options.model or model_folder())

    with tempfile.TemporaryDirectory() as scratch:
        paths = make_files(folder, Path(scratch))
        compared = compare_artefacts(paths, list(SHAPES), settings=settings, progress=show, against=DENSE)
        # From an empty cache, so that a first load is one.
        cache = Path(scratch, "cache")
        found = memory(folder, paths, cache, 1 if options.quick else 3)
        answers = {
            f"{name}, {kind}": first_answer(path, cache / kind / name, text=kind == "text", times=times)
            for name, path in paths.items()
            for kind in ("ids", "text")
        }
    claims = [
        *disk_claims(compared, folder.weight_bytes),
        *memory_claims(found),
        *answer_claims(answers),
    ]
    for claim in claims:
        print(claim)
    evidence: dict[str, Any] = {
        "quick": options.quick,
        "checkpoint_bytes": folder.weight_bytes,
        "files": compared.to_json(),
        "memory": {name: [f.to_json() for f in runs] for name, runs in found.items()},
        "answers": {name: answer.to_json() for name, answer in answers.items()},
    }
    write(options.output, claims, evidence)
    return 0 if all(claim.holds for claim in claims) else 1


def make_files(folder: ModelFolder, scratch: Path) -> dict[str, Path]:
    """The model as files, its tokenizer and pooling included, as ``aerogel compile`` makes them."""
    made: dict[str, Path] = {}
    for name, zeros in ZEROS.items():
        source = load_model(str(folder.path))
        module = aerogel.prune(source.module, sparsity=zeros).model if zeros else source.module
        program = aerogel.compile(module, source.example_inputs, plan="quick", texts=source.texts())
        made[name] = scratch / f"{round(100 * zeros)}.aero"
        program.save(made[name])
        print(f"{name}: {made[name].stat().st_size / 1e6:.1f} MB", flush=True)
    return made


def memory(
    folder: ModelFolder, paths: Mapping[str, Path], cache: Path, times: int
) -> dict[str, list[Footprint]]:
    """Each runtime's memory, measured ``times`` times; a first load is made once for each."""
    runners: list[Runner] = [
        torch_runner(folder),
        *(onnx_runner(folder, precision) for precision in ("fp32", "int8")),
    ]
    found = {runner.name: repeated(runner, times) for runner in runners}
    for name, path in paths.items():
        ours = (aerogel_runner(name, path, folder.vocabulary, cache / str(i)) for i in range(times))
        pairs = [(footprint(runner), footprint(runner)) for runner in ours]
        found[name + FIRST], found[name] = [p[0] for p in pairs], [p[1] for p in pairs]
        report(name + FIRST, found[name + FIRST])
        report(name, found[name])
    return found


def repeated(runner: Runner, times: int) -> list[Footprint]:
    found = [footprint(runner) for _ in range(times)]
    report(runner.name, found)
    return found


def report(name: str, found: Sequence[Footprint]) -> None:
    peak, end = median(peaks(found)), found[0].steady
    now, own = ((n or 0) / 1e6 for n in (end.resident_bytes, end.anonymous_bytes))
    print(f"{name:26} peak {peak / 1e6:6.1f} MB, at the end {now:6.1f} MB, {own:6.1f} MB its own", flush=True)


def peaks(found: Sequence[Footprint]) -> list[int]:
    """All of them; the claims are about systems that tell."""
    return [f.peak_bytes for f in found if f.peak_bytes is not None]


def disk_claims(compared: ArtefactComparison, checkpoint: int) -> list[Claim]:
    return [
        at_most(f"{name}: the file", compared.file(name).disk_bytes / checkpoint, share, "of the checkpoint")
        for name, share in DISK.items()
    ]


def memory_claims(found: Mapping[str, Sequence[Footprint]]) -> list[Claim]:
    """Peaks against the dense model in other runtimes; the bounds are of the least likely pair."""
    claims: list[Claim] = []
    for name in (*ZEROS, DENSE + FIRST):
        for other in (TORCH, ONNX):
            ours, theirs = peaks(found[name]), peaks(found[other])
            if ours and theirs:
                ratio = median(ours) / median(theirs)
                low, high = min(ours) / max(theirs), max(ours) / min(theirs)
                about = f"{name}: peak memory"
                claims.append(Claim(about, ratio, 1.0, f"of {other}'s", "at most", low, high))
    return claims


def answer_claims(answers: Mapping[str, FirstAnswer]) -> list[Claim]:
    return [
        Claim(
            f"{name}: import, load and first answer, cached",
            answer.median_s, ANSWER_S, "s", "at most", min(answer.cached_s), max(answer.cached_s),
        )
        for name, answer in answers.items()
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
