"""What each step does in the terms of the energy roofline: operations that kernels do, bytes by memory level.

Counted from how the kernels go about it; what holds only roughly is said here, and is what reconciliation
with the metered whole takes up. A buffer is found in the nearest cache that holds what was touched since it
was last used: activations since the step that made them, so their own size; weights since the last call, so
all that a call touches. Weights of a layer with many columns are read again for each tile of columns, from
the L2 cache (``kernels/linear.py``); inputs that are multiplied come from L1. Attention is taken to load a
vector for every 4 multiply-adds, as panels do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import assert_never

import numpy as np

from aerogel.core.caches import Cache
from aerogel.energy.activity import LEVELS, Activity
from aerogel.formats.rows import PackedRows
from aerogel.kernels.approx import ACTIVATIONS, Lets, Names, exp2_below
from aerogel.loop.nodes import F32, Binary, Fma, Let, Unary, Var
from aerogel.loop.walk import subexpressions
from aerogel.model.batch import Batch
from aerogel.model.built import Built
from aerogel.model.effort import Effort
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
from aerogel.model.work import activation_bytes, columns_of, step_work

# Operations for each element: range, scale and rounding; sum, variance and scaling; square, sum and division.
_QUANTISE, _NORM, _NORMALIZE = 6, 8, 3
# Multiply-adds for which attention loads one number.
_SHARED = 4
# What softmax does to a score beside the power of 2: scale, maximum, difference, sum.
_SOFTMAX = 4


@dataclass(frozen=True, slots=True)
class Levels:
    """``caches``: of this CPU, nearest first; ``known``: the levels that the energy roofline was fitted
    for."""

    caches: Sequence[Cache]
    threads: int
    known: Sequence[str]

    def holding(self, nbytes: float) -> str:
        """The nearest that holds so much, shared out to the threads."""
        for near in self.caches:
            if nbytes <= near.nbytes * -(-self.threads // near.threads):
                return self.at(f"L{near.level}")
        return self.at(LEVELS[-1])

    def at(self, level: str) -> str:
        """This level, or the next farther one that is known; else the farthest there is."""
        farther = [name for name in LEVELS[LEVELS.index(level) :] if name in self.known]
        return farther[0] if farther else max(self.known, key=LEVELS.index)


def step_activity(built: Built, number: int, batch: Batch, seconds: float, levels: Levels) -> Activity:
    """Of step ``number``, which took ``seconds`` on all the threads of ``levels``."""
    step = built.steps[number]
    moved = activation_bytes(step, batch)
    work = step_work(built, number, batch)
    found: Counter[str] = Counter({levels.holding(moved): moved})
    found[levels.holding(_touched(built, batch))] += work.bytes_effective - moved
    operations: Counter[str] = Counter({"fp32": _beside(step, batch)})
    match step:
        case LinearStep():
            operations["int8" if step.element == "i8" else "fp32"] += work.flops_computed
            _add_linear(built, step, columns_of(step, batch), levels, found)
        case AttentionStep():
            operations[step.products] += work.flops_computed
            found[levels.at("L1")] += 4 * work.flops_computed // 2 // _SHARED
        case _:
            pass
    return Activity(seconds, seconds * levels.threads, dict(operations), dict(found))


def _touched(built: Built, batch: Batch) -> int:
    """Bytes of a whole call, of which weights are read once each."""
    layout = built.layout
    arena = built.arena.nbytes(layout.vectors(batch.tokens), layout.vectors(batch.rows), layout.lanes)
    return Effort.of(built).nbytes + arena


def _add_linear(built: Built, step: LinearStep, n: int, levels: Levels, found: Counter[str]) -> None:
    """Inputs that are loaded to be multiplied, and weights that are read again."""
    packed, lanes = built.packed[step.name].at(n), built.layout.lanes
    if isinstance(packed, PackedRows):
        found[levels.at("L1")] += 4 * lanes * packed.x_vectors * n
        return
    found[levels.at("L1")] += 4 * lanes * packed.loads * built.layout.vectors(n)
    found[levels.at("L2")] += packed.nbytes * (len(built.layout.tiles(n)) - 1)


def _beside(step: Step, batch: Batch) -> int:
    """Operations on float32 that are no product of matrices."""
    columns = {"tokens": batch.tokens, "rows": batch.rows}
    match step:
        case LinearStep():
            each = (step.residual is not None) + (step.activation is not None and _of(step.activation))
            each += _QUANTISE if step.rounded is not None else 0
            return each * step.out.features * columns[step.out.columns]
        case NormStep():
            each = _NORM + (step.residual is not None) + (_QUANTISE if step.rounded is not None else 0)
            return each * step.out.features * columns[step.out.columns]
        case AttentionStep():
            pairs = sum(int(length) ** 2 for length in np.diff(batch.offsets))
            return (_SOFTMAX + _of("exp2")) * step.heads * pairs
        case ActivationStep():
            return _of(step.fn) * step.out.features * columns[step.out.columns]
        case QuantiseStep():
            return _QUANTISE * step.x.features * columns[step.x.columns]
        case PairStep():
            return step.out.features * columns[step.out.columns]
        case PoolStep():
            return step.x.features * columns[step.x.columns]
        case NormalizeStep():
            return _NORMALIZE * step.out.features * columns[step.out.columns]
        case EmbedStep():
            return (len(step.tables) - 1) * step.out.features * batch.tokens
        case FeedStep() | FetchStep():
            return 0
        case _:
            assert_never(step)


@cache
def _of(function: str) -> int:
    """Operations of an elementwise function, counted in its Loop IR; a multiply-add is two."""
    x, out = Var("x", F32), Lets(Names())
    result = exp2_below(x, out) if function == "exp2" else ACTIVATIONS[function](x, out)
    values = [statement.value for statement in out.statements if isinstance(statement, Let)]
    nodes = [node for value in (*values, result) for node in subexpressions(value)]
    return sum(2 if isinstance(node, Fma) else isinstance(node, Binary | Unary) for node in nodes)
