"""Times the candidates for each layer, with its real weights, on this CPU.

Dense is always a candidate, so a sparse layer is never slower than our own dense one. Layers that look
alike (shape, zeros, how blocked they are) are timed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from aerogel.core.errors import InputError
from aerogel.core.memory import aligned
from aerogel.core.target import Target
from aerogel.formats.panel import PANEL, Matrix, Packed, pack
from aerogel.kernels.layout import Layout
from aerogel.tune.few_choice import Rival, few_choice
from aerogel.tune.kernel import element_of, kernel_arguments, kernel_module, sample
from aerogel.tune.plan import FEW_COLUMNS, Candidate, LayerPlan, Plan
from aerogel.tune.strangers import strangers
from aerogel.tune.worth import (
    WORTH_A_TRIAL,
    WORTH_MORE_THAN_DENSE,
    WORTH_TWO_AT_MANY,
    WORTH_TWO_PACKINGS,
    WORTH_TWO_SMALL,
)

# So many that inputs and outputs do not fit an L2 cache together, as in a batch. With half as many, quads
# look as good as panels; in a batch they take a fifth longer.
COLUMNS = 256
ROUNDS = 5
DENSE = Candidate("panel", 0, dense=True)
QUICK_MANY, QUICK_FEW = Candidate("panel", 192), Candidate("quad", 128)
# Narrow tiles let longer blocks of columns stay in the L1 cache: three vectors of AVX2, 256 of them.
SPARSE = (
    QUICK_MANY,
    Candidate("panel", 0),
    QUICK_FEW,
    Candidate("quad", 256),
    Candidate("quad", 0),
)


def pack_as(weight: Matrix, candidate: Candidate, *, pairs: bool) -> Packed:
    """``weight`` packed the way ``candidate`` says; ``pairs``: for a target, or layout, with pairs."""
    match candidate.kind:
        case "panel" | "quad" as kind:
            block = candidate.block or weight.shape[1]
            return pack(weight, kind, block, dense=candidate.dense, pairs=pairs)
        case _:
            raise InputError(f"{candidate} is for few columns: pack it with aerogel.tune.few.pack_matrix")


def candidates(weight: Matrix) -> tuple[Candidate, ...]:
    """What is worth timing for this weight."""
    zeros = 1 - np.count_nonzero(weight) / weight.size
    # A block of all columns is the whole row.
    sparse = (c for c in SPARSE if c.block < weight.shape[1])
    return (DENSE,) if zeros < WORTH_A_TRIAL else (DENSE, *sparse)


def quick(weights: Mapping[str, Matrix], target: Target) -> Plan:
    """A plan without timing: dense below a third zeros, else in blocks of columns panels, or quads
    for few columns."""
    layers = tuple(
        LayerPlan(name, DENSE, DENSE, {}, {})
        if np.count_nonzero(w) > 0.67 * w.size
        else LayerPlan(name, QUICK_MANY, QUICK_FEW, {}, {})
        for name, w in weights.items()
    )
    return Plan(target.fingerprint, 0, layers)


def choose(
    weights: Mapping[str, Matrix],
    target: Target,
    columns: int = COLUMNS,
    progress: Callable[[int, int], None] | None = None,
    least: Mapping[str, int] | None = None,
) -> Plan:
    """Time the candidates of every kind of layer at ``columns`` columns, one thread; keep the fastest.

    ``weights``: layer -> [outputs, inputs] float32. ``progress(done, of)`` is called after each kind. What is
    for few columns only is tried too, with cold weights, from the ``least`` number of columns of a layer on
    (1 if left out) up to eight (see ``few_choice``).
    """
    first = dict.fromkeys(weights, 1) | dict(least or {})
    alike: dict[tuple[object, ...], list[str]] = {}
    size = 0
    for name, weight in weights.items():
        alike.setdefault((*_looks(weight), first[name]), []).append(name)
        size += weight.size
    found: dict[str, LayerPlan] = {}
    for done, names in enumerate(alike.values(), 1):
        weight = weights[names[0]]
        packed = {c: pack_as(weight, c, pairs=target.pairs) for c in candidates(weight)}
        many, few = _time(packed, target, columns), _time(packed, target, FEW_COLUMNS)
        best = _decide({c: p.nbytes for c, p in packed.items()}, many, few)
        packed = {c: packed[c] for c in best}
        copies = round(size / max(1, weight.size))
        rows = few_choice(weight, _rival(weight, packed, best, target, copies), target, first[names[0]])
        if rows.few is not None:
            best = best[0], rows.few
        tried = rows.columns or FEW_COLUMNS, first[names[0]], _named(rows.seconds)
        evidence = _named(many), _named(few), *tried
        found |= {name: LayerPlan(name, *best, *evidence) for name in names}
        if progress is not None:
            progress(done, len(alike))
    return Plan(target.fingerprint, columns, tuple(found[name] for name in weights))


def _decide(
    sizes: Mapping[Candidate, int], many: Mapping[Candidate, float], few: Mapping[Candidate, float]
) -> tuple[Candidate, Candidate]:
    """What runs at many columns and at few: one packing if one is good enough at both, since two take the
    memory of two. Never one that is slower than dense. ``sizes``: bytes of each packing."""
    best_many, best_few = min(many, key=lambda c: many[c]), min(few, key=lambda c: few[c])
    loss = {
        c: (many[c] / max(many[best_many], 1e-9), few[c] / max(few[best_few], 1e-9))
        for c in many
        if many[c] <= many[DENSE] and few[c] <= few[DENSE]
    }
    two = sizes[best_many] + sizes[best_few]
    at_many, at_few = WORTH_TWO_AT_MANY, WORTH_TWO_PACKINGS
    if 2 * two <= sizes[DENSE]:
        at_few = WORTH_TWO_SMALL
    elif two > sizes[DENSE]:
        at_many, at_few = WORTH_TWO_PACKINGS, WORTH_TWO_PACKINGS
    enough = [c for c, (m, f) in loss.items() if m <= at_many and f <= at_few]
    if not enough and two > sizes[DENSE]:
        enough = [c for c, both in loss.items() if c != DENSE and max(both) <= WORTH_MORE_THAN_DENSE]
    if enough:
        both = min(enough, key=lambda c: max(loss[c]))
        return both, both
    return best_many, best_few


def _rival(
    weight: Matrix,
    packed: Mapping[Candidate, Packed],
    best: tuple[Candidate, Candidate],
    target: Target,
    copies: int,
) -> Rival:
    """What ``_decide`` found, which rows for few columns must beat; ``copies``: layers that make a model."""
    many, few = best
    layout = Layout.of(target)

    def ready(packed: Packed, columns: int) -> Callable[[], None]:
        x = sample(layout.size(packed.columns, columns), element_of(weight))
        y = aligned(layout.size(packed.rows, columns))
        kernel = kernel_module(target, packed.kind, element_of(weight))
        bound = kernel.bind(*kernel_arguments(packed, x, y, target, columns))
        return lambda: bound.run(1)

    between = strangers(target, element_of(weight))
    return Rival(few, packed[few], ready, between, packed[many].nbytes, many != few, weight.nbytes, copies)


def _named(seconds: Mapping[Candidate, float]) -> dict[str, float]:
    """The evidence of a trial; none where there was one candidate."""
    return {str(c): s for c, s in seconds.items()} if len(seconds) > 1 else {}


def _looks(weight: Matrix) -> tuple[object, ...]:
    """Shape, zeros to 4 %, and how often a non-zero shares its column with the rest of its panel."""
    live = weight != 0
    rows = weight.shape[0] // PANEL * PANEL
    fours = live[:rows].reshape(-1, PANEL, weight.shape[1]).sum(axis=1, dtype=np.uint8)
    shared = float((fours >= PANEL).mean()) if rows else 0.0
    return (weight.dtype.name, *weight.shape, round(float(live.mean()) * 25), round(shared * 10))


@dataclass
class _Trial:
    call: Callable[[], None]
    between: Callable[[], None]
    best: float = float("inf")

    def run(self) -> None:
        self.between()
        start = perf_counter()
        self.call()
        self.best = min(self.best, perf_counter() - start)


def _time(packed: Mapping[Candidate, Packed], target: Target, columns: int) -> dict[Candidate, float]:
    """Seconds of each packing of one weight, whose dense one is among them."""
    if len(packed) == 1:
        return dict.fromkeys(packed, 1.0)
    dense = packed[DENSE]
    element = element_of(dense.values)
    x, between = sample(Layout.of(target).size(dense.columns, columns), element), strangers(target, element)
    trials = {c: _Trial(_ready(p, x, target, columns), between) for c, p in packed.items()}
    for _ in range(ROUNDS):
        for trial in trials.values():
            trial.run()
    return {c: trial.best for c, trial in trials.items()}


def _ready(packed: Packed, x: Matrix, target: Target, columns: int) -> Callable[[], None]:
    compiled = kernel_module(target, packed.kind, element_of(packed.values))
    y = aligned(Layout.of(target).size(packed.rows, columns))
    # Checked once: checks take longer than a small layer does.
    bound = compiled.bind(*kernel_arguments(packed, x, y, target, columns))
    return lambda: bound.run(1)
