"""What the code of every step is made of: views of the arena and of the constants, kernels used once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.formats.canonical import Encoded, decode
from aerogel.kernels.layout import Layout
from aerogel.loop.nodes import F32, I64, Buf, BufferType, Const, Expr, Function, LetView, Stmt
from aerogel.model.arena import Arena
from aerogel.model.blob import Blob, Deferred
from aerogel.model.entry import ARENA, ROW_VECTORS, ROWS, TOKEN_VECTORS, TOKENS
from aerogel.model.graph import Weight
from aerogel.model.own_weights import weight_constant
from aerogel.model.steps import Place, Rounded

T = TypeVar("T")


@dataclass
class Emission:
    """The program as far as it is emitted. ``number``: the step that is being emitted; ``lets``: the views it
    names; ``constant_bytes``: of every step so far, as in ``Emitted``."""

    arena: Arena
    weights: Mapping[str, Weight]
    layout: Layout
    blob: Blob
    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    number: int = 0
    lets: list[Stmt] = field(default_factory=list[Stmt])
    constant_bytes: list[int] = field(default_factory=list[int])

    def begin(self, number: int) -> None:
        """What follows belongs to step ``number``."""
        self.number, self.lets = number, []
        self.constant_bytes.append(0)

    def vectors(self, columns: Expr) -> Expr:
        return (columns + (self.layout.lanes - 1)) // self.layout.lanes

    def use(self, *functions: Function) -> Function:
        """Take functions into the module, once each; the last one is returned."""
        for function in functions:
            self.functions.setdefault(function.name, function)
        return functions[-1]

    def local(self, role: str) -> str:
        return f"s{self.number}_{role}"

    def size(self, place: Place) -> Expr:
        """f32 elements of the buffer ``place`` is in."""
        vectors = TOKEN_VECTORS if place.columns == "tokens" else ROW_VECTORS
        return vectors * (place.total * self.layout.lanes)

    def stride(self, place: Place) -> Expr:
        """Elements from one feature to the next where all columns are in one tile."""
        return (TOKEN_VECTORS if place.columns == "tokens" else ROW_VECTORS) * self.layout.lanes

    def columns(self, place: Place) -> Expr:
        return TOKENS if place.columns == "tokens" else ROWS

    def view(self, place: Place, role: str, *, const: bool = True) -> Buf:
        """The buffer of ``place`` in the arena."""
        return self.part(place, role, 0, place.total, DType.F32, const=const)

    def part(
        self, place: Place, role: str, first: int, features: int, dtype: DType, *, const: bool = True
    ) -> Buf:
        """``features`` of 4 bytes of the buffer of ``place``, from ``first`` on."""
        buf = Buf(self.local(role), BufferType(dtype, const=const, align=4))
        bytes_per_feature = 4 * self.layout.lanes
        at = (self.arena.offsets[place.buffer] + first) * bytes_per_feature
        vectors = TOKEN_VECTORS if place.columns == "tokens" else ROW_VECTORS
        offset = vectors * at
        if place.columns == "rows":
            offset = TOKEN_VECTORS * (self.arena.tokens * bytes_per_feature) + offset
        self.lets.append(LetView(buf, ARENA, offset, vectors * (features * self.layout.lanes)))
        return buf

    def room(self, buf: Buf, count: int, after: int = 0) -> Buf:
        """``count`` elements of the room behind all places, from byte ``after`` of it on, as ``buf``."""
        bytes_per_feature = 4 * self.layout.lanes
        at = TOKEN_VECTORS * (self.arena.tokens * bytes_per_feature)
        at = at + ROW_VECTORS * (self.arena.rows * bytes_per_feature) + after
        self.lets.append(LetView(buf, ARENA, at, whole_number(count)))
        return buf

    def quantised(self, place: Place, *, const: bool = True) -> tuple[Buf, ...]:
        """Words, scales and zero points of the place of a ``Rounded``."""
        count, whose = place.total - 2, "x" if const else "made"
        return (
            self.part(place, f"{whose}_words", 0, count, DType.I32, const=const),
            self.part(place, f"{whose}_scales", count, 1, DType.F32, const=const),
            self.part(place, f"{whose}_zeros", count + 1, 1, DType.I32, const=const),
        )

    def rounded(self, made: Rounded) -> tuple[Buf | Const, ...]:
        """What is to hold words, scales and zero points; where the range is known, its ends."""
        buffers = self.quantised(made.place, const=False)
        if made.known is None:
            return buffers
        return (*buffers, Const(made.known.low, F32), Const(made.known.high, F32))

    def constant(self, name: str, array: NDArray[Any] | Deferred, role: str) -> Buf:
        self.blob.add(name, array)
        buf, let = self.blob.view(name, self.local(role))
        self.lets.append(let)
        return buf

    def weight(self, name: str, role: str) -> Buf:
        shape = self.weights[name].shape
        return self.whole(weight_constant(name), shape, partial(self.numbers, name), role)

    def whole(
        self, name: str, shape: tuple[int, ...], make: Callable[[], NDArray[np.float32]], role: str
    ) -> Buf:
        """A float32 constant that the step reads from end to end."""
        self.constant_bytes[-1] += 4 * math.prod(shape)
        return self.constant(name, Deferred("float32", shape, make), role)

    def numbers(self, name: str) -> NDArray[np.float32]:
        weight = self.weights[name]
        return decode(weight) if isinstance(weight, Encoded) else weight


@cache
def made(builder: Callable[..., T], *args: Hashable, **named: Hashable) -> T:
    """What ``builder`` makes of these arguments, made once: layers and programs share their kernels."""
    return builder(*args, **named)


def whole_number(value: int) -> Const:
    return Const(value, I64)
