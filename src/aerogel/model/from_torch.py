"""A torch module as a graph of columns: BERT-like encoders with pooling or heads, and plain MLPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aerogel.core.errors import MissingDependencyError
from aerogel.model.graph import Graph

if TYPE_CHECKING:
    import torch


def from_torch(module: torch.nn.Module, example_inputs: Any = None, dynamic_shapes: Any = None) -> Graph:
    """Trace ``module`` and say what it computes, proving masks and positions on trial inputs.

    ``example_inputs``: a tuple of tensors, a dict by argument name, or one tensor; None makes those of an
    encoder from transformers. ``dynamic_shapes`` as in ``torch.export``; None makes every batch, sequence or
    leading dimension dynamic. The module is not changed; its large float32 weights are viewed, not copied, so
    do not train it while the graph is used. Raises UnsupportedError naming the operation and its source line
    for what a Graph cannot say, and InputError for unusable example inputs or weights that are NaN or
    infinite.
    """
    try:
        import torch as _  # noqa: F401  # torch is optional: everything else works without
    except ImportError as error:
        raise MissingDependencyError(
            "importing a torch module needs torch: pip install 'aerogel[torch]'"
        ) from error
    from aerogel.model.torch_import import imported

    return imported(module, example_inputs, dynamic_shapes)
