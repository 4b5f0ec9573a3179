"""A model as it was loaded from somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError
from aerogel.model.sentence_settings import Settings
from aerogel.model.texts import Texts

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Source:
    """A model as loaded: ``module`` in eval mode, inputs it can be called with, its tokenizer's file if it
    has one, the most tokens its texts may have, a short name to show, and a sentence encoder's settings."""

    module: torch.nn.Module
    example_inputs: tuple[Any, ...] | dict[str, Any]
    tokenizer_path: Path | None
    max_tokens: int | None
    name: str
    settings: Settings | None = None

    def tokenize(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(input ids, attention mask), both (texts, longest text), cut to ``max_tokens``, padded behind."""
        found = self.texts()
        if found is None:
            raise InputError(f"{self.name} has no tokenizer.json, so it takes no text: give arrays instead")
        return found.tokenize(texts)

    def texts(self) -> Texts | None:
        """The tokenizer as a compiled program keeps it; None where there is none."""
        if self.tokenizer_path is None:
            return None
        try:
            return Texts(self.tokenizer_path.read_bytes(), self.max_tokens)
        except OSError as error:
            raise InputError(f"{self.tokenizer_path} cannot be read: {error.strerror}") from error
