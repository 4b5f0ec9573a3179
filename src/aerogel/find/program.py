"""The model as compiled for this CPU, one thread: where its time goes, and what the zeros it holds gain
now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

from aerogel.core.target import Target, current
from aerogel.find.samples import random_inputs
from aerogel.measure.intervals import least_values, median_interval, ratio_interval
from aerogel.model.batch import Batch
from aerogel.model.compile import build
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph
from aerogel.model.program import Program
from aerogel.model.steps import LinearStep
from aerogel.tune.breakeven import CONFIDENCE, RESOLUTION, Bounds, paired
from aerogel.tune.choose import DENSE
from aerogel.tune.plan import LayerPlan, Plan

_ROUNDS = 9
Left = Callable[[], float]
"""Seconds that may still be spent."""


@dataclass(frozen=True, slots=True)
class Product:
    """The linear steps of one shape that see ``columns`` columns. ``seconds``: of all of them together,
    dense, one value per round. ``layers``: their weights."""

    outputs: int
    inputs: int
    columns: int
    layers: tuple[str, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """One call with every layer dense: its linear products, and ``other_s``, the rest, per round.

    A step's seconds are measured by itself, less what it costs to start one."""

    tokens: int
    products: tuple[Product, ...]
    other_s: tuple[float, ...]

    @property
    def linear_s(self) -> tuple[float, ...]:
        return tuple(map(sum, zip(*(p.seconds for p in self.products), strict=True)))

    @property
    def total_s(self) -> tuple[float, ...]:
        return tuple(a + b for a, b in zip(self.linear_s, self.other_s, strict=True))

    @property
    def other_share(self) -> Bounds:
        """The share of the time outside the linear layers."""
        shares = [other / total for other, total in zip(self.other_s, self.total_s, strict=True)]
        return Bounds(median(shares), *median_interval(shares, CONFIDENCE))

    def to_json(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "total_s": median(self.total_s),
            "linear_s": median(self.linear_s),
            "other_share": asdict(self.other_share),
            "products": [
                {
                    "outputs": p.outputs,
                    "inputs": p.inputs,
                    "columns": p.columns,
                    "layers": list(p.layers),
                    "median_s": median(p.seconds),
                }
                for p in self.products
            ],
        }


def dense_program(graph: Graph, target: Target | None = None) -> Program:
    """The program that multiplies zeros like any other number."""
    target = target or current()
    names = [step.name for step in fuse(graph) if isinstance(step, LinearStep)]
    plan = Plan(target.fingerprint, 0, tuple(LayerPlan(name, DENSE, DENSE, {}, {}) for name in names))
    return build(graph, plan=plan, threads=1, target=target)


def split(program: Program, tokens: int, left: Left) -> Split | None:
    """Time every step on one sequence of ``tokens`` random tokens (or rows). None where there is no time for
    as many rounds as an interval needs."""
    steps = program.built.steps
    work = program.batch(**random_inputs(program.built.graph, tokens))
    program.run(work, 1)
    rounds: list[list[float]] = []
    least = least_values(CONFIDENCE)
    while len(rounds) < _ROUNDS:
        began = perf_counter()
        launch = min(_seconds(program, work, (0, 0)) for _ in range(3))
        rounds.append([max(_seconds(program, work, (i, i + 1)) - launch, 0.0) for i in range(len(steps))])
        if left() < (perf_counter() - began) * max(1, least - len(rounds)):
            break
    if len(rounds) < least:
        return None
    return _grouped(program, tokens, work, rounds)


def _seconds(program: Program, work: Batch, span: tuple[int, int]) -> float:
    """The lesser of two runs: whatever else the machine does only adds."""
    found = [0.0, 0.0]
    for i in (0, 1):
        began = perf_counter()
        program.run(work, 1, span)
        found[i] = perf_counter() - began
    return min(found)


def _grouped(program: Program, tokens: int, work: Batch, rounds: list[list[float]]) -> Split:
    groups: dict[tuple[int, int, int], list[int]] = {}
    other: list[int] = []
    for i, step in enumerate(program.built.steps):
        if isinstance(step, LinearStep):
            columns = work.tokens if step.out.columns == "tokens" else work.rows
            groups.setdefault((step.out.features, step.x.features, columns), []).append(i)
        else:
            other.append(i)
    products = tuple(
        Product(*shape, _weights(program, steps), tuple(sum(r[i] for i in steps) for r in rounds))
        for shape, steps in groups.items()
    )
    return Split(tokens, products, tuple(sum(r[i] for i in other) for r in rounds))


def _weights(program: Program, steps: list[int]) -> tuple[str, ...]:
    found = (program.built.steps[i] for i in steps)
    return tuple(w for step in found if isinstance(step, LinearStep) for w in step.weights)


@dataclass(frozen=True, slots=True)
class Gain:
    """What the zeros of a model gain as it is: ``speedup`` of the program that skips them over the one that
    does not, whole calls in turns; ``sparse_s`` and ``dense_s``: least seconds."""

    tokens: int
    speedup: Bounds
    sparse_s: float
    dense_s: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def gain(sparse: Program, dense: Program, tokens: int) -> Gain:
    """Time whole calls of both on one sequence of ``tokens`` random tokens (or rows), one thread."""
    given = random_inputs(dense.built.graph, tokens)
    dense_s, sparse_s = paired(_call(dense, given), _call(sparse, given))
    speedup = Bounds(*ratio_interval(dense_s, sparse_s, CONFIDENCE, RESOLUTION))
    return Gain(tokens, speedup, min(sparse_s), min(dense_s))


def _call(program: Program, given: dict[str, Any]) -> Callable[[], None]:
    work = program.batch(**given)

    def call() -> None:
        program.run(work, 1)

    return call
