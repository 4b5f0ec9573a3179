"""The layers over which claims about one kernel are made: four shapes x three numbers of columns, one thread.

A claim is about the geometric mean over these twelve.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from aerogel.bench.layers import activations, weight
from aerogel.measure import Case, Comparison, Ratio

SHAPES = ((1536, 384), (384, 1536), (3072, 768), (768, 768))
"""Outputs x inputs."""
COLUMNS = (32, 128, 512)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def cases() -> list[Case]:
    """One for each shape and number of columns."""
    return [
        Case(f"{m}x{k} {n} columns", {"outputs": m, "inputs": k, "columns": n}, output=True)
        for m, k in SHAPES
        for n in COLUMNS
    ]


def geometric_mean(comparison: Comparison, side: str, over: str) -> Ratio:
    """Over the cases; the interval's ends are the means of the intervals' ends, which is wide."""
    ratios = [case.speedup(side, over) for case in comparison.cases]
    low, high = mean(r.low for r in ratios), mean(r.high for r in ratios)
    return Ratio(side, over, mean(r.value for r in ratios), low, high, comparison.settings.confidence)


def mean(values: Iterable[float]) -> float:
    """The geometric one."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def largest_error(comparison: Comparison, sides: Mapping[str, tuple[float, str]]) -> float:
    """Of any output of ``sides`` (their zeros and pattern), relative to the largest number of NumPy's product
    of the same weight in float64."""
    worst = 0.0
    for case in comparison.cases:
        m, k, n = (int(case.params[name]) for name in ("outputs", "inputs", "columns"))  # type: ignore[arg-type]
        for name, (sparsity, pattern) in sides.items():
            exact = weight(m, k, sparsity, pattern).astype(np.float64) @ activations(k, n)
            worst = max(worst, float(np.abs(case.outputs[name] - exact).max() / np.abs(exact).max()))
    return worst


def roofline_shares(comparison: Comparison, side: str) -> list[float]:
    """Of every case: the nonzero roofline, as the contender measured the machine's peaks, over its time."""
    floors: Mapping[str, Mapping[str, float]] = comparison.facts(side).facts["rooflines_s"]  # type: ignore[assignment]
    return [max(floors[case.name].values()) / case.timing(side).median_s for case in comparison.cases]
