"""Which slices of which weights share one fate: a union-find over them, with what cannot go, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
NONE = 0
"""The atom of what has none: something that keeps its size whatever is removed."""


class Atoms:
    """An atom is one index of one axis of one weight: an output of a linear layer, say.

    Atoms that are joined are removed together or not at all; of what is locked nothing can be removed.
    """

    def __init__(self) -> None:
        self._parent: Ids = np.zeros(1, np.int64)
        self._locked: list[tuple[Ids, str]] = []
        self._heads: list[Ids] = []
        self._readers: list[Ids] = []

    def add(self, count: int) -> Ids:
        """``count`` new atoms, each by itself."""
        fresh = np.arange(len(self._parent), len(self._parent) + count, dtype=np.int64)
        self._parent = np.concatenate([self._parent, fresh])
        return fresh

    def find(self, atoms: Ids) -> Ids:
        """The representative of each: equal exactly where atoms are joined."""
        found = self._parent[atoms]
        while not np.array_equal(above := self._parent[found], found):
            found = above
        return found

    def join(self, first: Ids, second: Ids, reason: str) -> None:
        """Make ``first[i]`` and ``second[i]`` share one fate. What is joined with NONE is locked."""
        pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
        fixed = (pairs == NONE).any(0)
        self.lock(pairs[:, fixed].ravel(), reason)
        for a, b in self.find(pairs[:, ~fixed]).T:
            low, high = sorted((self._root(int(a)), self._root(int(b))))
            # The lower number represents both, so that names do not depend on the order of joining.
            self._parent[high] = low

    def _root(self, atom: int) -> int:
        while (above := int(self._parent[atom])) != atom:
            self._parent[atom] = self._parent[above]
            atom = above
        return atom

    def lock(self, atoms: Ids, reason: str) -> None:
        """Nothing joined with any of ``atoms``, now or later, can be removed, since ``reason``."""
        held = np.unique(atoms[atoms != NONE])
        if held.size:
            self._locked.append((held, reason))

    def mark_heads(self, atoms: Ids) -> None:
        """``atoms`` are of attention heads."""
        self._heads.append(np.unique(atoms[atoms != NONE]))

    def mark_readers(self, atoms: Ids) -> None:
        """``atoms`` are inputs of a layer: with them gone, nobody sees what is computed for them."""
        self._readers.append(np.unique(atoms[atoms != NONE]))

    def reasons(self) -> dict[int, str]:
        """For each locked representative, the first reason given."""
        why: dict[int, str] = {}
        for atoms, reason in self._locked:
            for root in np.unique(self.find(atoms)).tolist():
                why.setdefault(root, reason)
        return why

    def heads(self) -> frozenset[int]:
        """Representatives of attention heads."""
        return frozenset(root for atoms in self._heads for root in self.find(atoms).tolist())

    def readers(self) -> frozenset[int]:
        """Atoms (not their representatives) that were marked as readers."""
        return frozenset(atom for atoms in self._readers for atom in atoms.tolist())
