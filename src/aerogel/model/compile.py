"""torch module -> graph -> steps -> plan -> one native program."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import CacheError, InputError, UnsupportedError, require
from aerogel.core.target import Target, current
from aerogel.kernels.layout import Layout
from aerogel.model import arena as arenas
from aerogel.model import packs
from aerogel.model.artefact import Artefact
from aerogel.model.artefact import load as load_artefact
from aerogel.model.built import Built
from aerogel.model.check import check
from aerogel.model.emit import emit
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph
from aerogel.model.packings import Packings
from aerogel.model.program import Program
from aerogel.model.steps import LinearStep
from aerogel.model.texts import Texts
from aerogel.native import compile as compile_native
from aerogel.tune.choose import choose, pack_as, quick
from aerogel.tune.plan import Plan

if TYPE_CHECKING:
    import torch

_log = logging.getLogger("aerogel")

Progress = Callable[[str], None]


def compile(  # noqa: A001, PLR0913 (the package's verb: ag.compile; all but three by name)
    model: torch.nn.Module,
    example_inputs: Any,
    dynamic_shapes: Any = None,
    *,
    precision: Literal["fp32"] = "fp32",
    threads: int | None = None,
    plan: Plan | Literal["timed", "quick"] = "timed",
    texts: Texts | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Program:
    """Compile a torch module into one native program for this CPU.

    ``example_inputs``: what the module is called with (a tuple of tensors, or a dict by name); every batch,
    sequence or leading dimension stays free unless ``dynamic_shapes`` (as in ``torch.export``) says
    otherwise. Zeros in the weights are skipped wherever that is measured to be faster: prune first.
    ``plan``: ``timed`` times the kernels for each kind of layer on this CPU (under a second for a small
    encoder); ``quick`` decides by the share of zeros; or a Plan made before, which gives the same
    program again. ``threads``: how many a call uses unless it says otherwise, None for all cores. ``texts``:
    the model's tokenizer, for ``encode``; ``provenance``: what to record in a saved file.

    Raises UnsupportedError naming the operation and source line of what cannot be compiled, InputError for
    unusable arguments or non-finite weights.

        >>> program = aerogel.compile(model, (ids, mask))    # doctest: +SKIP
        >>> hidden = program(ids, mask)                      # doctest: +SKIP
    """
    require(precision == "fp32", InputError, f"precision={precision!r} is unknown: this version has fp32")
    what = f"model is a {type(model).__name__}: give a torch.nn.Module"
    require(callable(getattr(model, "named_parameters", None)), InputError, what)
    from aerogel.model.from_torch import from_torch

    graph = from_torch(model, example_inputs, dynamic_shapes)
    return build(graph, threads=threads, plan=plan, texts=texts, provenance=provenance)


def load(
    path: str | Path, *, threads: int | None = None, plan: Plan | Literal["timed", "quick"] = "timed"
) -> Program:
    """The program in an artefact that ``Program.save`` wrote; needs no torch. ``threads`` and ``plan`` as for
    ``compile``. FormatError if the file is damaged or no artefact, InputError if it cannot be read."""
    return run_artefact(load_artefact(Path(path)), threads=threads, plan=plan)


def run_artefact(
    artefact: Artefact, *, threads: int | None = None, plan: Plan | Literal["timed", "quick"] = "timed"
) -> Program:
    """The program in an artefact that was read from a file; arguments as for ``compile``. Its graph may
    have been given other outputs: what is kept for the next time is the same."""
    texts = None if artefact.tokenizer is None else Texts(artefact.tokenizer, artefact.max_tokens)
    built = _restored(artefact, plan) or _anew(artefact, plan)
    artefact.let_go()
    return Program(built, threads, texts, artefact.provenance)


def _restored(artefact: Artefact, plan: Plan | Literal["timed", "quick"]) -> Built | None:
    """The program from what an earlier load kept; None if that has nothing, or is by another plan."""
    target = current()
    kept = None if plan == "quick" else packs.restore(artefact.checksum, target)
    if kept is None or (isinstance(plan, Plan) and plan.fingerprint != kept.plan.fingerprint):
        return None
    return _build(artefact.graph, kept.plan if plan == "timed" else plan, target, kept=kept)


def _anew(artefact: Artefact, plan: Plan | Literal["timed", "quick"]) -> Built:
    """The program, kept for the next time if it was timed and the cache folder allows."""
    target = current()
    if plan == "timed":
        try:
            with packs.spool(artefact.checksum, target) as spool:
                return _build(artefact.graph, plan, target, spool=spool, let_go=artefact.let_go)
        except CacheError as error:
            _log.warning("packed weights not kept: %s", error)
    return _build(artefact.graph, plan, target, let_go=artefact.let_go)


def build(
    graph: Graph,
    *,
    threads: int | None = None,
    plan: Plan | Literal["timed", "quick"] = "timed",
    target: Target | None = None,
    texts: Texts | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Program:
    """The program for a graph; arguments as for ``compile``."""
    return Program(_build(graph, plan, target or current()), threads, texts, provenance)


def _build(
    graph: Graph,
    plan: Plan | Literal["timed", "quick"],
    target: Target,
    *,
    kept: packs.Kept | None = None,
    spool: packs.Spool | None = None,
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
    shapes = {name: (s.out.features, s.x.features) for name, s in linears.items()}
    fits = set(ready) == set(shapes) and all(ready[name].fits(*shape) for name, shape in shapes.items())
    packed = ready if fits else _Packed(stacked, chosen, let_go)
    arena = arenas.plan(steps)
    emitted = emit(steps, arena, packed, graph.weights, layout, spool)
    if fits and kept is not None and kept.layout == emitted.blob.layout:
        constants = kept.constants
    else:
        constants = emitted.blob.freeze() if spool is None else spool.finish(chosen, emitted)
    compiled = compile_native(emitted.module, target)
    _log.debug("planned in %.2f s, built in %.2f s", planned - began, perf_counter() - planned)
    placed = emitted.packings(constants)
    return Built(graph, steps, arena, placed, emitted, compiled, constants, chosen, target, layout)


def _plan(
    plan: Plan | Literal["timed", "quick"], weights: Mapping[str, NDArray[np.float32]], target: Target
) -> Plan:
    if isinstance(plan, Plan):
        wrong = f"this plan is for {plan.target.split('/')[0]}, the program for {target.name}: make a new one"
        require(plan.target == target.fingerprint, UnsupportedError, wrong)
        return plan
    require(plan in ("timed", "quick"), InputError, f"plan={plan!r} is unknown: 'timed', 'quick' or a Plan")
    return choose(weights, target) if plan == "timed" else quick(weights, target)


@dataclass(frozen=True)
class _Stacked(Mapping[str, NDArray[np.float32]]):
    """The weight of each linear step: one matrix, or several stacked by output. Made when asked for, so
    that no more than one is in memory as numbers."""

    graph: Graph
    steps: Mapping[str, LinearStep]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        matrices = [np.asarray(self.graph.weight(w), np.float32) for w in self.steps[name].weights]
        return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class _Packed(Mapping[str, Packings]):
    """The packings of each linear step, made when asked for and not kept."""

    weights: _Stacked
    plan: Plan
    let_go: Callable[[], None]

    def __getitem__(self, name: str) -> Packings:
        weight, choice = self.weights[name], self.plan.of(name)
        many = pack_as(weight, choice.many)
        packings = Packings(many, many if choice.few == choice.many else pack_as(weight, choice.few))
        self.let_go()
        return packings

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)
