"""Machine code that was built before, by its key: no Loop IR, no LLVM."""

from __future__ import annotations

from aerogel.core.target import Target, current
from aerogel.loop.nodes import Param
from aerogel.native import cache, inspection
from aerogel.native.calling import Compiled
from aerogel.native.engine import ENTRY, Loaded, in_use
from aerogel.native.lock import LOCK


def recall(key: str, name: str, params: tuple[Param, ...], target: Target | None = None) -> Compiled | None:
    """What ``compile`` made of a module called ``name`` whose entry takes ``params``; ``key``: as in its
    ``Compiled``. None where the code is not kept any more, or is to be looked into while it is built.

    The caller vouches for the key: that the module, the target and this version of aerogel are those it was
    given out for (see ``cache.builder``)."""
    if inspection.dump_folder() is not None or inspection.perf_wanted():
        return None
    with LOCK:
        loaded = in_use.get(key)
        if loaded is None:
            code = cache.load(key)
            if code is None:
                return None
            loaded = in_use[key] = Loaded(code, (ENTRY,))
    return Compiled(name, params, target or current(), loaded, key)
