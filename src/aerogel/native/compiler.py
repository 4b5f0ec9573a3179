"""``compile``: Loop IR in, a checked native callable out."""

from __future__ import annotations

from typing import Never

from aerogel.core.errors import TargetError, require
from aerogel.core.target import Target, available, current
from aerogel.loop.nodes import Module
from aerogel.loop.verify import verify
from aerogel.native import cache, inspection, llvm
from aerogel.native.calling import Compiled
from aerogel.native.codegen import Build, build, triple
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
    if chosen.arch != able[0].arch:
        _refuse_foreign(module, chosen, able[0].arch)
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


def generate(module: Module, target: Target, *, show: bool = False) -> Build:
    """Machine code for ``target``, which need not be this CPU's: an object file that calls libc alone.

    LoopError if the module is ill-formed. ``show`` also fills in what a reader wants to see.
    """
    verify(module)
    return build(llvm.module(module, target, triple(target.arch)), show=show)


def _refuse_foreign(module: Module, target: Target, arch: str) -> Never:
    """TargetError; where stages are to be written they are, for that is what such code is good for here."""
    folder = inspection.dump_folder()
    if folder is not None:
        built = generate(module, target, show=True)
        inspection.dump(folder, fingerprint(module, target), module, target, built)
    seen = "set AEROGEL_DUMP=FOLDER to look at its code" if folder is None else f"its code is in {folder}"
    raise TargetError(f"target {target.name} is for {target.arch}, and this machine is {arch}: {seen}")


def _load(module: Module, target: Target, key: str) -> Loaded:
    folder = inspection.dump_folder()
    code = cache.load(key) if folder is None else None
    if code is None:
        built = generate(module, target, show=folder is not None)
        if folder is not None:
            inspection.dump(folder, key, module, target, built)
        code = built.object
        cache.store(key, code)
    if not inspection.perf_wanted():
        return Loaded(code, (llvm.ENTRY,))
    sizes = inspection.function_sizes(code)
    loaded = Loaded(code, {llvm.ENTRY, *sizes})
    inspection.write_perf_map(module.name, sizes, loaded.addresses)
    return loaded
