"""Compare one encoder model across runtimes, and with itself pruned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.cases import lengths_case, shape_case, texts_case
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.quality import Quality, quality
from aerogel.bench.table import Table
from aerogel.core.errors import InputError, require
from aerogel.measure import Case, Comparison, Contender, Json, Progress, Settings, compare
from aerogel.native import cores

# The other runtimes, by the name given to `against`: row of the table, factory, arguments.
RUNTIMES: dict[str, tuple[str, str, dict[str, Json]]] = {
    "torch": ("torch eager", "aerogel.bench.torch_eager:make", {}),
    "onnxruntime": ("onnxruntime fp32", "aerogel.bench.onnx_runtime:make", {"precision": "fp32"}),
    "onnxruntime-int8": ("onnxruntime int8", "aerogel.bench.onnx_runtime:make", {"precision": "int8"}),
}
OURS = "aerogel.bench.native_program:make"
_AGREEMENT, _TEXTS = "agreement", "texts"


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to compile the model with aerogel; ``sparsity`` None is dense. ``file``: the .aero file of the
    model that was made so already, None to prune it by magnitude."""

    sparsity: float | None = None
    pattern: str = "unstructured"
    file: Path | None = None

    @property
    def name(self) -> str:
        if self.sparsity is None:
            return "aerogel dense"
        shape = "" if self.pattern == "unstructured" else f" {self.pattern}"
        return f"aerogel {100 * self.sparsity:g} %{shape}"


DENSE = Variant()
VARIANTS = (DENSE, Variant(0.5), Variant(0.8), Variant(0.9))
SHAPES = ("1x16", "1x128", "8x128")


@dataclass(frozen=True, slots=True)
class EncoderBench:
    """What to compare. ``against``: names from ``RUNTIMES``; the table's ratios are against ``reference``,
    one of the table's rows, by default onnxruntime fp32 if it is there, else the first. ``environment``
    is for aerogel's own rows. ``threads``: how many every contender uses, None for its own default."""

    model: Path
    against: tuple[str, ...] = tuple(RUNTIMES)
    variants: tuple[Variant, ...] = VARIANTS
    shapes: tuple[str, ...] = SHAPES
    reference: str | None = None
    onnx_cache: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    threads: int | None = None

    def contenders(self) -> list[Contender]:
        """InputError for an unknown runtime, or when there is nothing to compare."""
        found: list[Contender] = []
        for name in self.against:
            known = ", ".join(RUNTIMES)
            require(name in RUNTIMES, InputError, f"runtime {name!r} is unknown: choose from {known}")
            row, factory, options = RUNTIMES[name]
            args: dict[str, Json] = {**self._common(), **options}
            if self.onnx_cache and "onnx" in factory:
                args["cache"] = str(self.onnx_cache)
            found.append(Contender(row, factory, args))
        found += [self.ours(variant) for variant in self.variants]
        require(found, InputError, "there is nothing to compare: name a runtime or a variant")
        return found

    def ours(self, variant: Variant, name: str | None = None, **more: Any) -> Contender:
        """A contender of our own; ``more``: ``env`` or ``args`` to add, which win."""
        args: dict[str, Json] = {**self._common()}
        if variant.file is not None:
            args["model"] = str(variant.file)
        else:
            args |= {"sparsity": variant.sparsity, "pattern": variant.pattern}
        env = {**self.environment, **more.get("env", {})}
        return Contender(name or variant.name, OURS, {**args, **more.get("args", {})}, env)

    def _common(self) -> dict[str, Json]:
        chosen: dict[str, Json] = {} if self.threads is None else {"threads": self.threads}
        return {"model": str(self.model), **chosen}


def compare_encoder(
    bench: EncoderBench,
    texts: Sequence[str] = (),
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Table:
    """Time every contender at every shape, and check what it computes against the dense model.

    With ``texts``, quality is how well each contender's vectors of them keep the neighbourhoods that the
    dense model's have. As each contender is loaded, ``progress`` hears a preview at the first shape.
    """
    ModelFolder.open(bench.model)  # a wrong path is said here, not by the first contender
    _require_threads(bench.threads)
    contenders = bench.contenders()
    shapes = [shape_case(shape) for shape in bench.shapes]
    require(shapes, InputError, "there is no shape to time: give at least one, such as 1x128")
    checks: list[Case] = [lengths_case(_AGREEMENT, [7, 31, 1, 128], output=True, timed=False)]
    if texts:
        checks.append(texts_case(texts, _TEXTS))
    names = [contender.name for contender in contenders]
    found = compare(
        contenders,
        [*checks, *shapes],
        settings,
        reference=bench.reference or _default_reference(names),
        preview=shapes[0],
        progress=progress,
    )
    dense = next((name for name in ("torch eager", "onnxruntime fp32", DENSE.name) if name in names), None)
    qualities = _qualities(found, dense) if texts and dense else {}
    errors = _errors(found, dense) if dense else {}
    return Table(found, dense, qualities, errors, _own(contenders), bench.threads)


def _require_threads(threads: int | None) -> None:
    # Aerogel never takes more than it is granted, other runtimes do: then the rows would not be alike.
    most = cores.limit()
    require(
        threads is None or 1 <= threads <= most,
        InputError,
        f"threads={threads} is not what every runtime can have here: give 1 to {most}, or nothing",
    )


def _default_reference(names: Sequence[str]) -> str:
    wanted = RUNTIMES["onnxruntime"][0]
    return wanted if wanted in names else names[0]


def _own(contenders: Sequence[Contender]) -> frozenset[str]:
    return frozenset(c.name for c in contenders if c.factory == OURS)


def _qualities(found: Comparison, dense: str) -> dict[str, Quality]:
    vectors = found.case(_TEXTS).outputs
    return {name: quality(own, vectors[dense]) for name, own in vectors.items()}


def _errors(found: Comparison, dense: str) -> dict[str, float]:
    outputs = found.case(_AGREEMENT).outputs
    return {name: relative_error(own, outputs[dense]) for name, own in outputs.items()}


def relative_error(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest difference, relative to the largest wanted value; infinite where shapes differ."""
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())
