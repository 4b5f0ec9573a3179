"""Loop IR to machine code: compile, call, threads, caches. The only floor that knows LLVM."""

from __future__ import annotations

from aerogel.native.calling import Compiled, Memory
from aerogel.native.compile import compile  # noqa: A004 (the floor's one verb)

__all__ = ["Compiled", "Memory", "compile"]
