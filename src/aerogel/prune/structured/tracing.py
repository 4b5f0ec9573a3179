"""What is known while a pass is followed: the atoms of weights, the labels of tensors. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from aerogel.prune.structured.atoms import Atoms, Ids
from aerogel.prune.structured.labels import Labels, laid_along


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or buffer while it is moved about: one label tensor per axis it has at home."""

    name: str
    axes: tuple[torch.Tensor, ...]


Known = torch.Tensor | Weight
"""What is known of a tensor: its labels, or of which weight it is a view. Of the rest, nothing is: it keeps
its size."""

Pending = Callable[[], Known | None]
"""What is known once somebody asks: what it costs is not paid for a result that is thrown away, such as
attention weights averaged over heads."""
Entry = tuple[torch.Tensor, Known | Pending]


@dataclass
class Tracing:
    """``slots``: atoms of each weight's axes, by name; ``known``: by a tensor's id (the tensor is kept, lest
    its id be used again); ``ragged``: labels that differed along several axes when they were made."""

    atoms: Atoms = field(default_factory=Atoms)
    slots: dict[str, tuple[Ids, ...]] = field(default_factory=dict[str, tuple[Ids, ...]])
    known: dict[int, Entry] = field(default_factory=dict[int, Entry])
    ragged: list[torch.Tensor] = field(default_factory=list[torch.Tensor])

    def __post_init__(self) -> None:
        self.labels = Labels(self.atoms)

    def register(self, name: str, weight: torch.Tensor) -> None:
        """``weight``, under its first name."""
        if id(weight) in self.known or weight.ndim == 0:
            return
        slots = tuple(self.atoms.add(n) for n in weight.shape)
        self.slots[name] = slots
        rows = (torch.from_numpy(s.astype("int32")) for s in slots)
        axes = tuple(laid_along(row, k, weight.shape) for k, row in enumerate(rows))
        self.known[id(weight)] = weight, Weight(name, axes)

    def of(self, value: object) -> Known | None:
        found = self.known.get(id(value)) if isinstance(value, torch.Tensor) else None
        if found is None:
            return None
        tensor, known = found
        if callable(known) and not isinstance(known, torch.Tensor):
            del self.known[id(tensor)]
            self.put(tensor, known := known())
        return known

    def activation(self, value: object) -> torch.Tensor | None:
        """Labels of ``value``; of what is a weight, all atoms of which are locked, None."""
        match self.of(value):
            case Weight() as weight:
                self.lock_weight(weight, f"{weight.name} is used in a way that is not followed")
                return None
            case known:
                return known

    def put(self, value: object, known: Known | Pending | None) -> None:
        if isinstance(value, torch.Tensor):
            if known is None:
                self.known.pop(id(value), None)
            else:
                self.known[id(value)] = value, known
                if isinstance(known, torch.Tensor) and known.ndim > 1:
                    self.ragged.append(known)

    def lock_weight(self, weight: Weight, reason: str) -> None:
        for axis in weight.axes:
            self.labels.lock(axis, reason)

    def lock_all(self, values: Iterable[object], reason: str) -> None:
        for value in values:
            match self.of(value):
                case Weight() as weight:
                    self.lock_weight(weight, reason)
                case None:
                    pass
                case labels:
                    self.labels.lock(labels, reason)

    def make_rectangular(self) -> None:
        """Every tensor must stay a box: where labels still differ along several axes, whole slabs of the
        outermost go together."""
        again = True
        while again:
            again = False
            for labels in self.ragged:
                varying = self.labels.varying(labels)
                for axis in varying[1:]:
                    self.labels.pin(labels, axis, "its channels are split in a way that cannot be cut")
                    again = True


def operation(func: Any) -> str:
    """The name of an aten operation, without namespace and overload: ``add`` of ``aten::add.Tensor``."""
    return func.name().partition("::")[2].partition(".")[0]
