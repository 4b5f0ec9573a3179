"""A model pruned from beginning to end: judged dense, pruned, recovered, judged again, written, measured."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch

import aerogel
from aerogel.core.errors import AerogelError, InputError, UnsupportedError, require
from aerogel.core.files import replace_file
from aerogel.core.folders import require_place
from aerogel.measure import Progress
from aerogel.model.aero_file import write_file
from aerogel.model.loaded import Source
from aerogel.model.save_pretrained import checkpoint_bytes, save_pretrained
from aerogel.model.source import load_model
from aerogel.model.text_files import read_texts
from aerogel.prune import PruneResult, prune, recover
from aerogel.prune.layers import Layer, prunable
from aerogel.prune.provenance import provenance
from aerogel.trial.accuracy import Accuracy, ByTexts, Judge
from aerogel.trial.evaluate import ByFunction
from aerogel.trial.forecast import forecast
from aerogel.trial.outcome import Outcome, Written
from aerogel.trial.prune_data import PruneData, prepare
from aerogel.trial.prune_job import ARTEFACT, Listener, PruneJob
from aerogel.trial.trade import Trade, Trading, cases, check_encoder, measure_trade, weight_bytes


def carry_out(job: PruneJob, listener: Listener) -> Outcome:
    """Do what ``job`` says. What can be wrong is found before anything takes long: outputs, texts, the model,
    and what it is judged by, which sees the dense model first. AerogelErrors as of the parts: then nothing is
    half-written. A measurement that fails is told in the outcome, for the model is written by then."""
    began = time.perf_counter()
    job.check()
    with tempfile.TemporaryDirectory(prefix="aerogel-") as scratch, _threads(job.threads):
        ready = _ready(job, _Noting(listener), Path(scratch))
        result = _pruned(ready)
        accuracy = _judged(ready, result.model, "pruned")
        file = _pruned_file(ready, result, accuracy)
        file_accuracy = None if file is None else _file_accuracy(ready, file)
        missed = (*_missed(job, accuracy, ""), *_missed(job, file_accuracy, "compiled, "))
        written = _written(ready, result, accuracy, file) if job.force or not missed else ()
        measured = _measured(ready, file) if written else _Measured(missing="nothing was written")
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
            seconds=time.perf_counter() - began,
        )


def _missed(job: PruneJob, found: Accuracy | None, of: str) -> tuple[str, ...]:
    return () if found is None else tuple(of + words for words in job.bounds.missed(found))


class _Noting:
    """A listener that keeps what was noted."""

    def __init__(self, listener: Listener) -> None:
        self.stage, self._note = listener.stage, listener.note
        self.notes: list[str] = []

    def note(self, words: str) -> None:
        self.notes.append(words)
        self._note(words)


@dataclass(frozen=True)
class _Ready:
    """All that is known before pruning. ``seen``: what ``judge`` saw in the dense model, both None without
    one; ``dense_file``: the dense model compiled, None where it was not, and then why (``uncompiled``)."""

    job: PruneJob
    listener: _Noting
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
    """``missing``: why there is no ``trade``; ``failed``: was there to be one?"""

    trade: Trade | None = None
    missing: str | None = None
    failed: bool = False


def _ready(job: PruneJob, listener: _Noting, scratch: Path) -> _Ready:
    # What is wrong with a file of texts is said before a model is loaded.
    texts = None if job.data is None else read_texts(job.data)
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
    _foretell(ready)
    return ready


def _check_room(job: PruneJob, source: Source, scratch: Path) -> None:
    """No disk is found to be full after minutes of work. Twice the weights: files are copied from ``scratch``
    into their places."""
    size = weight_bytes(source)
    for place in (*job.outputs, scratch / "dense.aero"):
        require_place(place, 2 * size)
    if job.checkpoint is not None:
        # Adam keeps two numbers for each weight.
        require_place(job.checkpoint, 3 * size)


def _look(judge: Judge, module: Any, which: str, listener: _Noting) -> Any:
    listener.stage(f"judging the {which} model")
    return judge.look(module, which, lambda share: listener.stage(f"judging the {which} model", share))


def _judged(ready: _Ready, model: Any, which: str) -> Accuracy | None:
    if ready.judge is None:
        return None
    return ready.judge.accuracy(ready.seen, _look(ready.judge, model, which, ready.listener))


def _dense_file(
    job: PruneJob, source: Source, scratch: Path, listener: _Noting
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
        listener.note(f"time and memory will not be measured: {error}")
        return None, str(error)


def _foretell(ready: _Ready) -> None:
    """What is worth knowing before minutes are spent."""
    job, note = ready.job, ready.listener.note
    zeros = sum(int((layer.weight == 0).sum()) for layer in ready.layers)
    share = zeros / max(1, sum(layer.weight.numel() for layer in ready.layers))
    if share >= 0.005:
        more = (
            ": no more are asked for"
            if job.sparsity is not None and share >= job.sparsity
            else ", which count"
        )
        note(f"{share:.1%} of the weights to prune are zero already{more}")
    if job.precision == "int8":
        if job.measure:
            note("time is that of int8 and zeros together: bench --precision fp32,int8 tells them apart")
        return
    if job.sparsity is None:
        return
    ready.listener.stage("timing layers with so many zeros")
    warning = forecast(ready.source.module, job.sparsity, job.pattern, job.layers).warning(
        job.sparsity, job.pattern
    )
    if warning is not None:
        note(warning)


def _pruned(ready: _Ready) -> PruneResult:
    job, listener, total = ready.job, ready.listener, len(ready.layers)
    done: list[str] = []

    def progress(name: str) -> None:
        done.append(name)
        listener.stage(f"pruning: {name}", len(done) / total)

    listener.stage("pruning", 0.0)
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
        repair=ready.data.calibration is not None if job.repairs is None else job.repairs,
        progress=progress,
    )
    for note in result.report.notes:
        listener.note(note)
    schedule, training = job.schedule, ready.data.training
    if schedule is None or training is None:
        return result

    def step(at: Any) -> None:
        listener.stage(f"recovery: step {at.step}, loss {at.loss:.4f}", at.progress)

    listener.stage("recovery", 0.0)
    return recover(result, ready.source.module, training, schedule, checkpoint=job.checkpoint, progress=step)


def _pruned_file(ready: _Ready, result: PruneResult, accuracy: Accuracy | None) -> Path | None:
    """The pruned model as a file of our own, not yet in its place; None where there is no need of it."""
    if ready.dense_file is None:
        return None
    ready.listener.stage("compiling the pruned model")
    record = _record(ready, result, accuracy)
    to = ready.scratch / "pruned.aero"
    return write_file(ready.source, result.model, to, record, precision=ready.job.precision)


def _record(ready: _Ready, result: PruneResult, accuracy: Accuracy | None) -> dict[str, Any]:
    seen = accuracy and accuracy.to_json()
    return provenance(ready.source, result.report, calibration=ready.data.described, accuracy=seen)


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
    found: list[Written] = []
    for out in ready.job.outputs:
        ready.listener.stage(f"writing {out}")
        if out.suffix == ARTEFACT:
            assert file is not None
            found.append(_copied(file, out))
        else:
            found.append(_saved(ready, result, accuracy, out))
    return tuple(found)


def _copied(file: Path, out: Path) -> Written:
    def fill(to: IO[bytes]) -> None:
        with file.open("rb") as opened:
            shutil.copyfileobj(opened, to)

    replace_file(out, fill)
    return Written(str(out), "file", out.stat().st_size)


def _saved(ready: _Ready, result: PruneResult, accuracy: Accuracy | None, out: Path) -> Written:
    origin = Path(ready.job.model)
    record = {**_record(ready, result, accuracy), "pruning": result.report.to_json()}
    save_pretrained(result.model, origin, out, record)
    size = checkpoint_bytes(out)
    if size > 1.5 * checkpoint_bytes(origin):
        ready.listener.note(f"{out} holds the weights as fp32, the dense checkpoint in fewer bits")
    return Written(str(out), "directory", size)


def _measured(ready: _Ready, file: Path | None) -> _Measured:
    job, listener = ready.job, ready.listener
    if not job.measure or ready.dense_file is None or file is None:
        return _Measured(missing=ready.uncompiled or "not asked for")
    wanted = Trading(job.model, ready.source, ready.dense_file, file, job.against, job.shapes, job.threads)
    try:
        return _Measured(measure_trade(wanted, ready.scratch, lambda step: _told(listener, step)))
    except AerogelError as error:
        return _Measured(missing=f"the measurement failed: {error}", failed=True)


def _told(listener: Listener, step: Progress) -> None:
    words = f"measuring: {step.contender}" + (f" at {step.case}" if step.case else "")
    listener.stage(words, step.done / step.total)


def _checkpoint_bytes(ready: _Ready) -> int:
    folder = Path(ready.job.model)
    return checkpoint_bytes(folder) if folder.is_dir() else weight_bytes(ready.source)


@contextmanager
def _threads(count: int | None) -> Generator[None]:
    """torch uses so many inside; None leaves it its own number."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
