"""What published results must look like here, too: orders of loops, unrolling; and how fast simulating is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from math import log
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel as ag
from aerogel.bench.chip.kernels import KERNELS, Kernel
from aerogel.bench.chip.problem import bf16, random_pattern
from aerogel.chip.dense.run import multiply
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.build import build
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.machine.outcome import Run
from aerogel.chip.machine.simulate import simulate

Arrays = tuple[NDArray[Any] | None, ...]
GUSTAVSON, INNER = ("i", "j", "k"), ("i", "k", "j")
"""Loops of X(i,k) = A(i,j) * B(j,k), outermost first."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Cycles of one product in two orders, on an ideal placement: every channel one hop."""

    data: str
    gustavson: int
    inner: int

    @property
    def times(self) -> float:
        """How many times as many the inner products take."""
        return self.inner / self.gustavson

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "times": self.times}


@dataclass(frozen=True, slots=True)
class Speed:
    """Block-steps: cells looked at awake in a cycle. ``seconds``: of CPU time for one run, the least of
    a few."""

    data: str
    cycles: int
    block_steps: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.block_steps / self.seconds

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "block_steps_per_second": self.per_second}


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A product through mapping, words and driver, with one copy of its graph and with ``copies`` of it."""

    data: str
    copies: int
    cycles: int
    cycles_alone: int

    @property
    def times(self) -> float:
        return self.cycles_alone / self.cycles

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "times": self.times}


@dataclass(frozen=True, slots=True)
class Full:
    """A product simulated in full, through mapping, words and driver. ``seconds``: of CPU time for that,
    compiling not included."""

    data: str
    cycles: int
    block_steps: int
    runs: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Crossover:
    """Cycles of a product of two square matrices in dense mode, and by share of zeros in sparse mode."""

    size: int
    dense: int
    sparse: tuple[tuple[float, int], ...]

    @property
    def zeros(self) -> float | None:
        """Where both take as long, on a line through the logarithms between the nearest shares; None where
        that is outside of them."""
        for (a, more), (b, less) in pairwise(self.sparse):
            if more >= self.dense >= less:
                return a + (b - a) * log(more / self.dense) / log(more / less)
        return None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "zeros": self.zeros}


def crossover(fabric: Fabric, size: int, zeros: tuple[float, ...]) -> Crossover:
    """``zeros``: ascending shares. Both modes through mapping, words and driver, with transfers from DRAM."""
    found: list[tuple[float, int]] = []
    dense = 0
    for share in zeros:
        kernel, tensors = _product(size, 1 - share)
        if not dense:
            full = tensors["A"].to_numpy()
            dense = multiply(full, full, fabric).cycles
        run = ag.chip.compile(kernel.text, fabric=fabric, **tensors).simulate()
        found.append((share, run.cycles))
    return Crossover(size, dense, tuple(found))


def unrolled(fabric: Fabric, size: int = 500, share: float = 0.02) -> Unrolled:
    """Of a square random matrix times itself."""
    kernel, tensors = _product(size, share)
    most = ag.chip.compile(kernel.text, fabric=fabric, **tensors)
    alone = ag.chip.compile(kernel.text, fabric=fabric, copies=1, **tensors)
    name = _name(size, share)
    return Unrolled(name, most.mapping.copies, most.simulate().cycles, alone.simulate().cycles)


def full(fabric: Fabric, size: int, share: float) -> Full:
    """Of a square random matrix times itself, after one small run that compiles the simulator."""
    kernel, tensors = _product(20, 0.1)
    ag.chip.compile(kernel.text, fabric=fabric, **tensors).simulate()
    kernel, tensors = _product(size, share)
    compiled = ag.chip.compile(kernel.text, fabric=fabric, **tensors)
    started = process_time()
    run = compiled.simulate()
    seconds = process_time() - started
    steps = sum(part.visits for part in run.runs)
    return Full(_name(size, share), run.cycles, steps, len(run.runs), seconds)


def orders(fabric: Fabric, size: int = 200, share: float = 0.02) -> Orders:
    """Of a square random matrix times itself."""
    cycles = [simulate(*_ready(fabric, size, share, order), fabric).cycles for order in (GUSTAVSON, INNER)]
    return Orders(_name(size, share), *cycles)


def speed(fabric: Fabric, size: int = 60_000, tries: int = 5) -> Speed:
    """Of the simulator alone, on one core: three vectors of which half the places hold something, added. The
    netlist is made before, and the first run is not counted."""
    rng = np.random.default_rng(0)
    vectors: dict[str, Any] = {}
    for name in "abc":
        places = np.flatnonzero(rng.random(size) < 0.5).astype(np.int32)
        vectors[name] = ag.tensor((np.ones(len(places), np.float32), (places,)), "sv", shape=(size,))
    plan = build("x(i) = a(i) + b(i) + c(i)", vectors)
    made = assemble(plan.graph, plan.stored(vectors), fabric)
    took: list[tuple[float, Run]] = []
    for _ in range(tries + 1):
        started = process_time()
        run = simulate(made.netlist, made.arrays, fabric)
        took.append((process_time() - started, run))
    seconds, run = min(took[1:], key=lambda found: found[0])
    return Speed(f"three vectors of {size:,}, half full, added", run.cycles, run.visits, seconds)


def _ready(fabric: Fabric, size: int, share: float, order: tuple[str, ...]) -> tuple[Netlist, Arrays]:
    kernel, tensors = _product(size, share)
    plan = build(kernel.text, tensors, order)
    made = assemble(plan.graph, plan.stored(tensors), fabric)
    return made.netlist, made.arrays


def _product(size: int, share: float) -> tuple[Kernel, dict[str, Any]]:
    """A square random matrix times itself."""
    kernel, pattern = KERNELS["spgemm"], random_pattern("product", (size, size), share)
    rng = np.random.default_rng(size)
    values = bf16(rng.uniform(0.5, 1.5, pattern.stored))
    matrix = ag.tensor((values, pattern.coords), "csr", shape=pattern.shape)
    return kernel, {"A": matrix, "B": matrix}


def _name(size: int, share: float) -> str:
    return f"SpM*SpM, {size:,} x {size:,}, {1 - share:.1%} zeros"
