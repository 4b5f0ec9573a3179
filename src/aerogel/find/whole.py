"""The whole model, timed: every layer dense, as it is, in 8-bit integers, and with zeros where pruning by
magnitude puts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from aerogel.find.cost import lengths
from aerogel.find.paymap import AIM, SMALLEST, without_least
from aerogel.find.program import Gain, Split, dense_program, gain, splits
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.model.compile import build
from aerogel.model.graph import Embedding, Graph, in_integers
from aerogel.model.program import Program
from aerogel.model.quantised import quantised
from aerogel.prune.pattern import pattern_named
from aerogel.tune.breakeven import DENSE_INT8, Way

TRIALS = (DENSE_INT8, Way("unstructured"), Way("block4x4", "int8"), Way("block4x1"))
"""The ways in which the whole model is tried, as far as there is time."""
# What the first trial may take, and how much longer than the longest before it another; from this part of AIM
# on a model is a trial itself.
_FIRST_S, _SLACK, _NEARLY = 8.0, 1.3, 0.9

Say = Callable[[str], None]
Left = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """The model pruned by magnitude to ``sparsity``, 0 where it is dense, and computed in this ``way``: its
    splits, timed in turns with those of the ``dense`` float32 program; both per number of tokens."""

    way: Way
    sparsity: float
    dense: tuple[Split, ...]
    sparse: tuple[Split, ...]


class WholeTimer:
    """Times the whole model while there is time. ``splits``: of the dense program, per number of tokens;
    ``gains``: of zeros that are there already; ``missing``: what there was no time for."""

    def __init__(self, graph: Graph, sparse_share: float, left: Left, say: Say) -> None:
        """``sparse_share``: of the linear weights that are 0 now; 0 where no layer is sparse enough to
        count."""
        self._graph, self._share, self._left, self._say = graph, sparse_share, left, say
        self._dense: Program | None = None
        self._longest_s = _FIRST_S / _SLACK
        self.splits: tuple[Split, ...] = ()
        self.gains: tuple[Gain, ...] = ()
        self.trials: list[Trial] = []
        self.missing: list[Skipped] = []

    def now(self) -> None:
        """The dense program in float32, and the model as it is if that is sparse."""
        self._say("compiling it with every layer dense")
        self._dense = dense_program(in_floats(self._graph))
        programs = [self._dense]
        if self._share > 0:
            if any(in_integers(self._graph.weights[op.weight]) for op in self._graph.linears()):
                programs.append(dense_program(self._graph))
            self._say("compiling it with its zeros skipped")
            programs.append(build(self._graph, threads=1))
        found = self._timed(programs, "the whole model")
        self.splits = tuple(each[0] for each in found)
        # What zeros gain is seen beside the same numbers without them.
        self.gains = tuple(gain(each[-1], each[-2]) for each in found if self._share > 0)

    def trial(self, way: Way) -> None:
        """The model pruned to AIM and computed in this way, unless it is as sparse already."""
        sparsity = 0.0 if way == DENSE_INT8 else AIM
        if self._dense is None or (sparsity > 0 and self._share >= _NEARLY * AIM):
            return
        what = f"the whole model pruned to {100 * AIM:g} % {way}" if sparsity else f"the whole model {way}"
        if self._left() < _SLACK * self._longest_s:
            self.missing.append(Skipped(what, NO_TIME))
            return
        began = perf_counter()
        self._say(f"compiling {what}")
        found = self._timed([self._dense, self._program(way, sparsity)], what)
        if found:
            self.trials.append(Trial(way, sparsity, *map(tuple, zip(*found, strict=True))))
        self._longest_s = max(self._longest_s, perf_counter() - began)

    def _program(self, way: Way, sparsity: float) -> Program:
        graph = in_floats(self._graph)
        if sparsity > 0:
            graph = pruned(graph, way.pattern, sparsity)
        if way.precision == "int8":
            graph = quantised(graph)
        return build(graph, threads=1) if sparsity > 0 else dense_program(graph)

    def _timed(self, programs: list[Program], what: str) -> list[tuple[Split, ...]]:
        """The splits of all programs, for each number of tokens."""
        self._say(f"timing the steps of {what}")
        tokens = lengths(self._graph)
        found = [splits(programs, n, self._left) for n in tokens]
        late = [n for n, each in zip(tokens, found, strict=True) if not each]
        self.missing += [Skipped(f"{what} at {n} columns", NO_TIME) for n in late]
        return [each for each in found if each]


def in_floats(graph: Graph) -> Graph:
    """The graph with the weights of its linear layers as float32."""
    names = {op.weight for op in graph.linears() if in_integers(graph.weights[op.weight])}
    return replace(graph, weights={**graph.weights, **{name: graph.weight(name) for name in names}})


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
        weights[name] = without_least(weight, sparsity, units)
    return replace(graph, weights=weights)
