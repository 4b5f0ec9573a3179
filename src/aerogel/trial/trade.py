"""What pruning a model bought, measured: time and memory, pruned against dense, each in its own process."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import aerogel
from aerogel.bench.cases import shape_case
from aerogel.bench.encoder import RUNTIMES, SHAPES
from aerogel.bench.energy import watch_energy
from aerogel.bench.whole_model import arrays_of
from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.core.suggest import unknown
from aerogel.measure import (
    Case,
    CaseResult,
    Comparison,
    Contender,
    Json,
    Progress,
    Ratio,
    Settings,
    compare,
)
from aerogel.native import cores

if TYPE_CHECKING:
    from aerogel.model.loaded import Source

DENSE, PRUNED, TORCH = "aerogel dense", "aerogel pruned", "torch eager"
EXAMPLE = "example inputs"
# Two dense controls and the pruned model at three shapes: about half a minute.
TIMING = Settings(rounds=9, block_s=0.3, warm_s=0.05)
_ONNX = ("onnxruntime", "onnx", "onnxscript")
NEEDS = {"torch": (), "onnxruntime": _ONNX, "onnxruntime-int8": _ONNX}


@dataclass(frozen=True, slots=True)
class Trading:
    """What to measure. ``model``: the dense one, as for ``load_model``, which ``source`` is; ``dense`` and
    ``pruned``: .aero files of both. ``against``: other runtimes, of ``NEEDS``, on the dense model.
    ``shapes``: sequences x tokens, None for those of ``SHAPES`` that the model takes."""

    model: str
    source: Source
    dense: Path
    pruned: Path
    against: tuple[str, ...] = ("torch",)
    shapes: tuple[str, ...] | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """Rows of ``comparison``: ``PRUNED``, its control ``DENSE``, and the dense model on other runtimes."""

    comparison: Comparison

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(facts.contender.name for facts in self.comparison.contenders)

    def peak_bytes(self, row: str) -> int | None:
        """The most memory that the row's process held, loading included; None where the system does not
        say."""
        found = self.comparison.facts(row).facts.get("peak_bytes")
        return int(found) if isinstance(found, (int, float)) else None

    def speedup(self, case: CaseResult, over: str) -> Ratio:
        """How many times faster the pruned model is than the dense one of row ``over``."""
        return case.speedup(PRUNED, over=over)

    def to_json(self) -> dict[str, Any]:
        others = [row for row in self.rows if row != PRUNED]
        return {
            "pruned": PRUNED,
            "dense": others,
            "peak_bytes": {row: self.peak_bytes(row) for row in self.rows},
            "speedups": {
                case.name: {row: self.speedup(case, row).to_json() for row in others}
                for case in self.comparison.cases
            },
            "comparison": self.comparison.to_json(),
        }


def check_against(names: Sequence[str]) -> None:
    """InputError for an unknown runtime, MissingDependencyError for one that is not installed."""
    for name in names:
        require(name in NEEDS, InputError, unknown("runtime", name, NEEDS))
        absent = [library for library in NEEDS[name] if importlib.util.find_spec(library) is None]
        if absent:
            raise MissingDependencyError(f'{name} needs {", ".join(absent)}: pip install "aerogel[bench]"')


def check_encoder(names: Sequence[str], model: str, source: Source) -> None:
    """InputError for a runtime that cannot run ``model``: all but torch read an encoder's directory."""
    others = [name for name in names if name != "torch"]
    fits = not others or (Path(model).is_dir() and _is_encoder(source))
    require(fits, InputError, f"{', '.join(others)}: only encoders in a directory are compared: leave it out")


def check_threads(threads: int | None) -> None:
    """InputError for more threads than every runtime can have here: the rows would not be alike."""
    most = cores.limit()
    fits = threads is None or 1 <= threads <= most
    require(fits, InputError, f"threads={threads} is not what every runtime can have here: give 1 to {most}")


def cases(source: Source, shapes: Sequence[str] | None, folder: Path) -> list[Case]:
    """Batches of token ids for a model in a directory, else its example inputs, written to ``folder``.
    InputError for a shape that is longer than the model's texts may be."""
    if _vocabulary(source) is None:
        require(shapes is None, InputError, f"{source.name} takes no token ids: leave --shapes out")
        np.savez(folder / "inputs.npz", **arrays_of(source.example_inputs))  # pyright: ignore[reportArgumentType]
        return [Case(EXAMPLE, {"file": str(folder / "inputs.npz")})]
    longest = source.max_tokens
    found = [shape_case(shape) for shape in (SHAPES if shapes is None else shapes)]
    require(found, InputError, "there is no shape to time: give at least one, such as 1x128")
    if longest is None:
        return found
    fitting = [case for case in found if _tokens(case) <= longest]
    if shapes is not None and len(fitting) < len(found):
        over = next(case.name for case in found if case not in fitting)
        raise InputError(f"shape {over} is longer than the {longest} tokens that {source.name} takes")
    return fitting or [shape_case(f"1x{longest}")]


def measure_trade(
    wanted: Trading,
    folder: Path,
    progress: Callable[[Progress], None] | None = None,
    settings: Settings = TIMING,
) -> Trade:
    """Time all of it, and ask for memory. ``folder``: for what is passed to the processes; what ``progress``
    raises ends it. MeasureError where a process fails."""
    for path in (wanted.dense, wanted.pruned):
        # As on every load but the first: the plan is made, and the weights are packed for this CPU.
        aerogel.load(path, threads=wanted.threads)
    timed = cases(wanted.source, wanted.shapes, folder)
    # Metered, too: what a call saves is what pruning has to be paid back by.
    return Trade(
        compare(_contenders(wanted), timed, settings, reference=DENSE, progress=progress, watch=watch_energy)
    )


def _contenders(wanted: Trading) -> list[Contender]:
    chosen: dict[str, Json] = {} if wanted.threads is None else {"threads": wanted.threads}
    here = "aerogel.bench.whole_model"
    own: dict[str, Json] = {**chosen, "vocabulary": _vocabulary(wanted.source)}
    found: list[Contender] = []
    for name in wanted.against:
        if name == "torch":
            size = weight_bytes(wanted.source)
            args: dict[str, Json] = {**own, "model": wanted.model, "size_bytes": size}
            found.append(Contender(TORCH, f"{here}:torch_eager", args))
        else:
            row, factory, options = RUNTIMES[name]
            found.append(Contender(row, factory, {**chosen, **options, "model": wanted.model}))
    for name, path in ((DENSE, wanted.dense), (PRUNED, wanted.pruned)):
        found.append(Contender(name, f"{here}:program", {**own, "path": str(path)}))
    return found


def _tokens(case: Case) -> int:
    lengths = case.params["lengths"]
    assert isinstance(lengths, list)
    return max(int(n) for n in lengths if isinstance(n, int))


def _vocabulary(source: Source) -> int | None:
    """How many token ids the model knows; None where its arguments may be anything."""
    inner = _pretrained(source)
    size = None if inner is None else getattr(inner.config, "vocab_size", None)
    named = isinstance(source.example_inputs, dict) and "input_ids" in source.example_inputs
    return size if named and isinstance(size, int) else None


def _is_encoder(source: Source) -> bool:
    """Has it no head? The other runtimes are given hidden states to compute."""
    inner = _pretrained(source)
    return inner is not None and inner.base_model is inner


def _pretrained(source: Source) -> Any | None:
    """The part of a model that transformers made, None where there is none."""
    from aerogel.model.sentence import SentenceEncoder

    inner = source.module.encoder if isinstance(source.module, SentenceEncoder) else source.module
    return inner if hasattr(inner, "config") and hasattr(inner, "base_model") else None


def weight_bytes(source: Source) -> int:
    """What the model's numbers take, as they are loaded."""
    return sum(p.numel() * p.element_size() for p in source.module.parameters())
