"""Where a traced operation comes from, in words: source line and module, for origins and errors."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Never

import torch
from torch.fx import Node

from aerogel.core.errors import UnsupportedError

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in [^\n]*(?:\n\s+(?P<code>[^\n]*))?')
_TORCH = str(Path(torch.__file__).parent)


def op_name(node: Node) -> str:
    """``aten.linear`` for a call of ``aten.linear.default``; other targets by their own name."""
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        return str(schema.name).replace("::", ".")
    return getattr(node.target, "__name__", str(node.target))


def module_path(node: Node) -> str:
    """Dotted path of the innermost module the node was traced in; empty at the root."""
    stack: dict[str, Any] = node.meta.get("nn_module_stack") or {}
    path = str(next(reversed(stack.values()))[0]) if stack else ""
    return "" if path.startswith("_empty_nn_module_stack") else path


def source_line(node: Node) -> tuple[str, int, str] | None:
    """(file, line, code) of the innermost frame outside torch; None where torch kept no trace."""
    frames = [
        (m["file"], int(m["line"]), (m["code"] or "").strip())
        for m in _FRAME.finditer(node.meta.get("stack_trace") or "")
    ]
    outside = [f for f in frames if not f[0].startswith((_TORCH, "torch/"))]
    return outside[-1] if outside else None


def origin(node: Node, note: str = "") -> str:
    """``encoder.layer.0.output.dense (modeling_bert.py:290)``; the same on every machine."""
    at = source_line(node)
    words = [module_path(node)]
    if at is not None:
        words.append(f"({PurePath(at[0]).name}:{at[1]})")
    return " ".join(w for w in (*words, note) if w)


def describe(node: Node) -> str:
    """``aten.linear in module 'a.b' (/path/file.py:3: x = self.b(x))``."""
    words = op_name(node) if node.op == "call_function" else node.name
    if path := module_path(node):
        words += f" in module {path!r}"
    at = source_line(node)
    return words if at is None else f"{words} ({at[0]}:{at[1]}: {at[2]})"


def unsupported(node: Node, why: str) -> Never:
    """Raise UnsupportedError naming the operation, the user's line and ``why``."""
    raise UnsupportedError(f"{describe(node)}: {why}")


def last_user_frame(trace: TracebackType | None) -> str:
    """``file:line`` of the innermost frame outside torch and this package, empty where there is none."""
    found = ""
    ours = str(Path(__file__).parent)
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((_TORCH, ours, "<")):
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
