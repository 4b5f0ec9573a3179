"""What can be removed, unit by unit, and what cannot and why: read off a trace. Imports torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from aerogel.prune.structured.atoms import Ids
from aerogel.prune.structured.tracing import Tracing

Kind = Literal["channel", "head", "neuron"]
Place = tuple[str, int]
"""An axis of a weight, by name."""


@dataclass(frozen=True, slots=True)
class Family:
    """Units that can be removed independently of each other, all cut from the same places.

    ``places``: for each axis of a weight that is cut, the indices of each unit there, [units, per unit];
    ``readers``: those of them that read what the unit computes. ``name``: the first layer that is cut.
    """

    name: str
    kind: Kind
    units: int
    places: dict[Place, Ids]
    readers: frozenset[Place]

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weights that are cut, in the model's order."""
        return tuple(dict.fromkeys(name for name, _ in self.places))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Outputs of the layer ``name`` that cannot be removed, and the ``reason``."""

    name: str
    reason: str


def families(model: torch.nn.Module, tracing: Tracing) -> tuple[list[Family], list[Refusal]]:
    """In the order of the model's weights."""
    reasons, heads, readers = tracing.atoms.reasons(), tracing.atoms.heads(), tracing.atoms.readers()
    units: dict[int, dict[Place, list[int]]] = defaultdict(dict)
    reading: set[Place] = set()
    read: set[int] = set()
    for name, axes in tracing.slots.items():
        for axis, atoms in enumerate(axes):
            roots = tracing.atoms.find(atoms)
            for index, (atom, root) in enumerate(zip(atoms.tolist(), roots.tolist(), strict=True)):
                units[root].setdefault((name, axis), []).append(index)
                if atom in readers:
                    reading.add((name, axis))
                    read.add(root)
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for root, places in units.items():
        if root in read and root not in reasons:
            alike[tuple((place, len(at)) for place, at in places.items())].append(root)
    shapes = {name: len(axes) for name, axes in tracing.slots.items()}
    found: list[Family] = []
    for roots in alike.values():
        places = {p: np.array([units[r][p] for r in roots], np.int64) for p in units[roots[0]]}
        head = all(root in heads for root in roots)
        kind: Kind = "head" if head else _kind(shapes, places)
        reads = frozenset(place for place in places if place in reading)
        found.append(Family(_named(shapes, places, reads), kind, len(roots), places, reads))
    refused = _refused(model, tracing, reasons)
    return [f for f in found if f.units > 1], refused + [
        Refusal(f.name, "all its outputs go together, and one must stay") for f in found if f.units == 1
    ]


def _kind(shapes: Mapping[str, int], places: dict[Place, Ids]) -> Kind:
    flat = all(shapes[name] <= 2 for name, _ in places)
    return "neuron" if flat else "channel"


def _named(shapes: Mapping[str, int], places: dict[Place, Ids], readers: frozenset[Place]) -> str:
    """The first layer with a matrix or filters that makes the units. ``shapes``: numbers of dimensions."""
    made = [place[0] for place in places if place not in readers]
    # A layer rather than a bare parameter, which may stand before it.
    layers = [name for name in made if shapes[name] > 1 and name.endswith("weight")]
    name = next(iter(layers + made), next(iter(places))[0])
    return name.rpartition(".")[0] or name


def _refused(model: torch.nn.Module, tracing: Tracing, reasons: dict[int, str]) -> list[Refusal]:
    """For each weight matrix or filter that keeps outputs, the first reason."""
    found: dict[str, Refusal] = {}
    readers = tracing.atoms.readers()
    parameters = dict(model.named_parameters())
    for name, axes in tracing.slots.items():
        if name not in parameters or len(axes) < 2:
            continue
        # The axis that is read is another layer's output.
        for atoms in axes[:2]:
            if any(atom in readers for atom in atoms.tolist()):
                continue
            roots = np.unique(tracing.atoms.find(atoms)).tolist()
            reason = next((reasons[root] for root in roots if root in reasons), None)
            if reason is not None:
                layer = name.rpartition(".")[0] or name
                found.setdefault(layer, Refusal(layer, reason))
    return list(found.values())
