"""Where a model comes from: a Hugging Face directory, or ``module.py:factory``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.model.texts import Texts

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Source:
    """A model as loaded: ``module`` in eval mode, inputs it can be called with, its tokenizer's file if it
    has one, the most tokens its texts may have, and a short name to show."""

    module: torch.nn.Module
    example_inputs: tuple[Any, ...] | dict[str, Any]
    tokenizer_path: Path | None
    max_tokens: int | None
    name: str

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


def load_model(spec: str) -> Source:
    """The model that ``spec`` names.

    ``FILE.py:FUNCTION``: the file is run, and FUNCTION() returns (torch module, example inputs). Otherwise
    a directory with ``config.json``, ``model.safetensors`` and, for texts, ``tokenizer.json``; where it has
    ``modules.json`` too (sentence-transformers), pooling and normalisation are part of the module. Pickled
    weights are refused, since unpickling can run anything. InputError or UnsupportedError say what is so.
    """
    file, colon, function = spec.rpartition(":")
    named = bool(colon) and file.endswith(".py")
    path = Path(file if named else spec)
    require(
        path.exists(), InputError, f"there is no {str(path)!r}: give a model's directory, or FILE.py:FUNCTION"
    )
    if path.suffix == ".py" and not named:
        raise InputError(f"{spec!r} names no function: write {spec}:FUNCTION, which returns (module, inputs)")
    require(
        path.is_file() if named else path.is_dir(),
        InputError,
        f"{str(path)!r} is neither a directory nor FILE.py",
    )
    try:
        # torch and transformers are optional, and slow to import: only what is asked for is.
        if named:
            from aerogel.model.factory import from_factory

            return from_factory(path, function)
        from aerogel.model.pretrained import from_directory

        return from_directory(path)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        raise MissingDependencyError(f'{spec!r} needs {error.name}: pip install "aerogel[bench]"') from error
