"""Which order of loops takes the fewest cycles on the chip, as far as can be told before anything is mapped.

For each order of which there is a graph: how many tokens each block has to do with (``graph/flow.py``), how
many copies of the graph there are tiles for, how operands are cut. A batch of pieces takes as long as its
busiest block: a token a cycle, and a line's delay where an array is read here and there in the global buffer.
Batches follow each other; what they load from DRAM comes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from math import ceil, factorial, inf, prod
from typing import Any

import numpy as np

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.cuts import Cuts
from aerogel.chip.firmware.cutting import Cutter
from aerogel.chip.firmware.image import element_bytes
from aerogel.chip.graph.blocks import Array, Scan
from aerogel.chip.graph.build import Options, Plan, build
from aerogel.chip.graph.flow import Ints, Load, Sample, TooLongError, loads
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.mapping.fit import most_copies
from aerogel.chip.mapping.nets import nets_of
from aerogel.core.errors import ChipError
from aerogel.einsum.nodes import accesses
from aerogel.formats.storage import Storage
from aerogel.tensor.request import Request

Order = tuple[str, ...]
Worth = Callable[[Plan, Mapping[str, Storage], Netlist], int]
"""How many copies there is work for."""

ALL = 24
"""Orders that are all tried; where there are more, the best one is looked for step by step."""
FEW, FOLLOWED = 4, 1 << 14
"""Coordinates of the outermost loop that are followed first, and tokens of all streams that are, about."""
MOST = 1 << 17
"""Payloads of a stream from which on an order is not followed."""
START = 100
"""Cycles that a batch takes besides: started, drained, asked about."""


@dataclass(frozen=True, slots=True)
class Choice:
    """``cycles``: estimated, by order, the least first; of orders too long to follow, inf. ``refused``: how
    many orders have no graph or no cuts."""

    cycles: Mapping[Order, float]
    refused: int = 0

    @property
    def order(self) -> Order:
        return next(iter(self.cycles))

    def text(self) -> str:
        """In words, with the estimates of the best three."""
        told = [f"{' > '.join(order)} about {cycles:,.0f}" for order, cycles in self.cycles.items()]
        rest = f", {len(told) - 3} more" if len(told) > 3 else ""
        return f"estimated cycles of orders: {'; '.join(told[:3])}{rest}; {self.refused} cannot be done"


class Chooser:
    """``worth``: how many copies there is work for."""

    def __init__(
        self, request: Request, tensors: Mapping[str, Any], fabric: Fabric, ways: Options, worth: Worth
    ) -> None:
        self.request, self.tensors, self.fabric, self.worth = request, tensors, fabric, worth
        # Lanes, skips and bits change all orders alike, as far as an estimate can tell.
        self.ways = replace(ways, skips=False, bits=False, lanes=1)
        self.known: dict[Order, float | None] = {}

    def choice(self, first: Order) -> Choice | None:
        """The orders that can be done, best first; None where there is none. ``first``: tried first."""
        if factorial(len(first)) <= ALL:
            tried = [first, *permutations(first)]
        else:
            tried = self.steps(first)
        for order in tried:
            self.cycles(order)
        found = {order: cycles for order, cycles in self.known.items() if cycles is not None}
        if not found:
            return None
        best = sorted(found, key=lambda order: found[order])
        return Choice({order: found[order] for order in best}, len(self.known) - len(found))

    def steps(self, first: Order) -> Iterator[Order]:
        """From an order to its best neighbour, two indices swapped, while that is better."""
        best, most = first, 2 * ALL
        while True:
            yield best
            near = [_swapped(best, a, b) for a, b in combinations(range(len(best)), 2)]
            yield from (order for order in near if order not in self.known)
            better = min((best, *near), key=lambda order: _or_inf(self.known[order]))
            if better == best or len(self.known) >= most:
                return
            best = better

    def cycles(self, order: Order) -> float | None:
        """Estimated; None where it cannot be done."""
        if order not in self.known:
            try:
                self.known[order] = self.estimated(order)
            except TooLongError:
                self.known[order] = inf
            except ChipError:
                self.known[order] = None
        return self.known[order]

    def estimated(self, order: Order) -> float:
        plan = build(self.request.assignment, self.tensors, order, options=self.ways)
        stored = plan.stored(self.tensors)
        netlist = assemble(plan.graph, stored, self.fabric).netlist
        copies = max(1, min(most_copies(nets_of(netlist), self.fabric), self.worth(plan, stored, netlist)))
        cutter = Cutter(plan, stored, self.fabric, copies)
        cuts = cutter.cuts()
        return Batch(plan, stored, self.fabric, cuts, copies).cycles(followed(plan, stored))


def followed(plan: Plan, stored: Mapping[str, Storage]) -> list[Load]:
    """The loads of a graph: of few coordinates of the outermost loop, then of as many as are soon done."""
    index = plan.order[0] if plan.order else ""
    extent = plan.extents.get(index, 1)
    mixed = np.random.default_rng(0).permutation(extent)

    def of(count: int) -> list[Load]:
        kept = None if count >= extent else np.zeros(extent, np.bool_)
        if kept is not None:
            kept[mixed[:count]] = True
        return loads(plan, stored, Sample(index, kept), MOST)

    few = max(FEW, extent // 16)
    try:
        found = of(few)
    except TooLongError:
        return of(1)
    each = sum(load.tokens / load.scale for load in found) / few
    more = min(extent, int(FOLLOWED * len(found) / 4 / max(1.0, each)))
    if more <= 2 * few and more < extent:
        return found
    try:
        return of(more)
    except TooLongError:
        return found


@dataclass(frozen=True, slots=True)
class Batch:
    """The pieces that copies run at a time, one each."""

    plan: Plan
    stored: Mapping[str, Storage]
    fabric: Fabric
    cuts: Cuts
    copies: int

    def cycles(self, found: list[Load]) -> float:
        """Of all batches."""
        fabric, active = self.fabric, min(self.copies, self.cuts.pieces)
        busiest, fetched, resident = 0.0, 0.0, 0
        for load in found:
            busy = load.tokens
            words, segments = self.words(load)
            if load.references is not None and words > fabric.memory_words:
                misses, far = _misses(load.references, fabric.memory_words // segments, fabric.line_words)
                busy += far * load.scale * (fabric.buffer_latency + fabric.line_words / 2)
                fetched += self.share(load) * segments * misses * load.scale * fabric.line_words
            else:
                resident += words
            busiest = max(busiest, busy * self.share(load))
        busiest = max(busiest, active * fetched / fabric.links)
        each = busiest + active * resident / fabric.links + START
        return max(ceil(self.cuts.pieces / self.copies) * each, self.transfer())

    def share(self, load: Load) -> float:
        """Which part of a load one piece has."""
        return 1 / prod(self.cuts.parts(index) for index in load.over)

    def words(self, load: Load) -> tuple[int, int]:
        """Words of the arrays a block reads, in a piece, and how many arrays."""
        match load.block:
            case Scan(tensor=tensor, level=level, kind="compressed"):
                arrays = self.stored[tensor].levels[level]
            case Array(tensor=tensor):
                arrays = (self.stored[tensor].values,)
            case _:
                return 0, 1
        return self.part(tensor, sum(len(array) for array in arrays)), len(arrays)

    def part(self, tensor: str, count: int) -> int:
        """Of so many elements, those in a piece."""
        return ceil(count / prod(self.cuts.parts(index) for index in self.indices[tensor]))

    @property
    def indices(self) -> dict[str, Order]:
        return {access.tensor: access.indices for access in accesses(self.plan.assignment.expr)}

    def transfer(self) -> float:
        """Cycles to bring every piece's operands from DRAM."""
        fabric, total = self.fabric, 0
        word, value = element_bytes("crd", fabric), element_bytes("vals", fabric)
        for name, storage in self.stored.items():
            count = sum(len(array) for level in storage.levels for array in level) * word
            total += self.cuts.pieces * self.part(name, count + len(storage.values) * value)
        return total * fabric.clock_hertz / fabric.dram.bytes_per_second


def _misses(references: Ints, words: int, line: int) -> tuple[int, int]:
    """Lines that a window of so many words fetches, and how many of them do not follow the last one."""
    if not len(references):
        return 0, 0
    lines = references // line
    moved = np.flatnonzero(np.diff(lines, prepend=-2))
    lines = lines[moved]
    follows = np.diff(lines, prepend=-2) == 1
    slots = lines % max(1, words // line)
    order = np.argsort(slots, kind="stable")
    fresh = np.ones(len(lines), np.bool_)
    same = (np.diff(slots[order]) == 0) & (np.diff(lines[order]) == 0)
    fresh[order[1:]] = ~same
    return int(fresh.sum()), int((fresh & ~follows).sum())


def _swapped(order: Order, a: int, b: int) -> Order:
    found = list(order)
    found[a], found[b] = found[b], found[a]
    return tuple(found)


def _or_inf(cycles: float | None) -> float:
    return inf if cycles is None else cycles
