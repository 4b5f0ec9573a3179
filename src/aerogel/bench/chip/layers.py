"""Layers of a pruned MiniLM on the chip, in its dense and in its sparse mode, against this CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel as ag
from aerogel.bench.chip.chip_side import OnChip, error_of, found
from aerogel.bench.chip.compare import Tell, on_cpu
from aerogel.bench.chip.problem import bf16
from aerogel.bench.chip.summary import OnCpu, Row, cpu_joules, joules_text, time_text
from aerogel.bench.demo import model_folder
from aerogel.bench.einsum.own_side import plain
from aerogel.bench.einsum.problem import Wanted
from aerogel.bench.energy import watch_energy
from aerogel.bench.render import aligned
from aerogel.chip.dense.run import multiply
from aerogel.chip.energy.model import Model
from aerogel.chip.fabric.fabric import Fabric
from aerogel.measure import Case, Contender, Json, Settings, compare
from aerogel.measure import Progress as Step

LAYERS = ("attention.self.query", "intermediate.dense")
"""Of the model's first block: 384 x 384 and 1536 x 384, outputs x inputs."""
ZEROS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_TEXT = "Y(i,t) = W(i,j) * X(j,t)"


@dataclass(frozen=True, slots=True)
class LayerPlan:
    fabric: Fabric
    model: Model
    settings: Settings
    layers: tuple[str, ...] = LAYERS
    zeros: tuple[float, ...] = ZEROS
    tokens: int = 64
    threads: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, slots=True)
class Layer:
    """``dense``: the chip's dense mode, which does not see zeros; ``sparse``: its sparse mode."""

    name: str
    shape: tuple[int, int]
    zeros: float
    stored: int
    dense: OnChip
    sparse: OnChip
    cpu: tuple[OnCpu, ...]

    @property
    def best(self) -> Row:
        """The quicker mode against the CPU."""
        chip = min((self.dense, self.sparse), key=lambda found: found.seconds)
        return Row("layer", self.name, self.shape, self.stored, self.cpu, chip)

    def to_json(self) -> dict[str, Any]:
        row = self.best.to_json()
        mode = "sparse" if self.sparse.seconds < self.dense.seconds else "dense"
        both = {"dense": self.dense.to_json(), "sparse": self.sparse.to_json()}
        return {"layer": self.name, "zeros": self.zeros, "quicker_mode": mode, "modes": both, **row}


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    zeros: float
    weight: NDArray[np.float32]
    tokens: NDArray[np.float32]

    @property
    def file(self) -> str:
        return f"{self.name} {self.zeros:g}.npz"


def run(
    plan: LayerPlan, tell: Tell | None = None, observer: Callable[[Step], None] | None = None
) -> tuple[Layer, ...]:
    """Weights are pruned by magnitude, each layer by itself. MissingDependencyError where the demo's model is
    not installed; MeasureError where a result is wrong."""
    cases = _cases(plan)
    with tempfile.TemporaryDirectory(prefix="aerogel-layers-") as folder:
        chips = [_on_chip(case, plan, tell) for case in cases]
        for case in cases:
            exact = case.tokens.astype(np.float64) @ case.weight.astype(np.float64).T
            np.savez(Path(folder, case.file), weight=case.weight, tokens=case.tokens, exact=exact)
        contenders = _contenders(Path(folder), plan.threads)
        timed = [Case(case.file.removesuffix(".npz"), {"file": case.file}) for case in cases]
        comparison = compare(contenders, timed, plan.settings, progress=observer, watch=watch_energy)
    return tuple(
        Layer(
            case.name,
            (case.weight.shape[0], case.weight.shape[1]),
            case.zeros,
            int(np.count_nonzero(case.weight)),
            dense,
            sparse,
            on_cpu(result, contenders),
        )
        for case, (dense, sparse), result in zip(cases, chips, comparison.cases, strict=True)
    )


def _cases(plan: LayerPlan) -> list[_Case]:
    from safetensors import safe_open

    rng, found = np.random.default_rng(0), list[_Case]()
    with safe_open(model_folder() / "model.safetensors", framework="numpy") as file:
        for layer in plan.layers:
            weight = bf16(file.get_tensor(f"encoder.layer.0.{layer}.weight"))
            tokens = bf16(rng.standard_normal((plan.tokens, weight.shape[1])).astype(np.float32))
            found += [_Case(layer, zeros, pruned(weight, zeros), tokens) for zeros in plan.zeros]
    return found


def pruned(weight: NDArray[np.float32], zeros: float) -> NDArray[np.float32]:
    """The smallest of the weights set to 0: so many that their share is ``zeros``."""
    kept = weight.copy()
    count = round(zeros * weight.size)
    kept.reshape(-1)[np.argsort(np.abs(weight), axis=None, kind="stable")[:count]] = 0.0
    return kept


def _on_chip(case: _Case, plan: LayerPlan, tell: Tell | None) -> tuple[OnChip, OnChip]:
    x = np.ascontiguousarray(case.tokens.T)
    exact = case.weight.astype(np.float64) @ x
    bound = np.abs(case.weight).astype(np.float64) @ np.abs(x)
    wanted = Wanted(exact, bound, 0.0)
    dense = multiply(case.weight, x, plan.fabric)
    took = plan.model.energy(dense.counts, plan.fabric, seconds=dense.seconds)
    by_dense = found(dense.cycles, dense.seconds, took, error_of(dense.output, wanted))
    operands = {"W": ag.tensor(case.weight, "csr"), "X": x}
    sparse = ag.chip.compile(_TEXT, fabric=plan.fabric, **operands).simulate()
    took = plan.model.energy(sparse.counts, plan.fabric, seconds=sparse.seconds)
    by_sparse = found(sparse.cycles, sparse.seconds, took, error_of(plain(sparse.output), wanted))
    if tell:
        tell(
            f"{case.name}, {case.zeros:.0%} zeros", f"{dense.cycles:,} cycles dense, {sparse.cycles:,} sparse"
        )
    return by_dense, by_sparse


def _contenders(folder: Path, threads: Sequence[int]) -> list[Contender]:
    found: list[Contender] = []
    for native, name in ((True, "aerogel"), (False, "torch, dense")):
        for count in threads:
            args: dict[str, Json] = {"folder": str(folder), "threads": count, "native": native}
            env = {variable: str(count) for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
            label = f"{name}, {count} thread{'s' if count > 1 else ''}"
            found.append(Contender(label, "aerogel.bench.chip.layer_side:make", args, env))
    return found


def table(layers: Sequence[Layer], tokens: int) -> str:
    """A line for each layer and share of zeros."""
    head = ["layer", "zeros", "dense mode", "sparse mode", "best CPU", "by", "energy chip", "CPU"]
    lines = [[*head, "time x", "energy x", "EDP x"]]
    for layer in layers:
        row = layer.best
        fastest = min(layer.cpu, key=lambda cpu: cpu.seconds)
        assert row.chip is not None
        cells = [f"{layer.name} {layer.shape[0]} x {layer.shape[1]}", f"{layer.zeros:.0%}"]
        cells += [time_text(layer.dense.seconds), time_text(layer.sparse.seconds)]
        cells += [time_text(fastest.seconds), fastest.name, joules_text(row.chip.joules), cpu_joules(fastest)]
        lines.append(cells + [str(row.gain(of) or "") for of in ("time", "energy", "product")])
    title = f"MiniLM's first block, {tokens} tokens; gains are of the chip's quicker mode:"
    return "\n".join([title, *aligned(lines, left=(0, 5))])
