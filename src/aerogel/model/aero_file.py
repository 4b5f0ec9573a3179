"""A torch model as an .aero file: traced, not yet compiled for this CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerogel.model import artefact
from aerogel.model.artefact import Artefact
from aerogel.model.from_torch import from_torch
from aerogel.model.loaded import Source
from aerogel.model.quantised import quantised

if TYPE_CHECKING:
    import torch

    from aerogel.model.compile import Precision


def write_file(
    source: Source,
    module: torch.nn.Module,
    to: Path,
    record: Mapping[str, Any],
    *,
    precision: Precision = "fp32",
) -> Path:
    """``module`` with the inputs and the tokenizer of ``source``, and ``record`` of where it came from, at
    ``to``; ``precision`` as for ``compile``. UnsupportedError for what cannot be compiled."""
    texts = source.texts()
    tokenizer = (None, None) if texts is None else (texts.tokenizer, texts.max_tokens)
    graph = from_torch(module, source.example_inputs)
    if precision == "int8":
        from aerogel.model.torch_grid import scales_by_weight

        graph = quantised(graph, scales_by_weight(module))
    artefact.save(to, Artefact(graph, *tokenizer, record))
    return to
