"""What zeros and 8-bit integers cost all-MiniLM-L6-v2 in quality: a row for each, beside the dense model.

    .venv/bin/python benchmarks/sts.py DEV.tsv                    # about half an hour, most of it pruning
    .venv/bin/python benchmarks/sts.py DEV.tsv --recover 10m      # and one row more, trained for so long
    .venv/bin/python benchmarks/sts.py DEV.tsv --keep FILE ...    # goes on from what earlier runs wrote
    .venv/bin/python benchmarks/sts.py DEV.tsv --quick            # some minutes: to see that it works

DEV.tsv: the development part of the STS Benchmark; columns score, sentence1 and sentence2, named in the first
line, tabs between. For each row an .aero file is written, loaded and judged: by its rank correlation with
people's scores, and how far below the dense model's that is; and by how its vectors of 2,000 docstrings of
the standard library keep the neighbourhoods that the dense model's have. Pruned in one shot (SparseGPT, then
least squares; in integers with what rounding loses made up for), calibrated on other docstrings. --recover
trains the row of blocks of 1 x 4 at 80 % in int8: a third of the time at 50 %, the rest at 80 %. The judged
docstrings and all pairs stay unseen.

Quality does not depend on how busy the machine is, but for the row that trains against the clock: its steps
are written down. Writes benchmarks/results/sts.json. Exit status 1 if a claim does not hold, 2 for bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel
from aerogel.bench.claims import Claim, write
from aerogel.bench.corpus import docstrings, paragraphs
from aerogel.bench.demo import model_folder
from aerogel.bench.quality import Quality, quality
from aerogel.bench.sts import Distance, ScoredPairs
from aerogel.bench.variant import Precision, Variant
from aerogel.core.errors import AerogelError, InputError, require
from aerogel.measure.machine import machine
from aerogel.model.aero_file import write_file
from aerogel.model.loaded import Source
from aerogel.model.source import load_model
from aerogel.prune import PruneResult, Schedule
from aerogel.prune.gradual import Gradual, Stage
from aerogel.prune.provenance import provenance

RESULTS = Path(__file__).parent / "results" / "sts.json"
CALIBRATION = 512
DENSE, INTEGERS = Variant(), Variant(precision="int8")
# Kernels of integers skip whole blocks of 1 x 4 and 4 x 4; those of floats the other two.
PRECISIONS: dict[str, Precision] = {
    "unstructured": "fp32",
    "block4x1": "fp32",
    "block1x4": "int8",
    "block4x4": "int8",
}
SPARSITIES = (0.8, 0.9, 0.5)
RECOVERED = Variant(0.8, "block1x4", precision="int8")
QUICK, QUICK_PAIRS = (RECOVERED,), 200
DISTANCE, CORRELATION, OVERLAP = 0.01, 0.992, 0.91


@dataclass(frozen=True, slots=True)
class Effort:
    """What making a model took: ``seconds``, and ``cpu_s`` of all threads, which tells the work on a busy
    machine too; of the seconds ``recovered_s`` in training, in ``steps`` steps."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    recovered_s: float = 0.0
    steps: int = 0

    @staticmethod
    def so_far(began: Effort | None = None) -> Effort:
        """Since an instant of the system's choice, or since ``began``."""
        before = began or Effort()
        return Effort(time.perf_counter() - before.seconds, time.process_time() - before.cpu_s)


@dataclass(frozen=True, slots=True)
class Row:
    """``zeros``: the share of the pruned layers' weights that is zero, None for a dense model;
    ``recovered_s`` and ``steps`` of training, 0 for one shot; ``sts``: the rank correlation with people's
    scores; ``docstrings``: against the dense model; ``seconds`` and ``cpu_s``: see ``Effort``."""

    name: str
    sparsity: float | None
    pattern: str
    precision: str
    zeros: float | None
    recovered_s: float
    steps: int
    sts: float
    distance: Distance
    docstrings: Quality
    file_bytes: int
    seconds: float
    seed: int
    cpu_s: float | None = None

    def __str__(self) -> str:
        far = f"{self.distance.value:+.4f} [{self.distance.low:+.4f}, {self.distance.high:+.4f}]"
        near = f"{self.docstrings.spearman:.4f}, {self.docstrings.top_overlap:.3f}"
        return f"{self.name:44} {self.sts:.4f}  {far:27}  {near:14}  {self.file_bytes / 1e6:6.2f} MB"


HEAD = f"{'':44} {'STS-B':6}  {'below dense':27}  {'ranks, top 10':14}  {'file':>9}"


class Trial:
    """Makes rows of ``source``, judged by ``pairs`` and ``passages``; files are written to ``scratch``."""

    def __init__(
        self, source: Source, pairs: ScoredPairs, scratch: Path, options: argparse.Namespace
    ) -> None:
        self._source, self._pairs, self._scratch, self._seed = source, pairs, scratch, options.seed
        passages = docstrings(200 if options.quick else 2000)
        self._judged = [p.text for p in passages]
        self._training = paragraphs(passages)
        count = 64 if options.quick else CALIBRATION
        # From all over the library, as the passages that judge are.
        step = len(self._training) // count
        self._calibration = self._training[options.seed % step :: step][:count]

    @property
    def settings(self) -> dict[str, Any]:
        texts = {
            "calibration": len(self._calibration),
            "training": len(self._training),
            "judged": len(self._judged),
            "pairs": len(self._pairs.scores),
        }
        return {"seed": self._seed, "texts": texts, "pairs_sha256": self._pairs.sha256}

    def dense(self, variant: Variant) -> Row:
        return self._row(variant, None, Effort())

    def one_shot(self, variant: Variant) -> Row:
        began = Effort.so_far()
        assert variant.sparsity is not None
        result = self._gradual(variant, ()).once(variant.sparsity)
        return self._row(variant, result, Effort.so_far(began))

    def recovered(self, variant: Variant, seconds: float) -> Row:
        """On the way at 50 %, a third of the time."""
        began, result = Effort.so_far(), None
        assert variant.sparsity is not None
        stages = (Stage(0.5, seconds / 3), Stage(variant.sparsity, 2 * seconds / 3))
        steps = 0
        for _, result in self._gradual(variant, self._training).stages(stages):
            steps += result.report.recovery.steps if result.report.recovery else 0
        return self._row(variant, result, replace(Effort.so_far(began), recovered_s=seconds, steps=steps))

    def _gradual(self, variant: Variant, training: Sequence[str]) -> Gradual:
        chosen = {"pattern": variant.pattern, "precision": variant.precision}
        return Gradual(self._source, self._calibration, training, tell, **chosen)

    def _row(self, variant: Variant, result: PruneResult | None, effort: Effort) -> Row:
        module = self._source.module if result is None else result.model
        file = self._scratch / "model.aero"
        show(f"judging {variant.name}")
        record = provenance(self._source, result and result.report)
        write_file(self._source, module, file, record, precision=variant.precision)
        vectors, cosines = self._vectors(aerogel.load(file))
        dense_vectors, dense_cosines = self._dense
        layers = result.report.layers if result else ()
        weights = sum(layer.shape[0] * layer.shape[1] for layer in layers)
        return Row(
            variant.name + (f", trained {effort.recovered_s:.0f} s" if effort.recovered_s else ""),
            variant.sparsity,
            variant.pattern,
            variant.precision,
            sum(layer.zeros for layer in layers) / weights if weights else None,
            effort.recovered_s,
            effort.steps,
            self._pairs.correlation(cosines),
            self._pairs.distance(cosines, dense_cosines, self._seed),
            quality(vectors, dense_vectors),
            file.stat().st_size,
            effort.seconds,
            self._seed,
            effort.cpu_s,
        )

    @cached_property
    def _dense(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        show("judging the dense model")
        source = self._source
        return self._vectors(aerogel.compile(source.module, source.example_inputs, texts=source.texts()))

    def _vectors(self, program: aerogel.Program) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Of the passages, and the cosines of the pairs."""
        return program.encode(self._judged), self._pairs.cosines(program.encode(self._pairs.texts))


def wanted(options: argparse.Namespace) -> list[Variant]:
    """The most important first: what an interrupted run found is kept."""
    pruned = [Variant(s, p, precision=k) for s in SPARSITIES for p, k in PRECISIONS.items()]
    every = [DENSE, INTEGERS, *(QUICK if options.quick else pruned)]
    return [variant for variant in every if re.search(options.only, variant.name)]


def rows(trial: Trial, options: argparse.Namespace, kept: Mapping[str, Row]) -> Iterator[Row]:
    for variant in wanted(options):
        found = kept.get(variant.name)
        yield found or (trial.one_shot(variant) if variant.sparsity else trial.dense(variant))
    yield from (row for row in kept.values() if row.recovered_s and options.recover is None)
    if options.recover is not None:
        yield trial.recovered(RECOVERED, options.recover)


def claims(found: list[Row]) -> list[Claim]:
    row = next((row for row in found if row.name == INTEGERS.name), None)
    if row is None:
        return []
    name, far = row.name, row.distance
    return [
        Claim(f"{name}: STS-B below dense", far.value, DISTANCE, "", "at most", far.low, far.high),
        Claim(f"{name}: rank correlation", row.docstrings.spearman, CORRELATION, "", "at least"),
        Claim(f"{name}: top-10 overlap", row.docstrings.top_overlap, OVERLAP, "", "at least"),
    ]


@dataclass(frozen=True, slots=True)
class Record:
    """A run as it is written: ``settings``, equal for runs whose rows can stand together, and the rows."""

    settings: Mapping[str, Any]
    rows: tuple[Row, ...]
    peak_bytes: int

    def save(self, path: Path) -> None:
        peak = max(self.peak_bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        rows = [asdict(row) for row in self.rows]
        evidence = {**self.settings, "peak_bytes": peak, "machine": machine().to_json(), "rows": rows}
        write(path, claims(list(self.rows)), evidence)

    @staticmethod
    def read(path: Path, settings: Mapping[str, Any]) -> Record:
        """What ``save`` wrote; InputError for another file, or a run with other ``settings``."""
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            theirs = {name: read[name] for name in settings}
            rows = tuple(_row(row) for row in read["rows"])
            peak = int(read["peak_bytes"])
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}): keep files that exist") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is not what this script writes: leave it out") from error
        other = [name for name, value in theirs.items() if value != settings[name]]
        told = f"{path} is of a run with another {', '.join(other)}: leave it out"
        require(not other, InputError, told)
        return Record(theirs, rows, peak)


def _row(read: dict[str, Any]) -> Row:
    judged: dict[str, Any] = {
        "distance": Distance(**read["distance"]),
        "docstrings": Quality(**read["docstrings"]),
    }
    return Row(**{**read, **judged})


def tell(words: str, share: float) -> None:
    show(f"[{share:4.0%}] {words}")


def show(words: str) -> None:
    """A line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r{words:<78.78}\r", end="", file=sys.stderr, flush=True)


def duration(text: str) -> float:
    """Seconds of ``90s``, ``10m`` or ``1h``."""
    try:
        seconds = Schedule.parse(f"distill:{text}").seconds
    except AerogelError:
        seconds = None
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90s, 10m or 1h")
    return seconds


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path, metavar="DEV.tsv", help="the development part of STS-B")
    parser.add_argument(
        "--recover", type=duration, metavar="10m", help="train one row more, for so long in all"
    )
    parser.add_argument("--seed", type=int, default=0, help="which texts calibrate, and of the intervals")
    parser.add_argument("--quick", action="store_true", help="to see that it works: the numbers mean little")
    parser.add_argument(
        "--keep", type=Path, nargs="+", default=[], metavar="FILE", help="rows of earlier runs"
    )
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose name it is found in")
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> int:
    options = parsed()
    try:
        return judged(options)
    except AerogelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def judged(options: argparse.Namespace) -> int:
    pairs = ScoredPairs.read(options.pairs)
    if options.quick:
        few = {name: getattr(pairs, name)[:QUICK_PAIRS] for name in ("first", "second", "scores")}
        pairs = replace(pairs, **few)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        # What loading keeps for each of these files is of no use afterwards.
        os.environ["AEROGEL_CACHE_DIR"] = str(Path(scratch, "cache"))
        trial = Trial(load_model(str(model_folder())), pairs, Path(scratch), options)
        records = [Record.read(path, trial.settings) for path in options.keep]
        kept = {row.name: row for record in records for row in record.rows}
        peak = max((record.peak_bytes for record in records), default=0)
        print(HEAD)
        for row in rows(trial, options, kept):
            found.append(row)
            print(row, flush=True)
            Record(trial.settings, tuple(found), peak).save(options.output)
    for claim in claims(found):
        print(claim)
    return 0 if all(claim.holds for claim in claims(found)) else 1


if __name__ == "__main__":
    sys.exit(main())
