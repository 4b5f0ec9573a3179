"""What must come out alike on any such machine: how orders of loops compare, how fast the simulator is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import process_time
from typing import Any

from numpy.typing import NDArray

from aerogel.bench.chip.chip_side import tensors_of
from aerogel.bench.chip.kernels import KERNELS
from aerogel.bench.chip.problem import problem_of, random_pattern
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


def orders(fabric: Fabric, size: int = 200, share: float = 0.02) -> Orders:
    """Of a square random matrix times itself."""
    cycles = [simulate(*_ready(fabric, size, share, order), fabric).cycles for order in (GUSTAVSON, INNER)]
    return Orders(f"{size} x {size}, {share:.0%}", *cycles)


def speed(fabric: Fabric, size: int = 500, share: float = 0.02, tries: int = 3) -> Speed:
    """Of the simulator alone, on one core: the netlist is made before, and the first run is not counted."""
    netlist, arrays = _ready(fabric, size, share, GUSTAVSON)
    took: list[tuple[float, Run]] = []
    for _ in range(tries + 1):
        started = process_time()
        run = simulate(netlist, arrays, fabric)
        took.append((process_time() - started, run))
    seconds, run = min(took[1:], key=lambda found: found[0])
    return Speed(f"SpM*SpM, {size} x {size}, {share:.0%}", run.cycles, run.visits, seconds)


def _ready(fabric: Fabric, size: int, share: float, order: tuple[str, ...]) -> tuple[Netlist, Arrays]:
    kernel = KERNELS["spgemm"]
    problem, _ = problem_of(kernel, random_pattern("product", (size, size), share))
    tensors = tensors_of(kernel, problem)
    plan = build(kernel.text, tensors, order)
    made = assemble(plan.graph, plan.stored(tensors), fabric)
    return made.netlist, made.arrays
