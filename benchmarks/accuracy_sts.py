"""all-MiniLM-L6-v2 in one shot and recovered, judged by people's scores (STS-B dev). It learns from
texts alone: no score is trained on. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import aerogel
from accuracy_task import Row, Spent, Task, claimed
from aerogel.bench.claims import Claim
from aerogel.bench.demo import model_folder
from aerogel.bench.onnx_runtime import make
from aerogel.bench.sts import ScoredPairs
from aerogel.bench.variant import Precision
from aerogel.model.source import load_model
from aerogel.prune import PruneResult, Schedule, recover
from aerogel.prune.text_batches import batches

CALIBRATION, RATE = 384, 5e-4
ENOUGH = 1536
"""Sentences to calibrate on where no training follows: OBS at 70 % is 0.8 to 0.9 points below dense with 384
of them, 0.0 to 0.3 with these (one thread, two), and no better with more."""
DENSE, ONNX = "dense", "onnxruntime int8, dense"


@dataclass(frozen=True, slots=True)
class Model:
    """One to make. ``start``: name of the one whose weights it is pruned from, the dense model's by default;
    ``steps`` of recovery after that, 0 for none. ``within``: points below the dense model it may be;
    ``calibration``: how many sentences pruning looks at."""

    name: str
    sparsity: float
    method: str = "sparsegpt"
    pattern: str = "unstructured"
    start: str = DENSE
    steps: int = 0
    precision: Precision = "fp32"
    within: float | None = None
    calibration: int = CALIBRATION


ONE_SHOT = (
    Model("50 %, OBS", 0.5, within=1.0, calibration=ENOUGH),
    Model("70 %, OBS", 0.7, calibration=ENOUGH),
    Model("70 %, Wanda", 0.7, "wanda", calibration=ENOUGH),
    Model("70 %, magnitude", 0.7, "magnitude"),
)
RECOVERED = (
    Model("80 %, recovered", 0.8, steps=1000, within=1.5),
    Model("90 %, recovered", 0.9, start="80 %, recovered", steps=700, within=4.0),
    Model("80 % block1x4, half recovered", 0.8, pattern="block1x4", steps=500),
    Model("80 % block4x1, half recovered", 0.8, pattern="block4x1", steps=500),
    # Blocks of zeros are the smallest: by magnitude the same go, and training begins anew, its rate too.
    Model("80 % block1x4, recovered", 0.8, "magnitude", "block1x4", "80 % block1x4, half recovered", 650,
          within=3.0),
    Model("80 % block4x1, recovered", 0.8, "magnitude", "block4x1", "80 % block4x1, half recovered", 650,
          within=3.0),
)  # fmt: skip
INTEGERS = Model(
    "80 % block1x4 int8, recovered", 0.8, pattern="block1x4", precision="int8",
    start="80 % block1x4, recovered",
)  # fmt: skip
MORE_IN_INTEGERS = 0.5
MARGINS = {"70 %, Wanda": 3.0, "70 %, magnitude": 10.0}
"""Points by which OBS shall be better at 70 %."""


def measured(task: Task, models: Sequence[Model] = (*ONE_SHOT, *RECOVERED, INTEGERS)) -> Iterator[Row]:
    run = Run(task)
    yield from run.dense()
    yield from map(run.made, models)


def claims(rows: Sequence[Row], _: str) -> list[Claim]:
    by = {row.model: row for row in rows}
    made = claimed(rows, "all-MiniLM-L6-v2 on STS-B")
    ours, floats, integers = (by.get(name) for name in (ONE_SHOT[1].name, INTEGERS.start, INTEGERS.name))
    for name, margin in MARGINS.items():
        if ours is not None and name in by:
            better = by[name].points - ours.points
            made.append(Claim(f"{ours.model} over {name}: STS-B points", better, margin, "", "at least"))
    if floats is not None and integers is not None:
        lost = integers.points - floats.points
        told = "block1x4 at 80 % in int8: STS-B points more than in floats"
        made.append(Claim(told, lost, MORE_IN_INTEGERS, "", "at most"))
    return made


def settings(_: str) -> dict[str, Any]:
    """What a reader needs to do it again."""
    models = [asdict(model) for model in (*ONE_SHOT, *RECOVERED, INTEGERS)]
    return {"rate": RATE, "models": models}


class Run:
    """Calibrates and trains on the sentences of STS-B's training part, those of dev left out."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._source = load_model(str(model_folder()))
        self._pairs = ScoredPairs.read(task.data / "stsb" / "dev.tsv")
        unseen = {*self._pairs.first, *self._pairs.second}
        lines = (task.data / "stsb" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
        texts = sorted({text for line in lines for text in line.split("\t")[1:3]} - unseen)
        order = np.random.default_rng(task.seed).permutation(len(texts))
        self._training = batches(self._source, texts)
        self._shuffled = [texts[i] for i in order]
        self._dense = self._cosines(self._source.module)
        self._made: dict[str, tuple[torch.nn.Module, int, Spent]] = {DENSE: (self._source.module, 0, Spent())}

    def dense(self) -> Iterator[Row]:
        yield self._row(Model(DENSE, 0.0), self._dense, 0.0)
        theirs = make(str(model_folder()), "int8")
        theirs.prepare({"texts": self._pairs.texts})
        yield self._row(Model(ONNX, 0.0), self._pairs.cosines(theirs.result()), 0.0)

    def made(self, model: Model) -> Row:
        _, steps, spent = self._made[model.start]
        began = Spent.so_far()
        result = self._pruned(model)
        spent = spent.and_then(began.until_now())
        self._made[model.name] = result.model, steps + self._task.steps(model.steps), spent
        layers = result.report.layers
        zeros = sum(r.zeros for r in layers) / sum(r.shape[0] * r.shape[1] for r in layers)
        return self._row(model, self._cosines(result.model, model.precision), zeros)

    def _pruned(self, model: Model) -> PruneResult:
        self._task.tell(f"pruning: {model.name}", 0.0)
        choices: dict[str, Any] = {}
        if model.method != "magnitude":
            choices["data"] = batches(self._source, self._shuffled[: model.calibration])
        result = aerogel.prune(
            self._made[model.start][0], model.sparsity, method=model.method, pattern=model.pattern,
            precision=model.precision, repair=model.method == "sparsegpt", **choices,
        )  # fmt: skip
        if not model.steps:
            return result
        return recover(
            result,
            self._source.module,
            self._training,
            Schedule(steps=self._task.steps(model.steps), rate=RATE, seed=self._task.seed),
            checkpoint=self._task.file(f"sts, {model.name}.safetensors"),
            progress=lambda step: self._task.tell(f"{model.name}, loss {step.loss:.4f}", step.progress),
        )

    def _cosines(self, module: torch.nn.Module, precision: Precision = "fp32") -> NDArray[np.float64]:
        """Of the pairs, by the program that a user would get."""
        source = self._source
        program = aerogel.compile(
            module, source.example_inputs, texts=source.texts(), precision=precision, plan="quick"
        )
        return self._pairs.cosines(program.encode(self._pairs.texts))

    def _row(self, model: Model, cosines: NDArray[np.float64], zeros: float) -> Row:
        far = self._pairs.distance(cosines, self._dense, self._task.seed)
        _, steps, spent = self._made.get(model.name, (None, 0, Spent()))
        return Row(
            model.name, model.sparsity, zeros, 100 * self._pairs.correlation(cosines), 100 * far.value,
            100 * far.low, 100 * far.high, model.within, steps, spent.seconds, spent.cpu_s, self._task.seed,
        )  # fmt: skip
