"""Where a program spends its time, step by step, and how near each linear layer comes to its limit.

The limit of a layer is its nonzero roofline (see ``tune.roofline``): ``share`` is that time over the
measured one, ``binds`` names the largest of its terms. Activations mostly come from a cache, so where
``memory`` binds a share above 1 is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.energy.roofline import Predicted
from aerogel.model.batch import Batch
from aerogel.model.built import Built
from aerogel.model.graph import Graph
from aerogel.model.step_energy import CallEnergy, EnergyMeter
from aerogel.model.steps import (
    ActivationStep,
    AttentionStep,
    EmbedStep,
    FeedStep,
    FetchStep,
    LinearStep,
    NormalizeStep,
    NormStep,
    PairStep,
    PoolStep,
    QuantiseStep,
    Step,
)
from aerogel.model.work import HOW, Work, columns_of, step_work, total
from aerogel.tune.peaks import Peaks, peaks
from aerogel.tune.roofline import roofline

ROUNDS = 15
SHORTEST = 1e-6  # what a share can be stated for, given how a launch varies
DEFAULT_SHAPE = (1, 128)


@dataclass(frozen=True, slots=True)
class StepCost:
    """One step. ``zeros``: share of zero weights (linear layers); ``work``: operations and bytes, gross and
    effective; ``seconds``: median, launch cost taken off; ``share``: of the nonzero roofline; ``binds``: the
    term of it that is the largest; ``energy``: joules, where they were asked for. None: does not apply."""

    name: str
    kernel: str
    shape: str
    zeros: float | None
    work: Work
    seconds: float
    share: float | None
    binds: str | None
    energy: Predicted | None = None

    @property
    def bytes(self) -> int:
        """What is moved: constants as they are stored, inputs and outputs, each once."""
        return self.work.bytes_effective

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "bytes": self.bytes}


@dataclass(frozen=True)
class Explanation:
    """All steps of one call. ``str()`` is a table."""

    target: str
    threads: int
    columns: str
    peaks: Peaks
    seconds: float
    steps: tuple[StepCost, ...]
    energy: CallEnergy | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(replace(self, energy=None)),
            "work": self.work.to_json(),
            "steps": [s.to_json() for s in self.steps],
            "energy": None if self.energy is None else self.energy.to_json(),
        }

    @property
    def work(self) -> Work:
        """Of all steps."""
        return total(step.work for step in self.steps)

    def by_kernel(self) -> Mapping[str, float]:
        """Seconds per kind of kernel, largest first."""
        total: dict[str, float] = {}
        for step in self.steps:
            total[step.kernel] = total.get(step.kernel, 0.0) + step.seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def __str__(self) -> str:
        head = ("step", "kernel", "shape", "zeros", "operations", "bytes", "time", "roofline")
        head = head if self.energy is None else (*head, "energy")
        rows: list[tuple[str, ...]] = [head]
        for s in self.steps:
            zeros = "" if s.zeros is None else f"{100 * s.zeros:.0f} %"
            share = "" if s.share is None else f"{100 * s.share:.0f} % of {s.binds}"
            name = s.name if len(s.name) <= 44 else "..." + s.name[-41:]
            flops = s.work.flops if s.work.flops_gross else ""
            row = (name, s.kernel, s.shape, zeros, flops, s.work.bytes, _time(s.seconds), share)
            rows.append(row if s.energy is None else (*row, str(s.energy)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        left = (0, 1, 7)
        lines = [
            "  ".join(
                c.ljust(w) if i in left else c.rjust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        lines.insert(1, "-" * len(lines[0]))
        p = self.peaks
        parts = ", ".join(
            f"{k} {100 * v / max(self.seconds, 1e-12):.0f} %" for k, v in self.by_kernel().items()
        )
        where = f"{self.columns} on {self.threads} thread(s), {self.target}"
        ceilings = (
            f"{p.flops / 1e9:.0f} Gflop/s, {p.dots / 1e9:.0f} G int8 operations/s and "
            f"{p.loads / 1e9:.1f} G vector loads/s a thread, "
            f"{p.bytes / 1e9:.0f} GB/s in all"
        )
        return "\n".join(
            [
                *(line.rstrip() for line in lines),
                "",
                f"{where}: {self.seconds * 1e3:.2f} ms ({parts})",
                f"{self.work.flops}, {self.work.bytes} a call: {HOW}",
                f"ceilings: {ceilings}",
                *([] if self.energy is None else [f"energy: {self.energy}"]),
            ]
        )


Run = Callable[[Batch, int, tuple[int, int]], object]


def explain(
    built: Built, run: Run, work: Batch, threads: int, energy: EnergyMeter | None = None
) -> Explanation:
    """Time every step on ``work``; with ``energy``, say what joules each takes. ``run(work, threads, (begin,
    end))`` runs steps begin .. end - 1."""
    require(work.tokens + work.rows > 0, InputError, "there is nothing to explain in an empty batch")
    top = peaks(built.target, threads)
    whole = (0, len(built.steps))

    def seconds(span: tuple[int, int]) -> float:
        times: list[float] = []
        for _ in range(ROUNDS):
            began = perf_counter()
            run(work, threads, span)
            times.append(perf_counter() - began)
        return median(times)

    # A step alone reads what the run before it left in the arena.
    run(work, threads, whole)
    launch = seconds((0, 0))
    costs = tuple(
        _cost(built, i, work, max(seconds((i, i + 1)) - launch, 1e-9), top) for i in range(len(built.steps))
    )
    columns = f"{work.tokens} tokens in {work.sequences} sequence(s)" if work.tokens else f"{work.rows} rows"
    found = Explanation(built.target.name, threads, columns, top, seconds(whole), costs)
    if energy is None:
        return found
    taken = energy.of(built, work, [c.seconds for c in costs], lambda: run(work, threads, whole), threads)
    steps = tuple(replace(c, energy=e) for c, e in zip(costs, taken.steps, strict=True))
    return replace(found, steps=steps, energy=taken)


def default_inputs(graph: Graph) -> dict[str, NDArray[Any]]:
    """One sequence of 128 tokens, or 128 rows, of random inputs."""
    sequences, length = DEFAULT_SHAPE
    length = min(length, graph.max_length or length)
    rng = np.random.default_rng(0)
    given: dict[str, NDArray[Any]] = {}
    for spec in graph.inputs:
        if spec.kind == "ids":
            given[spec.name] = rng.integers(0, spec.limit, (sequences, length))
        elif spec.kind == "features":
            given[spec.name] = rng.standard_normal((length, spec.limit), dtype=np.float32)
    return given


def _cost(built: Built, number: int, work: Batch, seconds: float, top: Peaks) -> StepCost:
    step = built.steps[number]
    kernel, shape = _describe(step)
    counted = step_work(built, number, work)
    if not isinstance(step, LinearStep):
        return StepCost(step.name, kernel, shape, None, counted, seconds, None, None)
    n = columns_of(step, work)
    packed = built.packed[step.name].at(n)
    limits = roofline(packed, n, built.layout.lanes, top, counted.bytes_effective)
    binds = max(limits, key=lambda term: limits[term])
    share = limits[binds] / seconds if seconds >= SHORTEST else None
    zeros = 1 - packed.nonzeros / (packed.rows * packed.columns)
    kernel = f"linear {'int8 ' if step.element == 'i8' else ''}{built.plan.of(step.name).choice(n)}"
    kernel += "" if step.rounded is None else " + quantise static"
    return StepCost(step.name, kernel, shape, zeros, counted, seconds, share, binds)


def _describe(step: Step) -> tuple[str, str]:
    match step:
        case EmbedStep():
            return "embed", f"{len(step.tables)} tables x {step.out.features}"
        case QuantiseStep():
            return "quantise" if step.out.known is None else "quantise static", f"{step.x.features}"
        case LinearStep():
            return "linear", f"{step.out.features} x {step.inputs}"
        case NormStep():
            beside = "" if step.rounded is None else " + quantise"
            beside += " static" if step.rounded is not None and step.rounded.known is not None else ""
            return f"norm{beside}", f"{step.out.features}"
        case AttentionStep():
            return "attention", f"{step.heads} x {step.out.features // step.heads}"
        case ActivationStep():
            return step.fn, f"{step.out.features}"
        case PairStep():
            return step.op, f"{step.out.features}"
        case PoolStep():
            return f"pool {step.kind}", f"{step.out.features}"
        case NormalizeStep():
            return "normalize", f"{step.out.features}"
        case FeedStep():
            return "feed", f"{step.out.features}"
        case FetchStep():
            return "fetch", f"{step.x.features}"
        case _:
            assert_never(step)


def _time(seconds: float) -> str:
    return "< 1 us" if seconds < SHORTEST else f"{seconds * 1e6:.0f} us"
