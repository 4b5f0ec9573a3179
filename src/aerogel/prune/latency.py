"""A budget in time: the zeros that cost least importance and bring the layers down to it, on this CPU.

Each shape of layer is timed by ``tune.breakeven`` at some shares of zeros, one thread, at as many columns as
the first batch has tokens. Between those shares the time is taken to be linear, and a share whose time is no
less than the dense kernel's is not looked at: such a layer stays dense. Imports torch.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.target import current
from aerogel.prune.budget import Budget, Question
from aerogel.prune.layers import Layer
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import Pattern
from aerogel.prune.select import Saliency, pruned_count, smallest
from aerogel.prune.unfold import rows_fed
from aerogel.prune.watch import fed, run_watched
from aerogel.tune.breakeven import SHARES, Way, curves
from aerogel.tune.layer_call import Precision

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_STEP = 0.05

Times = dict[float, float]
"""Seconds by share of zeros; 0 is dense."""
Timer = Callable[[tuple[int, int], int, Pattern, str], Times]
"""Of a layer of that shape [outputs, inputs] at so many columns, by pattern and precision."""


@dataclass(frozen=True, slots=True)
class LatencyBudget:
    """``seconds`` for all layers together for one batch, or that ``share`` of their dense time."""

    seconds: float | None
    share: float | None
    text: str

    @classmethod
    def parse(cls, text: str) -> LatencyBudget:
        """``latency:3ms``, ``latency:250us``, ``latency:0.5``; InputError for others."""
        match = re.fullmatch(r"latency:(\d+(?:\.\d+)?)(us|ms|s)?", text)
        amount = float(match[1]) if match else 0.0
        told = f"budget {text!r} is no time: write latency:3ms, or latency:0.5 for half of the dense time"
        require(amount > 0 and math.isfinite(amount), InputError, told)
        unit = match[2] if match else None
        if unit is not None:
            return cls(amount * _UNITS[unit], None, text)
        require(amount <= 1, InputError, f"budget {text!r} is more than the dense time: give a share up to 1")
        return cls(None, amount, text)

    def budget(self, timer: Timer | None = None) -> Budget:
        """As one of ``BUDGETS``; ``timer``: by default this CPU's."""
        return Budget(lambda question: self.shares(question, timer or timed), needs_data=True)

    def shares(self, question: Question, timer: Timer) -> dict[str, float]:
        """InputError, with the layers that take most, where no shares are fast enough; and for convolutions,
        which the engine does not compute."""
        for layer in question.layers:
            told = (
                f"budget {self.text!r}: layer {layer.name!r} is a convolution, which is not compiled, so no"
            )
            linear = all(isinstance(use, torch.nn.Linear) for use in layer.uses)
            require(linear, InputError, f"{told} time is known: choose linear layers with layers=")
        options = _options(question, timer)
        dense = sum(times[0] for _, times, _ in options)
        target = self.seconds if self.seconds is not None else dense * (self.share or 1.0)
        least = sum(float(times.min()) for _, times, _ in options)
        if least > target:
            slowest = sorted(zip(question.layers, options, strict=True), key=lambda p: -float(p[1][1].min()))
            named = ", ".join(f"{x.name!r} {1e6 * float(o[1].min()):.0f} us" for x, o in slowest[:4])
            raise InputError(
                f"budget {self.text!r} cannot be met: at their fastest layers take {1e6 * least:.0f} us, not "
                f"{1e6 * target:.0f} us ({named}, ...): give more time, or another pattern or precision"
            )
        picked = _cheapest(options, target)
        return question.named([float(shares[i]) for (shares, _, _), i in zip(options, picked, strict=True)])


_Option = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Shares, their seconds, and the share of importance that is lost with each; the first is dense."""


def _options(question: Question, timer: Timer) -> list[_Option]:
    columns = _columns(question)
    saliencies = question.saliencies()
    wanted = Counter((layer.shape, columns.get(layer.name, 0)) for layer in question.layers)
    known = {key: timer(*key, question.pattern, question.precision) for key in wanted if min(*key[0], key[1])}
    found: list[_Option] = []
    for layer in question.layers:
        times = known.get((layer.shape, columns.get(layer.name, 0)), {0.0: 0.0})
        found.append(_option(layer, times, saliencies.get(layer.name)))
    return found


def _option(layer: Layer, times: Times, saliency: Saliency | None) -> _Option:
    shares, seconds = np.array(sorted(times)), np.array([times[s] for s in sorted(times)])
    timed_from = shares[1] if len(shares) > 1 else 1.0
    grid = np.round(np.arange(timed_from, shares[-1] + _STEP / 2, _STEP), 6)
    between = np.interp(grid, shares, seconds)
    faster = between < seconds[0]
    ranked = np.sort(np.maximum(saliency.reshape(-1), 0)) if saliency is not None else np.ones(1)
    sums = np.concatenate([[0.0], np.cumsum(ranked, dtype=np.float64)])
    places = np.round(grid[faster] * len(ranked)).astype(int)
    lost = sums[places] / sums[-1] if sums[-1] > 0 else np.zeros(len(places))
    return (
        np.concatenate([[0.0], grid[faster]]),
        np.concatenate([[seconds[0]], between[faster]]),
        np.concatenate([[0.0], lost]),
    )


def _cheapest(options: Sequence[_Option], target: float) -> list[int]:
    """One of each layer's options, together at most ``target`` seconds, with about the least importance lost:
    by the price of a second at which what each layer buys for itself just fits."""

    def bought(price: float) -> list[int]:
        return [int(np.argmin(lost + price * seconds)) for _, seconds, lost in options]

    def takes(picked: list[int]) -> float:
        return sum(float(seconds[i]) for (_, seconds, _), i in zip(options, picked, strict=True))

    low, high = 0.0, 1.0
    # Beyond this price a layer buys its fastest option, and these fit.
    while takes(bought(high)) > target and high < 1e15:
        high *= 4
    if takes(bought(high)) > target:
        return [int(np.argmin(seconds)) for _, seconds, _ in options]
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if takes(bought(middle)) > target else (low, middle)
    return bought(high)


def _columns(question: Question) -> dict[str, int]:
    """By layer, the rows that the first batch feeds it."""
    owner = {id(module): layer.name for layer in question.layers for module in layer.uses}
    call, found = question.data[0], Counter[str]()

    def seen(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        found[owner[id(module)]] += sum(len(rows) for rows in rows_fed(module, fed(args, kwargs), call.mask))
        return False

    run_watched(question.model, call, [m for layer in question.layers for m in layer.uses], seen)
    return dict(found)


def timed(shape: tuple[int, int], columns: int, pattern: Pattern, precision: str) -> Times:
    """On this CPU: seconds, not per layer. Random weights, pruned by magnitude."""
    dense = np.random.default_rng(shape).standard_normal(shape, dtype=np.float32)
    saliency = magnitude(dense, pattern)

    def matrix(share: float) -> NDArray[np.float32]:
        gone = smallest(saliency, pruned_count(share, saliency.size))
        return np.where(pattern.spread(gone, shape), np.float32(0), dense)

    way = Way(pattern.name, cast("Precision", precision))
    (curve,) = curves(matrix, way, current(), (columns,), SHARES)
    return {0.0: curve.dense_s} | {p.sparsity: curve.dense_s * p.ratio.value for p in curve.points}
