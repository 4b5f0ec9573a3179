"""A stable name for a Loop IR module on a target: the key under which its machine code is kept."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.loop.nodes import Module
from aerogel.native.codegen import versions

# What turns Loop IR into machine code: an edit to any of these must not find older code.
_GENERATOR = (
    "codegen.py", "emitter.py", "expand.py", "expressions.py", "fallbacks.py", "halves.py", "llvm.py",
    "spelling.py", "versions.py",
)  # fmt: skip


@cache
def generator() -> str:
    """A digest of the code generator itself."""
    digest = hashlib.sha256(versions().encode())
    for name in _GENERATOR:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def fingerprint(module: Module, target: Target) -> str:
    """SHA-256, in hex, over the module, the target, and everything that decides what code comes out."""
    parts = [generator(), target.fingerprint]
    _write(module, parts, {})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(getattr(kind, "__dataclass_fields__", ()))


def _write(value: Any, parts: list[str], seen: dict[int, int]) -> None:
    """Append a text that only this value has. A node met before is written as its number."""
    kind = value.__class__
    if kind is tuple:
        parts.append(f"({len(value)}")
        for item in value:
            _write(item, parts, seen)
        return
    names = _fields(kind)
    # Nodes without fields (the thread's number, a barrier) are their names.
    if not names:
        # repr tells 0.0 from -0.0, and 1 from True and 1.0.
        parts.append(value.name if kind is DType else repr(value))
        return
    number = seen.get(id(value))
    if number is not None:
        parts.append(f"#{number}")
        return
    seen[id(value)] = len(seen)
    parts.append(kind.__name__)
    for name in names:
        _write(getattr(value, name), parts, seen)
