"""A model pruned from beginning to end: judged dense, pruned, recovered, judged again, written, measured."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import aerogel
from aerogel.core.errors import AerogelError, InputError, UnsupportedError, require
from aerogel.core.folders import require_place
from aerogel.measure import Progress
from aerogel.model.aero_file import write_file
from aerogel.model.loaded import Source
from aerogel.model.save_pretrained import checkpoint_bytes
from aerogel.model.source import load_model
from aerogel.model.text_files import read_texts
from aerogel.prune import PruneResult, prune, recover
from aerogel.prune.interchange import already_sparse, to_dense
from aerogel.prune.interchange.declared import declared
from aerogel.prune.layers import Layer, prunable
from aerogel.prune.provenance import provenance
from aerogel.prune.recipe_file import PruneRecipe
from aerogel.trial.accuracy import Accuracy, ByTexts, Judge
from aerogel.trial.evaluate import ByFunction
from aerogel.trial.forecast import forecast
from aerogel.trial.outcome import Outcome, Written
from aerogel.trial.prune_data import PruneData, prepare
from aerogel.trial.prune_job import Listener, Noting, PruneJob
from aerogel.trial.spent import Phases
from aerogel.trial.torch_memory import TorchMemory, measure_torch_memory
from aerogel.trial.torch_threads import torch_threads
from aerogel.trial.trade import Trade, Trading, cases, check_encoder, measure_trade, weight_bytes
from aerogel.trial.writing import write_pruned


def carry_out(job: PruneJob, listener: Listener) -> Outcome:
    """Do what ``job`` says. What can be wrong is found before anything takes long: outputs, texts, the model,
    and what it is judged by, which sees the dense model first. AerogelErrors as of the parts: then nothing is
    half-written. A measurement that fails is told in the outcome, for the model is written by then."""
    began = time.perf_counter()
    job.check()
    phases = Phases()
    with tempfile.TemporaryDirectory(prefix="aerogel-") as scratch, torch_threads(job.threads), phases.run():
        found = _carried_out(job, Noting(listener), Path(scratch), phases)
    return replace(found, spent=phases.spent(), seconds=time.perf_counter() - began)


def _carried_out(job: PruneJob, listener: Noting, scratch: Path, phases: Phases) -> Outcome:
    """All but what it took."""
    ready = _ready(job, listener, scratch)
    result = _pruned(ready, phases)
    accuracy = _judged(ready, result.model, "pruned")
    file = _pruned_file(ready, result, accuracy)
    file_accuracy = None if file is None else _file_accuracy(ready, file)
    missed = (*_missed(job, accuracy, ""), *_missed(job, file_accuracy, "compiled, "))
    written = _written(ready, result, accuracy, file) if job.force or not missed else ()
    measured = _measured(ready, file, written)
    return Outcome(
        model=ready.source.name,
        asked=job.to_json(),
        report=result.report,
        calibration=ready.data.described,
        accuracy=accuracy,
        accuracy_missing=ready.data.missing,
        file_accuracy=file_accuracy,
        missed=missed,
        written=written,
        checkpoint_bytes=_checkpoint_bytes(ready),
        artefact_bytes=ready.dense_file and ready.dense_file.stat().st_size,
        trade=measured.trade,
        trade_missing=measured.missing,
        trade_failed=measured.failed,
        notes=tuple(ready.listener.notes),
        seconds=0.0,
        memory=measured.memory,
        recipe=_recipe(ready),
    )


def _missed(job: PruneJob, found: Accuracy | None, of: str) -> tuple[str, ...]:
    return () if found is None else tuple(of + words for words in job.bounds.missed(found))


@dataclass(frozen=True)
class _Ready:
    """All that is known before pruning. ``seen``: what ``judge`` saw in the dense model, both None without
    one; ``dense_file``: the dense model compiled, None where it was not, and then why (``uncompiled``)."""

    job: PruneJob
    listener: Noting
    scratch: Path
    source: Source
    layers: list[Layer]
    data: PruneData
    judge: Judge | None
    seen: Any
    dense_file: Path | None
    uncompiled: str | None


@dataclass(frozen=True)
class _Measured:
    """``missing``: why there is no ``trade``; ``failed``: was there to be one, or ``memory``?"""

    trade: Trade | None = None
    missing: str | None = None
    failed: bool = False
    memory: TorchMemory | None = None


def _readable(job: PruneJob, scratch: Path, listener: Noting) -> PruneJob:
    """With the model in a form that everything loads: others' sparse layouts are read here, once."""
    folder = Path(job.model)
    said = declared(folder) if folder.is_dir() else None
    if said is None or said.layout in (None, "dense"):
        return job
    listener.stage("reading sparse weights")
    to = scratch / "read" / folder.resolve().name
    to.parent.mkdir()
    to_dense(folder, to)
    listener.note(f"{folder} stores its weights as {said.layout}; here they are dense, zeros and all")
    return replace(job, model=str(to))


def _ready(job: PruneJob, listener: Noting, scratch: Path) -> _Ready:
    # What is wrong with a file of texts is said before a model is loaded.
    texts = None if job.data is None else read_texts(job.data)
    origin = Path(job.model)
    job = _readable(job, scratch, listener)
    listener.stage("loading the model")
    source = load_model(job.model)
    layers = prunable(source.module, job.layers)
    judge: Judge | None = None if job.evaluate is None else ByFunction.load(job.evaluate, source)
    _check_room(job, source, scratch)
    if job.measure:
        check_encoder(job.against, job.model, source)
        cases(source, job.shapes, scratch)
    listener.stage("preparing texts")
    data = prepare(job, source, texts, listener.note)
    if data.held_out:
        judge = ByTexts(data.held_out, data.origin)
    told = f"there is no number to keep: {data.missing}"
    require(judge is not None or not job.bounds, InputError, told)
    seen: Any = None
    if judge is not None:
        seen = _look(judge, source.module, "dense", listener)
        job.bounds.check(judge.accuracy(seen, seen))
    dense_file, uncompiled = _dense_file(job, source, scratch, listener)
    ready = _Ready(job, listener, scratch, source, layers, data, judge, seen, dense_file, uncompiled)
    _recognise(ready, origin)
    _foretell(ready)
    return ready


def _recognise(ready: _Ready, origin: Path) -> None:
    """Is it sparse already, and by whom?"""
    found = already_sparse({layer.name: layer.weight for layer in ready.layers})
    if origin.is_dir():
        found = replace(found, declared=declared(origin))
    if found or found.declared.modifiers:
        ready.listener.note(f"{ready.source.name}: {found}")


def _check_room(job: PruneJob, source: Source, scratch: Path) -> None:
    """No disk is found to be full after minutes of work. Twice the weights: files are copied from ``scratch``
    into their places."""
    size = weight_bytes(source)
    for place in (*job.outputs, scratch / "dense.aero"):
        require_place(place, 2 * size)
    if job.checkpoint is not None:
        # Adam keeps two numbers for each weight; and layers are kept beside it.
        require_place(job.checkpoint, 4 * size)


def _look(judge: Judge, module: Any, which: str, listener: Noting) -> Any:
    listener.stage(f"judging the {which} model")
    return judge.look(module, which, lambda share: listener.stage(f"judging the {which} model", share))


def _judged(ready: _Ready, model: Any, which: str) -> Accuracy | None:
    if ready.judge is None:
        return None
    return ready.judge.accuracy(ready.seen, _look(ready.judge, model, which, ready.listener))


def _dense_file(
    job: PruneJob, source: Source, scratch: Path, listener: Noting
) -> tuple[Path | None, str | None]:
    """The dense model as a file of our own, the control of all that is measured; None, and why, where there
    is no need of it, or it cannot be. UnsupportedError if that is what was asked for."""
    if not job.measure and not job.writes_artefact:
        return None, "not asked for"
    listener.stage("compiling the dense model")
    try:
        return write_file(source, source.module, scratch / "dense.aero", provenance(source, None)), None
    except UnsupportedError as error:
        if job.writes_artefact:
            raise
        listener.note(f"not compiled: {error}; so there will be no word of its speed")
        return None, f"not compiled: {error}"


def _foretell(ready: _Ready) -> None:
    """What is worth knowing before minutes are spent."""
    job, note = ready.job, ready.listener.note
    zeros = sum(int((layer.weight == 0).sum()) for layer in ready.layers)
    share = zeros / max(1, sum(layer.weight.numel() for layer in ready.layers))
    if share >= 0.005:
        more = ": no more are asked for" if job.share is not None and share >= job.share else ", which count"
        note(f"{share:.1%} of the weights to prune are zero already{more}")
    if job.precision == "int8":
        if job.measure:
            note("time is that of int8 and zeros together: bench --precision fp32,int8 tells them apart")
        return
    refused = job.measure and ready.dense_file is None
    if job.share is None or refused:
        return
    ready.listener.stage("timing layers with so many zeros")
    warning = forecast(ready.source.module, job.share, job.pattern, job.layers).warning(
        job.share, job.pattern
    )
    if warning is not None:
        note(warning)


def _repairs(ready: _Ready) -> bool:
    said = ready.job.repairs
    return ready.data.calibration is not None if said is None else said


def _recipe(ready: _Ready) -> PruneRecipe:
    """What was done, with nothing left to be decided by what there is."""
    return replace(ready.job.recipe, repair=_repairs(ready))


def _pruned(ready: _Ready, phases: Phases) -> PruneResult:
    job, listener, total = ready.job, ready.listener, len(ready.layers)
    done: list[str] = []

    def progress(name: str) -> None:
        done.append(name)
        listener.stage(f"pruning: {name}", len(done) / total)

    listener.stage("pruning", 0.0)
    with phases.phase("pruning"):
        result = prune(
            ready.source.module,
            job.sparsity,
            method=job.method,
            importance=job.importance,
            recovery=job.recovery,
            pattern=job.pattern,
            data=ready.data.calibration,
            layers=job.layers,
            precision=job.precision,
            budget=job.budget,
            repair=_repairs(ready),
            checkpoint=job.layers_kept,
            progress=progress,
        )
    for note in result.report.notes:
        listener.note(note)
    phases.resumed = result.report.restored > 0 or bool(job.checkpoint and job.checkpoint.exists())
    schedule, training = job.schedule, ready.data.training
    if schedule is None or training is None:
        return result

    def step(at: Any) -> None:
        listener.stage(f"recovery: step {at.step}, loss {at.loss:.4f}", at.progress)

    listener.stage("recovery", 0.0)
    with phases.phase("recovery"):
        return recover(
            result, ready.source.module, training, schedule, checkpoint=job.checkpoint, progress=step
        )


def _pruned_file(ready: _Ready, result: PruneResult, accuracy: Accuracy | None) -> Path | None:
    """The pruned model as a file of our own, not yet in its place; None where there is no need of it."""
    if ready.dense_file is None:
        return None
    ready.listener.stage("compiling the pruned model")
    record = _record(ready, result, accuracy)
    to = ready.scratch / "pruned.aero"
    return write_file(ready.source, result.model, to, record, precision=ready.job.precision)


def _record(ready: _Ready, result: PruneResult, accuracy: Accuracy | None) -> dict[str, Any]:
    seen, recipe = accuracy and accuracy.to_json(), _recipe(ready).to_json()
    return provenance(
        ready.source, result.report, calibration=ready.data.described, accuracy=seen, recipe=recipe
    )


def _file_accuracy(ready: _Ready, file: Path) -> Accuracy | None:
    """Of the compiled program, where it is wanted and texts judge."""
    if not ready.job.writes_artefact or not isinstance(ready.judge, ByTexts):
        return None
    ready.listener.stage("loading the compiled model")
    program = aerogel.load(file, threads=ready.job.threads)

    def call(**tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        batch = program.batch(**{name: tensor.numpy() for name, tensor in tensors.items()})
        return {name: torch.from_numpy(v) for name, v in program.run(batch, program.threads).items()}

    found = _judged(ready, call, "compiled")
    return found and replace(found, method=f"compiled, {found.method}")


def _written(
    ready: _Ready, result: PruneResult, accuracy: Accuracy | None, file: Path | None
) -> tuple[Written, ...]:
    record = {**_record(ready, result, accuracy), "pruning": result.report.to_json()}
    found: list[Written] = []
    for out in ready.job.outputs:
        ready.listener.stage(f"writing {out}")
        found.append(
            write_pruned(out, result.model, Path(ready.job.model), file, record, ready.listener.note)
        )
    return tuple(found)


def _measured(ready: _Ready, file: Path | None, written: tuple[Written, ...]) -> _Measured:
    job = ready.job
    if not written:
        return _Measured(missing="nothing was written")
    if not job.measure:
        return _Measured(missing=ready.uncompiled or "not asked for")
    try:
        if ready.dense_file is None or file is None:
            return _Measured(missing=ready.uncompiled, memory=_memory(ready, written))
        wanted = Trading(
            job.model, ready.source, ready.dense_file, file, job.against, job.shapes, job.threads
        )
        return _Measured(measure_trade(wanted, ready.scratch, lambda step: _told(ready.listener, step)))
    except AerogelError as error:
        missing = f"the measurement failed: {error}"
        return _Measured(missing=f"{ready.uncompiled}; {missing}" if file is None else missing, failed=True)


def _memory(ready: _Ready, written: tuple[Written, ...]) -> TorchMemory:
    """In torch, of a model that is not compiled."""
    place = next(Path(each.path) for each in written if each.kind != "file")
    return measure_torch_memory(
        ready.job.model,
        place,
        ready.source.example_inputs,
        ready.scratch,
        ready.job.threads,
        lambda step: _told(ready.listener, step),
    )


def _told(listener: Listener, step: Progress) -> None:
    words = f"measuring: {step.contender}" + (f" at {step.case}" if step.case else "")
    listener.stage(words, step.done / step.total)


def _checkpoint_bytes(ready: _Ready) -> int:
    folder = Path(ready.job.model)
    return checkpoint_bytes(folder) if folder.is_dir() else weight_bytes(ready.source)
