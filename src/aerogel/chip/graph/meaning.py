"""What each block makes of whole streams, as nested lists: one function per kind of block.

``None`` in a list is an empty token. Streams as tokens are their ``flat``. A skip is only a hint: here
nothing leaps, and coordinates that a scanner might leave out are in its stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import itemgetter
from typing import Any, assert_never

from numpy.typing import NDArray

from aerogel.chip.graph.arithmetic import IDENTITY, SKIP, folded, function, number, operate, with_constant
from aerogel.chip.graph.blocks import (
    WORD_SHIFT,
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
    Fill,
    Fold,
    Fork,
    Join,
    Locate,
    MatrixReduce,
    Merge,
    Parallelize,
    Reduce,
    Repeat,
    Root,
    Scan,
    Serialize,
    Sift,
    Split,
    VectorReduce,
    WriteLevel,
    WriteValues,
)
from aerogel.chip.graph.streams import Kind, Token, flat
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
class World:
    """What blocks read: operands, and how many bits a word of a bit vector has."""

    tensors: Mapping[str, Storage]
    word_bits: int = 16


# --- nested lists -----------------------------------------------------------------------------------


class UnevenError(Exception):
    """Streams that belong together are of different outlines."""


def mapped(function: Callable[..., Nested], depth: int, *lists: Nested) -> Nested:
    """``function`` of what lies ``depth`` levels down in ``lists``, which must have the same outline."""
    if depth == 0:
        return function(*lists)
    if len({len(part) for part in lists}) > 1:
        raise UnevenError(f"fibers of {' and '.join(str(len(part)) for part in lists)} elements")
    return [mapped(function, depth - 1, *parts) for parts in zip(*lists, strict=True)]


def _split(pairs: Nested, depth: int, parts: int) -> list[Nested]:
    """A nested list of tuples as a tuple of nested lists."""
    return [mapped(itemgetter(at), depth, pairs) for at in range(parts)]


# --- blocks -------------------------------------------------------------------------------------------


def run_block(block: Block, taken: list[Stream], world: World) -> list[Stream]:  # noqa: C901 (a case per kind)
    match block:
        case Root():
            return [Stream(0, 0)]
        case Scan():
            return _fibers(taken[0], partial(_scanned, block, world.tensors), 2)
        case BitScan():
            return _fibers(taken[0], partial(_bits, block, world), 2)
        case Repeat():
            return [_repeated(*taken)]
        case Merge():
            return _merged(block, taken)
        case BitMerge():
            return _same(partial(_bit_merged, block.op), taken, 3)
        case BitExpand():
            return _same(partial(_expanded, world.word_bits), taken, 1 + block.references)
        case Locate(size=size):
            return [taken[0], _each(partial(_located, size), taken)]
        case Array(tensor=tensor):
            return [_each(partial(_value, world.tensors[tensor].values), taken)]
        case Alu(op=op):
            return [_each(partial(operate, op), taken)]
        case AluConstant():
            constant = partial(with_constant, block.op, block.value, reverse=block.reverse)
            return [_each(constant, taken)]
        case AluFunction(op=op):
            return [_each(partial(function, op), taken)]
        case Reduce(op=op, sparse=sparse):
            depth = taken[0].depth - 1
            return [Stream(mapped(partial(folded, op, sparse=sparse), depth, taken[0].nested), depth)]
        case Fill(value=value):
            return [_each(partial(_filled, value), taken)]
        case VectorReduce(op=op):
            return _vector_reduced(op, *taken)
        case MatrixReduce(op=op):
            return _matrix_reduced(op, *taken)
        case Join(size=size):
            return _joined(size, *taken)
        case Split(size=size):
            return _split_again(size, *taken)
        case Sift(op=op):
            return [_sifted(op, *taken)]
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


def _located(size: int, crd: int, ref: int | None) -> int | None:
    return None if ref is None else ref * size + crd


def _value(values: NDArray[Any], ref: int | None) -> float | None:
    return None if ref is None else float(values[ref])


def _filled(value: float, a: Any) -> Any:
    return value if a is None else a


def _scanned(scan: Scan, tensors: Mapping[str, Storage], ref: int | None) -> tuple[list[int], list[int]]:
    if ref is None:
        return [], []
    if scan.kind == "dense":
        return list(range(scan.size)), list(range(ref * scan.size, (ref + 1) * scan.size))
    pos, crd = tensors[scan.tensor].levels[scan.level]
    first, last = int(pos[ref]), int(pos[ref + 1])
    return [int(c) for c in crd[first:last]], list(range(first, last))


def _bits(scan: BitScan, world: World, ref: int | None) -> tuple[list[int], list[int]]:
    words = [0] * -(-scan.size // world.word_bits)
    if ref is None:
        return words, [0] * len(words)
    pos, crd = world.tensors[scan.tensor].levels[scan.level]
    for coordinate in crd[pos[ref] : pos[ref + 1]]:
        words[int(coordinate) // world.word_bits] |= 1 << (int(coordinate) % world.word_bits)
    firsts = accumulate((word.bit_count() for word in words[:-1]), initial=int(pos[ref]))
    return words, [word << WORD_SHIFT | first for word, first in zip(words, firsts, strict=True)]


def _repeated(signal: Stream, ref: Stream) -> Stream:
    if signal.depth != ref.depth + 1:
        raise UnevenError(f"a signal of depth {signal.depth} for payloads of depth {ref.depth}")
    found = mapped(_times, ref.depth, signal.nested, ref.nested)
    return Stream(found, signal.depth)


def _times(fiber: list[int], ref: Any) -> list[Any]:
    return [ref] * len(fiber)


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


def _some(op: Fold, crd: list[int], val: list[Any]) -> list[tuple[int, Any]]:
    """The coordinates that a workspace gets, and their values."""
    pairs = list(zip(crd, val, strict=True))
    return [(c, v) for c, v in pairs if v is not None] if op in SKIP else pairs


def _vector_reduced(op: Fold, crd: Stream, val: Stream) -> list[Stream]:
    def vector(crds: list[list[int]], vals: list[list[Any]]) -> tuple[list[int], list[float]]:
        sums: dict[int, float] = {}
        for c, v in zip(crds, vals, strict=True):
            for at, value in _some(op, c, v):
                sums[at] = operate(op, sums.get(at, IDENTITY[op]), number(value))
        return sorted(sums), [sums[at] for at in sorted(sums)]

    depth = crd.depth - 2
    made = mapped(vector, depth, crd.nested, val.nested)
    return [Stream(part, depth + 1) for part in _split(made, depth, 2)]


def _matrix_reduced(op: Fold, outer: Stream, inner: Stream, val: Stream) -> list[Stream]:
    def matrix(rows: Nested, crds: Nested, vals: Nested) -> tuple[list[int], Nested, Nested]:
        sums: dict[int, dict[int, float]] = {}
        for row, c, v in zip(rows, crds, vals, strict=True):
            for i, js, numbers in zip(row, c, v, strict=True):
                for j, value in _some(op, js, numbers):
                    found = sums.setdefault(i, {})
                    found[j] = operate(op, found.get(j, IDENTITY[op]), number(value))
        places = sorted(sums)
        return (
            places,
            [sorted(sums[i]) for i in places],
            [[sums[i][j] for j in sorted(sums[i])] for i in places],
        )

    depth = outer.depth - 2
    made = _split(mapped(matrix, depth, outer.nested, inner.nested, val.nested), depth, 3)
    return [Stream(made[0], depth + 1), Stream(made[1], depth + 2), Stream(made[2], depth + 2)]


def _joined(size: int, outer: Stream, inner: Stream, val: Stream) -> list[Stream]:
    def fiber(rows: list[int], crds: Nested, vals: Nested) -> tuple[list[int], list[Any]]:
        parts = list(zip(rows, crds, vals, strict=True))
        keys = [row * size + c for row, crd, _ in parts for c in crd]
        return keys, [value for _, crd, values in parts for _, value in zip(crd, values, strict=True)]

    return _same(fiber, [outer, inner, val], 2)


def _split_again(size: int, crd: Stream, val: Stream) -> list[Stream]:
    def fiber(keys: list[int], values: list[Any]) -> tuple[list[int], Nested, Nested]:
        rows: dict[int, list[tuple[int, Any]]] = {}
        for key, value in zip(keys, values, strict=True):
            rows.setdefault(key // size, []).append((key % size, value))
        pairs = rows.values()
        return list(rows), [[c for c, _ in row] for row in pairs], [[v for _, v in row] for row in pairs]

    outer, inner, values = _same(fiber, [crd, val], 3)
    return [outer, Stream(inner.nested, crd.depth + 1), Stream(values.nested, crd.depth + 1)]


def _sifted(op: str, own: Stream, *others: Stream) -> Stream:
    fibers = others[-1]

    def fit(*parts: list[Any]) -> list[Any]:
        rows = iter(parts[-1])
        found: list[Any] = []
        for mark, *other in zip(*parts[:-1], strict=True):
            row = [] if mark is None else next(rows)
            if op == "union" or None not in (mark, *other):
                found.append(row)
        if next(rows, None) is not None:
            raise UnevenError("more fibers than coordinates")
        return found

    lists = (own.nested, *(stream.nested for stream in others))
    return Stream(mapped(fit, own.depth - 1, *lists), fibers.depth)


def _dropped(kind: Kind, outer: Stream, inner: Stream) -> list[Stream]:
    def fiber(coordinates: list[int], below: list[Any]) -> tuple[list[int], list[Any]]:
        pairs = list(zip(coordinates, below, strict=True))
        kept = [(c, part) for c, part in pairs if (part if kind is Kind.VALUE else len(part) > 0)]
        return [c for c, _ in kept], [part for _, part in kept]

    depth = outer.depth
    made = _split(mapped(fiber, depth - 1, outer.nested, inner.nested), depth - 1, 2)
    return [Stream(made[0], depth), Stream(made[1], inner.depth)]


def _dealt(stream: Stream, level: int, lane: int, ways: int) -> Nested:
    def fiber(items: list[Any]) -> list[Any]:
        return items[lane::ways]

    return mapped(fiber, stream.depth - level - 1, stream.nested)


def _gathered(lanes: list[Nested], depth: int) -> Nested:
    def fiber(*parts: list[Any]) -> list[Any]:
        count = sum(len(part) for part in parts)
        return [parts[at % len(parts)][at // len(parts)] for at in range(count)]

    return mapped(fiber, depth, *lanes)


def _bit_merged(
    op: str, bits_a: list[int], ref_a: list[int], bits_b: list[int], ref_b: list[int]
) -> tuple[list[Any], ...]:
    words = [(x & y) if op == "intersect" else (x | y) for x, y in zip(bits_a, bits_b, strict=True)]
    return words, ref_a, ref_b


def _expanded(word_bits: int, words: list[int], *sides: list[int]) -> tuple[list[Any], ...]:
    places = [(at, bit) for at, word in enumerate(words) for bit in range(word_bits) if word >> bit & 1]
    crd = [at * word_bits + bit for at, bit in places]
    return crd, *([_reference(side[at], bit) for at, bit in places] for side in sides)


def _reference(packed: int, bit: int) -> int | None:
    word, first = packed >> WORD_SHIFT, packed & ((1 << WORD_SHIFT) - 1)
    return first + (word & ((1 << bit) - 1)).bit_count() if word >> bit & 1 else None
