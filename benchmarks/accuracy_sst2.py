"""all-MiniLM-L6-v2 trained to tell praise from blame (SST-2), then pruned step by step and recovered from the
dense one by distillation, which sees the training sentences but not their labels. Imports torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

import aerogel
from accuracy_task import Row, Spent, Task, below, claimed
from aerogel.bench.claims import Claim
from aerogel.bench.demo import model_folder
from aerogel.model.loaded import Source
from aerogel.model.source import load_model
from aerogel.prune import Schedule, recover
from aerogel.prune.text_batches import batches

BATCH, LESSONS, RATE, HEAD_RATE = 32, 600, 1e-4, 1e-3
CALIBRATION, RECOVERY_RATE = 512, 4e-4


@dataclass(frozen=True, slots=True)
class Stage:
    """From what the stage before left, to ``sparsity`` of the linear layers but the head, by OBS and least
    squares, then ``steps`` of recovery. ``within``: points below the dense one; None for no claim."""

    sparsity: float
    steps: int
    within: float | None = None


STAGES = (Stage(0.8, 500, 1.0), Stage(0.9, 500, 2.5))


class Classifier(nn.Module):
    """Two numbers for each text, from its mean-pooled vector."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(384, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        shown = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return {"logits": self.classifier((hidden * shown).sum(1) / shown.sum(1))}


@dataclass(frozen=True, slots=True)
class Sentences:
    """``labels``: 0 or 1."""

    texts: tuple[str, ...]
    labels: NDArray[np.int64]

    @staticmethod
    def read(path: Path) -> Sentences:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        return Sentences(tuple(row[0] for row in rows), np.array([int(row[1]) for row in rows]))

    def batch(self, source: Source, places: Sequence[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """(what the model takes, labels) of these."""
        ids, mask = source.tokenize([self.texts[i] for i in places])
        taken = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return taken, torch.from_numpy(self.labels[list(places)])


def measured(task: Task) -> Iterator[Row]:
    """The dense model, and one row for each stage."""
    run = Run(task)
    began = Spent.so_far()
    dense = run.taught()
    run.judge_by(dense)
    yield run.row("dense", dense, 0.0, Stage(0.0, run.lessons), began.until_now())
    yield from run.pruned(dense)


def claims(rows: Sequence[Row], _: str) -> list[Claim]:
    return claimed(rows, "all-MiniLM-L6-v2 on SST-2")


def settings(_: str) -> dict[str, Any]:
    """What a reader needs to do it again."""
    facts = {"batch": BATCH, "lessons": LESSONS, "rate": RATE, "head_rate": HEAD_RATE}
    facts |= {"calibration": CALIBRATION, "recovery_rate": RECOVERY_RATE}
    return facts | {"stages": [asdict(stage) for stage in STAGES]}


class Run:
    """``lessons``: steps of training that the dense model takes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._source = load_model(str(model_folder()))
        self._train = Sentences.read(task.data / "sst2" / "train.tsv")
        self._judged = Sentences.read(task.data / "sst2" / "dev.tsv")
        self._right = np.zeros(len(self._judged.texts), np.bool_)
        self._rng = np.random.default_rng(task.seed)
        self.lessons = task.steps(LESSONS)

    def judge_by(self, dense: nn.Module) -> None:
        self._right = self._told_right(dense)

    def pruned(self, dense: Classifier) -> Iterator[Row]:
        """Each stage goes on from the one before."""
        training = batches(self._source, self._train.texts)
        order = np.random.default_rng(self._task.seed).permutation(len(self._train.texts))
        calibration = batches(self._source, [self._train.texts[i] for i in order[:CALIBRATION]])
        model, steps, spent = dense, 0, Spent()
        for stage in STAGES:
            words, began = f"SST-2 {stage.sparsity:.0%}", Spent.so_far()
            self._task.tell(f"{words}, pruning", 0.0)
            result = aerogel.prune(model, stage.sparsity, method="sparsegpt", data=calibration, repair=True)
            result = recover(
                result, dense, training,
                Schedule(steps=self._task.steps(stage.steps), rate=RECOVERY_RATE, seed=self._task.seed),
                checkpoint=self._task.file(f"sst2, {stage.sparsity:.0%}.safetensors"),
                progress=lambda step, words=words: self._task.tell(
                    f"{words}, loss {step.loss:.4f}", step.progress
                ),
            )  # fmt: skip
            model, steps = result.model, steps + self._task.steps(stage.steps)
            spent = spent.and_then(began.until_now())
            layers = result.report.layers
            zeros = sum(r.zeros for r in layers) / sum(r.size for r in layers)
            yield self.row(f"{stage.sparsity:.0%}", model, zeros, replace(stage, steps=steps), spent)

    def taught(self) -> Classifier:
        """The dense one, by Adam on the labels; without dropout, for so few steps forget little."""
        torch.manual_seed(self._task.seed)
        model = Classifier(copy.deepcopy(self._source.module.get_submodule("encoder"))).eval()
        file = self._task.file("sst2, dense.safetensors")
        if file is not None and file.exists():
            model.load_state_dict(load_file(file))
            return model
        own = [p for n, p in model.named_parameters() if "embeddings" not in n and "classifier" not in n]
        groups = [(own, RATE), (list(model.classifier.parameters()), HEAD_RATE)]
        optimizer = torch.optim.Adam([{"params": some, "lr": 0.0} for some, _ in groups])
        schedule = Schedule(steps=self.lessons, rate=1.0)
        for step, places in zip(range(self.lessons), self._drawn(), strict=False):
            for group, (_, rate) in zip(optimizer.param_groups, groups, strict=True):
                group["lr"] = rate * schedule.rate_at(step / self.lessons)
            taken, labels = self._train.batch(self._source, places)
            loss = functional.cross_entropy(model(**taken)["logits"], labels)
            loss.backward()
            optimizer.step()
            model.zero_grad()
            self._task.tell(f"SST-2, training, loss {float(loss.detach()):.3f}", step / self.lessons)
        if file is not None:
            save_file(model.state_dict(), file)
        return model

    def _drawn(self) -> Iterator[list[int]]:
        """Batches of places, each place once an epoch."""
        while True:
            order = self._rng.permutation(len(self._train.texts))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                yield order[start : start + BATCH].tolist()

    def _told_right(self, model: nn.Module) -> NDArray[np.bool_]:
        found = np.zeros(len(self._judged.texts), np.bool_)
        # Of like length together: less padding.
        order = sorted(range(len(found)), key=lambda i: len(self._judged.texts[i]))
        with torch.no_grad():
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                taken, labels = self._judged.batch(self._source, places)
                found[places] = (model(**taken)["logits"].argmax(1) == labels).numpy()
        return found

    def row(self, name: str, model: nn.Module, zeros: float, stage: Stage, spent: Spent) -> Row:
        """``stage.steps``: of all stages so far."""
        found = self._told_right(model)
        points, low, high = below(found, self._right, self._task.seed)
        return Row(
            name, stage.sparsity, zeros, 100 * float(found.mean()), points, low, high, stage.within,
            stage.steps, spent.seconds, spent.cpu_s, self._task.seed,
        )  # fmt: skip
