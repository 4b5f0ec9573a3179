"""Objects loaded by LLVM's linker, on any system."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import llvmlite.binding as llvm

from aerogel.core.errors import NativeError
from aerogel.native.lock import LOCK


@cache
def _jit() -> llvm.LLJIT:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # One per process, never torn down (llvmlite disposes of nothing while Python shuts down): at exit a
    # daemon thread may still be inside its code.
    return llvm.create_lljit_compiler(use_jit_link=True)


_numbers = itertools.count()


def link(code: bytes, symbols: Sequence[str]) -> tuple[object, dict[str, int]]:
    """What keeps the code in memory, and the addresses of ``symbols``; NativeError if LLVM refuses."""
    with LOCK:
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name in symbols:
            builder.export_symbol(name)
        try:
            tracker = builder.link(_jit(), f"aerogel.{next(_numbers)}")
        except RuntimeError as error:
            raise NativeError(f"the generated code could not be loaded: {error}") from error
        return tracker, {name: tracker[name] for name in symbols}
