"""Follow one pass of a model: which slices of its weights depend on which. Imports torch.

What runs is watched operation by operation, as torch dispatches them, so that any module is followed that
runs: no graph is captured, and no source is read. Each operation has a rule that says how the labels of what
it reads (``labels.py``) become those of what it makes, and which atoms it ties together on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from aerogel.prune.batches import Call
from aerogel.prune.structured.rules import follow
from aerogel.prune.structured.tracing import Tracing


class _Watching(TorchDispatchMode):
    def __init__(self, tracing: Tracing) -> None:
        super().__init__()
        self.tracing = tracing

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        follow(self.tracing, func, args, dict(kwargs or {}), out)
        return out


def trace(model: torch.nn.Module, call: Call) -> Tracing:
    """Run ``model`` on ``call`` and say which atoms of its weights go together."""
    tracing = Tracing()
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        tracing.register(name, weight)
    with _Watching(tracing):
        out = call.tried(model)
    tracing.lock_all(pytree.tree_leaves(_plain(out)), "it is the model's output")
    tracing.make_rectangular()
    return tracing


def _plain(out: object) -> object:
    """Model outputs of transformers are mappings that pytree may not know."""
    return dict(out) if isinstance(out, Mapping) else out
