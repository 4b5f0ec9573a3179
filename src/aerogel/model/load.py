"""The program in a file, without torch; where an earlier load kept its work, without LLVM as well."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from aerogel.core.errors import CacheError
from aerogel.core.target import Target, current
from aerogel.kernels.layout import Layout
from aerogel.model import arena, packs
from aerogel.model.artefact import Artefact
from aerogel.model.artefact import load as load_artefact
from aerogel.model.built import Built
from aerogel.model.entry import NAME, params
from aerogel.model.fuse import fuse
from aerogel.model.packs import Kept, Recipe
from aerogel.model.program import Program
from aerogel.model.texts import Texts
from aerogel.native import recall
from aerogel.tune.plan import Plan

_log = logging.getLogger("aerogel")

PlanChoice = Plan | Literal["timed", "quick"]


def load(path: str | Path, *, threads: int | None = None, plan: PlanChoice = "timed") -> Program:
    """The program in an artefact that ``Program.save`` wrote; needs no torch. ``threads`` and ``plan`` as for
    ``compile``. FormatError if the file is damaged or no artefact, InputError if it cannot be read."""
    return run_artefact(load_artefact(Path(path)), threads=threads, plan=plan)


def run_artefact(artefact: Artefact, *, threads: int | None = None, plan: PlanChoice = "timed") -> Program:
    """The program in an artefact that was read from a file; arguments as for ``compile``. Its graph may
    have been given other outputs, but the weights must be the file's: what is kept belongs to them."""
    texts = None if artefact.tokenizer is None else Texts(artefact.tokenizer, artefact.max_tokens)
    target = current()
    kept = None if plan == "quick" else packs.restore(artefact.checksum, target)
    if kept is None or (isinstance(plan, Plan) and plan.fingerprint != kept.plan.fingerprint):
        built = _anew(artefact, plan, target)
    else:
        chosen = plan if isinstance(plan, Plan) else kept.plan
        built = _recalled(artefact, chosen, target, kept) or _from_kept(artefact, chosen, target, kept)
    artefact.let_go()
    return Program(built, threads, texts, artefact.provenance)


def _recalled(artefact: Artefact, plan: Plan, target: Target, kept: Kept) -> Built | None:
    """The program from kept constants and kept code: nothing is worked out. None where the code is not kept
    for this graph."""
    graph = artefact.graph
    recipe = packs.recipe(kept, graph, target)
    if recipe is None:
        return None
    steps = fuse(graph)
    compiled = recall(recipe.code, NAME, params(steps), target)
    if compiled is None:
        return None
    layout, read = Layout.of(target), recipe.constant_bytes
    return Built(
        graph, steps, arena.plan(steps), kept.packings(), read, compiled, kept.constants, plan, target, layout
    )


def _from_kept(artefact: Artefact, plan: Plan, target: Target, kept: Kept) -> Built:
    """The program from kept constants, its code generated."""
    from aerogel.model.assemble import assemble  # all that turns graphs into code

    built = assemble(artefact.graph, plan, target, kept=kept)
    _remember(built, kept)
    return built


def _anew(artefact: Artefact, plan: PlanChoice, target: Target) -> Built:
    """The program, kept for the next time if it was timed and the cache folder allows."""
    from aerogel.model.assemble import assemble  # all that turns graphs into code

    if plan == "timed":
        try:
            with packs.spool(artefact.checksum, target) as spool:
                built = assemble(artefact.graph, plan, target, spool=spool, let_go=artefact.let_go)
                _remember(built, spool.kept)
                return built
        except CacheError as error:
            _log.warning("packed weights not kept: %s", error)
    return assemble(artefact.graph, plan, target, let_go=artefact.let_go)


def _remember(built: Built, kept: Kept | None) -> None:
    # Constants of its own mean that the graph needs others than those that are kept.
    if kept is not None and built.constants is kept.constants:
        packs.remember(kept, built.graph, built.target, Recipe(built.compiled.key, built.constant_bytes))
