"""How good a pruned model is beside its dense one: numbers of a kind, the higher the better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.quality import quality
from aerogel.core.errors import InputError, UnsupportedError, require

if TYPE_CHECKING:
    import torch

RANKS, NEIGHBOURS, SAME = "rank correlation", "top-10 overlap", "same answer"
LEAST_TEXTS = 20
"""Below this, how a text's neighbours lie says nothing."""

# 0.9 of 0.8 is more than 0.72, by the last digit.
_ROUNDING = 1e-12

Tell = Callable[[float], None]
"""Told how much is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Numbers by name, of both models. ``method``: how they were got; ``judged_by``: the names that
    ``missed`` looks at; ``texts``: on how many texts, None where that is not known here."""

    method: str
    dense: Mapping[str, float]
    pruned: Mapping[str, float]
    judged_by: tuple[str, ...]
    texts: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a pruned model must reach: ``keep``, a share of the dense number; ``floor``, a number itself."""

    keep: float | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("keep", self.keep), ("floor", self.floor)):
            finite = value is None or math.isfinite(value)
            require(finite, InputError, f"{name}={value} is no bound: give a number")
        share = self.keep is None or 0 < self.keep <= 1
        require(share, InputError, f"keep={self.keep} is no share of the dense number: give 0.99, say")

    def __bool__(self) -> bool:
        return self.keep is not None or self.floor is not None

    def check(self, dense: Accuracy) -> None:
        """InputError for bounds that say nothing of these numbers: a share of what is not above zero, or a
        floor that the dense model itself is below."""
        for name in dense.judged_by:
            number = dense.dense[name]
            told = f"the dense model's {name} is {number:g}, of which a share is no bound: give --floor"
            require(self.keep is None or number > 0, InputError, told)
            told = f"the dense model's {name} is {number:g}, already below the floor {self.floor}: lower it"
            require(self.floor is None or number >= self.floor, InputError, told)

    def missed(self, found: Accuracy) -> tuple[str, ...]:
        """Each number that is below a bound, in words."""
        words: list[str] = []
        for name in found.judged_by:
            pruned, dense = found.pruned[name], found.dense[name]
            if self.keep is not None and pruned < self.keep * dense * (1 - _ROUNDING):
                least = self.keep * dense
                words.append(
                    f"{name} is {pruned:.6g}, below {self.keep:g} of the dense {dense:.6g} ({least:.6g})"
                )
            if self.floor is not None and pruned < self.floor:
                words.append(f"{name} is {pruned:.6g}, below the floor {self.floor:g} (dense: {dense:.6g})")
        return tuple(words)


class Judge(Protocol):
    """Looks at the dense model, then at the pruned one, and says how they compare."""

    def look(self, module: Any, which: str, tell: Tell) -> Any: ...

    def accuracy(self, dense: Any, pruned: Any) -> Accuracy: ...


@dataclass(frozen=True)
class ByTexts:
    """Judges by what the models make of texts that neither was calibrated on.

    ``batches``: arguments by name, with ``attention_mask``. Of vectors (a sentence's, or the mean of its
    tokens') it compares the neighbourhoods (``bench.quality``); of a classifier's answers, how many are the
    same. The dense model's own numbers are 1, for it is what is compared with.
    """

    batches: Sequence[Mapping[str, torch.Tensor]]
    origin: str

    def look(self, module: Callable[..., Any], which: str, tell: Tell) -> tuple[str, NDArray[Any]]:
        """(``vectors`` or ``answers``, one row per text or token). InputError where they are not finite."""
        import torch

        kinds: set[str] = set()
        rows: list[NDArray[Any]] = []
        with torch.no_grad():
            for done, batch in enumerate(self.batches, 1):
                kind, found = _reading(module(**batch), batch["attention_mask"])
                kinds.add(kind)
                rows.append(found.numpy())
                tell(done / len(self.batches))
        found = np.concatenate(rows)
        require(
            np.isfinite(found).all(), InputError, f"the {which} model gives NaN or infinity: it is broken"
        )
        return kinds.pop(), found

    def accuracy(self, dense: tuple[str, NDArray[Any]], pruned: tuple[str, NDArray[Any]]) -> Accuracy:
        texts = sum(len(batch["attention_mask"]) for batch in self.batches)
        method = f"on {texts} {self.origin} that neither calibration nor recovery saw"
        if dense[0] == "answers":
            same = {SAME: float(np.mean(dense[1] == pruned[1]))}
            return Accuracy(f"answers as the dense model's, {method}", {SAME: 1.0}, same, (SAME,), texts)
        found = quality(pruned[1], dense[1])
        numbers = {RANKS: found.spearman, NEIGHBOURS: found.top_overlap}
        return Accuracy(
            f"neighbours as the dense model's, {method}",
            dict.fromkeys(numbers, 1.0),
            numbers,
            (RANKS,),
            texts,
        )


def _reading(output: Any, mask: torch.Tensor) -> tuple[str, torch.Tensor]:
    """What a model says of each text of a batch."""
    named: Any = dict(output) if hasattr(output, "keys") else {"last_hidden_state": output[0]}
    if "sentence_embedding" in named:
        return "vectors", named["sentence_embedding"]
    if "logits" in named:
        answers = named["logits"].argmax(-1)
        # Of tokens, those that are no padding; of whole texts, each.
        return "answers", answers[mask.bool()] if answers.ndim == 2 else answers
    if "last_hidden_state" in named:
        weights = mask[:, :, None].to(named["last_hidden_state"].dtype)
        return "vectors", (named["last_hidden_state"] * weights).sum(1) / weights.sum(1).clamp(min=1)
    raise UnsupportedError(f"a model that gives {', '.join(named)} cannot be judged by texts: give --eval")
