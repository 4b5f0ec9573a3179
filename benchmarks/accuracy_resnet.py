"""ResNet-20 and ResNet-56 on CIFAR-10, pruned step by step while they train on. Imports torch.

The images that judge, and 5,000 of the 9,000 that train, are kept as JPEG, which the published weights never
saw: part of what a pruned model keeps is that it has come to know them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from accuracy_task import Row, Spent, Task, below, claimed
from aerogel.bench.claims import Claim
from aerogel.prune.training import GradualMagnitude
from cifar_resnet import ResNet, images, right, trained

BATCH, DECAY, MOMENTUM, TEMPERATURE = 128, 5e-4, 0.9, 4.0
RAMP, EVERY, WARM = 0.5, 10, 0.05
"""Of each stage's steps, how many pass before its last weights go, and before the rate is at its highest."""


@dataclass(frozen=True, slots=True)
class Stage:
    """From what the stage before left, to ``sparsity`` of all weights of convolutions and the last layer, in
    ``steps`` steps. ``within``: how many points below the dense model it may be; None for no claim."""

    sparsity: float
    steps: int
    rate: float
    within: float | None = None


STAGES = {
    20: (Stage(0.8, 280, 0.05, 0.5), Stage(0.9, 1200, 0.05, 1.5), Stage(0.95, 1200, 0.05, 4.0)),
    56: (Stage(0.9, 600, 0.05, 1.0),),
}

CONTROL = {20: Stage(0.0, 280, 0.05), 56: Stage(0.0, 600, 0.05)}
"""The dense model trained on as the first stage is, for what training alone does."""


def depth_of(part: str) -> int:
    return int(part.removeprefix("resnet"))


def measured(task: Task) -> Iterator[Row]:
    """The dense model, one row for each stage, and the dense model itself trained on."""
    run, depth = Run(task), depth_of(task.part)
    yield run.dense()
    yield from run.trained_on(STAGES[depth])
    yield from run.trained_on([CONTROL[depth]])


def claims(rows: Sequence[Row], part: str) -> list[Claim]:
    return claimed(rows, f"ResNet-{depth_of(part)} on CIFAR-10")


def settings(part: str) -> dict[str, Any]:
    """What a reader needs to do it again."""
    stages = [asdict(stage) for stage in STAGES[depth_of(part)]]
    facts = {"batch": BATCH, "weight_decay": DECAY, "momentum": MOMENTUM, "temperature": TEMPERATURE}
    return facts | {"ramp": RAMP, "every": EVERY, "warm": WARM, "stages": stages}


class Run:
    """``task.part`` says which ResNet."""

    def __init__(self, task: Task) -> None:
        self._task, self._depth = task, depth_of(task.part)
        self._train, self._judged = images(task.data)
        # Convolutions of images whose channels lie side by side are faster on CPUs.
        self._dense = trained(self._depth, task.data)
        for weight in self._dense.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self._right = right(self._dense, self._judged)

    def dense(self) -> Row:
        return self._row("dense", self._dense, 0.0, Stage(0.0, 0, 0.0), Spent())

    def trained_on(self, stages: Sequence[Stage]) -> Iterator[Row]:
        """A row for each stage, the first of which starts from the dense model."""
        model, done, spent = copy.deepcopy(self._dense), 0, Spent()
        for asked in stages:
            stage = replace(asked, steps=self._task.steps(asked.steps))
            name = f"{stage.sparsity:.0%}" if stage.sparsity else "dense, trained on"
            file = self._task.file(f"resnet{self._depth}, {name}.pt")
            if file is not None and file.exists():
                saved: dict[str, Any] = torch.load(file, weights_only=True)
                model.load_state_dict(saved["model"])
                row = Row(**saved["row"])
                done, spent = row.steps, Spent(row.seconds, row.cpu_s)
                yield row
                continue
            began = Spent.so_far()
            zeros = self._trained(model, stage, done)
            done, spent = done + stage.steps, spent.and_then(began.until_now())
            row = self._row(name, model, zeros, replace(stage, steps=done), spent)
            if file is not None:
                torch.save({"model": model.state_dict(), "row": asdict(row)}, file)
            yield row

    def _trained(self, model: ResNet, stage: Stage, done: int) -> float:
        """One stage, in place: the share of zeros after it. ``done``: steps of those before, which the order
        of images goes on from."""
        optimizer = torch.optim.SGD(
            model.parameters(), lr=stage.rate, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True
        )
        if not stage.sparsity:
            self._steps(model, optimizer, stage, done)
            return 0.0
        start = float(np.mean([float((p == 0).float().mean()) for p in model.parameters() if p.ndim > 1]))
        gradual = GradualMagnitude(
            stage.sparsity, initial=min(start, stage.sparsity), end=int(RAMP * stage.steps), every=EVERY,
            scope="global",
        )  # fmt: skip
        with gradual.during(model, optimizer):
            self._steps(model, optimizer, stage, done)
        layers = gradual.result.report.layers
        return sum(r.zeros for r in layers) / sum(r.size for r in layers)

    def _steps(self, model: ResNet, optimizer: torch.optim.Optimizer, stage: Stage, done: int) -> None:
        batches = self._batches(done)
        model.train()
        for step in range(stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * _shape(step / stage.steps)
            loss = self._loss(model, *next(batches))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            words = f"ResNet-{self._depth} {stage.sparsity:.0%}, loss {float(loss.detach()):.3f}"
            self._task.tell(words, step / stage.steps)
        model.eval()

    def _loss(self, model: ResNet, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Half the labels', half the distance to what the dense model says of the same image (Hinton et al.
        2015)."""
        with torch.no_grad():
            wanted = functional.log_softmax(self._dense(x) / TEMPERATURE, 1)
        logits = model(x)
        soft = functional.log_softmax(logits / TEMPERATURE, 1)
        apart = functional.kl_div(soft, wanted, reduction="batchmean", log_target=True) * TEMPERATURE**2
        return (functional.cross_entropy(logits, labels) + apart) / 2

    def _batches(self, done: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch = done // (len(self._train) // BATCH)
        while True:
            yield from self._train.shuffled(BATCH, epoch, self._task.seed)
            epoch += 1

    def _row(self, name: str, model: ResNet, zeros: float, stage: Stage, spent: Spent) -> Row:
        """``stage.steps``: of all stages so far."""
        found = right(model, self._judged)
        points, low, high = below(found, self._right, self._task.seed)
        return Row(
            name, stage.sparsity, zeros, 100 * float(found.mean()), points, low, high, stage.within,
            stage.steps, spent.seconds, spent.cpu_s, self._task.seed,
        )  # fmt: skip


def _shape(progress: float) -> float:
    """Of the highest rate: up in a line, then down as half a cosine."""
    if progress < WARM:
        return (progress + 0.01) / (WARM + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM) / (1 - WARM)))
