"""A network as a list of operations on columns: what to compute, before any choice of kernel.

An activation is a matrix ``features x columns``. Its columns are either *tokens* (all real tokens of the
batch, packed one sequence after the other) or *rows* (one per sequence after pooling; one per
example in a plain MLP). Neither number is known before a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import UnsupportedError
from aerogel.formats.canonical import INTEGERS, Encoded, decode

Columns = Literal["tokens", "rows"]
ActivationFn = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid"]
PoolKind = Literal["first", "mean", "max"]
InputKind = Literal["ids", "mask", "features"]


@dataclass(frozen=True, slots=True)
class Value:
    """An activation: ``features`` x the run-time number of ``columns``; always float32."""

    name: str
    features: int
    columns: Columns


@dataclass(frozen=True, slots=True)
class Input:
    """What the caller passes. ``ids``: (B, S) integers below ``limit``; ``mask``: (B, S) of 0 and 1;
    ``features``: (..., limit) float32, every leading index a column of domain ``rows``.
    Left out where ``optional``: ids are then all 0, a mask all 1."""

    name: str
    kind: InputKind
    limit: int
    optional: bool = False


# --- where the rows of an embedding table are looked up -----------------------------------------


@dataclass(frozen=True, slots=True)
class FromInput:
    """The ids passed in as input ``name``."""

    name: str


@dataclass(frozen=True, slots=True)
class FromPosition:
    """``offset`` + the token's index in its sequence, padding counted."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class FromUnpadded:
    """RoBERTa's rule: ids of input ``name`` equal to ``padding`` get ``padding``; the others
    ``padding`` + 1, 2, 3 ... counted along the sequence over non-padding ids only."""

    name: str
    padding: int


@dataclass(frozen=True, slots=True)
class FromConstant:
    """The same row for every token."""

    row: int = 0


# A weight as numbers, or as a canonical encoding of them. A linear layer whose weight is encoded as 8-bit
# integers is computed in integers; an embedding table is looked up in them.
Weight = NDArray[np.float32] | Encoded


def in_integers(weight: Weight) -> bool:
    """Is it kept as 8-bit integers with a scale per row?"""
    return isinstance(weight, Encoded) and weight.encoding in INTEGERS


Lookup = FromInput | FromPosition | FromUnpadded | FromConstant

# --- operations: each makes ``out``; ``origin`` says where in the user's code it comes from ---------


@dataclass(frozen=True, slots=True)
class Embedding:
    out: Value
    table: str
    lookup: Lookup
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Linear:
    """out = weight [out.features, x.features] @ x + bias. ``columns`` may be either domain."""

    out: Value
    x: str
    weight: str
    bias: str | None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Activation:
    out: Value
    x: str
    fn: ActivationFn
    origin: str = ""


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Over all features of a column; biased variance; ``weight`` and ``bias`` [features]."""

    out: Value
    x: str
    weight: str
    bias: str
    eps: float
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Add:
    out: Value
    a: str
    b: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Mul:
    out: Value
    a: str
    b: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Attention:
    """Per sequence and head h: softmax over keys j of (scale * q . k_j + bias[h, j - i + limit - 1]) times
    v_j, i the query's index; features of head h are h * head_size .. (h + 1) * head_size.
    Tokens whose mask is 0 are no keys. ``bias``: None or a weight [heads, 2 * limit - 1] (``limit``: the
    greatest sequence length it covers), as in MPNet's relative positions."""

    out: Value
    q: str
    k: str
    v: str
    heads: int
    scale: float
    bias: str | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """tokens -> rows: the token at position 0, whatever its mask; the mean over tokens with mask 1 (sum /
    max(count, 1e-9)); or their maximum."""

    out: Value
    x: str
    kind: PoolKind
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Normalize:
    """Each column divided by max(its 2-norm, eps)."""

    out: Value
    x: str
    eps: float
    origin: str = ""


Op = Embedding | Linear | Activation | LayerNorm | Add | Mul | Attention | Pool | Normalize


def operands(op: Op) -> tuple[str, ...]:
    """Names of the activations it reads."""
    match op:
        case Embedding():
            return ()
        case Linear() | Activation() | LayerNorm() | Pool() | Normalize():
            return (op.x,)
        case Add() | Mul():
            return (op.a, op.b)
        case Attention():
            return (op.q, op.k, op.v)


def weight_names(op: Op) -> tuple[str, ...]:
    """Names of the weights it reads."""
    match op:
        case Embedding():
            return (op.table,)
        case Linear():
            return (op.weight,) if op.bias is None else (op.weight, op.bias)
        case LayerNorm():
            return (op.weight, op.bias)
        case Attention():
            return () if op.bias is None else (op.bias,)
        case Activation() | Add() | Mul() | Pool() | Normalize():
            return ()


@dataclass(frozen=True, slots=True)
class Output:
    """``name`` as the user's model calls it. A value over tokens is returned as (B, S, features), zero where
    the mask is 0; one over rows as (B, features), or as the input's leading dimensions + (features,). Where
    ``squeezed``, its one feature is no dimension of its own."""

    name: str
    value: str
    squeezed: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """What the activation ``value`` reaches, as calibration found: linear layers of integers read it on the
    one grid from ``low`` <= 0 to ``high`` >= 0, and what lies beyond as the nearer end."""

    value: str
    low: float
    high: float


@dataclass(frozen=True)
class Graph:
    """``weights``: float32 arrays under the names of the torch module's parameters and buffers.
    ``max_length``: the greatest sequence length the position tables allow, None where there is none.
    ``ranges``: of activations that were calibrated; those of others are found per column, as they come."""

    inputs: tuple[Input, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Output, ...]
    weights: Mapping[str, Weight]
    max_length: int | None = None
    origin: str = ""
    ranges: tuple[Range, ...] = ()

    def value(self, name: str) -> Value:
        """The activation called ``name``."""
        for op in self.ops:
            if op.out.name == name:
                return op.out
        raise UnsupportedError(
            f"the graph has no value {name!r}: it makes {[op.out.name for op in self.ops]}"
        )

    def weight(self, name: str) -> NDArray[np.float32]:
        """A weight as numbers."""
        found = self.weights[name]
        return decode(found) if isinstance(found, Encoded) else found

    def range_of(self, value: str) -> Range | None:
        """What an activation was calibrated to; None where it was not."""
        return next((r for r in self.ranges if r.value == value), None)

    def linears(self) -> tuple[Linear, ...]:
        return tuple(op for op in self.ops if isinstance(op, Linear))
