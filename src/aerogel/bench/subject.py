"""What all encoder contenders share: one runtime, timed on batches, asked for hidden states and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.arrays import ArrayRuntime, counted, work_facts
from aerogel.bench.cases import TokenBatch, token_batch
from aerogel.core.errors import MeasureError
from aerogel.measure.resident import resident

_TEXTS_PER_BATCH = 32


class Words(Protocol):
    """Where a subject's token ids come from: a model's directory, or a file of its own."""

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        ...

    def tokenizer(self) -> Any:
        """A ``tokenizers.Tokenizer`` that cuts long texts and pads a batch to its longest."""
        ...


class Runtime(Protocol):
    """A way to run an encoder. ``bind`` makes its own kind of inputs, outside the timed part."""

    def bind(self, batch: TokenBatch) -> Any: ...

    def forward(self, inputs: Any) -> Any:
        """The timed part: inputs as ``bind`` made them -> hidden states, in its own kind of array."""
        ...

    def to_numpy(self, hidden: Any, /) -> NDArray[np.float32]:
        """Hidden states [sequences, longest, width]."""
        ...

    def facts(self) -> dict[str, Any]:
        """At least ``size_bytes``, what the model takes on disk, and ``version``."""
        ...


class OnTokens:
    """A runtime for arrays, given the ids and the mask of a batch under ``names``."""

    def __init__(self, runtime: ArrayRuntime, names: tuple[str, str]) -> None:
        self._runtime, self._names = runtime, names
        self.forward, self.to_numpy, self.facts = runtime.forward, runtime.to_numpy, runtime.facts

    def bind(self, batch: TokenBatch) -> Any:
        return self._runtime.bind(dict(zip(self._names, (batch.ids, batch.mask), strict=True)))


class EncoderSubject:
    """A contender (see ``measure.Contender``) around a runtime.

    A case has ``lengths``, and its result is the hidden states with zeros on padding; or ``texts``, and
    its result is their mean-pooled vectors. ``pinned`` replaces the lengths of every case by its own.
    """

    def __init__(self, words: Words, runtime: Runtime, pinned: Mapping[str, Any] | None = None) -> None:
        self._words, self._runtime, self._pinned = words, runtime, pinned
        self._batch: TokenBatch | None = None
        self._inputs: Any = None
        self._texts: list[str] = []
        self._counted: list[dict[str, Any]] = []

    def prepare(self, case: Mapping[str, Any]) -> None:
        self._texts = list(case.get("texts", ()))
        if self._texts:
            self._batch = self._inputs = None
            return
        self._batch = token_batch(self._pinned or case, self._words.vocabulary)
        self._inputs = self._runtime.bind(self._batch)
        self._counted += counted(self._runtime, self._inputs, case)

    def run(self) -> Any:
        return self._runtime.forward(self._inputs)

    def result(self) -> NDArray[np.float32]:
        if self._texts:
            return self._vectors()
        if self._batch is None:
            raise MeasureError("no case was prepared: there is no result")
        return self._hidden(self._batch) * self._batch.mask[:, :, None].astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """What the runtime says, and the memory of its process: ``peak_bytes`` since it began, and now
        ``resident_bytes`` and the rest of ``Resident``."""
        return {**self._runtime.facts(), **work_facts(self._counted), **resident().to_json()}

    def explain(self, *, energy: bool = False) -> Any:
        """The steps of the present case, their times and, if asked for, joules; of our own runtime alone."""
        return self._runtime.explain(self._inputs, energy=energy)  # pyright: ignore[reportAttributeAccessIssue]

    def _hidden(self, batch: TokenBatch) -> NDArray[np.float32]:
        return self._runtime.to_numpy(self._runtime.forward(self._runtime.bind(batch)))

    def _vectors(self) -> NDArray[np.float32]:
        tokenizer = self._words.tokenizer()
        # Texts of like length together: less padding, and the same batches for every contender.
        order = sorted(range(len(self._texts)), key=lambda i: (len(self._texts[i]), i))
        found: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), _TEXTS_PER_BATCH):
            chosen = order[start : start + _TEXTS_PER_BATCH]
            encoded = tokenizer.encode_batch([self._texts[i] for i in chosen])
            ids = np.array([e.ids for e in encoded], np.int64)
            mask = np.array([e.attention_mask for e in encoded], np.int64)
            found.update(zip(chosen, mean_pooled(self._hidden(TokenBatch(ids, mask)), mask), strict=True))
        return np.stack([found[i] for i in range(len(self._texts))])


def mean_pooled(hidden: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    """[sequences, longest, width] -> [sequences, width]: the mean over each sequence's tokens."""
    weights = mask[:, :, None].astype(np.float32)
    return (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
