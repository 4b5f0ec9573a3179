"""``compile``: Loop IR in, a checked native callable out."""

from __future__ import annotations

from aerogel.core.target import Target, current
from aerogel.loop.nodes import Module
from aerogel.loop.verify import verify
from aerogel.native import llvm
from aerogel.native.calling import Compiled
from aerogel.native.codegen import build, triple
from aerogel.native.engine import Loaded


def compile(module: Module, target: Target | None = None) -> Compiled:  # noqa: A001 (the floor's one verb)
    """Machine code for ``module``; ``target`` defaults to the current one. The last function is the entry."""
    verify(module)
    chosen = target or current()
    code = build(llvm.module(module, chosen, triple()), chosen).object
    return Compiled(module, chosen, Loaded(code, (llvm.ENTRY,)))
