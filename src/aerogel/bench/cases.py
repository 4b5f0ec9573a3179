"""What encoders are timed on: batches of token ids with given lengths, and texts to embed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.measure import Case

_SHAPE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """``ids`` and ``mask``: int64 [sequences, longest]; the mask is 1 on tokens and 0 on padding."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


def shape_case(shape: str, *, output: bool = False) -> Case:
    """``"8x128"``: 8 sequences of 128 tokens each."""
    found = _SHAPE.fullmatch(shape.strip())
    require(found, InputError, f"shape {shape!r} is not of the form BATCHxTOKENS, such as 8x128")
    assert found is not None
    return lengths_case(shape.strip(), [int(found[2])] * int(found[1]), output=output)


def lengths_case(name: str, lengths: Sequence[int], *, output: bool = False, timed: bool = True) -> Case:
    """A batch of sequences of these lengths, padded to the longest."""
    require(
        lengths and min(lengths) > 0,
        InputError,
        f"case {name!r} needs sequences of 1 or more tokens: {lengths}",
    )
    return Case(name, {"lengths": list(lengths)}, timed, output)


def texts_case(texts: Sequence[str], name: str = "texts") -> Case:
    """Not timed: its output is one mean-pooled vector per text."""
    require(texts, InputError, f"case {name!r} has no texts: give at least one")
    return Case(name, {"texts": list(texts)}, timed=False, output=True)


def token_batch(params: Mapping[str, Any], vocabulary: int) -> TokenBatch:
    """The batch of a case with lengths: the same ids for every contender, none of them a special token."""
    lengths = np.asarray(params["lengths"])
    first = min(1000, vocabulary // 2)
    shape = (len(lengths), int(lengths.max()))
    mask = (np.arange(shape[1])[None, :] < lengths[:, None]).astype(np.int64)
    ids = np.random.default_rng(0).integers(first, vocabulary, shape, dtype=np.int64)
    return TokenBatch(ids * mask, mask)
