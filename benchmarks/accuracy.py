"""What zeros cost in accuracy, and what recovery gives back: one part for each model and data set.

    .venv/bin/python benchmarks/accuracy.py resnet20 --data FOLDER   # CIFAR-10: 80, 90 and 95 %
    .venv/bin/python benchmarks/accuracy.py resnet56 --data FOLDER   # CIFAR-10: 90 %
    .venv/bin/python benchmarks/accuracy.py sts --data FOLDER        # all-MiniLM-L6-v2 on STS-B dev
    .venv/bin/python benchmarks/accuracy.py sst2 --data FOLDER       # the same model trained on SST-2
    .venv/bin/python benchmarks/accuracy.py llama --data FOLDER      # a small published Llama, one shot
    .venv/bin/python benchmarks/accuracy.py brown --data FOLDER      # a language model trained here, one shot
    .venv/bin/python benchmarks/accuracy.py curve                    # MiniLM beside its own dense vectors

Each takes some minutes to an hour on an idle machine, in one thread unless --threads says more; --quick takes
a minute or two, to see that it works. --keep FOLDER: where training is saved and goes on from, if it was
interrupted. FOLDER holds cifar10, cifar_resnet, stsb, sst2, llama_aidreams260k and brown.

A part writes benchmarks/results/accuracy_PART.json (curve: accuracy.json) after each row, and leaves those of
the others. Results do not depend on how busy the machine is: all but the curve's training counts in steps.
What a large layer takes to prune is measured by pruning.py. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import accuracy_curve
import accuracy_resnet
import accuracy_sst2
import accuracy_sts
import accuracy_words
from accuracy_task import Task
from aerogel.bench.claims import write
from aerogel.measure.machine import machine

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Any] = {
    "resnet20": accuracy_resnet,
    "resnet56": accuracy_resnet,
    "sts": accuracy_sts,
    "sst2": accuracy_sst2,
    "llama": accuracy_words,
    "brown": accuracy_words,
    "curve": accuracy_curve,
}
"""Modules with ``measured(task)``, an iterator of rows; ``claims(rows, part)``; and ``settings(part)``."""


def main() -> int:
    options = parsed()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    task = Task(options.part, options.data, options.seed, options.keep, options.quick, show)
    part = PARTS[task.part]
    output = options.output or RESULTS / f"accuracy{'' if task.part == 'curve' else f'_{task.part}'}.json"
    rows: list[Any] = []
    for row in part.measured(task):
        rows.append(row)
        print(row, flush=True)
        save(output, rows, task)
    found = part.claims(rows, task.part)
    for claim in found:
        print(claim)
    return 0 if all(claim.holds for claim in found) else 1


def save(path: Path, rows: list[Any], task: Task) -> None:
    """After each row, so that what an interrupted run found is not lost."""
    part = PARTS[task.part]
    rows_named = "points" if task.part == "curve" else "rows"
    facts = {"quick": task.quick, "seed": task.seed, "threads": torch.get_num_threads()}
    evidence = facts | part.settings(task.part) | {"machine": machine().to_json()}
    write(path, part.claims(rows, task.part), evidence | {rows_named: [asdict(row) for row in rows]})


def show(words: str, share: float) -> None:
    """A line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r[{share:4.0%}] {words:<70.70}", end="", file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=0, help="of images, texts and intervals")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where training is saved and goes on from"
    )
    parser.add_argument("--output", type=Path, help="a JSON file, instead of that in benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
