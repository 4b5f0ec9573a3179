"""Texts to token ids, by the tokenizer that came with a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

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
        require_texts(texts)
        require(len(texts), InputError, "no text was given: give at least one")
        tokenizer = self._tokenizer
        try:
            encoded = tokenizer.encode_batch(list(texts))
        except Exception as error:  # the library raises bare Exceptions
            raise FormatError(f"the tokenizer fails on these texts ({error}): get it anew") from error
        ids = np.array([e.ids for e in encoded], np.int64)
        return ids, np.array([e.attention_mask for e in encoded], np.int64)

    @cached_property
    def _tokenizer(self) -> Any:
        """Read once: a large vocabulary takes tens of milliseconds."""
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise MissingDependencyError('texts need tokenizers: pip install "aerogel[bench]"') from error
        try:
            tokenizer = Tokenizer.from_buffer(self.tokenizer)
            padding = (tokenizer.padding or {}) | {"length": None, "pad_to_multiple_of": None}
            tokenizer.enable_padding(**(padding | {"direction": "right"}))
            tokenizer.no_truncation()
            if self.max_tokens is not None:
                tokenizer.enable_truncation(self.max_tokens)
        except Exception as error:  # the library raises bare Exceptions
            raise FormatError(f"the tokenizer cannot be read ({error}): get it anew") from error
        return tokenizer


def require_texts(texts: object) -> None:
    """InputError unless ``texts`` is a list or another sequence of strings."""
    listed = isinstance(texts, Sequence) and not isinstance(texts, str | bytes)
    strings = listed and all(isinstance(t, str) for t in cast("Sequence[object]", texts))
    require(strings, InputError, "texts are a list of strings: put a single one into a list")
