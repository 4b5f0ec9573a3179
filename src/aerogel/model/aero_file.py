"""A torch model as an .aero file: traced, not yet compiled for this CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerogel.model import artefact
from aerogel.model.artefact import Artefact
from aerogel.model.from_torch import from_torch
from aerogel.model.loaded import Source

if TYPE_CHECKING:
    import torch


def write_file(source: Source, module: torch.nn.Module, to: Path, record: Mapping[str, Any]) -> Path:
    """``module`` with the inputs and the tokenizer of ``source``, and ``record`` of where it came from, at
    ``to``. UnsupportedError for what cannot be compiled."""
    texts = source.texts()
    tokenizer = (None, None) if texts is None else (texts.tokenizer, texts.max_tokens)
    artefact.save(to, Artefact(from_torch(module, source.example_inputs), *tokenizer, record))
    return to
