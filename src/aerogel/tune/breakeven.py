"""From which share of zeros on a sparse kernel beats a dense one, on this CPU.

A *ratio* is the time of a way to compute a layer over that of our dense float32 kernel, so below 1 it pays.
It is timed at a few shares, in alternating turns with that kernel, and taken to be linear from one share to
the next. The *break-even* is the least share from which on the ratio stays below 1; what is not proven to be
faster at the greatest share that was timed has none. The time in 8-bit integers includes finding the grid of
the activations and rounding them onto it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import get_clock_info, perf_counter, thread_time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.target import Target
from aerogel.measure.intervals import ratio_interval
from aerogel.tune.choose import DENSE, SPARSE, WORTH_TWO_PACKINGS, pack_as
from aerogel.tune.layer_call import LayerCall, Precision, in_precision
from aerogel.tune.plan import Candidate

SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
"""The shares of zeros that are timed."""
CONFIDENCE = 0.95
# As between processes: where code and data happen to lie makes about so much of a difference.
RESOLUTION = 0.02
# One thread's own CPU time: others on the machine do not count, as they do in wall-clock time. Where it ticks
# too coarsely (Windows), wall-clock time must do.
clock = thread_time if get_clock_info("thread_time").resolution <= 1e-6 else perf_counter
_ROUNDS, _TRIALS, _SLOT_S, _SLOT_WALL_S = 7, 2, 0.002, 0.004


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate and what bounds it: ``low`` <= ``value`` <= ``high``."""

    value: float
    low: float
    high: float

    def times(self, other: Bounds) -> Bounds:
        """The product of two positive estimates; bounds multiply, so it is at least as sure as both are."""
        return Bounds(self.value * other.value, self.low * other.low, self.high * other.high)

    def inverse(self) -> Bounds:
        """1 over a positive estimate: how many times faster, from a ratio of times."""
        return Bounds(1 / self.value, 1 / self.high, 1 / self.low)


@dataclass(frozen=True, slots=True)
class Way:
    """How a layer is computed: which of its weights are zero together, ``dense`` where none is skipped, and
    in which numbers."""

    pattern: str
    precision: Precision = "fp32"

    def __str__(self) -> str:
        return self.pattern if self.precision == "fp32" else f"{self.pattern} {self.precision}"


DENSE_INT8 = Way("dense", "int8")


@dataclass(frozen=True, slots=True)
class Point:
    """The time at one share of zeros over that of our dense kernel in float32."""

    sparsity: float
    ratio: Bounds


@dataclass(frozen=True, slots=True)
class Breakeven:
    """``pays``: proven faster from ``high`` on, most likely from ``at`` on, and not below ``low``; None where
    that lies beyond ``top``, the greatest share that was timed. ``never``: proven slower there.
    ``bottom``: the least share timed: an ``at`` there means so much or less."""

    verdict: Literal["pays", "not proven", "never"]
    at: float | None
    low: float | None
    high: float | None
    bottom: float
    top: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A layer of ``outputs`` x ``inputs`` at ``columns`` columns, one thread: ``dense_s`` seconds when dense
    in float32, and the ratio at each share of zeros, computed in this ``way``."""

    outputs: int
    inputs: int
    columns: int
    way: Way
    dense_s: float
    points: tuple[Point, ...]

    def ratio(self, sparsity: float) -> Bounds:
        """The ratio at a share that was timed."""
        for point in self.points:
            if point.sparsity == sparsity:
                return point.ratio
        raise InputError(
            f"{sparsity} was not timed: {', '.join(str(point.sparsity) for point in self.points)} were"
        )


# --- from ratios to a break-even ----------------------------------------------------------------


def breakeven(points: Sequence[Point]) -> Breakeven:
    """Where the piecewise linear ratio, and each of its bounds, falls below 1 for good.

    ``points`` ascend by sparsity. Lower ratios never give a later break-even."""
    shares = [point.sparsity for point in points]
    ascending = bool(shares) and all(a < b for a, b in pairwise(shares))
    require(ascending, InputError, f"shares of zeros must ascend, these are {shares}: sort them")
    at, low, high = (
        _crossing(shares, ratios)
        for ratios in zip(*((p.ratio.value, p.ratio.low, p.ratio.high) for p in points), strict=True)
    )
    verdict = "pays" if high is not None else "never" if points[-1].ratio.low > 1 else "not proven"
    return Breakeven(verdict, at, low, high, shares[0], shares[-1])


def _crossing(shares: Sequence[float], ratios: Sequence[float]) -> float | None:
    """The least share from which on the ratio is below 1; None where it is not at the last."""
    if ratios[-1] >= 1:
        return None
    for i in range(len(shares) - 1, 0, -1):
        if ratios[i - 1] >= 1:
            part = (1 - ratios[i]) / (ratios[i - 1] - ratios[i])
            return shares[i] + part * (shares[i - 1] - shares[i])
    return shares[0]


def against(points: Sequence[Point], dense_over_control: Bounds) -> tuple[Point, ...]:
    """The ratios against another dense control, from that of our dense time over the control's.

    At no zeros at all our kernel is the dense one, so that ratio itself is the first point."""
    return (Point(0.0, dense_over_control), *scaled(points, dense_over_control))


def scaled(points: Sequence[Point], factor: Bounds) -> tuple[Point, ...]:
    """Every ratio times ``factor``."""
    return tuple(Point(p.sparsity, p.ratio.times(factor)) for p in points)


# --- timing -------------------------------------------------------------------------------------


def curves(
    matrix: Callable[[float], NDArray[np.float32]],
    way: Way,
    target: Target,
    columns: Sequence[int],
    shares: Sequence[float] = SHARES,
) -> tuple[Curve, ...]:
    """One curve for each number of ``columns``. ``matrix(share)``: the weight [outputs, inputs] with that
    share of zeros, lying as the pattern of ``way`` (a name to record) says.

    At each share the packing is one that ``compile`` would take among the sparse ones: chosen in trials of
    its own, then timed anew against dense, so that a lucky trial does not count."""
    points: dict[int, list[Point]] = {n: [] for n in columns}
    dense_s: dict[int, list[float]] = {n: [] for n in columns}
    shape = (0, 0)
    for share in shares:
        weight = matrix(share)
        shape = weight.shape
        found = timed(weight, target, columns, way.precision)
        for n, (ratio, seconds) in found.items():
            points[n].append(Point(share, ratio))
            dense_s[n].append(seconds)
    outputs, inputs = shape
    return tuple(Curve(outputs, inputs, n, way, min(dense_s[n]), tuple(points[n])) for n in columns)


def timed(
    weight: NDArray[np.float32], target: Target, columns: Sequence[int], precision: Precision = "fp32"
) -> dict[int, tuple[Bounds, float]]:
    """For each number of columns: the time of the best sparse kernel for ``weight`` in that precision (of the
    dense one, where no weight is zero) over that of the dense one in float32, and the seconds of the latter;
    one thread."""
    dense = pack_as(weight, DENSE, pairs=target.pairs)
    options = SPARSE if np.count_nonzero(weight) < weight.size else (DENSE,)
    packed = {c: pack_as(in_precision(weight, precision), c, pairs=target.pairs) for c in options}
    runs = {n: {c: LayerCall(p, target, n) for c, p in packed.items()} for n in columns}
    trials = {n: {c: min(_slot(run) for _ in range(_TRIALS)) for c, run in runs[n].items()} for n in columns}
    chosen = _chosen(trials)
    found: dict[int, tuple[Bounds, float]] = {}
    for n in columns:
        sparse_s, dense_s = paired(runs[n][chosen[n]], LayerCall(dense, target, n))
        found[n] = Bounds(*ratio_interval(sparse_s, dense_s, CONFIDENCE, RESOLUTION)), min(dense_s)
    return found


def paired(
    first: Callable[[], None], second: Callable[[], None], rounds: int = _ROUNDS
) -> tuple[list[float], list[float]]:
    """Seconds of CPU time of a call of each, in turns (A B B A ...). A turn is a slot of calls and counts by
    its least, since whatever disturbs a call can only add to it."""
    runs, seconds = (first, second), ([], [])
    for turn in range(rounds):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            seconds[i].append(_slot(runs[i]))
    return seconds


def _slot(run: Callable[[], None]) -> float:
    """The least seconds of a call, of at least two and as many as fit in a slot."""
    least, calls = float("inf"), 0
    began = now = clock()
    # On a busy machine a slot of CPU time would last long.
    latest = perf_counter() + _SLOT_WALL_S
    while calls < 2 or least == float("inf") or (now - began < _SLOT_S and perf_counter() < latest):
        start = now
        run()
        now = clock()
        calls += 1
        # A clock of CPU time may stand still while another processor takes over: no call takes no time.
        if now > start:
            least = min(least, now - start)
    return least


def _chosen(trials: Mapping[int, Mapping[Candidate, float]]) -> dict[int, Candidate]:
    """By number of columns: one packing for all where it is nearly the best for each, since a second takes
    memory; else the best for each."""
    options = next(iter(trials.values()))
    loss = {c: max(s[c] / min(s.values()) for s in trials.values()) for c in options}
    common = min(loss, key=lambda c: loss[c])
    if loss[common] <= WORTH_TWO_PACKINGS:
        return dict.fromkeys(trials, common)
    return {n: min(s, key=lambda c: s[c]) for n, s in trials.items()}
