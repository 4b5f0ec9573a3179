"""Thresholds found for activations, or experts taken out of a model; judged, and written. Imports torch."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from aerogel.core.errors import InputError, require
from aerogel.core.files import write_file
from aerogel.model.loaded import Source
from aerogel.model.pretrained import causal_from_directory
from aerogel.model.save_pretrained import checkpoint_bytes, save_pretrained
from aerogel.model.sentence import SentenceEncoder
from aerogel.model.source import load_model
from aerogel.model.text_files import read_texts
from aerogel.prune.activation import ActivationReport, sparsify_activations
from aerogel.prune.experts import ExpertsReport, remove_experts
from aerogel.prune.provenance import provenance
from aerogel.prune.text_batches import batches
from aerogel.trial import calibration
from aerogel.trial.accuracy import LEAST_TEXTS, Accuracy, ByTexts, Judge
from aerogel.trial.beyond import BeyondJob, BeyondOutcome
from aerogel.trial.calibration import TextShares
from aerogel.trial.evaluate import ByFunction
from aerogel.trial.prune_data import tell_of
from aerogel.trial.prune_job import Listener, Noting
from aerogel.trial.torch_threads import torch_threads


@dataclass(frozen=True)
class _Pruned:
    """``model``: to be judged; ``thresholds``: None where it is smaller instead."""

    model: torch.nn.Module
    report: ActivationReport | ExpertsReport
    thresholds: dict[str, float] | None


def carry_out(job: BeyondJob, listener: Listener) -> BeyondOutcome:
    """Do what ``job`` says. AerogelErrors as of the parts: then nothing is half-written."""
    began = time.perf_counter()
    job.check()
    with torch_threads(job.threads):
        found = _carried_out(job, Noting(listener))
    return replace(found, seconds=time.perf_counter() - began)


def _carried_out(job: BeyondJob, listener: Noting) -> BeyondOutcome:
    """All but how long it took."""
    source, shares = _loaded(job, listener)
    judge = _judge(job, source, shares)
    seen: Any = None
    if judge is not None:
        seen = _look(judge, source.module, "dense", listener)
        job.bounds.check(judge.accuracy(seen, seen))
    pruned = _pruned(job, source, shares, listener)
    accuracy: Accuracy | None = None
    if judge is not None:
        accuracy = judge.accuracy(seen, _look(judge, pruned.model, "pruned", listener))
    missed = () if accuracy is None else job.bounds.missed(accuracy)
    written = _written(job, source, shares, pruned, accuracy) if job.force or not missed else None
    if written is not None and isinstance(pruned.report, ExpertsReport):
        _tell_of_size(Path(job.model), pruned.report, listener)
    return BeyondOutcome(
        model=source.name,
        asked=job,
        report=pruned.report,
        calibration=shares.to_json() | {"training": 0},
        accuracy=accuracy,
        accuracy_missing=None if accuracy is not None else _too_few(shares),
        missed=missed,
        written=written,
        notes=tuple(listener.notes),
        seconds=0.0,
    )


def _loaded(job: BeyondJob, listener: Listener) -> tuple[Source, TextShares]:
    """The model and the texts; what is wrong with a file of texts is said before a model is loaded."""
    texts = None if job.data is None else read_texts(job.data)
    listener.stage("loading the model")
    source = causal_from_directory(Path(job.model)) if job.what == "experts" else load_model(job.model)
    told = f"{source.name} has no tokenizer.json, so there are no texts to calibrate on: add it"
    require(source.tokenizer_path is not None, InputError, told)
    listener.stage("preparing texts")
    if job.data is None or texts is None:
        shares = calibration.from_docstrings(job.texts, judge=True, train=False)
    else:
        shares = calibration.share_out(texts, f"texts of {job.data.name}", job.texts, judge=True)
    tell_of(shares, listener.note)
    return source, shares


def _too_few(shares: TextShares) -> str:
    return f"{shares.given} different texts are too few to hold {LEAST_TEXTS} out: give more, or --eval"


def _judge(job: BeyondJob, source: Source, shares: TextShares) -> Judge | None:
    """None where too few texts are there to hold any out; InputError if a bound was to be kept then."""
    if job.evaluate is not None:
        return ByFunction.load(job.evaluate, source)
    if shares.held_out:
        return ByTexts(batches(source, shares.held_out), shares.origin)
    require(not job.bounds, InputError, f"there is no number to keep: {_too_few(shares)}")
    return None


def _look(judge: Judge, model: torch.nn.Module, which: str, listener: Listener) -> Any:
    return judge.look(model, which, lambda share: listener.stage(f"judging the {which} model", share))


def _pruned(job: BeyondJob, source: Source, shares: TextShares, listener: Listener) -> _Pruned:
    data = batches(source, shares.calibration)
    held_out = batches(source, shares.held_out) or None
    if job.what == "experts":
        listener.stage("weighing experts")
        cut = remove_experts(source.module, job.sparsity, data=data, held_out=held_out)
        return _Pruned(cut.model, cut.report, None)
    # Of a sentence encoder the part that has layers: its names are those that transformers gives them.
    inner = source.module.encoder if isinstance(source.module, SentenceEncoder) else source.module
    listener.stage("looking for thresholds")
    found = sparsify_activations(
        inner,
        job.sparsity,
        data=data,
        place=job.what,
        allocation=job.allocation or "uniform",
        layers=job.layers,
        held_out=held_out,
        inplace=True,
        progress=lambda block: listener.stage(f"looking for thresholds: {block}"),
    )
    return _Pruned(source.module, found.report, dict(found.thresholds))


def _written(
    job: BeyondJob, source: Source, shares: TextShares, pruned: _Pruned, accuracy: Accuracy | None
) -> Path:
    record = provenance(
        source,
        None,
        calibration=shares.to_json(),
        accuracy=accuracy and accuracy.to_json(),
        asked=job.to_json(),
        found=pruned.report.to_json(),
    )
    if pruned.thresholds is None:
        save_pretrained(pruned.model, Path(job.model), job.output, record)
    else:
        said = {"thresholds": pruned.thresholds, **record}
        write_file(job.output, (json.dumps(said, indent=2, allow_nan=False) + "\n").encode())
    return job.output


def _tell_of_size(origin: Path, report: ExpertsReport, listener: Listener) -> None:
    """A directory may be as large as before, with fewer experts."""
    if report.bytes_before > 1.5 * checkpoint_bytes(origin):
        listener.note("the weights are written as fp32, those of the dense checkpoint are in fewer bits")
