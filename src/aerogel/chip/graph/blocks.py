"""The blocks of a dataflow graph: what each reads, what it makes of it, and what it is set to.

A block is a frozen value; ``ports(block)`` names its inputs and outputs with the kind of stream each carries.
Meanings, token by token, are in ``interpret.py``. The stream of a port is said to be of depth d: the number
of levels its stops count; an output of a scanner is one deeper than its input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from aerogel.chip.graph.streams import Kind

Ports = tuple[tuple[str, Kind], ...]
Operation = Literal[
    "add", "sub", "mul", "div", "min", "max", "or", "and", "pair",
    "eq", "ne", "lt", "le", "gt", "ge",
]  # fmt: skip
Function = Literal["neg", "abs", "sqrt", "square", "relu", "sign", "not", "exp", "reciprocal"]
Fold = Literal["add", "mul", "min", "max", "or", "and"]
WORD_SHIFT = 31
"""Bits of a reference below the word that goes with it: see BitScan."""


@dataclass(frozen=True, slots=True)
class Root:
    """Sends the reference 0, once: where every tensor begins."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A fiber's coordinates and references for each reference: level ``level`` of ``tensor``.

    ``size``: of the level. ``compressed``: from pos and crd. ``dense``: 0 to ``size`` - 1, reference r's
    fiber at r * size.
    ``skip``: has another input, coordinates below which nothing is wanted any more, and may leap ahead.
    """

    tensor: str
    level: int
    kind: Literal["compressed", "dense"] = "compressed"
    size: int = 0
    skip: bool = False


@dataclass(frozen=True, slots=True)
class BitScan:
    """A fiber as words of bits: a bit-vector level. With each word goes the reference of its first set bit,
    and, ``WORD_SHIFT`` bits up, the word itself, which a merge would otherwise lose."""

    tensor: str
    level: int
    size: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """Each reference (or value: ``kind``) once for every payload of its fiber in ``signal``, one deeper."""

    kind: Kind = Kind.REFERENCE


@dataclass(frozen=True, slots=True)
class Merge:
    """Two fibers of coordinates joined: ``intersect`` keeps what both have, ``union`` what either has.

    ``left``, ``right``: how many streams of references (``kind``) come along with each side's coordinates;
    a union sends Empty in those of a side that lacks the coordinate. ``kinds``: where not all are ``kind``,
    that of each, left ones first. ``skip``: of an intersection, has two more outputs, the coordinate each
    side need not go below (see Scan).
    """

    op: Literal["intersect", "union"]
    left: int = 1
    right: int = 1
    kind: Kind = Kind.REFERENCE
    skip: bool = False
    kinds: tuple[Kind, ...] = ()

    def sides(self) -> tuple[tuple[Kind, ...], tuple[Kind, ...]]:
        """The kinds of the streams that come along on the left, and on the right."""
        kinds = self.kinds or (self.kind,) * (self.left + self.right)
        return kinds[: self.left], kinds[self.left :]


@dataclass(frozen=True, slots=True)
class BitMerge:
    """Words of two bit vectors combined; what goes with each word of either side goes through."""

    op: Literal["intersect", "union"]


@dataclass(frozen=True, slots=True)
class BitExpand:
    """Words of bits as coordinates, ``word_bits`` to a word, each with a reference from every side: as many
    further than the word's first as the side's own word has bits before; Empty where it lacks the bit."""

    references: int = 1


@dataclass(frozen=True, slots=True)
class Locate:
    """The reference of each coordinate in a dense level of ``size``: r * size + coordinate."""

    tensor: str
    level: int
    size: int


@dataclass(frozen=True, slots=True)
class Array:
    """The value of ``tensor`` at each reference; Empty for Empty."""

    tensor: str


@dataclass(frozen=True, slots=True)
class Alu:
    """``a op b``, value by value. Empty where the rules of absence say so (``arithmetic.absent``): a quotient
    whose dividend is not there, a sum of two that are not; else Empty counts as 0."""

    op: Operation


@dataclass(frozen=True, slots=True)
class AluConstant:
    """``a op value``, or ``value op a`` where ``reverse``."""

    op: Operation
    value: float
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class AluFunction:
    """A function of one value."""

    op: Function


@dataclass(frozen=True, slots=True)
class Reduce:
    """Each innermost fiber folded to one value, one less deep; an empty one gives the fold's identity.

    ``sparse``: what is Empty takes no part, and of nothing at all comes Empty; else Empty counts as 0.
    """

    op: Fold = "add"
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """``value`` for Empty: where what is not stored is not 0."""

    value: float


@dataclass(frozen=True, slots=True)
class VectorReduce:
    """The innermost fibers of each fiber of fibers folded coordinate by coordinate: one less deep, ascending.

    ``extent``: of the coordinates, 0 .. extent - 1; it must fit the workspace.
    """

    extent: int
    op: Fold = "add"


@dataclass(frozen=True, slots=True)
class MatrixReduce:
    """As ``VectorReduce``, for fibers of fibers (two coordinates): one less deep, ascending."""

    extents: tuple[int, int]
    op: Fold = "add"


@dataclass(frozen=True, slots=True)
class Join:
    """Two levels of coordinates as one, outer * ``size`` + inner, and the values with them: one less deep.
    So what has three indices has two, and a workspace of two dimensions holds it."""

    size: int


@dataclass(frozen=True, slots=True)
class Split:
    """What ``Join`` made one, as two levels again; coordinates ascend. The values get deeper with the inner
    ones."""

    size: int


@dataclass(frozen=True, slots=True)
class Sift:
    """Fibers that come by, made to fit coordinates that met others. ``op``: as these met.

    ``own``, one token for each coordinate of the union: payload, or Empty where there is no fiber for it;
    ``other``, which only an intersection needs: the same of the other side. ``intersect``: a fiber that the
    other side has nothing for is left out. ``union``: where there is none an empty one is put in. ``levels``:
    how many the stream ``kind`` is deeper than ``own``.
    """

    op: Literal["intersect", "union"]
    kind: Kind
    levels: int = 1


@dataclass(frozen=True, slots=True)
class Drop:
    """Drops the outer coordinates below which ``inner`` has an empty fiber; with ``inner`` a value, those
    where it is 0. ``inner`` is a stream one deeper (coordinates) or as deep (values)."""

    inner: Kind = Kind.COORDINATE


@dataclass(frozen=True, slots=True)
class WriteLevel:
    """Stores a stream of coordinates as level ``level`` of the result: pos and crd. A dense level of a result
    needs no writer: its coordinates are all there."""

    tensor: str
    level: int


@dataclass(frozen=True, slots=True)
class WriteValues:
    """Stores a stream of values, one after the other."""

    tensor: str


@dataclass(frozen=True, slots=True)
class Fork:
    """One stream to ``ways`` readers; the slowest sets the pace."""

    ways: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Buffer:
    """A queue of ``depth`` tokens in a memory tile, where one path waits for another's whole fiber."""

    depth: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Parallelize:
    """Deals the fibers of level ``level`` (0: payloads) out to ``ways`` lanes in turn."""

    ways: int
    kind: Kind
    level: int = 0


@dataclass(frozen=True, slots=True)
class Serialize:
    """Takes them from the lanes in turn again."""

    ways: int
    kind: Kind
    level: int = 0


Plain = Root | Scan | BitScan | Repeat | Merge | BitMerge | BitExpand | Locate | Array
Computing = Alu | AluConstant | AluFunction | Reduce | VectorReduce | MatrixReduce | Join | Split | Fill
Ending = Sift | Drop | WriteLevel | WriteValues | Fork | Buffer | Parallelize | Serialize
Block = Plain | Computing | Ending

_CRD, _REF, _VAL, _BITS = Kind.COORDINATE, Kind.REFERENCE, Kind.VALUE, Kind.BITS


def inputs(block: Block) -> Ports:  # noqa: C901 (a case per kind)
    """The inputs of a block, in order."""
    match block:
        case Root():
            return ()
        case Scan(skip=skip):
            return (("ref", _REF), ("skip", _CRD)) if skip else (("ref", _REF),)
        case BitScan() | Array():
            return (("ref", _REF),)
        case Repeat(kind=kind):
            return (("signal", _CRD), (kind.value, kind))
        case Merge():
            a, b = block.sides()
            return (("crd_a", _CRD), *_each("a", a), ("crd_b", _CRD), *_each("b", b))
        case BitMerge():
            return ("bits_a", _BITS), ("ref_a", _REF), ("bits_b", _BITS), ("ref_b", _REF)
        case BitExpand(references=count):
            return (("bits", _BITS), *_several("ref", count, _REF))
        case Locate():
            return ("crd", _CRD), ("ref", _REF)
        case Alu():
            return ("a", _VAL), ("b", _VAL)
        case AluConstant() | AluFunction() | Reduce() | Fill() | WriteValues():
            return (("val", _VAL),)
        case VectorReduce():
            return ("crd", _CRD), ("val", _VAL)
        case MatrixReduce() | Join():
            return ("outer", _CRD), ("inner", _CRD), ("val", _VAL)
        case Split():
            return ("crd", _CRD), ("val", _VAL)
        case Sift(op=op, kind=kind):
            marks = (("own", _CRD), ("other", _CRD)) if op == "intersect" else (("own", _CRD),)
            return (*marks, ("in", kind))
        case Drop(inner=kind):
            return ("outer", _CRD), ("inner", kind)
        case WriteLevel():
            return (("crd", _CRD),)
        case Fork(kind=kind) | Buffer(kind=kind) | Parallelize(kind=kind):
            return (("in", kind),)
        case Serialize(ways=ways, kind=kind):
            return _several("in", ways, kind)
        case _:
            assert_never(block)


def outputs(block: Block) -> Ports:  # noqa: C901 (a case per kind)
    """The outputs of a block, in order."""
    match block:
        case Root():
            return (("ref", _REF),)
        case Scan() | Locate():
            return ("crd", _CRD), ("ref", _REF)
        case BitScan():
            return ("bits", _BITS), ("ref", _REF)
        case Repeat(kind=kind):
            return ((kind.value, kind),)
        case Merge(skip=skip):
            a, b = block.sides()
            leaps = (("skip_a", _CRD), ("skip_b", _CRD)) if skip else ()
            return (("crd", _CRD), *_each("a", a), *_each("b", b), *leaps)
        case BitMerge():
            return ("bits", _BITS), ("ref_a", _REF), ("ref_b", _REF)
        case BitExpand(references=count):
            return (("crd", _CRD), *_several("ref", count, _REF))
        case Array() | Alu() | AluConstant() | AluFunction() | Reduce() | Fill():
            return (("val", _VAL),)
        case VectorReduce() | Join():
            return ("crd", _CRD), ("val", _VAL)
        case MatrixReduce() | Split():
            return ("outer", _CRD), ("inner", _CRD), ("val", _VAL)
        case Drop(inner=kind):
            return ("outer", _CRD), ("inner", kind)
        case WriteLevel() | WriteValues():
            return ()
        case Fork(ways=ways, kind=kind) | Parallelize(ways=ways, kind=kind):
            return _several("out", ways, kind)
        case Buffer(kind=kind) | Serialize(kind=kind) | Sift(kind=kind):
            return (("out", kind),)
        case _:
            assert_never(block)


def _several(name: str, count: int, kind: Kind) -> Ports:
    return _each(name, (kind,) * count)


def _each(name: str, kinds: tuple[Kind, ...]) -> Ports:
    return tuple((f"{name}_{at}", kind) for at, kind in enumerate(kinds))
