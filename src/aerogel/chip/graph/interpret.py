"""What a graph means, without time: every stream in full, as a nested list. The oracle of the machine.

One function per kind of block, from nested lists to nested lists; ``None`` in one is an empty token. Streams
as tokens are their ``flat``. A skip is only a hint: here nothing leaps, and coordinates that a scanner might
leave out are in its stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.graph.blocks import (
    Alu,
    AluConstant,
    AluFunction,
    Array,
    BitExpand,
    BitMerge,
    BitScan,
    Block,
    Buffer,
    Drop,
    Fold,
    Fork,
    Function,
    Locate,
    MatrixReduce,
    Merge,
    Operation,
    Parallelize,
    Reduce,
    Repeat,
    Root,
    Scan,
    Serialize,
    VectorReduce,
    WriteLevel,
    WriteValues,
    inputs,
    outputs,
)
from aerogel.chip.graph.graph import Graph, Port
from aerogel.chip.graph.streams import Kind, Token, flat
from aerogel.core.errors import ChipError, require
from aerogel.formats.storage import Storage

Nested = Any
"""Lists in lists, ``depth`` of them; payloads or None at the bottom."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A whole stream: a nested list and of how many levels it is."""

    nested: Nested
    depth: int

    def tokens(self) -> tuple[Token, ...]:
        return tuple(flat(self.nested, self.depth))


@dataclass(frozen=True, slots=True)
class Traces:
    """What ran over every output of a graph, and what was written.

    ``levels``: pos and crd by (tensor, level); ``values``: by tensor.
    """

    streams: Mapping[Port, Stream]
    levels: Mapping[tuple[str, int], tuple[NDArray[np.int64], NDArray[np.int64]]]
    values: Mapping[str, NDArray[np.float64]]


def interpret(graph: Graph, tensors: Mapping[str, Storage]) -> Traces:
    """Runs ``graph`` on ``tensors``, stored as the graph takes them; ChipError where streams do not fit."""
    streams: dict[Port, Stream] = {}
    levels: dict[tuple[str, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    values: dict[str, NDArray[np.float64]] = {}
    for at in _in_order(graph):
        node = graph.nodes[at]
        sources = graph.into(at)
        taken = [streams[p] for p in sources if p in streams]
        match node.block:
            case WriteLevel(tensor=tensor, level=level):
                levels[tensor, level] = _written(taken[0])
            case WriteValues(tensor=tensor):
                values[tensor] = np.array(_payloads(taken[0]), dtype=np.float64)
            case block:
                try:
                    made = _run(block, taken, tensors)
                except (_UnevenError, TypeError, IndexError) as error:
                    raise ChipError(f"{node.name}: its streams do not belong together ({error})") from error
                for port, stream in enumerate(made):
                    streams[Port(at, port)] = stream
    return Traces(streams, levels, values)


def _in_order(graph: Graph) -> list[int]:
    """Nodes after those that feed them; wires of skips, which may lead back, do not count."""
    feeds: dict[int, set[int]] = {at: set() for at in range(len(graph.nodes))}
    for wire in graph.wires:
        name = inputs(graph.nodes[wire.sink.block].block)[wire.sink.port][0]
        if name != "skip":
            feeds[wire.sink.block].add(wire.source.block)
    order: list[int] = []
    placed: set[int] = set()
    while len(order) < len(feeds):
        ready = [at for at, needs in feeds.items() if at not in placed and needs <= placed]
        require(ready, ChipError, "the graph has a cycle other than through skips")
        order += ready
        placed.update(ready)
    return order


# --- nested lists -----------------------------------------------------------------------------------


class _UnevenError(Exception):
    pass


def mapped(function: Callable[..., Nested], depth: int, *lists: Nested) -> Nested:
    """``function`` of what lies ``depth`` levels down in ``lists``, which must have the same outline."""
    if depth == 0:
        return function(*lists)
    if len({len(part) for part in lists}) > 1:
        raise _UnevenError(f"fibers of {' and '.join(str(len(part)) for part in lists)} elements")
    return [mapped(function, depth - 1, *parts) for parts in zip(*lists, strict=True)]


def _split(pairs: Nested, depth: int, parts: int) -> list[Nested]:
    """A nested list of tuples as a tuple of nested lists."""
    return [mapped(lambda found, at=at: found[at], depth, pairs) for at in range(parts)]


def _payloads(stream: Stream) -> list[Any]:
    found = [stream.nested] if stream.depth == 0 else stream.nested
    for _ in range(stream.depth - 1):
        found = [item for part in found for item in part]
    return [0 if item is None else item for item in found]


def _written(stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    fibers = [stream.nested]
    for _ in range(stream.depth - 1):
        fibers = [item for part in fibers for item in part]
    pos = np.cumsum([0, *(len(fiber) for fiber in fibers)], dtype=np.int64)
    return pos, np.array([crd for fiber in fibers for crd in fiber], dtype=np.int64)


# --- blocks -------------------------------------------------------------------------------------------


def _run(block: Block, taken: list[Stream], tensors: Mapping[str, Storage]) -> list[Stream]:  # noqa: C901 (a case per kind)
    match block:
        case Root():
            return [Stream(0, 0)]
        case Scan():
            return _fibers(taken[0], lambda ref: _scanned(block, tensors, ref), 2)
        case BitScan():
            return _fibers(taken[0], lambda ref: _bits(block, tensors, ref), 2)
        case Repeat():
            return [_repeated(*taken)]
        case Merge():
            return _merged(block, taken)
        case BitMerge():
            return _same(lambda a, ra, b, rb: _bit_merged(block.op, (a, ra), (b, rb)), taken, 3)
        case BitExpand():
            return _same(_expanded, taken, 1 + block.references)
        case Locate(size=size):
            crd, ref = taken
            found = mapped(
                lambda c, r: None if r is None else r * size + c, crd.depth, crd.nested, ref.nested
            )
            return [crd, Stream(found, crd.depth)]
        case Array(tensor=tensor):
            values = tensors[tensor].values
            return [_each(lambda r: 0.0 if r is None else float(values[r]), taken)]
        case Alu(op=op):
            return [_each(lambda a, b: operate(op, a, b), taken)]
        case AluConstant(op=op, value=value, reverse=reverse):
            return [_each(lambda a: operate(op, value, a) if reverse else operate(op, a, value), taken)]
        case AluFunction(op=op):
            return [_each(lambda a: function(op, a), taken)]
        case Reduce(op=op):
            depth = taken[0].depth - 1
            return [Stream(mapped(lambda fiber: folded(op, fiber), depth, taken[0].nested), depth)]
        case VectorReduce(op=op):
            return _vector_reduced(op, *taken)
        case MatrixReduce(op=op):
            return _matrix_reduced(op, *taken)
        case Drop(inner=kind):
            return _dropped(kind, *taken)
        case Fork(ways=ways):
            return [taken[0]] * ways
        case Buffer():
            return taken
        case Parallelize(ways=ways, level=level):
            return [Stream(_dealt(taken[0], level, at, ways), taken[0].depth) for at in range(ways)]
        case Serialize(level=level):
            depth = taken[0].depth
            lanes = [stream.nested for stream in taken]
            return [Stream(_gathered(lanes, depth - level - 1), depth)]
        case WriteLevel() | WriteValues():
            return []
        case _:
            assert_never(block)


def _each(function: Callable[..., Any], taken: list[Stream]) -> Stream:
    return Stream(mapped(function, taken[0].depth, *(s.nested for s in taken)), taken[0].depth)


def _fibers(taken: Stream, function: Callable[[Any], tuple[list[Any], ...]], parts: int) -> list[Stream]:
    """One level deeper: a fiber for each payload."""
    made = mapped(function, taken.depth, taken.nested)
    return [Stream(part, taken.depth + 1) for part in _split(made, taken.depth, parts)]


def _same(function: Callable[..., tuple[list[Any], ...]], taken: list[Stream], parts: int) -> list[Stream]:
    """As deep as before: a fiber for each fiber."""
    depth = taken[0].depth
    made = mapped(function, depth - 1, *(s.nested for s in taken))
    return [Stream(part, depth) for part in _split(made, depth - 1, parts)]


def _scanned(scan: Scan, tensors: Mapping[str, Storage], ref: int | None) -> tuple[list[int], list[int]]:
    if ref is None:
        return [], []
    if scan.kind == "dense":
        return list(range(scan.size)), list(range(ref * scan.size, (ref + 1) * scan.size))
    pos, crd = tensors[scan.tensor].levels[scan.level]
    first, last = int(pos[ref]), int(pos[ref + 1])
    return [int(c) for c in crd[first:last]], list(range(first, last))


WORD = 16
"""Bits in a word of a bit vector here; on the machine it is the fabric's. Streams of other blocks are the
same for any."""


def _bits(scan: BitScan, tensors: Mapping[str, Storage], ref: int | None) -> tuple[list[int], list[int]]:
    words = [0] * -(-scan.size // WORD)
    if ref is None:
        return words, [0] * len(words)
    pos, crd = tensors[scan.tensor].levels[scan.level]
    first, last = int(pos[ref]), int(pos[ref + 1])
    refs, count = [], first
    for coordinate in crd[first:last]:
        words[int(coordinate) // WORD] |= 1 << (int(coordinate) % WORD)
    for word in words:
        refs.append(count)
        count += word.bit_count()
    return words, refs


def _repeated(signal: Stream, ref: Stream) -> Stream:
    if signal.depth != ref.depth + 1:
        raise _UnevenError(f"a signal of depth {signal.depth} for payloads of depth {ref.depth}")
    found = mapped(lambda fiber, r: [r] * len(fiber), ref.depth, signal.nested, ref.nested)
    return Stream(found, signal.depth)


def _merged(merge: Merge, taken: list[Stream]) -> list[Stream]:
    left, right = merge.left, merge.right
    second = 1 + left

    def fiber(*parts: list[Any]) -> tuple[list[Any], ...]:
        a, b = _by_coordinate(*parts[:second]), _by_coordinate(*parts[second:])
        kept = sorted(a.keys() & b.keys() if merge.op == "intersect" else a.keys() | b.keys())
        rows = [(c, *a.get(c, (None,) * left), *b.get(c, (None,) * right)) for c in kept]
        columns = tuple([row[at] for row in rows] for at in range(1 + left + right))
        # Everything is scanned here, so whoever asks to skip asks for the coordinate it is at.
        return (*columns, list(parts[second]), list(parts[0])) if merge.skip else columns

    return _same(fiber, taken, 1 + left + right + (2 if merge.skip else 0))


def _by_coordinate(crd: list[int], *along: list[Any]) -> dict[int, tuple[Any, ...]]:
    return {c: tuple(part[at] for part in along) for at, c in enumerate(crd)}


def operate(op: Operation, a: Any, b: Any) -> Any:  # noqa: C901 (a case per operation)
    """``a op b`` in doubles; None counts as 0."""
    a, b = (0.0 if a is None else a), (0.0 if b is None else b)
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            with np.errstate(all="ignore"):
                return float(np.float64(a) / np.float64(b))
        case "min":
            return float(np.minimum(a, b))
        case "max":
            return float(np.maximum(a, b))
        case "or":
            return float(a != 0 or b != 0)
        case "and":
            return float(a != 0 and b != 0)
        case "pair":
            return 1.0
        case "eq":
            return float(a == b)
        case "ne":
            return float(a != b)
        case "lt":
            return float(a < b)
        case "le":
            return float(a <= b)
        case "gt":
            return float(a > b)
        case "ge":
            return float(a >= b)
        case _:
            assert_never(op)


def function(op: Function, a: Any) -> float:
    """A function of one value, in doubles; None counts as 0."""
    a = 0.0 if a is None else a
    with np.errstate(all="ignore"):
        match op:
            case "neg":
                return -a
            case "abs":
                return abs(a)
            case "sqrt":
                return float(np.sqrt(a))
            case "square":
                return a * a
            case "relu":
                return float(np.maximum(a, 0.0))
            case "sign":
                return float(np.sign(a))
            case "not":
                return float(a == 0)
            case "exp":
                return float(np.exp(a))
            case "reciprocal":
                return float(np.float64(1.0) / np.float64(a))
            case _:
                assert_never(op)


IDENTITY: dict[Fold, float] = {
    "add": 0.0,
    "mul": 1.0,
    "min": math.inf,
    "max": -math.inf,
    "or": 0.0,
    "and": 1.0,
}
"""What a fold starts from, and gives of an empty fiber."""


def folded(op: Fold, fiber: list[Any]) -> float:
    """A fiber folded, first to last, beginning with the identity."""
    total: float = IDENTITY[op]
    for value in fiber:
        total = operate(op, total, value)
    return total


def _vector_reduced(op: Fold, crd: Stream, val: Stream) -> list[Stream]:
    def vector(crds: list[list[int]], vals: list[list[Any]]) -> tuple[list[int], list[float]]:
        sums: dict[int, float] = {}
        for c, v in zip(crds, vals, strict=True):
            for at, value in zip(c, v, strict=True):
                sums[at] = operate(op, sums.get(at, IDENTITY[op]), value)
        return sorted(sums), [sums[at] for at in sorted(sums)]

    depth = crd.depth - 2
    made = mapped(vector, depth, crd.nested, val.nested)
    return [Stream(part, depth + 1) for part in _split(made, depth, 2)]


def _matrix_reduced(op: Fold, outer: Stream, inner: Stream, val: Stream) -> list[Stream]:
    def matrix(rows: Nested, crds: Nested, vals: Nested) -> tuple[list[int], Nested, Nested]:
        sums: dict[int, dict[int, float]] = {}
        for row, c, v in zip(rows, crds, vals, strict=True):
            for i, js, numbers in zip(row, c, v, strict=True):
                for j, value in zip(js, numbers, strict=True):
                    found = sums.setdefault(i, {})
                    found[j] = operate(op, found.get(j, IDENTITY[op]), value)
        places = sorted(sums)
        return (
            places,
            [sorted(sums[i]) for i in places],
            [[sums[i][j] for j in sorted(sums[i])] for i in places],
        )

    depth = outer.depth - 2
    made = _split(mapped(matrix, depth, outer.nested, inner.nested, val.nested), depth, 3)
    return [Stream(made[0], depth + 1), Stream(made[1], depth + 2), Stream(made[2], depth + 2)]


def _dropped(kind: Kind, outer: Stream, inner: Stream) -> list[Stream]:
    def fiber(coordinates: list[int], below: list[Any]) -> tuple[list[int], list[Any]]:
        pairs = list(zip(coordinates, below, strict=True))
        kept = [(c, part) for c, part in pairs if (part if kind is Kind.VALUE else len(part) > 0)]
        return [c for c, _ in kept], [part for _, part in kept]

    depth = outer.depth
    made = _split(mapped(fiber, depth - 1, outer.nested, inner.nested), depth - 1, 2)
    return [Stream(made[0], depth), Stream(made[1], inner.depth)]


def _dealt(stream: Stream, level: int, lane: int, ways: int) -> Nested:
    return mapped(lambda items: items[lane::ways], stream.depth - level - 1, stream.nested)


def _gathered(lanes: list[Nested], depth: int) -> Nested:
    def fiber(*parts: list[Any]) -> list[Any]:
        count = sum(len(part) for part in parts)
        return [parts[at % len(parts)][at // len(parts)] for at in range(count)]

    return mapped(fiber, depth, *lanes)


def _bit_merged(
    op: str, a: tuple[list[int], list[int]], b: tuple[list[int], list[int]]
) -> tuple[list[Any], ...]:
    words = [(x & y) if op == "intersect" else (x | y) for x, y in zip(a[0], b[0], strict=True)]
    return words, _references(words, *a), _references(words, *b)


def _references(words: list[int], own: list[int], firsts: list[int]) -> list[int | None]:
    """Of every bit set in ``words``: as many further than the first of its word as ``own`` has bits before."""
    return [
        first + (mine & ((1 << bit) - 1)).bit_count() if mine >> bit & 1 else None
        for word, mine, first in zip(words, own, firsts, strict=True)
        for bit in _set(word)
    ]


def _set(word: int) -> list[int]:
    return [bit for bit in range(word.bit_length()) if word >> bit & 1]


def _expanded(words: list[int], *references: list[Any]) -> tuple[list[Any], ...]:
    return [at * WORD + bit for at, word in enumerate(words) for bit in _set(word)], *references


def ports(graph: Graph) -> list[tuple[str, Port]]:
    """Every output, by the name of its block and port, in order: for reports."""
    return [
        (f"{node.name}.{name}", Port(at, port))
        for at, node in enumerate(graph.nodes)
        for port, (name, _) in enumerate(outputs(node.block))
    ]
