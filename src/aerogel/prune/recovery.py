"""Recovery: the pruned model is trained to do what the dense one does, its zeros held. Imports torch."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.target import current
from aerogel.prune import checkpoint as files
from aerogel.prune.batches import Call, calls_of
from aerogel.prune.blocks import like_blocks
from aerogel.prune.imitation import View, distance, view
from aerogel.prune.ledger import tensor_bytes
from aerogel.prune.report import PruneReport, PruneResult, RecoveryReport
from aerogel.prune.schedule import Schedule
from aerogel.prune.straight_through import StraightThrough
from aerogel.prune.watch import observed

CACHE_BYTES = 512 * 2**20
"""What the dense model did with the batches is kept, if it fits, and else worked out again each time."""
_FEW = 8
UNSEEN_OF = 20
"""One batch in so many is not trained on but tells whether training helped, if those are enough."""
UNSEEN_LEAST, _UNSEEN_MOST = 3, 12
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step done: the loss before it, and the time since training began."""

    step: int
    loss: float
    seconds: float
    progress: float


def recover(
    pruned: PruneResult,
    teacher: torch.nn.Module,
    data: Iterable[Any],
    schedule: Schedule | str,
    *,
    checkpoint: str | Path | None = None,
    progress: Callable[[Step], bool | None] | None = None,
) -> PruneResult:
    """See ``aerogel.prune.recover``."""
    schedule = Schedule.parse(schedule) if isinstance(schedule, str) else schedule
    model = pruned.model
    _require_masks(pruned)
    _require_together(model, teacher)
    calls = data if _are_calls(data) else calls_of(model, data)
    with observed(model, teacher), _trainable(model) as names, torch.enable_grad():
        trainer = _Trainer(pruned, teacher, list(calls), schedule, names, checkpoint)
        try:
            report = trainer.run(progress or (lambda _: None))
        finally:
            trainer.settle()
    layers = tuple(
        replace(r, zeros=int((model.get_parameter(r.name) == 0).sum())) for r in pruned.report.layers
    )
    return replace(pruned, report=replace(pruned.report, layers=layers, recovery=report))


def _require_masks(pruned: PruneResult) -> None:
    """InputError unless the masks are of the model, as it is now."""
    parameters = dict(pruned.model.named_parameters(remove_duplicate=False))
    for name, mask in pruned.masks.items():
        told = f"there is a mask of {name!r}, which the model has no more: prune it again"
        require(name in parameters, InputError, told)
        weight = parameters[name].detach()
        shapes = f"the mask of {name!r} is {list(mask.shape)}, but the weight {list(weight.shape)}"
        require(tuple(mask.shape) == tuple(weight.shape), InputError, f"{shapes}: prune it again")
        told = f"{name!r} is on the meta device: load its weights first"
        require(not weight.is_meta, InputError, told)
        bad = int(torch.count_nonzero(weight[torch.from_numpy(~mask).to(weight.device)]))
        told = f"{bad} masked weights of {name!r} are not zero: something set them since: prune it again"
        require(bad == 0, InputError, told)


def _require_together(model: torch.nn.Module, teacher: torch.nn.Module) -> None:
    """InputError unless the two are on one device: each batch is given to both."""
    ours, theirs = ({str(p.device) for p in m.parameters()} for m in (model, teacher))
    told = f"the model is on {', '.join(sorted(ours))}, the teacher on {', '.join(sorted(theirs))}: move one"
    require(not theirs or ours == theirs, InputError, told)


class _Trainer:
    def __init__(
        self,
        pruned: PruneResult,
        teacher: torch.nn.Module,
        calls: list[Call],
        schedule: Schedule,
        names: Sequence[str],
        checkpoint: str | Path | None,
    ) -> None:
        self._model, self._teacher, self._schedule = pruned.model, teacher, schedule
        self._blocks = like_blocks(self._model)
        self._unseen, self._seen = _shared_out(calls)
        self._parameters = {name: self._model.get_parameter(name) for name in names}
        self._pruned = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._grid = StraightThrough(pruned.model, pruned.masks)
        self._zeros = {name: self._held(name, mask, pruned.report) for name, mask in pruned.masks.items()}
        self._device = next(iter(self._parameters.values())).device.type
        self._half = _in_half(schedule.precision, self._device)
        self._optimizer = torch.optim.Adam(self._parameters.values(), lr=0.0)
        self._path = None if checkpoint is None else Path(checkpoint)
        self._standing = files.Standing()
        self._views: dict[int, View] = {}
        self._room = CACHE_BYTES
        self._resume()

    def _held(self, name: str, mask: NDArray[np.bool_], report: PruneReport) -> torch.Tensor:
        """What stays zero; of a grid's weights, those that were only rounded to zero may come back."""
        weight = self._model.get_parameter(name)
        if report.precision == "int8":
            return torch.from_numpy(~mask).to(weight.device)
        return (weight == 0).detach()

    def settle(self) -> None:
        """Leave the weights as they are to be used."""
        self._grid.settle()

    def run(self, progress: Callable[[Step], bool | None]) -> RecoveryReport:
        at, schedule = self._standing, self._schedule
        if at.unseen is None:
            at.unseen = self._unseen_loss()
        before, began, saved = at.seconds, time.monotonic(), time.monotonic()
        stopped = False
        while not stopped and (done := schedule.progress(at.steps, at.seconds)) < 1:
            loss = self._step(schedule.rate_at(done))
            at.seconds = before + time.monotonic() - began
            self._note(loss)
            told = progress(Step(at.steps, loss, at.seconds, schedule.progress(at.steps, at.seconds)))
            stopped = bool(told) or 0 < schedule.patience <= at.steps - at.best_step
            if time.monotonic() - saved > _SAVE_EVERY_S:
                self._save()
                saved = time.monotonic()
        self._save()
        first = float(np.mean(at.losses)) if at.losses else 0.0
        after = self._unseen_loss()
        # A few steps of a training that begins are often worse than none.
        undone = after is not None and at.unseen is not None and after > at.unseen
        if undone:
            self._put(self._pruned)
        return RecoveryReport(at.steps, at.seconds, first, at.recent, stopped, at.unseen, after, undone)

    def _unseen_loss(self) -> float | None:
        if not self._unseen:
            return None
        losses: list[float] = []
        with torch.no_grad(), self._grid.rounded():
            for call in self._unseen:
                found, wanted = (view(m, call, self._blocks) for m in (self._model, self._teacher))
                losses.append(float(distance(found, wanted, call.mask)))
        return float(np.mean(losses))

    def _put(self, tensors: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, p in self._parameters.items():
                p.copy_(tensors[name])

    def _step(self, rate: float) -> float:
        at = self._standing
        epoch, place = divmod(at.steps, len(self._seen))
        index = _order(self._schedule.seed, epoch, len(self._seen))[place]
        call = self._seen[index]
        wanted = self._dense_view(index)
        self._optimizer.zero_grad(set_to_none=True)
        with self._grid.rounded():
            with torch.autocast(self._device, torch.bfloat16, enabled=self._half):
                found = view(self._model, call, self._blocks)
            loss = distance(found, wanted, call.mask)
            value = float(loss.detach())
            finite = math.isfinite(value)
            require(finite, InputError, f"recovery's loss is {value} at step {at.steps}: lower the rate")
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        with torch.no_grad():
            for name, zero in self._zeros.items():
                self._model.get_parameter(name).masked_fill_(zero, 0.0)
        return value

    def _dense_view(self, index: int) -> View:
        found = self._views.get(index)
        if found is None:
            with torch.no_grad():
                found = view(self._teacher, self._seen[index], self._blocks)
            size = tensor_bytes([*found.states, found.output])
            if size <= self._room:
                self._room -= size
                self._views[index] = found
        return found

    def _note(self, loss: float) -> None:
        at = self._standing
        at.steps += 1
        if len(at.losses) < _FEW:
            at.losses.append(loss)
        share = 1 / min(at.steps, _FEW)
        at.recent += share * (loss - at.recent)
        if at.recent < at.best:
            at.best, at.best_step = at.recent, at.steps

    def _run_name(self) -> str:
        """What is trained, on how much, which zeros, in what order: equal for a run that may go on."""
        shapes = {name: list(p.shape) for name, p in self._parameters.items()}
        digest = hashlib.sha256()
        for name, zero in sorted(self._zeros.items()):
            digest.update(name.encode() + np.packbits(zero.cpu().numpy()).tobytes())
        facts = [shapes, digest.hexdigest(), len(self._seen), self._schedule.seed, self._half]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _save(self) -> None:
        if self._path is None:
            return
        tensors = {f"weight.{name}": p for name, p in self._parameters.items()}
        for name, p in self._parameters.items():
            state = self._optimizer.state.get(p, {})
            tensors |= {f"adam.{key}.{name}": value for key, value in state.items()}
        files.save(self._path, tensors, self._standing, self._run_name())

    def _resume(self) -> None:
        found = None if self._path is None else files.load(self._path, self._run_name())
        if found is None:
            return
        tensors, self._standing = found
        self._put({name: tensors[f"weight.{name}"] for name in self._parameters})
        for name, p in self._parameters.items():
            keys = [k for k in ("step", "exp_avg", "exp_avg_sq") if f"adam.{k}.{name}" in tensors]
            if keys:
                state = {k: tensors[f"adam.{k}.{name}"] for k in keys}
                self._optimizer.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in state.items()}


def _in_half(precision: str, device: str) -> bool:
    """Whether products are bf16; ``auto`` asks the machine."""
    if precision != "auto":
        return precision == "bf16"
    return torch.cuda.is_bf16_supported() if device == "cuda" else current().has("avx512bf16")


def _are_calls(data: object) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(call, Call) for call in data)


def _shared_out(calls: list[Call]) -> tuple[list[Call], list[Call]]:
    """(batches to judge by, batches to train on); all are trained on where there are few."""
    count = min(_UNSEEN_MOST, len(calls) // UNSEEN_OF)
    if count < UNSEEN_LEAST:
        return [], calls
    # From end to end, for callers sort batches by length.
    chosen = {(2 * i + 1) * len(calls) // (2 * count) for i in range(count)}
    return [c for i, c in enumerate(calls) if i in chosen], [
        c for i, c in enumerate(calls) if i not in chosen
    ]


def _order(seed: int, epoch: int, count: int) -> list[int]:
    """A shuffle that depends on nothing else, so that a resumed run sees what it would have seen."""
    return np.random.default_rng([seed, epoch]).permutation(count).tolist()


@contextmanager
def _trainable(model: torch.nn.Module) -> Generator[list[str]]:
    """Inside, exactly the parameters named need gradients: all but embedding tables."""
    tables = {id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    names = [n for n, p in model.named_parameters() if id(p) not in tables and p.is_floating_point()]
    narrow = [n for n in names if model.get_parameter(n).element_size() < 4]
    require(
        not narrow, InputError, f"{narrow[:1]} is too narrow to train: recover the model as model.float()"
    )
    try:
        for name in before:
            model.get_parameter(name).requires_grad_(name in set(names))
        yield names
    finally:
        for name, wanted in before.items():
            model.get_parameter(name).requires_grad_(wanted)
            model.get_parameter(name).grad = None
