"""What pruning itself costs: a layer's seconds, and the memory of a large one, in floats and in integers.

    .venv/bin/python benchmarks/pruning.py                    # some minutes on an otherwise idle machine
    .venv/bin/python benchmarks/pruning.py --only 3072x768    # this layer alone: seconds want a quiet machine
    .venv/bin/python benchmarks/pruning.py --quick            # smaller layers: to see that it works

SparseGPT to half zeros, on random tokens, each case in a process of its own. Seconds: of the whole call, from
the tokens to the pruned model. Memory: the most that the process held in RAM (VmHWM), Python, torch, the
tokens and the model included. Writes benchmarks/results/pruning.json; with --only the rest
of that file stays. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aerogel.bench.apart import Tell, apart
from aerogel.bench.claims import Claim, write
from aerogel.measure.machine import machine
from aerogel.measure.resident import resident

RESULTS = Path(__file__).parent / "results" / "pruning.json"
PRECISIONS = ("fp32", "int8")
SECONDS, PEAK_BYTES = 2.0, 2e9


@dataclass(frozen=True, slots=True)
class Layer:
    """``batches`` of 256 tokens each; ``timed``: pruned so often, after once to warm up; or once, for its
    memory, where that is 0."""

    outputs: int
    inputs: int
    batches: int
    timed: int

    @property
    def name(self) -> str:
        return f"{self.outputs}x{self.inputs}"


LAYERS = (Layer(3072, 768, 32, 5), Layer(4096, 11008, 4, 0))
QUICK = (Layer(768, 192, 8, 3), Layer(512, 1376, 4, 0))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one layer in one precision. ``seconds``: of each call; ``peak_bytes``: None where the system does
    not say; ``zeros``: the share of weights."""

    layer: str
    precision: str
    tokens: int
    timed: bool
    seconds: tuple[float, ...]
    peak_bytes: int | None
    zeros: float

    @property
    def name(self) -> str:
        return f"SparseGPT, {self.layer}, {self.precision}"

    def __str__(self) -> str:
        spent = statistics.median(self.seconds)
        held = "?" if self.peak_bytes is None else f"{self.peak_bytes / 1e9:.3f}"
        return f"{self.name}: {spent:.2f} s ({len(self.seconds)} calls), {held} GB"


def cost(layer: Layer, precision: str, tell: Tell) -> Cost:
    """Runs in a process of its own."""
    # Not sooner: the process that starts this one needs no torch.
    import torch

    import aerogel

    torch.manual_seed(0)
    data = [torch.randn(256, layer.inputs) for _ in range(layer.batches)]
    seconds: list[float] = []
    zeros = 0.0
    for call in range(layer.timed + 1):
        tell(f"{layer.name} {precision}, call {call}", call / (layer.timed + 1))
        model = torch.nn.Sequential(torch.nn.Linear(layer.inputs, layer.outputs, bias=False))
        began = time.perf_counter()
        found = aerogel.prune(model, 0.5, method="sparsegpt", data=data, precision=precision, inplace=True)
        seconds.append(time.perf_counter() - began)
        zeros = found.report.layers[0].zeros / (layer.outputs * layer.inputs)
    timed, tokens = tuple(seconds[1:] or seconds), 256 * layer.batches
    return Cost(layer.name, precision, tokens, bool(layer.timed), timed, resident().peak_bytes, zeros)


def claims(costs: Iterable[Cost]) -> list[Claim]:
    """Bounds of a time: the least and the most of its calls."""
    found: list[Claim] = []
    for cost in costs:
        if cost.timed:
            spent, low, high = statistics.median(cost.seconds), min(cost.seconds), max(cost.seconds)
            found.append(Claim(cost.name, spent, SECONDS, "s", "at most", low, high))
        elif cost.peak_bytes is not None:
            found.append(
                Claim(f"{cost.name}: peak memory", cost.peak_bytes / 1e9, PEAK_BYTES / 1e9, "GB", "at most")
            )
    return found


def kept(path: Path, cases: Collection[tuple[str, str]]) -> list[Cost]:
    """Those of an earlier run that are not among ``cases``, layer and precision."""
    read = json.loads(path.read_text(encoding="utf-8"))["costs"] if path.exists() else []
    return [_cost(c) for c in read if (c["layer"], c["precision"]) not in cases]


def _cost(read: dict[str, Any]) -> Cost:
    seconds: Any = tuple(read["seconds"])
    return Cost(**{**read, "seconds": seconds})


def show(words: str, share: float) -> None:
    """A line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r[{share:4.0%}] {words:<60}\r", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller layers: the numbers mean little")
    parser.add_argument("--only", choices=[layer.name for layer in LAYERS], help="this layer alone")
    parser.add_argument("--precision", choices=PRECISIONS, help="this precision alone")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    layers = QUICK if options.quick else [x for x in LAYERS if options.only in (None, x.name)]
    cases = [(x, p) for x in layers for p in PRECISIONS if options.precision in (None, p)]
    costs = kept(options.output, {(x.name, p) for x, p in cases}) if options.only else []
    for layer, precision in cases:
        costs.append(apart(cost, layer, precision, tell=show))
        print(costs[-1], flush=True)
        evidence = {"quick": options.quick, "machine": machine().to_json()}
        write(options.output, claims(costs), {**evidence, "costs": [asdict(c) for c in costs]})
    found = claims(costs)
    for claim in found:
        print(claim)
    return 0 if all(claim.holds for claim in found) else 1


if __name__ == "__main__":
    sys.exit(main())
