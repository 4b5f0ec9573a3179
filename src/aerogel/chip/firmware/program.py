"""A program of the chip: everything the driver needs to run an expression on tensors of these shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.cuts import Cuts
from aerogel.chip.firmware.device import Symbols
from aerogel.chip.graph.build import Plan
from aerogel.chip.machine.netlist import Segment
from aerogel.einsum.nodes import accesses
from aerogel.formats.storage import Storage


@dataclass(frozen=True, slots=True)
class Program:
    """``plan``: the graph of a piece; ``tensors``: its operands, whole, by their names there.

    ``words``: the configuration, of ``copies`` of the graph; ``segments``: of one copy, as ``assemble`` names
    them; segment s of copy k is number k * len(segments) + s. ``room``: elements that each array of a piece's
    result may have, by the end of its segment's name (``crd1``, ``vals``).
    """

    plan: Plan
    tensors: Mapping[str, Storage]
    fabric: Fabric
    cuts: Cuts
    copies: int
    words: tuple[int, ...]
    segments: tuple[Segment, ...]
    room: Mapping[str, int]
    symbols: Symbols

    def indices(self, name: str) -> tuple[str, ...]:
        """The index of each mode of an operand."""
        return next(a.indices for a in accesses(self.plan.assignment.expr) if a.tensor == name)
