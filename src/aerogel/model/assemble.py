"""graph -> steps -> plan -> packed constants and one native program."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.target import Target
from aerogel.formats.panel import Matrix
from aerogel.kernels.layout import Layout
from aerogel.model import arena as arenas
from aerogel.model.built import Built
from aerogel.model.check import check
from aerogel.model.emit import emit
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph
from aerogel.model.own_weights import with_own_weights
from aerogel.model.packings import Packings
from aerogel.model.packs import Kept, Spool
from aerogel.model.rows import matrix
from aerogel.model.steps import LinearStep, words
from aerogel.native import compile as compile_native
from aerogel.tune.choose import choose, pack_as, quick
from aerogel.tune.few import pack_matrix
from aerogel.tune.plan import Plan

# Tokens below which no packing need pay: a text has a word or two, and marks around them.
SHORT_TEXT = 4

_log = logging.getLogger("aerogel")


def assemble(
    graph: Graph,
    plan: Plan | Literal["timed", "quick"],
    target: Target,
    *,
    kept: Kept | None = None,
    spool: Spool | None = None,
    let_go: Callable[[], None] = lambda: None,
) -> Built:
    """Plan, pack (but for what is ``kept``) and compile. Constants are kept in ``spool``, if there is one;
    ``let_go`` is called whenever weights have been read that are not needed any more."""
    began = perf_counter()
    check(graph)
    layout = Layout.of(target)
    steps = fuse(graph)
    linears = {s.name: s for s in steps if isinstance(s, LinearStep)}
    stacked = _Stacked(graph, linears)
    chosen = _plan(plan, stacked, target)
    planned = perf_counter()
    ready = {} if kept is None else kept.packings()
    shapes = {
        name: (s.out.features, s.inputs if s.element == "f32" else words(s.inputs))
        for name, s in linears.items()
    }
    fits = set(ready) == set(shapes) and all(ready[name].fits(*shape) for name, shape in shapes.items())
    packed = ready if fits else _Packed(stacked, chosen, layout, let_go)
    arena = arenas.plan(steps)
    emitted = emit(steps, arena, packed, graph.weights, layout, spool)
    if fits and kept is not None and kept.layout == emitted.blob.layout:
        constants = kept.constants
    else:
        constants = emitted.blob.freeze() if spool is None else spool.finish(chosen, emitted)
    compiled = compile_native(emitted.module, target)
    _log.debug("planned in %.2f s, built in %.2f s", planned - began, perf_counter() - planned)
    placed, read = emitted.packings(constants), emitted.constant_bytes
    own = with_own_weights(graph, emitted.blob.layout, constants)
    return Built(own, steps, arena, placed, read, compiled, constants, chosen, target, layout)


def _plan(plan: Plan | Literal["timed", "quick"], weights: _Stacked, target: Target) -> Plan:
    if isinstance(plan, Plan):
        wrong = f"this plan is for {plan.target.split('/')[0]}, the program for {target.name}: make a new one"
        require(plan.target == target.fingerprint, UnsupportedError, wrong)
        return plan
    require(plan in ("timed", "quick"), InputError, f"plan={plan!r} is unknown: 'timed', 'quick' or a Plan")
    if plan == "quick":
        return quick(weights, target)
    texts = (name for name, step in weights.steps.items() if step.out.columns == "tokens")
    return choose(weights, target, least=dict.fromkeys(texts, SHORT_TEXT))


@dataclass(frozen=True)
class _Stacked(Mapping[str, Matrix]):
    """The weight of each linear step, as it is packed. Made when asked for, so
    that no more than one is in memory as numbers."""

    graph: Graph
    steps: Mapping[str, LinearStep]

    def __getitem__(self, name: str) -> Matrix:
        return matrix(self.steps[name], self.graph.weights)

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class _Packed(Mapping[str, Packings]):
    """The packings of each linear step, made when asked for and not kept."""

    weights: _Stacked
    plan: Plan
    layout: Layout
    let_go: Callable[[], None]

    def __getitem__(self, name: str) -> Packings:
        weight, choice = self.weights[name], self.plan.of(name)
        pairs, form = self.layout.pairs, choice.few.form
        many = pack_as(weight, choice.many, pairs=pairs)
        if form is not None:
            few = pack_matrix(weight, form, self.layout.lanes)
        else:
            few = many if choice.few == choice.many else pack_as(weight, choice.few, pairs=pairs)
        packings = Packings(many, few, choice.few_columns)
        self.let_go()
        return packings

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)
