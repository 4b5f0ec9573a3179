"""The network after fusion: one entry per kernel call, in order, each reading and writing whole buffers.

A *buffer* holds ``features`` x columns and is what the arena places. Several values may live in one
buffer (the queries, keys and values of an attention layer come out of one product).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.kernels.attention_terms import Products
from aerogel.kernels.tile import Element
from aerogel.model.graph import ActivationFn, Columns, Lookup, PoolKind, Range


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lives: rows ``row`` .. ``row + features`` of ``buffer``, which has ``total`` rows."""

    buffer: str
    row: int
    features: int
    total: int
    columns: Columns


@dataclass(frozen=True, slots=True)
class EmbedStep:
    """out[:, n] = sum of tables[i][ids_i[n], :]."""

    name: str
    out: Place
    tables: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Rounded:
    """A value as 8-bit integers, with a scale and a zero point per column. ``place`` is counted in features
    of 4 bytes: a word for every 4 features of the value, then the scale, then the zero point. ``known``: the
    range that was calibrated, None where every column's is found as it comes."""

    place: Place
    known: Range | None

    @staticmethod
    def of(value: str, x: Place, known: Range | None) -> Rounded:
        """``value``, which lives at ``x`` as numbers."""
        room = words(x.features) + 2
        return Rounded(Place(f"{value} in 8 bits", 0, room, room, x.columns), known)


@dataclass(frozen=True, slots=True)
class QuantiseStep:
    """out = x as 8-bit integers."""

    name: str
    out: Rounded
    x: Place
    origin: str = ""


def words(features: int) -> int:
    """Words of 4 integers that hold ``features``."""
    return -(-features // 4)


@dataclass(frozen=True, slots=True)
class LinearStep:
    """out = activation(stack(weights) x + stack(biases) + residual). ``inputs``: features of x; ``element``:
    what weights are; where integers, x is a ``Rounded``. ``rounded``: what is stored instead of out, which
    then has no buffer."""

    name: str
    out: Place
    x: Place
    inputs: int
    element: Element
    weights: tuple[str, ...]
    biases: tuple[str | None, ...]
    residual: Place | None
    activation: ActivationFn | None
    rounded: Rounded | None
    origin: str


@dataclass(frozen=True, slots=True)
class NormStep:
    """out = layer_norm(x + residual); ``rounded``: the same beside it, for layers of integers."""

    name: str
    out: Place
    x: Place
    residual: Place | None
    weight: str
    bias: str
    eps: float
    rounded: Rounded | None
    origin: str


@dataclass(frozen=True, slots=True)
class AttentionStep:
    """``products``: what q k and the weighted sum of v are computed in."""

    name: str
    out: Place
    q: Place
    k: Place
    v: Place
    heads: int
    scale: float
    bias: str | None
    products: Products
    origin: str


@dataclass(frozen=True, slots=True)
class ActivationStep:
    name: str
    out: Place
    x: Place
    fn: ActivationFn
    origin: str


@dataclass(frozen=True, slots=True)
class PairStep:
    """out = a + b (``op`` add) or a * b (``op`` mul)."""

    name: str
    out: Place
    a: Place
    b: Place
    op: Literal["add", "mul"]
    origin: str


@dataclass(frozen=True, slots=True)
class PoolStep:
    name: str
    out: Place
    x: Place
    kind: PoolKind
    origin: str


@dataclass(frozen=True, slots=True)
class NormalizeStep:
    name: str
    out: Place
    x: Place
    eps: float
    origin: str


@dataclass(frozen=True, slots=True)
class FeedStep:
    """out = the caller's row-major features, tiled."""

    name: str
    out: Place
    input: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class FetchStep:
    """The caller's output ``output`` = x, row-major again."""

    name: str
    x: Place
    output: str
    origin: str = ""


Step = (
    EmbedStep
    | QuantiseStep
    | LinearStep
    | NormStep
    | AttentionStep
    | ActivationStep
    | PairStep
    | PoolStep
    | NormalizeStep
    | FeedStep
    | FetchStep
)


def reads(step: Step) -> tuple[Place, ...]:
    """The places a step reads."""
    match step:
        case EmbedStep() | FeedStep():
            return ()
        case LinearStep() | NormStep():
            return (step.x,) if step.residual is None else (step.x, step.residual)
        case AttentionStep():
            return (step.q, step.k, step.v)
        case QuantiseStep() | ActivationStep() | PoolStep() | NormalizeStep() | FetchStep():
            return (step.x,)
        case PairStep():
            return (step.a, step.b)


def writes(step: Step) -> tuple[Place, ...]:
    """The places a step makes; none for one that hands an output to the caller."""
    match step:
        case FetchStep():
            return ()
        case QuantiseStep():
            return (step.out.place,)
        case LinearStep():
            return (step.out,) if step.rounded is None else (step.rounded.place,)
        case NormStep():
            return (step.out,) if step.rounded is None else (step.out, step.rounded.place)
        case _:
            return (step.out,)
