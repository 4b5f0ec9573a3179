"""Texts to token ids, by the tokenizer that came with a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, MissingDependencyError, require


@dataclass(frozen=True)
class Texts:
    """``tokenizer``: the contents of a tokenizer.json; ``max_tokens``: where texts are cut (None: not)."""

    tokenizer: bytes
    max_tokens: int | None = None

    def tokenize(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(input ids, attention mask), both (texts, longest text), cut to ``max_tokens``, padded behind."""
        require(texts, InputError, "no text was given: give at least one")
        strings = not isinstance(texts, str) and all(isinstance(t, str) for t in texts)
        require(strings, InputError, "texts are a list of strings: put a single one into a list")
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise MissingDependencyError('texts need tokenizers: pip install "aerogel[bench]"') from error
        try:
            tokenizer = Tokenizer.from_buffer(self.tokenizer)
        except Exception as error:  # the library raises bare Exceptions
            raise FormatError(f"the tokenizer cannot be read ({error}): get it anew") from error
        padding = (tokenizer.padding or {}) | {"length": None, "pad_to_multiple_of": None}
        tokenizer.enable_padding(**padding)
        tokenizer.no_truncation()
        if self.max_tokens is not None:
            tokenizer.enable_truncation(self.max_tokens)
        encoded = tokenizer.encode_batch(list(texts))
        ids = np.array([e.ids for e in encoded], np.int64)
        return ids, np.array([e.attention_mask for e in encoded], np.int64)
