"""A kernel on the chip: compiled, mapped, configured, simulated in full; its result checked; its energy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel as ag
from aerogel.bench.chip.kernels import Kernel
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.own_side import plain
from aerogel.bench.einsum.problem import Problem, Result, Wanted
from aerogel.chip.energy.model import Energy, Model
from aerogel.chip.fabric.fabric import Fabric
from aerogel.core.errors import MeasureError, require

_FORMATS = {1: "sv", 2: "csr", 3: "csf"}
MOST_ERROR = 0.05
"""Of a result, relative to the sum of its terms' magnitudes: more is no rounding. bfloat16 has 8 bits, and
sums of thousands of terms are made in it."""


@dataclass(frozen=True, slots=True)
class OnChip:
    """``cycles`` of the array, ``seconds`` with transfers from and to DRAM. ``joules`` of chip and DRAM,
    between ``low`` and ``high``; ``chip_joules`` without DRAM. ``error``: of the result, see ``MOST_ERROR``.
    ``boundary``: what the joules are of; ``groups``: them by what took them."""

    cycles: int
    seconds: float
    joules: float
    low: float
    high: float
    chip_joules: float
    error: float
    boundary: str
    groups: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def on_chip(kernel: Kernel, problem: Problem, wanted: Wanted, fabric: Fabric, model: Model) -> OnChip:
    """MeasureError where the chip computes something else; ChipError where it cannot do it."""
    tensors = tensors_of(kernel, problem)
    run = ag.chip.compile(kernel.text, fabric=fabric, **tensors).simulate()
    error = error_of(plain(run.output), wanted)
    took = model.energy(run.counts, fabric, seconds=run.seconds)
    return found(run.cycles, run.seconds, took, error)


def found(cycles: int, seconds: float, took: Energy, error: float) -> OnChip:
    """From what a run gave."""
    return OnChip(
        cycles=cycles,
        seconds=seconds,
        joules=took.joules,
        low=took.low,
        high=took.high,
        chip_joules=took.chip_joules,
        error=error,
        boundary=took.boundary,
        groups=took.groups(),
    )


def tensors_of(kernel: Kernel, problem: Problem) -> dict[str, Any]:
    """Operands by name: sparse ones compressed in every mode but a matrix's rows, dense ones as arrays."""
    operands: list[Any] = [
        ag.tensor((a.values, a.coords), _FORMATS[len(a.shape)], shape=a.shape) for a in problem.sparse
    ]
    return dict(zip(kernel.operands, (*operands, *problem.dense), strict=True))


def error_of(result: Result, wanted: Wanted) -> float:
    """The largest error over the sum of the terms' magnitudes; MeasureError where it is no rounding."""
    values, exact, bound = (_full(part) for part in (result, wanted.exact, wanted.bound))
    shaped = values.shape == exact.shape
    require(shaped, MeasureError, f"the chip's result has shape {values.shape}, not {exact.shape}")
    off = np.abs(values - exact) / np.maximum(bound, np.finfo(np.float32).tiny)
    worst = float(np.max(off, initial=0.0))
    told = f"the chip's result is wrong: an entry is off by {worst:.2g} of the sum of its terms"
    require(worst <= MOST_ERROR, MeasureError, told)
    return worst


def _full(result: Result) -> NDArray[np.float64]:
    """All entries, and zeros between them: what nobody stores is 0. Cases are small enough."""
    if not isinstance(result, Entries):
        return np.asarray(result, np.float64)
    array = np.zeros(result.shape)
    array[result.coords] = result.values
    return array
