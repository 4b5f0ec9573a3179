"""Weights that are sparse already: dense files full of zeros, as SparseML and llm-compressor leave them.

Trained weights are hardly ever exactly zero, so a share of zeros is a pruned layer. Imports torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.prune.interchange.bits import FLOATS, bits_of, live
from aerogel.prune.interchange.checkpoint import checkpoint_parts
from aerogel.prune.interchange.declared import Declared
from aerogel.prune.interchange.tensors import Named, first_names, named_tensors
from aerogel.prune.pattern import PATTERNS

LEAST = 0.05
"""Below this share of zeros a layer counts as dense: some have a few, a table's padding row say."""
_BLOCKS = ("block4x4", "block4x1", "block1x4", "block2x1")
_GROUPS = ((1, 4), (2, 4), (4, 8), (8, 16))
_TIGHT = 0.9
"""N:M is what it is called where this share of groups has exactly N: what is sparser anyhow meets it too."""


@dataclass(frozen=True)
class SparseLayer:
    """A weight with many zeros, seen as [outputs, all else]. ``pattern``: the most regular that all of its
    zeros keep to, by the names that ``ag.prune`` takes."""

    name: str
    shape: tuple[int, ...]
    zeros: int
    size: int
    pattern: str

    @property
    def sparsity(self) -> float:
        return self.zeros / self.size


@dataclass(frozen=True)
class Recognised:
    """``layers``: those that are sparse already; ``weights``: how many weights were looked at, of two or more
    dimensions; ``declared``: what the directory says of itself."""

    layers: tuple[SparseLayer, ...]
    weights: int
    declared: Declared

    def __bool__(self) -> bool:
        return bool(self.layers)

    @property
    def sparsity(self) -> float:
        """The share of zeros in ``layers``; 0 where there are none."""
        size = sum(layer.size for layer in self.layers)
        return sum(layer.zeros for layer in self.layers) / size if size else 0.0

    @property
    def pattern(self) -> str | None:
        """Of most of the sparse weights, None where there are none."""
        count: Counter[str] = Counter()
        for layer in self.layers:
            count[layer.pattern] += layer.size
        return count.most_common(1)[0][0] if count else None

    def __str__(self) -> str:
        if not self.layers:
            return f"not pruned: none of {self.weights} weights has {LEAST:.0%} zeros"
        by = f"; its recipe names {', '.join(self.declared.modifiers)}" if self.declared.modifiers else ""
        layout = f"; stored as {self.declared.layout}" if self.declared.layout else ""
        return (
            f"already sparse: {len(self.layers)} of {self.weights} weights, "
            f"{self.sparsity:.1%} zeros in these, {self.pattern}{layout}{by}"
        )


def already_sparse(source: Named | str | Path) -> Recognised:
    """Which weights of a module, a ``state_dict``, a model's directory or a safetensors file are sparse.

    A directory's weights are looked at one at a time. Its errors are those of ``read_checkpoint``.
    """
    if isinstance(source, str | Path):
        said, parts = checkpoint_parts(Path(source))
        return _recognised(((name, tensor) for name, tensor, _ in parts), said)
    tensors, _ = first_names(named_tensors(source))
    return _recognised(tensors.items(), Declared())


def _recognised(tensors: Iterable[tuple[str, torch.Tensor]], said: Declared) -> Recognised:
    seen = 0
    layers: list[SparseLayer] = []
    for name, tensor in tensors:
        if tensor.ndim < 2 or tensor.dtype not in FLOATS or tensor.numel() == 0:
            continue
        seen += 1
        zero = ~live(tensor, bits_of(tensor)).reshape(tensor.shape[0], -1)
        zeros = int(np.count_nonzero(zero))
        if zeros >= LEAST * zero.size:
            layers.append(SparseLayer(name, tuple(tensor.shape), zeros, zero.size, pattern_of(zero)))
    return Recognised(tuple(layers), seen, said)


def pattern_of(zero: NDArray[np.bool_]) -> str:
    """The most regular pattern that ``zero`` [outputs, inputs], True where a weight is 0, keeps to: a
    block's, N:M, or ``unstructured``. Of a matrix of zeros alone, the largest block's."""
    return next(_matching(zero), "unstructured")


def _matching(zero: NDArray[np.bool_]) -> Iterator[str]:
    shape = (zero.shape[0], zero.shape[1])
    for name in _BLOCKS:
        pattern = PATTERNS[name]
        whole = pattern.per_unit(zero, np.logical_and).astype(bool)
        # A matrix of one output has no blocks of outputs.
        if shape[0] >= pattern.rows and shape[1] >= pattern.columns:
            same = np.array_equal(pattern.spread(whole, shape), zero)
            if same:
                yield name
    for n, m in _GROUPS:
        if shape[1] % m == 0:
            kept = m - zero.reshape(-1, m).sum(axis=1)
            if int(kept.max()) == n and np.count_nonzero(kept == n) >= _TIGHT * kept.size:
                yield f"{n}:{m}"
