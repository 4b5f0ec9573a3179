"""The model as compiled for this CPU, one thread: where its time goes, and what the zeros it holds gain
now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from aerogel.model.steps import LinearStep, QuantiseStep
from aerogel.tune.breakeven import CONFIDENCE, RESOLUTION, Bounds, clock
from aerogel.tune.choose import DENSE
from aerogel.tune.plan import LayerPlan, Plan

_ROUNDS = 9
# A step that costs less than launches vary by has still taken time.
_LEAST_S = 1e-9
Left = Callable[[], float]
"""Seconds that may still be spent."""


@dataclass(frozen=True, slots=True)
class Product:
    """The linear steps of one shape that see ``columns`` columns and apply ``activation`` as they store.
    ``seconds``: of all ``steps`` together, dense, one value per round. ``layers``: their weights."""

    outputs: int
    inputs: int
    columns: int
    activation: str | None
    steps: int
    layers: tuple[str, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """One call: its linear products, and ``other_s``, the rest, per round. ``quantise_s``: of rounding what
    goes into products of integers, which counts as theirs.

    A step's seconds are CPU time, measured by itself, less what it costs to start one."""

    tokens: int
    products: tuple[Product, ...]
    other_s: tuple[float, ...]
    quantise_s: tuple[float, ...] | None = None

    @property
    def linear_s(self) -> tuple[float, ...]:
        seconds = [p.seconds for p in self.products]
        seconds += [] if self.quantise_s is None else [self.quantise_s]
        return tuple(map(sum, zip(*seconds, strict=True)))

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
                    "activation": p.activation,
                    "steps": p.steps,
                    "layers": list(p.layers),
                    "median_s": median(p.seconds),
                }
                for p in self.products
            ],
        }


def dense_program(graph: Graph, target: Target | None = None) -> Program:
    """The program that multiplies zeros like any other number, in the numbers of its weights."""
    target = target or current()
    names = [step.name for step in fuse(graph) if isinstance(step, LinearStep)]
    plan = Plan(target.fingerprint, 0, tuple(LayerPlan(name, DENSE, DENSE, {}, {}) for name in names))
    return build(graph, plan=plan, threads=1, target=target)


def splits(programs: Sequence[Program], tokens: int, left: Left) -> tuple[Split, ...]:
    """Time every step of each program on one sequence of ``tokens`` random tokens (or rows), round after
    round in turns: the rounds of any two can be paired. Nothing where there is no time for as many rounds as
    an interval needs."""
    works = [program.batch(**random_inputs(program.built.graph, tokens)) for program in programs]
    rounds: list[list[list[float]]] = [[] for _ in programs]
    for program, work in zip(programs, works, strict=True):
        program.run(work, 1)
    least = least_values(CONFIDENCE)
    for done in range(1, _ROUNDS + 1):
        began = perf_counter()
        order = range(len(programs)) if done % 2 else reversed(range(len(programs)))
        for i in order:
            rounds[i].append(_round(programs[i], works[i]))
        # A first round says how long the rest will take.
        if left() < (perf_counter() - began) * max(1, least - done):
            break
    if len(rounds[0]) < least:
        return ()
    return tuple(_grouped(p, tokens, w, r) for p, w, r in zip(programs, works, rounds, strict=True))


def _round(program: Program, work: Batch) -> list[float]:
    """Seconds of each step: the lesser of two passes, since whatever else the machine does only adds. All
    steps run in a pass, in order, so that weights come from where they come from in a call."""
    launch = min(_seconds(program, work, (0, 0)) for _ in range(3))
    passes = [
        [_seconds(program, work, (i, i + 1)) for i in range(len(program.built.steps))] for _ in range(2)
    ]
    return [max(min(pair) - launch, _LEAST_S) for pair in zip(*passes, strict=True)]


def _seconds(program: Program, work: Batch, span: tuple[int, int]) -> float:
    began = clock()
    program.run(work, 1, span)
    return clock() - began


def _grouped(program: Program, tokens: int, work: Batch, rounds: list[list[float]]) -> Split:
    groups: dict[tuple[int, int, int, str | None], list[int]] = {}
    other, rounding = list[int](), list[int]()
    for i, step in enumerate(program.built.steps):
        if isinstance(step, LinearStep):
            columns = work.tokens if step.out.columns == "tokens" else work.rows
            kind = step.out.features, step.inputs, columns, step.activation
            groups.setdefault(kind, []).append(i)
        elif isinstance(step, QuantiseStep):
            rounding.append(i)
        else:
            other.append(i)
    products = tuple(
        Product(*kind, len(steps), _weights(program, steps), tuple(sum(r[i] for i in steps) for r in rounds))
        for kind, steps in groups.items()
    )
    quantise_s = tuple(sum(r[i] for i in rounding) for r in rounds) if rounding else None
    return Split(tokens, products, tuple(sum(r[i] for i in other) for r in rounds), quantise_s)


def _weights(program: Program, steps: list[int]) -> tuple[str, ...]:
    found = (program.built.steps[i] for i in steps)
    return tuple(w for step in found if isinstance(step, LinearStep) for w in step.weights)


@dataclass(frozen=True, slots=True)
class Gain:
    """What the zeros of a model gain as it is: ``speedup`` of the program that skips them over the one that
    multiplies them, both as sums of their steps, in turns; ``sparse_s`` and ``dense_s``: medians."""

    tokens: int
    speedup: Bounds
    sparse_s: float
    dense_s: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def gain(sparse: Split, dense: Split) -> Gain:
    """From two splits whose rounds were timed in turns."""
    speedup = Bounds(*ratio_interval(dense.total_s, sparse.total_s, CONFIDENCE, RESOLUTION))
    return Gain(dense.tokens, speedup, median(sparse.total_s), median(dense.total_s))
