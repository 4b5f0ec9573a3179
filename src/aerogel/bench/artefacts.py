"""Compare ``.aero`` files with each other: bytes on disk, latency, memory, and how far their outputs differ.

No torch is needed. Each file is loaded in a process of its own, as ``aerogel.load`` loads it for anyone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import aerogel
from aerogel.bench.cases import shape_case, token_batch
from aerogel.core.errors import InputError, MeasureError, require
from aerogel.measure import Case, Comparison, Contender, Json, Progress, Ratio, Settings, compare
from aerogel.measure.resident import resident
from aerogel.model import artefact as artefacts
from aerogel.model.graph import Graph, Input

Inputs = Mapping[str, Mapping[str, NDArray[Any]]]
_FACTORY = "aerogel.bench.artefacts:make"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file: what it takes on disk, what its constants take in memory (packed weights, tables), and the
    RAM of the process that ran it: at its peak, at the end, and of that what no file backs. None where the
    system does not say. ``load_s``: from the call of ``load`` to a program, code and packing kept or not."""

    name: str
    disk_bytes: int
    constants_bytes: int
    peak_bytes: int | None
    resident_bytes: int | None
    anonymous_bytes: int | None
    load_s: float


@dataclass(frozen=True, slots=True)
class ArtefactComparison:
    """``against``: the file that the others are compared with, the dense control. ``differences``: by case
    and file, the largest difference of an output from the control's, relative to the control's largest
    number; None where that says nothing (another shape, or a control of zeros)."""

    comparison: Comparison
    against: str
    files: tuple[FileFacts, ...]
    differences: Mapping[str, Mapping[str, float | None]]

    def file(self, name: str) -> FileFacts:
        """MeasureError where there is none of that name."""
        for found in self.files:
            if found.name == name:
                return found
        have = ", ".join(f.name for f in self.files)
        raise MeasureError(f"there is no file {name!r}: there are {have}")

    def speedup(self, name: str, case: str) -> Ratio:
        """How many times faster than the control."""
        return self.comparison.case(case).speedup(name, over=self.against)

    def disk_ratio(self, name: str) -> float:
        """Bytes on disk, as a share of the control's."""
        return self.file(name).disk_bytes / self.file(self.against).disk_bytes

    def peak_ratio(self, name: str) -> float | None:
        """The peak of resident memory, as a share of the control's; None where it is not known."""
        own, control = self.file(name).peak_bytes, self.file(self.against).peak_bytes
        return None if own is None or control is None else own / control

    def to_json(self) -> dict[str, Any]:
        return {
            "against": self.against,
            "files": [self._file_json(facts) for facts in self.files],
            "comparison": self.comparison.to_json(),
        }

    def _file_json(self, facts: FileFacts) -> dict[str, Any]:
        control = facts.name == self.against
        return {
            **asdict(facts),
            "disk_ratio": None if control else self.disk_ratio(facts.name),
            "peak_ratio": None if control else self.peak_ratio(facts.name),
            "cases": {
                case.name: {
                    "median_s": case.timing(facts.name).median_s,
                    "interval_s": list(case.timing(facts.name).interval_s),
                    "speedup": None if control else self.speedup(facts.name, case.name).to_json(),
                    "difference": self.differences[case.name][facts.name],
                }
                for case in self.comparison.cases
            },
        }


def compare_artefacts(
    paths: Mapping[str, Path],
    inputs: Sequence[str] | Inputs,
    *,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    against: str | None = None,
    threads: int | None = None,
) -> ArtefactComparison:
    """Time the files in ``paths`` (name -> path) in turns, and read what each takes.

    ``inputs``: shapes such as ``8x128`` (sequences x tokens) for models that take token ids, the same ids
    for all; or the arrays of every case, case -> input -> array. ``against`` names the control, by default
    the first. ``threads`` None: all that are granted. InputError or FormatError for what cannot be compared,
    MeasureError where a process fails.

        >>> found = compare_artefacts({"dense": a, "80 %": b}, ["8x128"])   # doctest: +SKIP
        >>> found.speedup("80 %", "8x128"), found.disk_ratio("80 %")        # doctest: +SKIP
    """
    require(paths, InputError, "there is no file to compare: give at least one")
    control = next(iter(paths)) if against is None else against
    require(control in paths, InputError, f"against={control!r} is none of the files: {', '.join(paths)}")
    graphs = {name: artefacts.load(Path(path)).graph for name, path in paths.items()}
    common: dict[str, Json] = {} if threads is None else {"threads": threads}
    contenders = [
        Contender(name, _FACTORY, {"path": str(Path(path).absolute()), **common})
        for name, path in paths.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(inputs, Mapping):
            cases = _array_cases(inputs, graphs, Path(folder))
        else:
            cases = [_token_case(shape, graphs) for shape in inputs]
        require(cases, InputError, "there is nothing to time: give at least one shape or case, such as 8x128")
        found = compare(contenders, cases, settings, reference=control, progress=progress)
    files = tuple(_facts(name, Path(path), found) for name, path in paths.items())
    differences = {
        case.name: {name: _difference(own, case.outputs[control]) for name, own in case.outputs.items()}
        for case in found.cases
    }
    return ArtefactComparison(found, control, files, differences)


def _token_case(shape: str, graphs: Mapping[str, Graph]) -> Case:
    case = shape_case(shape, output=True)
    longest = max(cast("list[int]", case.params["lengths"]))
    limits: list[int] = []
    for name, graph in graphs.items():
        limits.append(_ids(name, graph).limit)
        fits = graph.max_length is None or longest <= graph.max_length
        require(fits, InputError, f"{name} takes {graph.max_length} tokens, shape {shape} has {longest}")
    return Case(case.name, {**case.params, "vocabulary": min(limits)}, output=True)


def _ids(name: str, graph: Graph) -> Input:
    found = [i for i in graph.inputs if i.kind == "ids" and not i.optional]
    one = len(found) == 1
    takes = ", ".join(f"{i.name} ({i.kind})" for i in graph.inputs)
    require(one, InputError, f"{name} takes {takes}: shapes fit token ids alone, so give arrays")
    return found[0]


def _array_cases(inputs: Inputs, graphs: Mapping[str, Graph], folder: Path) -> list[Case]:
    cases: list[Case] = []
    for number, (case, arrays) in enumerate(inputs.items()):
        for name, graph in graphs.items():
            known = {i.name for i in graph.inputs}
            needed = {i.name for i in graph.inputs if not i.optional and i.kind != "mask"}
            fits = needed <= set(arrays) <= known
            have, want = ", ".join(sorted(arrays)) or "none", ", ".join(sorted(known))
            require(fits, InputError, f"case {case!r} has inputs {have}, but {name} takes {want}")
        file = folder / f"{number}.npz"
        np.savez(file, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
        cases.append(Case(case, {"arrays": str(file)}, output=True))
    return cases


def _facts(name: str, path: Path, found: Comparison) -> FileFacts:
    facts = cast("dict[str, Any]", found.facts(name).facts)
    memory = {key: facts[key] for key in ("peak_bytes", "resident_bytes", "anonymous_bytes")}
    return FileFacts(name, path.stat().st_size, facts["constants_bytes"], **memory, load_s=facts["load_s"])


def _difference(found: NDArray[Any], wanted: NDArray[Any]) -> float | None:
    largest = float(np.abs(wanted).max(initial=0))
    if found.shape != wanted.shape or not 0 < largest < np.inf:
        return None
    error = float(np.abs(found - wanted).max())
    return error / largest if np.isfinite(error) else None


# --- the process of one file --------------------------------------------------------------------


class ArtefactSubject:
    """A loaded file as a contender; a case has ``lengths`` and ``vocabulary``, or ``arrays``, a .npz file."""

    def __init__(self, program: Any, load_s: float) -> None:
        self._program, self._load_s = program, load_s
        self._inputs: dict[str, NDArray[Any]] = {}

    def prepare(self, case: dict[str, Any]) -> None:
        if "arrays" in case:
            with np.load(case["arrays"], allow_pickle=False) as file:
                self._inputs = dict(file)
            return
        batch = token_batch(case, case["vocabulary"])
        for spec in self._program.built.graph.inputs:
            if spec.kind == "mask" or (spec.kind == "ids" and not spec.optional):
                self._inputs[spec.name] = batch.mask if spec.kind == "mask" else batch.ids

    def run(self) -> Any:
        return self._program(**self._inputs)

    def result(self) -> NDArray[np.float32]:
        """All outputs one after the other, flat."""
        found = self.run()
        outputs = found.values() if isinstance(found, dict) else [found]
        return np.concatenate([np.ravel(output) for output in outputs])

    def facts(self) -> dict[str, Any]:
        return {
            "constants_bytes": self._program.nbytes,
            "load_s": self._load_s,
            "threads": self._program.threads,
            "version": aerogel.__version__,
            "target": self._program.plan.target.partition("/")[0],
            **resident().to_json(),
        }


def make(path: str, threads: int | None = None) -> ArtefactSubject:
    """Factory of a contender: the file at ``path``."""
    began = perf_counter()
    program = aerogel.load(path, threads=threads)
    return ArtefactSubject(program, perf_counter() - began)
