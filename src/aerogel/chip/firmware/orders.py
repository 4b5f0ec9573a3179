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
from aerogel.chip.graph.blocks import Array, MatrixReduce, Scan, VectorReduce
from aerogel.chip.graph.build import Options, Plan, build
from aerogel.chip.graph.flow import Ints, Load, Sample, TooLongError, loads
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.memory import vector_capacity
from aerogel.chip.machine.netlist import Netlist
from aerogel.chip.mapping.fit import most_copies
from aerogel.chip.mapping.nets import nets_of
from aerogel.core.errors import ChipError, require
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
WIDE = 256
"""Up to this extent an eighth of the coordinates is followed first, else a sixty-fourth."""
MOST = 1 << 17
"""Payloads of a stream from which on an order is not followed."""
HOPELESS = 4
"""Times the cycles of the best order so far from which on an order is not looked at closely."""
LARGE = 1 << 17
"""Stored values from which on cuts are not looked for, order by order: that takes longer than it tells."""
GATHERING = 1.5
"""How many times its tokens a workspace takes: what waits before it while it is sent has to get going again.
Found on MTTKRP and TTM of a tensor of relations, umls."""
START = 100
"""Cycles that a batch takes besides: started, drained, asked about."""


@dataclass(frozen=True, slots=True)
class Choice:
    """``cycles``: estimated, by order, the least first; of orders too long to follow, inf. ``refused``: how
    many orders have no graph or no cuts."""

    cycles: Mapping[Order, float]
    refused: int = 0

    def best(self, count: int) -> list[Order]:
        """So many orders, or as many as there are."""
        return list(self.cycles)[:count]

    def text(self) -> str:
        """In words, with the estimates of the best three."""
        told = [f"{' > '.join(order)} about {cycles:,.0f}" for order, cycles in self.cycles.items()]
        rest = f", {len(told) - 3} more" if len(told) > 3 else ""
        return f"estimated cycles of orders: {'; '.join(told[:3])}{rest}; {self.refused} cannot be done"


class Chooser:
    """Orders for operands ``tensors``, of which ``formats`` are wanted. ``worth``: see ``Worth``."""

    def __init__(
        self,
        request: Request,
        tensors: Mapping[str, Any],
        formats: Mapping[str, Any],
        fabric: Fabric,
        ways: Options,
        worth: Worth,
    ) -> None:
        self.request, self.tensors, self.formats = request, tensors, formats
        self.fabric, self.ways, self.worth = fabric, ways, worth
        # Skips, bits and lanes change all orders alike, as far as an estimate can tell.
        self.plain = replace(ways, skips=False, bits=False, lanes=1)
        self.known: dict[Order, float | None] = {}
        self.large = sum(one.nnz for one in tensors.values()) > LARGE

    def choice(self, first: Order) -> Choice:
        """The orders that can be done, best first. ``first``: tried first, and taken of equal ones."""
        if factorial(len(first)) <= ALL:
            tried = (first, *permutations(sorted(first)))
        else:
            tried = self.steps(first)
        for order in tried:
            self.cycles(order)
        found = {order: cycles for order, cycles in self.known.items() if cycles is not None}
        best = sorted(found, key=lambda order: found[order])
        return Choice({order: found[order] for order in best}, len(self.known) - len(found))

    def fitting(self, order: Order, copies: int) -> Order | None:
        """The best order but this one with which pieces fit, as far as it was looked for; None: none."""
        for other in self.choice(order).cycles:
            plan = self.built(other, self.ways)
            try:
                Cutter(plan, plan.stored(self.tensors), self.fabric, copies).cuts()
            except ChipError:
                continue
            return other
        return None

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
        plan = self.built(order, self.plain)
        if self.ways != self.plain:
            self.built(order, self.ways)
        stored = plan.stored(self.tensors)
        netlist = assemble(plan.graph, stored, self.fabric).netlist
        fitting = most_copies(nets_of(netlist), self.fabric)
        require(fitting, ChipError, f"there are not enough tiles on {self.fabric.name}")
        copies = min(fitting, self.worth(plan, stored, netlist))
        found = followed(plan, stored)
        # Where even an even share of the tokens is far too many, cuts need not be looked for.
        least = max((load.tokens for load in found), default=0.0) / copies
        if self.large:
            return least * max(1.0, self.workspaces(plan) / copies)
        if least > HOPELESS * min(map(_or_inf, self.known.values()), default=inf):
            return least
        cutter = Cutter(plan, stored, self.fabric, copies)
        cuts = cutter.cuts()
        parts = {index: largest(cutter, cuts, index) for index in plan.order}
        return Batch(plan, stored, self.fabric, cuts, copies, parts).cycles(found)

    def workspaces(self, plan: Plan) -> int:
        """Into how many parts a result must be cut for the workspaces of two dimensions to hold a part."""
        most = vector_capacity(self.fabric)
        blocks = (node.block for node in plan.graph.nodes)
        return max((ceil(prod(b.extents) / most) for b in blocks if isinstance(b, MatrixReduce)), default=1)

    def built(self, order: Order, ways: Options) -> Plan:
        """The graph, or ChipError."""
        return build(self.request.assignment, self.tensors, order, formats=self.formats, options=ways)


def largest(cutter: Cutter, cuts: Cuts, index: str) -> float:
    """Which part of all work along an index its largest part has."""
    if cuts.parts(index) == 1:
        return 1.0
    weights = cutter.weights(index)
    total = int(weights.sum())
    if not total or index not in (*cutter.allowed, *cutter.summed)[:1]:
        return cuts.size(index) / max(1, cutter.plan.extents[index])
    return float(np.add.reduceat(weights, cuts.bounds[index][:-1]).max()) / total


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

    few = max(FEW, extent // 8 if extent <= WIDE else extent // 64)
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
    """The pieces that copies run at a time, one each. ``parts``: see ``largest``."""

    plan: Plan
    stored: Mapping[str, Storage]
    fabric: Fabric
    cuts: Cuts
    copies: int
    parts: Mapping[str, float]

    def cycles(self, found: list[Load]) -> float:
        """Of all batches."""
        fabric, active = self.fabric, min(self.copies, self.cuts.pieces)
        busiest, fetched, resident = 0.0, 0.0, 0
        for load in found:
            busy, words = load.tokens, self.words(load)
            busy *= GATHERING if isinstance(load.block, VectorReduce | MatrixReduce) else 1.0
            resident += words if words <= fabric.memory_words else 0
            for reads in load.reads if words > fabric.memory_words else ():
                lines, far = _misses(reads, fabric.memory_words // len(load.reads), fabric.line_words)
                busy += far * load.scale * (fabric.buffer_latency + fabric.line_words / 2)
                fetched += self.share(load) * lines * load.scale * fabric.line_words
            busiest = max(busiest, busy * self.share(load))
        busiest = max(busiest, active * fetched / fabric.links)
        each = busiest + active * resident / fabric.links + START
        return max(ceil(self.cuts.pieces / self.copies) * each, self.transfer())

    def share(self, load: Load) -> float:
        """Which part of a load one piece has."""
        return prod(self.parts[index] for index in load.over)

    def words(self, load: Load) -> int:
        """Words of the arrays a block reads, in a piece."""
        match load.block:
            case Scan(tensor=tensor, level=level, kind="compressed"):
                return self.part(tensor, sum(len(array) for array in self.stored[tensor].levels[level]))
            case Array(tensor=tensor):
                return self.part(tensor, len(self.stored[tensor].values))
            case _:
                return 0

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
