"""How many tokens each block of a graph has to do with, without running it token by token.

Streams are arrays: the lengths of fibers at each level, and what the payloads are where it matters. Of long
ones a sample is followed: all that is below some coordinates of the outermost loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.graph.blocks import (
    Alu,
    AluConstant,
    AluFunction,
    Array,
    Block,
    Buffer,
    Drop,
    Fill,
    Fork,
    Join,
    Locate,
    MatrixReduce,
    Merge,
    Reduce,
    Repeat,
    Root,
    Scan,
    Sift,
    Split,
    VectorReduce,
    outputs,
)
from aerogel.chip.graph.build import Plan
from aerogel.chip.graph.graph import Port, in_order
from aerogel.chip.graph.sums import unprimed
from aerogel.core.errors import ChipError
from aerogel.einsum.nodes import accesses
from aerogel.formats.storage import Storage

Ints = NDArray[np.int64]
OCCUPANCY = 64
"""Coordinates of a workspace that are looked through in a cycle."""
_OF_ZERO_ZERO = ("mul", "div", "neg", "abs", "sqrt", "square", "relu", "sign")
"""What makes 0 of 0."""


class TooLongError(ChipError):
    """A stream has more tokens than one wants to follow."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A stream. ``lengths``: of the fibers at each level, outermost first; ``over``: the indices of each
    level, several where levels were joined; ``data``: coordinates, references (-1: Empty), or for values
    whether they are other than 0."""

    lengths: tuple[Ints, ...]
    over: tuple[tuple[str, ...], ...]
    data: Ints

    @property
    def indices(self) -> tuple[str, ...]:
        """Those of all levels."""
        return tuple(dict.fromkeys(index for level in self.over for index in level))

    @property
    def tokens(self) -> int:
        """Payloads and stops."""
        return len(self.data) + (len(self.lengths[-1]) if self.lengths else 0) + 1

    def fibers(self) -> Ints:
        """The innermost fiber that each payload is in."""
        return np.repeat(np.arange(len(self.lengths[-1])), self.lengths[-1])

    def outer(self) -> Ints:
        """The fiber of fibers that each payload is in."""
        above = self.lengths[-2]
        return np.repeat(np.arange(len(above)), above)[self.fibers()]


@dataclass(frozen=True, slots=True)
class Load:
    """What a block has to do: ``tokens``, one a cycle, in loops ``over``; ``reads``: for each array it reads,
    where, as far as it was followed; ``scale``: how many times as many reads there are."""

    name: str
    block: Block
    tokens: float
    over: tuple[str, ...]
    scale: float = 1.0
    reads: tuple[Ints, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Coordinates ``kept`` of the index of the outermost loop; None: all of them."""

    index: str
    kept: NDArray[np.bool_] | None

    def scale(self, over: Sequence[str]) -> float:
        """How many times as many tokens there are in streams over these indices."""
        if self.kept is None or self.index not in over:
            return 1.0
        return len(self.kept) / max(1, int(self.kept.sum()))


def loads(plan: Plan, tensors: Mapping[str, Storage], sample: Sample, most: int) -> list[Load]:
    """The load of every block but forks and queues; TooLongError for a stream of more than ``most`` payloads.

    ``tensors``: as the graph takes them. Lanes, skips and bit vectors are not known here.
    """
    return _Follower(plan, tensors, sample, most).loads()


class _Follower:
    def __init__(self, plan: Plan, tensors: Mapping[str, Storage], sample: Sample, most: int) -> None:
        self.plan, self.tensors, self.sample, self.most = plan, tensors, sample, most
        self.indices = {a.tensor: a.indices for a in accesses(plan.assignment.expr)}

    def loads(self) -> list[Load]:
        streams: dict[Port, Flow] = {}
        found: list[Load] = []
        graph = self.plan.graph
        sources: dict[int, dict[int, Port]] = {}
        for wire in graph.wires:
            sources.setdefault(wire.sink.block, {})[wire.sink.port] = wire.source
        for at in in_order(graph):
            node, into = graph.nodes[at], sources.get(at, {})
            taken = [streams[into[port]] for port in sorted(into)]
            made = self.run(node.block, taken)
            for port, flow in enumerate(made):
                streams[Port(at, port)] = flow
            if not isinstance(node.block, Fork | Buffer | Root):
                found.append(self.load(node.name, node.block, taken, made))
        return found

    def load(self, name: str, block: Block, taken: list[Flow], made: list[Flow]) -> Load:
        longest = max((*taken, *made), key=self.scaled)
        tokens = self.scaled(longest)
        reads: tuple[Ints, ...] = ()
        over, scale = longest.indices, self.sample.scale(longest.indices)
        match block:
            case Merge(left=left):
                a, b = taken[0], taken[1 + left]
                if block.op == "intersect":
                    steps = len(a.data) + len(b.data) - len(made[0].data) + len(a.lengths[-1])
                    tokens = max(tokens, steps * scale)
            case VectorReduce() | MatrixReduce():
                tokens += self.emitted(block, taken[-1], made[0])
            case Scan(kind="compressed"):
                reads = taken[0].data, made[1].data
            case Array():
                reads = (taken[0].data,)
            case _:
                pass
        return Load(name, block, tokens, over, scale, reads)

    def scaled(self, flow: Flow) -> float:
        return flow.tokens * self.sample.scale(flow.indices)

    def emitted(self, block: VectorReduce | MatrixReduce, taken: Flow, made: Flow) -> float:
        """Cycles in which a workspace is sent, and looked through."""
        room = block.extent if isinstance(block, VectorReduce) else block.extents[0] * block.extents[1]
        count, times = float(len(made.data)), float(max(1, len(made.lengths[-1]) if made.lengths else 1))
        grown = self.sample.scale(taken.indices)
        if self.sample.index in made.indices:
            return (count + times * room / OCCUPANCY) * grown
        each = min(1.0, count / (times * max(1, room)))
        return times * room * ((1 - (1 - each) ** grown) + 1 / OCCUPANCY)

    # --- blocks -------------------------------------------------------------------------------------------

    def run(self, block: Block, taken: list[Flow]) -> list[Flow]:  # noqa: C901 (a case per kind)
        match block:
            case Root():
                return [Flow((), (), np.zeros(1, np.int64))]
            case Scan():
                return self.scan(block, taken[0])
            case Repeat():
                signal, held = taken
                return [replace(signal, data=np.repeat(held.data, signal.lengths[-1]))]
            case Merge():
                return self.merge(block, taken)
            case Locate(size=size):
                crd, ref = taken
                return [crd, replace(crd, data=np.where(ref.data < 0, -1, ref.data * size + crd.data))]
            case Array():
                return [replace(taken[0], data=(taken[0].data >= 0).astype(np.int64))]
            case Alu(op=op):
                a, b = taken
                return [replace(a, data=a.data & b.data if op == "mul" else a.data | b.data)]
            case Fill():
                return [replace(taken[0], data=np.ones_like(taken[0].data))]
            case AluConstant(op=op) | AluFunction(op=op):
                (val,) = taken
                return [val if op in _OF_ZERO_ZERO else replace(val, data=np.ones_like(val.data))]
            case Reduce():
                (val,) = taken
                kept = np.bincount(val.fibers(), weights=val.data, minlength=len(val.lengths[-1])) > 0
                return [Flow(val.lengths[:-1], val.over[:-1], kept.astype(np.int64))]
            case VectorReduce(extent=extent):
                return self.gathered(taken[0], extent)
            case MatrixReduce(extents=extents):
                return self.matrix(taken[0], taken[1], extents)
            case Join(size=size):
                return _joined(size, *taken)
            case Split(size=size):
                return _split(size, *taken)
            case Sift(op=op, levels=levels):
                return [_sifted(taken, levels, union=op == "union")]
            case Drop(inner=kind):
                return _dropped(taken[0], taken[1], values=kind.value == "val")
            case Fork(ways=ways):
                return taken * ways
            case Buffer():
                return taken
            case _:
                return [taken[0]] * len(outputs(block))

    def scan(self, block: Scan, refs: Flow) -> list[Flow]:
        tensor, level, size = block.tensor, block.level, block.size
        index = unprimed(tensor.removeprefix("all_"))
        if tensor in self.plan.operands:
            index = self.indices[tensor][self.plan.operands[tensor].format.order[level]]
        there = refs.data >= 0
        at = np.where(there, refs.data, 0)
        if block.kind == "dense":
            start, count = at * size, np.where(there, size, 0)
        else:
            pos = self.tensors[tensor].levels[level][0].astype(np.int64)
            # Of a level without fibers there is not even an end of the first.
            pos = np.append(pos, pos[-1])
            start, count = pos[at], np.where(there, pos[at + 1] - pos[at], 0)
        total = int(count.sum())
        sampled = not refs.lengths and index == self.sample.index
        if total > self.most and not sampled:
            raise TooLongError(f"{total} payloads")
        before = np.cumsum(count) - count
        position = np.arange(total) + np.repeat(start - before, count)
        if block.kind == "dense":
            crd = position - np.repeat(start, count)
        else:
            crd = self.tensors[tensor].levels[level][1][position].astype(np.int64)
        if sampled and self.sample.kept is not None:
            kept = self.sample.kept[crd]
            crd, position = crd[kept], position[kept]
            count = np.array([len(crd)])
        flow = Flow((*refs.lengths, count), (*refs.over, (index,)), crd)
        return [flow, replace(flow, data=position)]

    def merge(self, block: Merge, taken: list[Flow]) -> list[Flow]:
        a, b = taken[0], taken[1 + block.left]
        span = 1 + max(int(a.data.max(initial=0)), int(b.data.max(initial=0)))
        left, right = a.fibers() * span + a.data, b.fibers() * span + b.data
        if block.op == "intersect":
            keys = left[_found(left, right)[1]]
        else:
            keys = np.unique(np.concatenate((left, right)))
        count = np.bincount(keys // span, minlength=len(a.lengths[-1]))
        made = Flow((*a.lengths[:-1], count), a.over, keys % span)
        along: list[Flow] = [made]
        for flows, own in ((taken[1 : 1 + block.left], left), (taken[2 + block.left :], right)):
            places, there = _found(keys, own)
            for flow in flows:
                payload = flow.data[places] if len(own) else np.zeros(len(keys), np.int64)
                absent = 0 if _is_value(block, len(along)) else -1
                along.append(replace(made, data=np.where(there, payload, absent)))
        return along

    def gathered(self, crd: Flow, extent: int) -> list[Flow]:
        keys = np.unique(crd.outer() * extent + crd.data)
        above = crd.lengths[-2]
        lengths = (*crd.lengths[:-2], np.bincount(keys // extent, minlength=len(above)))
        made = Flow(lengths, (*crd.over[:-2], crd.over[-1]), keys % extent)
        return [made, replace(made, data=np.ones(len(keys), np.int64))]

    def matrix(self, outer: Flow, inner: Flow, extents: tuple[int, int]) -> list[Flow]:
        rows, columns = extents
        fibers = inner.fibers()
        around = outer.outer()[fibers]
        keys = np.unique((around * rows + outer.data[fibers]) * columns + inner.data)
        heads, each = np.unique(keys // columns, return_counts=True)
        count = np.bincount(heads // rows, minlength=len(outer.lengths[-2]))
        over = (*outer.over[:-2], outer.over[-1])
        first = Flow((*outer.lengths[:-2], count), over, heads % rows)
        second = Flow((*first.lengths, each), (*over, inner.over[-1]), keys % columns)
        return [first, second, replace(second, data=np.ones(len(keys), np.int64))]


def _found(keys: Ints, among: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each key is among others, which ascend, and whether it is there."""
    if not len(among):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
    places = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return places, among[places] == keys


def _is_value(block: Merge, at: int) -> bool:
    """Whether the ``at``-th output carries values."""
    return outputs(block)[at][1].value == "val"


def _joined(size: int, outer: Flow, inner: Flow, val: Flow) -> list[Flow]:
    rows = inner.fibers()
    count = np.bincount(outer.fibers()[rows], minlength=len(outer.lengths[-1]))
    over = (*outer.over[:-1], outer.over[-1] + inner.over[-1])
    made = Flow((*outer.lengths[:-1], count), over, outer.data[rows] * size + inner.data)
    return [made, replace(made, data=val.data)]


def _split(size: int, crd: Flow, val: Flow) -> list[Flow]:
    """The outer level has the first of the indices that were joined."""
    fibers, rows = crd.fibers(), crd.data // size
    begins = np.flatnonzero((np.diff(fibers, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0))
    each = np.diff(begins, append=len(rows))
    count = np.bincount(fibers[begins], minlength=len(crd.lengths[-1]))
    *around, joined = crd.over
    outer = Flow((*crd.lengths[:-1], count), (*around, joined[:1]), rows[begins])
    inner = Flow((*outer.lengths, each), (*outer.over, joined[1:]), crd.data - rows * size)
    return [outer, inner, replace(inner, data=val.data)]


def _sifted(taken: list[Flow], levels: int, *, union: bool) -> Flow:
    own, fibers = taken[0], taken[-1]
    here = own.data >= 0
    first, *deeper = fibers.lengths[-levels:]
    if union:
        lengths = np.zeros(len(here), np.int64)
        lengths[here] = first
        return replace(fibers, lengths=(*own.lengths, lengths, *deeper))
    kept = (taken[1].data >= 0)[here]
    count = np.bincount(own.fibers()[here][kept], minlength=len(own.lengths[-1]))
    found = [*own.lengths[:-1], count]
    for lengths in (first, *deeper):
        found.append(lengths[kept])
        kept = np.repeat(kept, lengths)
    return replace(fibers, lengths=tuple(found), data=fibers.data[kept])


def _dropped(outer: Flow, inner: Flow, *, values: bool) -> list[Flow]:
    if values:
        kept = inner.data > 0
        fibers = outer.fibers()[kept]
        made = Flow(
            (*outer.lengths[:-1], np.bincount(fibers, minlength=len(outer.lengths[-1]))),
            outer.over,
            outer.data[kept],
        )
        return [made, replace(made, data=inner.data[kept])]
    kept = inner.lengths[-1] > 0
    count = np.bincount(outer.fibers()[kept], minlength=len(outer.lengths[-1]))
    first = Flow((*outer.lengths[:-1], count), outer.over, outer.data[kept])
    return [first, Flow((*first.lengths, inner.lengths[-1][kept]), inner.over, inner.data)]
