"""Loop IR to machine code: compile, call, threads, caches. The only floor that knows LLVM.

LLVM itself is loaded when something is compiled: code that is kept runs without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aerogel.native.arguments import Memory
from aerogel.native.cache import private_folder
from aerogel.native.calling import Bound, Compiled
from aerogel.native.cores import limit as thread_limit
from aerogel.native.recall import recall

if TYPE_CHECKING:
    from aerogel.native.compiler import compile

__all__ = ["Bound", "Compiled", "Memory", "compile", "private_folder", "recall", "thread_limit"]


def __getattr__(name: str) -> Any:
    if name != "compile":
        raise AttributeError(f"aerogel.native has no attribute {name!r}: it has {', '.join(__all__)}")
    from aerogel.native.compiler import compile

    return compile
