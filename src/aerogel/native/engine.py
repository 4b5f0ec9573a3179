"""Objects loaded into this process: symbols to addresses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import cache

import llvmlite.binding as llvm

from aerogel.core.errors import NativeError
from aerogel.native.codegen import LOCK


@cache
def _jit() -> llvm.LLJIT:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # One per process, never torn down (llvmlite disposes of nothing while Python shuts down): at exit a
    # daemon thread may still be inside its code.
    return llvm.create_lljit_compiler(use_jit_link=True)


_numbers = itertools.count()


class Loaded:
    """Machine code in memory while this object lives; ``addresses`` has one entry per wanted symbol."""

    __slots__ = ("__weakref__", "_tracker", "addresses")

    def __init__(self, code: bytes, symbols: Iterable[str]) -> None:
        wanted = tuple(symbols)
        with LOCK:
            builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for name in wanted:
                builder.export_symbol(name)
            try:
                self._tracker = builder.link(_jit(), f"aerogel.{next(_numbers)}")
            except RuntimeError as error:
                raise NativeError(f"the generated code could not be loaded: {error}") from error
            self.addresses: Mapping[str, int] = {name: self._tracker[name] for name in wanted}
