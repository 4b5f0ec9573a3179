"""``compile``: Loop IR in, a checked native callable out."""

from __future__ import annotations

from aerogel.core.errors import TargetError, require
from aerogel.core.target import Target, available, current
from aerogel.loop.nodes import Module
from aerogel.loop.verify import verify
from aerogel.native import cache, inspection, llvm
from aerogel.native.calling import Compiled
from aerogel.native.codegen import build, triple
from aerogel.native.engine import Loaded, in_use
from aerogel.native.fingerprint import fingerprint
from aerogel.native.lock import LOCK


def compile(module: Module, target: Target | None = None) -> Compiled:  # noqa: A001 (the floor's one verb)
    """Machine code for ``module``, whose last function is the entry; ``target`` defaults to the current one.

    LoopError if the module is ill-formed, TargetError if this CPU cannot run ``target``. Code built
    before, by any process of this user, is taken from the cache.
    """
    chosen = target or current()
    able = available()
    require(
        any(set(chosen.features) <= set(t.features) and chosen.arch == t.arch for t in able),
        TargetError,
        f"target {chosen.name} needs what this CPU lacks: it has {', '.join(t.name for t in able)}",
    )
    try:
        key = fingerprint(module, chosen)
    except RecursionError:
        # No well-formed program nests so deep: say where.
        verify(module)
        raise
    with LOCK:
        loaded = in_use.get(key)
        if loaded is None:
            loaded = _load(module, chosen, key)
            in_use[key] = loaded
    return Compiled(module.name, module.entry.params, chosen, loaded, key)


def _load(module: Module, target: Target, key: str) -> Loaded:
    folder = inspection.dump_folder()
    code = cache.load(key) if folder is None else None
    if code is None:
        verify(module)
        text = llvm.module(module, target, triple())
        built = build(text, show=folder is not None)
        if folder is not None:
            inspection.dump(folder, key, module, target, text, built)
        code = built.object
        cache.store(key, code)
    if not inspection.perf_wanted():
        return Loaded(code, (llvm.ENTRY,))
    sizes = inspection.function_sizes(code)
    loaded = Loaded(code, {llvm.ENTRY, *sizes})
    inspection.write_perf_map(module.name, sizes, loaded.addresses)
    return loaded
