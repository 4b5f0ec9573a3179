"""The whole model, timed: every layer dense, as it is, and with zeros where pruning by magnitude puts
them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from aerogel.find.cost import lengths
from aerogel.find.paymap import AIM, SMALLEST
from aerogel.find.program import Gain, Split, dense_program, gain, splits
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.model.compile import build
from aerogel.model.graph import Embedding, Graph
from aerogel.model.program import Program
from aerogel.prune.magnitude import magnitude
from aerogel.prune.pattern import pattern_named
from aerogel.prune.select import pruned_count, smallest

TRIALS = ("unstructured", "block4x1")
"""The patterns to which the model is pruned for a trial, as far as there is time."""
# What must be left for the break-even map; how much longer than the longest before it a build may take.
_MAP_S, _SLACK = 20.0, 1.5
_NEARLY = 0.9
_DENSE, _NOW = "with every layer dense", "as it is"

Say = Callable[[str], None]
Left = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """The model pruned by magnitude to ``sparsity`` under ``pattern``, timed in turns with the dense one: its
    splits are in the order of the dense ones."""

    pattern: str
    sparsity: float
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """``splits``: of the dense program, per number of tokens; ``gains``: of the zeros that are there already;
    ``missing``: what there was no time for."""

    splits: tuple[Split, ...] = ()
    gains: tuple[Gain, ...] = ()
    trials: tuple[Trial, ...] = ()
    missing: tuple[Skipped, ...] = ()


def measure_whole(graph: Graph, sparse_share: float, left: Left, say: Say) -> Whole:
    """``sparse_share``: of the linear weights that are 0 now; 0 where no layer is sparse enough to count."""
    builder = _Builder(left, say)
    builder.add(_DENSE, lambda: dense_program(graph))
    if sparse_share > 0:
        builder.add(_NOW, lambda: build(graph, threads=1))
    # A model that has so many zeros is a trial itself.
    wanted = TRIALS if sparse_share < _NEARLY * AIM else ()
    for pattern in wanted:
        builder.add(_pruned_to(pattern), lambda p=pattern: build(pruned(graph, p, AIM), threads=1))
    say("timing the steps of the whole model")
    found: list[dict[str, Split]] = []
    missing = builder.missing
    for tokens in lengths(graph):
        made = splits(list(builder.made.values()), tokens, lambda: left() - _MAP_S / 2)
        if made:
            found.append(dict(zip(builder.made, made, strict=True)))
        else:
            missing.append(Skipped(f"the whole model at {tokens} columns", NO_TIME))
    gains = tuple(gain(each[_NOW], each[_DENSE]) for each in found if _NOW in each)
    trials = tuple(
        Trial(pattern, AIM, tuple(each[_pruned_to(pattern)] for each in found))
        for pattern in wanted
        if found and _pruned_to(pattern) in builder.made
    )
    return Whole(tuple(each[_DENSE] for each in found), gains, trials, tuple(missing))


def _pruned_to(pattern: str) -> str:
    return f"pruned to {100 * AIM:g} % {pattern}"


def pruned(graph: Graph, pattern: str, sparsity: float) -> Graph:
    """The graph with the units of least magnitude set to zero in every linear weight that is large enough to
    be timed and is no embedding table as well."""
    units = pattern_named(pattern)
    tables = {op.table for op in graph.ops if isinstance(op, Embedding)}
    weights = dict(graph.weights)
    for name in dict.fromkeys(op.weight for op in graph.linears()):
        weight = np.asarray(graph.weight(name), np.float32)
        if name in tables or weight.size < SMALLEST:
            continue
        saliency = magnitude(weight, units)
        gone = smallest(saliency, pruned_count(sparsity, saliency.size))
        shape = weight.shape[0], weight.shape[1]
        weights[name] = np.where(units.spread(gone, shape), np.float32(0), weight)
    return replace(graph, weights=weights)


class _Builder:
    """Builds programs while there is time for the next one."""

    def __init__(self, left: Left, say: Say) -> None:
        self._left, self._say, self._longest_s = left, say, 0.0
        self.made: dict[str, Program] = {}
        self.missing: list[Skipped] = []

    def add(self, what: str, make: Callable[[], Program]) -> None:
        # The first is always made: without it there is nothing to compare with.
        if self.made and self._left() < _MAP_S + _SLACK * self._longest_s:
            self.missing.append(Skipped(f"the whole model {what}", NO_TIME))
            return
        self._say(f"compiling it {what}")
        began = perf_counter()
        self.made[what] = make()
        self._longest_s = max(self._longest_s, perf_counter() - began)
