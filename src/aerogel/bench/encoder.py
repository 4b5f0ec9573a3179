"""Compare one model across runtimes, and with itself pruned."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.apart import apart
from aerogel.bench.cases import lengths_case, shape_case, texts_case
from aerogel.bench.energy import watch_energy
from aerogel.bench.given_model import Given, is_given, read_given
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.native_program import SUFFIX
from aerogel.bench.peers import PEERS, USUAL, Peer, chosen, require_runtimes
from aerogel.bench.quality import Quality, quality
from aerogel.bench.table import Table
from aerogel.bench.variant import DENSE, VARIANTS, Precision, Variant
from aerogel.core.errors import InputError, MeasureError, require
from aerogel.measure import Case, Comparison, Contender, Json, Progress, Settings, compare
from aerogel.native import cores

__all__ = ["DENSE", "OURS", "RUNTIMES", "SHAPES", "VARIANTS", "EncoderBench", "Variant", "compare_encoder"]

# Those of the usual runtimes: row of the table, factory, arguments.
RUNTIMES: dict[str, tuple[str, str, dict[str, Json]]] = {
    name: (PEERS[name].row, PEERS[name].factory or PEERS[name].given, dict(PEERS[name].args))
    for name in USUAL
}
OURS, OURS_GIVEN = "aerogel.bench.native_program:make", "aerogel.bench.native_program:make_given"
_AGREEMENT, _TEXTS = "agreement", "texts"
_UNEVEN, _EVEN = (7, 31, 1, 128), (31, 31)
# A model with fewer zeros than this was not pruned: a few weights are 0 in any.
_PRUNED = 0.05
SHAPES = ("1x16", "1x128", "8x128")


@dataclass(frozen=True, slots=True)
class EncoderBench:
    """What to compare. ``model``: a Hugging Face directory, of which the encoder is compared; or an .aero
    file or FILE.py:FUNCTION, compared as it is. ``against``: names from ``PEERS``. The table's ratios are
    against ``reference``, one of its rows, by default onnxruntime fp32 if it is there, else the first.
    ``shapes`` None: those of ``SHAPES`` that the model has positions for. ``dense``: what ``model`` was
    before it was pruned, as a control of our own. ``profile``: a shape that the model must take too, since
    its steps will be timed there. ``energy``: meter every block. ``environment`` is for aerogel's own rows.
    ``threads``: how many every contender uses, None for its own default."""

    model: Path
    against: tuple[str, ...] = USUAL
    variants: tuple[Variant, ...] = VARIANTS
    shapes: tuple[str, ...] | None = SHAPES
    reference: str | None = None
    onnx_cache: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    threads: int | None = None
    dense: Path | None = None
    profile: str | None = None
    energy: bool = False

    def labelled(self, zeros: float, precision: Precision = "fp32") -> EncoderBench:
        """With variants named after the zeros and the precision that the model has, and beside them those of
        ``dense``."""
        if precision != "fp32":
            made = tuple(replace(v, precision=precision, file=self.model) for v in self.variants)
            return replace(self, variants=made).labelled(zeros)
        if zeros < _PRUNED and self.dense is None:
            return self
        share = round(zeros, 2)
        own = [
            v if v.sparsity is not None else replace(v, sparsity=share, file=self.model)
            for v in self.variants
        ]
        control = [replace(v, file=self.dense) for v in self.variants if v.sparsity is None and self.dense]
        return replace(self, variants=(*control, *own))

    def contenders(self, read: Given | None = None) -> list[Contender]:
        """``read``: the model as it was read, where it is no directory or a runtime needs that. InputError
        for an unknown runtime, or when there is nothing to compare."""
        found = [self._other(peer, read) for peer in chosen(self.against)]
        found += [self.ours(variant, read=read) for variant in self.variants]
        require(found, InputError, "there is nothing to compare: name a runtime or a variant")
        return found

    def ours(
        self, variant: Variant, name: str | None = None, read: Given | None = None, **more: Any
    ) -> Contender:
        """A contender of our own; ``more``: ``env`` or ``args`` to add, which win."""
        args = self._common()
        if variant.file is not None:
            args["model"] = str(variant.file)
        else:
            args |= {"sparsity": variant.sparsity, "pattern": variant.pattern}
        if variant.precision != "fp32" and not str(variant.file).endswith(SUFFIX):
            args["precision"] = variant.precision
        factory = OURS
        if is_given(self.model) and read is not None:
            factory, args["signature"] = OURS_GIVEN, read.signature.to_json()
        env = {**self.environment, **more.get("env", {})}
        return Contender(name or variant.name, factory, {**args, **more.get("args", {})}, env)

    def _other(self, peer: Peer, read: Given | None) -> Contender:
        args = self._common()
        if not is_given(self.model) and peer.factory is not None:
            if self.onnx_cache and peer.onnx is not None:
                args["cache"] = str(self.onnx_cache)
            return peer.contender(peer.factory, args)
        assert read is not None
        args["signature"] = read.signature.to_json()
        if peer.onnx is not None:
            del args["model"]
            args["onnx"] = str(read.onnx[peer.onnx])
        return peer.contender(peer.given, args)

    def _common(self) -> dict[str, Json]:
        chosen_threads: dict[str, Json] = {} if self.threads is None else {"threads": self.threads}
        return {"model": str(self.model), **chosen_threads}


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
    require_comparable(bench, texts)
    with tempfile.TemporaryDirectory(prefix="aerogel-bench-") as scratch:
        read = _read(bench, Path(scratch), progress)
        longest = read.signature.longest if read else ModelFolder.open(bench.model).longest
        shapes = shapes_of(bench, longest)
        zeros = read.zeros if read else ModelFolder.open(bench.model).zeros()
        bench = bench.labelled(zeros or 0.0, read.precision if read else "fp32")
        contenders = bench.contenders(read)
        names = [contender.name for contender in contenders]
        found = compare(
            contenders,
            [*_checks(bench, read, longest, texts), *shapes],
            settings,
            reference=bench.reference or _default_reference(names),
            preview=shapes[0],
            progress=progress,
            watch=watch_energy if bench.energy else None,
        )
    dense = _truth(bench, names)
    qualities = _qualities(found, dense) if texts and dense else {}
    errors = _errors(found, dense) if dense else {}
    variants = {variant.name: variant for variant in bench.variants}
    return Table(found, dense, qualities, errors, _own(contenders), bench.threads, variants)


def require_comparable(bench: EncoderBench, texts: Sequence[str] = ()) -> None:
    """What ``compare_encoder`` refuses before it loads anything: InputError for a model, shapes or threads,
    MissingDependencyError for a runtime."""
    _require_model(bench, texts)
    require_runtimes(bench.against)
    _require_threads(bench.threads)
    given = bench.shapes is None or len(bench.shapes) > 0
    require(given, InputError, "there is no shape to time: give at least one, such as 1x128")
    for shape in bench.shapes or ():
        shape_case(shape)


def _require_model(bench: EncoderBench, texts: Sequence[str]) -> None:
    # A wrong path is said here, not by the first contender.
    if not is_given(bench.model):
        folder = ModelFolder.open(bench.model)
        if texts:
            folder.tokenizer()
        return
    told = f"{bench.model} is compared as it is, on token ids: give a directory to compare it on texts"
    require(not texts, InputError, told)
    if str(bench.model).endswith(SUFFIX):
        require(bench.model.is_file(), InputError, f"there is no {str(bench.model)!r}: give an .aero file")
        pruned = any(v.sparsity is not None and v.file is None for v in bench.variants)
        told = f"{bench.model} has the zeros it has: give a model to prune, or no sparsity"
        require(not pruned, InputError, told)
        precise = any(v.precision != "fp32" for v in bench.variants)
        told = f"{bench.model} has the precision it was compiled with: bench the model it was made from"
        require(not precise, InputError, told)
        wanted = f"{bench.model} holds no torch module: leave torch out, or bench the model it was made from"
        require("torch" not in bench.against, InputError, wanted)


def shapes_of(bench: EncoderBench, longest: int | None) -> list[Case]:
    """The shapes to time; InputError where the model has no positions for one that was asked for."""
    fitting = [shape for shape in SHAPES if longest is None or _tokens(shape) <= longest]
    shapes = bench.shapes if bench.shapes is not None else (fitting or [f"1x{longest}"])
    for shape in (*shapes, bench.profile or shapes[0]):
        told = (
            f"shape {shape} has {_tokens(shape)} tokens, {bench.model} takes {longest}: give shorter shapes"
        )
        require(longest is None or _tokens(shape) <= longest, InputError, told)
    return [shape_case(shape) for shape in shapes]


def _tokens(shape: str) -> int:
    return int(shape.rpartition("x")[2])


def _read(bench: EncoderBench, scratch: Path, progress: Callable[[Progress], None] | None) -> Given | None:
    """The model, read once for all contenders that cannot do that themselves; None where all can."""
    alone = [peer for peer in chosen(bench.against) if is_given(bench.model) or peer.factory is None]
    if not alone and not is_given(bench.model):
        return None

    def tell(words: str, share: float) -> None:
        if progress is not None:
            progress(Progress("read", words, "", 0, 1))

    precisions = sorted({peer.onnx for peer in alone if peer.onnx is not None})
    return apart(read_given, str(bench.model), precisions, scratch, tell=tell)


def _checks(bench: EncoderBench, read: Given | None, longest: int | None, texts: Sequence[str]) -> list[Case]:
    # What it computes for sequences of unequal lengths, where it can be given those.
    padded = read is None or not is_given(bench.model) or read.signature.padded
    lengths = [min(length, longest or length) for length in (_UNEVEN if padded else _EVEN)]
    checks = [lengths_case(_AGREEMENT, lengths, output=True, timed=False)]
    return [*checks, texts_case(texts, _TEXTS)] if texts else checks


def _truth(bench: EncoderBench, names: Sequence[str]) -> str | None:
    """The row whose outputs are those of the dense model."""
    others = () if bench.dense is not None else ("torch eager", "onnxruntime fp32")
    return next((name for name in (*others, DENSE.name, *names[:1]) if name in names), None)


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
    return frozenset(c.name for c in contenders if c.factory in (OURS, OURS_GIVEN))


def _qualities(found: Comparison, dense: str) -> dict[str, Quality]:
    vectors = found.case(_TEXTS).outputs
    # A runtime that takes no texts gives none back, and is not judged by them.
    return {name: quality(own, vectors[dense]) for name, own in vectors.items() if own.size}


def _errors(found: Comparison, dense: str) -> dict[str, float]:
    outputs = found.case(_AGREEMENT).outputs
    errors = {name: relative_error(own, outputs[dense]) for name, own in outputs.items()}
    for name, error in errors.items():
        shapes = f"{outputs[name].shape} for the {outputs[dense].shape} of {dense!r}"
        told = f"{name!r} computes something else than numbers like those of {dense!r}: {shapes}"
        require(np.isfinite(error), MeasureError, told)
    return errors


def relative_error(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest difference, relative to the largest wanted value; infinite where shapes differ."""
    if found.shape != wanted.shape:
        return float("inf")
    largest = float(np.abs(wanted).max())
    apart_by = float(np.abs(found - wanted).max())
    return apart_by / largest if largest else apart_by
