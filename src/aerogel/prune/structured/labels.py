"""Labels: for each element of a tensor, the atom that would take it along. Imports torch.

A label tensor has its tensor's shape; most of it is usually an expanded view, so that it costs little. Moving
a tensor about (reshape, transpose, concatenate) moves its labels likewise, by the same torch operation.
"""

from __future__ import annotations

import numpy as np
import torch

from aerogel.prune.structured.atoms import Atoms, Ids


class Labels:
    """What can be asked of label tensors, and done to the atoms in them."""

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms

    def roots(self, labels: torch.Tensor) -> Ids:
        """Representatives, as an array of the labels' number of dimensions; repeated ones once."""
        return self.atoms.find(_compact(labels))

    def varying(self, labels: torch.Tensor) -> list[int]:
        """Axes along which labels differ: those that become shorter when an atom is removed."""
        found = self.roots(labels)
        return [
            k for k in range(found.ndim) if found.shape[k] > 1 and bool(np.any(found != found.take([0], k)))
        ]

    def own(self, labels: torch.Tensor) -> list[int]:
        """As ``varying``, but of the atoms themselves, whatever they have been joined with."""
        found = _compact(labels)
        return [
            k for k in range(found.ndim) if found.shape[k] > 1 and bool(np.any(found != found.take([0], k)))
        ]

    def pin(self, labels: torch.Tensor, axis: int, reason: str) -> None:
        """Axis ``axis`` keeps its length: what differs along it only shares one fate; where nothing then
        differs along any other axis, nothing can be removed, since ``reason``."""
        if axis not in self.varying(labels):
            return
        along = np.moveaxis(_compact(labels), axis, -1)
        first, rest = np.broadcast_arrays(along[..., :1], along)
        self.atoms.join(first, rest, reason)
        if not self.varying(labels):
            self.lock(labels, reason)

    def lock(self, labels: torch.Tensor, reason: str) -> None:
        self.atoms.lock(_compact(labels).ravel(), reason)

    def join(self, first: torch.Tensor, second: torch.Tensor, reason: str) -> None:
        """Elementwise; the two have one shape."""
        one, two = torch.broadcast_tensors(first, second)
        both = [_compact(t, like=(one, two)) for t in (one, two)]
        self.atoms.join(both[0], both[1], reason)

    def along(self, labels: torch.Tensor, axis: int, reason: str) -> torch.Tensor:
        """One label per index of ``axis``, [length]: what differs along other axes is pinned there."""
        for other in self.varying(labels):
            if other != axis:
                self.pin(labels, other, reason)
        return first_along(labels, axis)


def first_along(labels: torch.Tensor, axis: int) -> torch.Tensor:
    """The labels along ``axis``, at index 0 of every other axis."""
    return labels.movedim(axis, -1).reshape(-1, labels.shape[axis])[0]


def laid_along(row: torch.Tensor, axis: int, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """A label tensor of ``shape`` that has ``row`` along ``axis``."""
    view = [1] * len(shape)
    view[axis] = -1
    return row.reshape(view).expand(shape)


def as_ids(labels: torch.Tensor) -> Ids:
    return labels.numpy().astype(np.int64)


def _compact(labels: torch.Tensor, like: tuple[torch.Tensor, ...] | None = None) -> Ids:
    """``labels`` with expanded axes (of all of ``like``) shortened to length 1."""
    alike = like or (labels,)
    for axis in range(labels.ndim):
        if labels.shape[axis] > 1 and all(t.stride(axis) == 0 for t in alike):
            labels = labels.narrow(axis, 0, 1)
    return as_ids(labels)
