"""Loop IR to machine code: compile, call, threads, caches. The only floor that knows LLVM."""

from __future__ import annotations

from aerogel.native.arguments import Memory
from aerogel.native.cache import private_folder
from aerogel.native.calling import Bound, Compiled
from aerogel.native.compiler import compile
from aerogel.native.cores import limit as thread_limit

__all__ = ["Bound", "Compiled", "Memory", "compile", "private_folder", "thread_limit"]
