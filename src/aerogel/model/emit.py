"""Steps -> one Loop IR module whose entry every thread runs, kernel call after kernel call.

The entry takes the constants and the arena as byte buffers and the numbers of this call; every kernel
gets views of them. A barrier follows each step. Steps number ``begin`` .. ``end`` - 1 are run, so that the
profiler can time one at a time with the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError, refuse
from aerogel.formats.canonical import Encoded, decode
from aerogel.formats.panel import Packed
from aerogel.kernels import elementwise, embed, linear, norm, pack, pool, quantise
from aerogel.kernels.attention import Attention, attention
from aerogel.kernels.layout import Layout
from aerogel.loop.nodes import (
    F32,
    I64,
    Barrier,
    Binary,
    Buf,
    BufferType,
    Call,
    Compare,
    Const,
    Expr,
    Function,
    If,
    Let,
    LetView,
    Load,
    Module,
    Stmt,
)
from aerogel.model import rows
from aerogel.model.arena import Arena
from aerogel.model.blob import Blob, Deferred, Spool
from aerogel.model.entry import (
    ARENA,
    BEGIN,
    CALL,
    CALL_NUMBERS,
    CALL_PARTS,
    DESTINATION,
    END,
    HOLES,
    KEPT,
    KEY_BIAS,
    NAME,
    NUMBERS,
    OFFSETS,
    PADDED,
    ROW_VECTORS,
    ROWS,
    SEQUENCES,
    TOKEN_VECTORS,
    TOKENS,
    feature_buffer,
    output_buffer,
    params,
)
from aerogel.model.graph import Weight
from aerogel.model.own_weights import weight_constant
from aerogel.model.packings import STREAMS, Layer, Outline, Packings, stream_name
from aerogel.model.steps import (
    ActivationStep,
    AttentionStep,
    EmbedStep,
    FeedStep,
    FetchStep,
    LinearStep,
    NormalizeStep,
    NormStep,
    PairStep,
    Place,
    PoolStep,
    QuantiseStep,
    Step,
)
from aerogel.tune.choose import chunk_of
from aerogel.tune.plan import FEW_COLUMNS

T = TypeVar("T")


@dataclass(frozen=True)
class Emitted:
    """The module, its constants, and how many bytes of them each step reads in full: not the packed weights,
    of which a call reads one packing or the other, and not the tables, of which it reads some rows.
    ``layers``: where the constants hold the packings of every linear step."""

    module: Module
    blob: Blob
    constant_bytes: tuple[int, ...]
    layers: Mapping[str, Layer]

    def packings(self, constants: NDArray[np.uint8]) -> dict[str, Packings]:
        """The packings of every linear step, as views of the frozen ``constants``."""
        return {name: layer.packings(self.blob.layout, constants) for name, layer in self.layers.items()}


def emit(
    steps: Sequence[Step],
    arena: Arena,
    packed: Mapping[str, Packings],
    weights: Mapping[str, Weight],
    layout: Layout,
    spool: Spool | None = None,
) -> Emitted:
    """The program for ``steps``; ``packed``: linear step -> its packed (stacked) weight, asked for once, in
    order. Constants go to ``spool`` as they come, if there is one."""
    return _Emitter(arena, packed, weights, layout, Blob(spool)).run(steps)


@dataclass
class _Emitter:
    arena: Arena
    packed: Mapping[str, Packings]
    weights: Mapping[str, Weight]
    layout: Layout
    blob: Blob
    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    id_count: int = 0
    number: int = 0
    lets: list[Stmt] = field(default_factory=list[Stmt])
    constant_bytes: list[int] = field(default_factory=list[int])
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])

    def run(self, steps: Sequence[Step]) -> Emitted:
        body: list[Stmt] = [Let(var, Load(NUMBERS, _int(i))) for i, var in enumerate(CALL_NUMBERS)]
        body += [Let(TOKEN_VECTORS, self._vectors(TOKENS)), Let(ROW_VECTORS, self._vectors(ROWS))]
        at: Expr = TOKENS * sum(len(s.lookups) for s in steps if isinstance(s, EmbedStep))
        for buf, count in CALL_PARTS:
            body.append(LetView(buf, CALL, at * 4, count))
            at = at + count
        for self.number, step in enumerate(steps):
            self.lets = []
            self.constant_bytes.append(0)
            calls = self._step(step)
            wanted = Binary("and", BEGIN <= self.number, END > self.number)
            body.append(If(wanted, (*self.lets, *calls, Barrier())))
        entry = Function("program", params(steps), tuple(body))
        module = Module(NAME, (*self.functions.values(), entry))
        return Emitted(module, self.blob, tuple(self.constant_bytes), self.layers)

    # --- what steps are made of ---

    def _vectors(self, columns: Expr) -> Expr:
        return (columns + (self.layout.lanes - 1)) // self.layout.lanes

    def _use(self, *functions: Function) -> Function:
        """Take functions into the module, once each; the last one is returned."""
        for function in functions:
            self.functions.setdefault(function.name, function)
        return functions[-1]

    def _name(self, role: str) -> str:
        return f"s{self.number}_{role}"

    def _size(self, place: Place) -> Expr:
        """f32 elements of the buffer ``place`` is in."""
        vectors = TOKEN_VECTORS if place.columns == "tokens" else ROW_VECTORS
        return vectors * (place.total * self.layout.lanes)

    def _columns(self, place: Place) -> Expr:
        return TOKENS if place.columns == "tokens" else ROWS

    def _view(self, place: Place, role: str, *, const: bool = True) -> Buf:
        """The buffer of ``place`` in the arena."""
        return self._part(place, role, 0, place.total, DType.F32, const=const)

    def _part(
        self, place: Place, role: str, first: int, features: int, dtype: DType, *, const: bool = True
    ) -> Buf:
        """``features`` of 4 bytes of the buffer of ``place``, from ``first`` on."""
        buf = Buf(self._name(role), BufferType(dtype, const=const, align=4))
        bytes_per_feature = 4 * self.layout.lanes
        at = (self.arena.offsets[place.buffer] + first) * bytes_per_feature
        vectors = TOKEN_VECTORS if place.columns == "tokens" else ROW_VECTORS
        offset = vectors * at
        if place.columns == "rows":
            offset = TOKEN_VECTORS * (self.arena.tokens * bytes_per_feature) + offset
        self.lets.append(LetView(buf, ARENA, offset, vectors * (features * self.layout.lanes)))
        return buf

    def _quantised(self, place: Place, *, const: bool = True) -> tuple[Buf, ...]:
        """Words, scales and zero points of what a QuantiseStep makes."""
        count = place.total - 2
        return (
            self._part(place, "words", 0, count, DType.I32, const=const),
            self._part(place, "x_scales", count, 1, DType.F32, const=const),
            self._part(place, "x_zeros", count + 1, 1, DType.I32, const=const),
        )

    def _constant(self, name: str, array: NDArray[Any] | Deferred, role: str) -> Buf:
        self.blob.add(name, array)
        buf, let = self.blob.view(name, self._name(role))
        self.lets.append(let)
        return buf

    def _weight(self, name: str, role: str) -> Buf:
        shape = self.weights[name].shape
        return self._whole(weight_constant(name), shape, partial(self._numbers, name), role)

    def _whole(
        self, name: str, shape: tuple[int, ...], make: Callable[[], NDArray[np.float32]], role: str
    ) -> Buf:
        """A float32 constant that the step reads from end to end."""
        self.constant_bytes[-1] += 4 * math.prod(shape)
        return self._constant(name, Deferred("float32", shape, make), role)

    def _numbers(self, name: str) -> NDArray[np.float32]:
        weight = self.weights[name]
        return decode(weight) if isinstance(weight, Encoded) else weight

    # --- one step ---

    def _step(self, step: Step) -> tuple[Stmt, ...]:
        match step:
            case EmbedStep():
                return self._embed(step)
            case QuantiseStep():
                function = self._use(_made(quantise.quantise, self.layout))
                x, made = self._view(step.x, "x"), self._quantised(step.out, const=False)
                return (Call(function.name, (x, *made, _int(step.x.features), self._columns(step.out))),)
            case LinearStep():
                return self._linear(step)
            case NormStep():
                return self._norm(step)
            case AttentionStep():
                return self._attention(step)
            case ActivationStep():
                function = self._use(_made(elementwise.activate, self.layout, step.fn))
                x, out = self._view(step.x, "x"), self._view(step.out, "out", const=False)
                return (Call(function.name, (x, out, self._size(step.out))),)
            case PairStep():
                function = self._use(_made(elementwise.combine, self.layout, step.op))
                a, b = self._view(step.a, "a"), self._view(step.b, "b")
                out = self._view(step.out, "out", const=False)
                return (Call(function.name, (a, b, out, self._size(step.out))),)
            case PoolStep():
                return self._pool(step)
            case NormalizeStep():
                function = self._use(_made(norm.l2_normalize, self.layout))
                x, out = self._view(step.x, "x"), self._view(step.out, "out", const=False)
                numbers = (_int(step.out.features), self._columns(step.out), Const(step.eps, F32))
                return (Call(function.name, (x, out, *numbers)),)
            case FeedStep():
                function = self._use(_made(pack.pack, self.layout))
                out = self._view(step.out, "out", const=False)
                given = feature_buffer(step.input)
                return (Call(function.name, (given, out, _int(step.out.features), ROWS)),)
            case FetchStep():
                return self._fetch(step)
            case _:
                assert_never(step)

    def _embed(self, step: EmbedStep) -> tuple[Stmt, ...]:
        first = self.id_count
        self.id_count += len(step.lookups)
        ids = Buf(self._name("ids"), BufferType(DType.I32, const=True, align=4))
        self.lets.append(LetView(ids, CALL, TOKENS * (4 * first), TOKENS * len(step.lookups)))
        small = tuple(_integers(self.weights[name]) is not None for name in step.tables)
        function = self._use(_made(embed.embed, self.layout, small))
        tables = [buf for i, name in enumerate(step.tables) for buf in self._table(name, i)]
        out = self._view(step.out, "out", const=False)
        return (Call(function.name, (ids, *tables, out, _int(step.out.features), TOKENS)),)

    def _table(self, name: str, number: int) -> tuple[Buf, ...]:
        """An embedding table as its kernel takes it: numbers, or integers and scales."""
        parts = _integers(self.weights[name])
        if parts is None:
            return (self._weight(name, f"table{number}"),)
        integers, scales = parts
        return (
            self._constant(f"integers {name}", integers, f"table{number}"),
            self._constant(f"scales {name}", scales, f"scales{number}"),
        )

    def _linear(self, step: LinearStep) -> tuple[Stmt, ...]:
        bias = self._rows(step, "bias", rows.bias)
        residual = bias if step.residual is None else self._view(step.residual, "residual")
        y = self._view(step.out, "out", const=False)
        if step.element == "i8":
            x, x_scales, x_zeros = self._quantised(step.x)
            scales, sums = self._rows(step, "scales", rows.scales), self._rows(step, "sums", rows.sums)
            buffers = (bias, x, residual, y, scales, sums, x_scales, x_zeros)
        else:
            buffers = (bias, self._view(step.x, "x"), residual, y)
        packings = self.packed[step.name]
        few, many = packings.few, packings.many
        roles = {role: Outline.of(packed) for role, packed in packings.by_role().items()}
        self.layers[step.name] = Layer(self.number, roles)
        run_many = self._multiply(step, many, "many", buffers)
        if few is many:
            return (run_many,)
        run_few = self._multiply(step, few, "few", buffers)
        return (If(self._columns(step.out) <= FEW_COLUMNS, (run_few,), (run_many,)),)

    def _multiply(self, step: LinearStep, packed: Packed, role: str, buffers: tuple[Buf, ...]) -> Call:
        self._use(*_made(linear.kernels, self.layout, packed.kind, step.element))
        if step.activation is not None:
            self._use(_made(linear.finish, self.layout, step.activation))
        function = self._use(_made(linear.step, self.layout, packed.kind, step.activation, step.element))
        streams = tuple(
            self._constant(stream_name(self.number, role, n), getattr(packed, n), f"{role}_{n}")
            for n in STREAMS
        )
        vectors = TOKEN_VECTORS if step.out.columns == "tokens" else ROW_VECTORS
        adds = 0 if step.residual is None else 1
        sizes = (packed.rows, packed.columns, packed.block, adds, packed.groups, chunk_of(packed))
        return Call(function.name, (*streams, *buffers, *map(_int, sizes), vectors))

    def _rows(
        self, step: LinearStep, role: str, make: Callable[[LinearStep, Mapping[str, Weight]], NDArray[Any]]
    ) -> Buf:
        """A constant with a number of 4 bytes for every output."""
        dtype = "int32" if role == "sums" else "float32"
        deferred = Deferred(dtype, (step.out.features,), partial(make, step, self.weights))
        self.constant_bytes[-1] += 4 * step.out.features
        return self._constant(f"step {self.number} {role}", deferred, role)

    def _norm(self, step: NormStep) -> tuple[Stmt, ...]:
        function = self._use(_made(norm.layer_norm, self.layout, residual=step.residual is not None))
        x = [self._view(step.x, "x")]
        if step.residual is not None:
            x.append(self._view(step.residual, "residual"))
        gamma, beta = self._weight(step.weight, "gamma"), self._weight(step.bias, "beta")
        out = self._view(step.out, "out", const=False)
        numbers = (_int(step.out.features), self._columns(step.out), Const(step.eps, F32))
        return (Call(function.name, (*x, gamma, beta, out, *numbers)),)

    def _attention(self, step: AttentionStep) -> tuple[Stmt, ...]:
        places = (step.q, step.k, step.v)
        if len({p.buffer for p in places}) > 1:
            refuse(
                UnsupportedError,
                f"attention {step.name} at {step.origin}: q, k and v come from different layers",
            )
        qkv, out = self._view(step.q, "qkv"), self._view(step.out, "out", const=False)
        head_size = step.out.features // step.heads
        table: tuple[Buf, ...] = ()
        limit: tuple[Expr, ...] = ()
        if step.bias is not None:
            # The kernel looks distances up from query to key, the graph from key to query.
            shape = self.weights[step.bias].shape
            table = (
                self._whole(f"reversed {step.bias}", shape, partial(self._reversed, step.bias), "relative"),
            )
            limit = (_int((shape[1] + 1) // 2),)
        rows = tuple(_int(p.row) for p in places)
        numbers = (
            SEQUENCES,
            TOKENS,
            _int(step.heads),
            _int(step.q.total),
            *rows,
            *limit,
            Const(step.scale, F32),
        )

        def call(*keys: Buf) -> tuple[Stmt, ...]:
            kind = Attention(
                head_size, key_bias=bool(keys), relative=step.bias is not None, products=step.products
            )
            function = self._use(*_made(attention, self.layout, kind))
            return (Call(function.name, (qkv, *keys, *table, OFFSETS, out, *numbers)),)

        return (If(Compare("ne", HOLES, _int(0)), call(KEY_BIAS), call()),)

    def _reversed(self, name: str) -> NDArray[np.float32]:
        return np.ascontiguousarray(self._numbers(name)[:, ::-1])

    def _pool(self, step: PoolStep) -> tuple[Stmt, ...]:
        x, out = self._view(step.x, "x"), self._view(step.out, "out", const=False)
        numbers = (_int(step.out.features), TOKENS, SEQUENCES)
        plain = self._use(_made(pool.pool, self.layout, step.kind))
        call = Call(plain.name, (x, OFFSETS, out, *numbers))
        if step.kind == "first":
            return (call,)
        weighted = self._use(_made(pool.pool, self.layout, step.kind, weighted=True))
        with_holes = Call(weighted.name, (x, KEPT, OFFSETS, out, *numbers))
        return (If(Compare("ne", HOLES, _int(0)), (with_holes,), (call,)),)

    def _fetch(self, step: FetchStep) -> tuple[Stmt, ...]:
        if step.x.row != 0 or step.x.features != step.x.total:
            refuse(UnsupportedError, f"output {step.output!r} is part of a stacked product")
        x, given = self._view(step.x, "x"), output_buffer(step.output)
        features = _int(step.x.features)
        if step.x.columns == "rows":
            function = self._use(_made(pack.unpack, self.layout))
            return (Call(function.name, (x, given, features, ROWS)),)
        function = self._use(_made(pack.scatter, self.layout))
        return (Call(function.name, (x, DESTINATION, given, features, TOKENS, PADDED)),)


@cache
def _made(builder: Callable[..., T], *args: Hashable, **named: Hashable) -> T:
    """What ``builder`` makes of these arguments, made once: layers and programs share their kernels."""
    return builder(*args, **named)


def _int(value: int) -> Const:
    return Const(value, I64)


def _integers(weight: Weight) -> tuple[NDArray[np.generic], NDArray[np.generic]] | None:
    """(integers, scales) of a table that is kept so; None for one of numbers, however it is encoded."""
    if isinstance(weight, Encoded) and weight.encoding == "rows8":
        return weight.parts["integers"], weight.parts["scales"]
    return None
