"""Steps -> one Loop IR module whose entry every thread runs, kernel call after kernel call.

The entry takes the constants and the arena as byte buffers and the numbers of this call; every kernel
gets views of them. A barrier follows each step. Steps number ``begin`` .. ``end`` - 1 are run, so that the
profiler can time one at a time with the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError, refuse
from aerogel.formats.canonical import Encoded
from aerogel.kernels import elementwise, embed, norm, pack, pool, quantise
from aerogel.kernels.attention import Attention, attention
from aerogel.kernels.layout import Layout
from aerogel.loop.nodes import (
    F32,
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
from aerogel.model.arena import Arena
from aerogel.model.blob import Blob, Spool
from aerogel.model.emission import Emission, made, whole_number
from aerogel.model.emit_linear import linear_calls
from aerogel.model.entry import (
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
from aerogel.model.packings import Layer, Packings
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
    PoolStep,
    QuantiseStep,
    Step,
)


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
    return _Emitter(arena, weights, layout, Blob(spool), packed=packed).run(steps)


@dataclass
class _Emitter(Emission):
    packed: Mapping[str, Packings] = field(default_factory=dict[str, Packings])
    id_count: int = 0
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])

    def run(self, steps: Sequence[Step]) -> Emitted:
        body: list[Stmt] = [Let(var, Load(NUMBERS, whole_number(i))) for i, var in enumerate(CALL_NUMBERS)]
        body += [Let(TOKEN_VECTORS, self.vectors(TOKENS)), Let(ROW_VECTORS, self.vectors(ROWS))]
        at: Expr = TOKENS * sum(len(s.lookups) for s in steps if isinstance(s, EmbedStep))
        for buf, count in CALL_PARTS:
            body.append(LetView(buf, CALL, at * 4, count))
            at = at + count
        for number, step in enumerate(steps):
            self.begin(number)
            calls = self._step(step)
            wanted = Binary("and", BEGIN <= self.number, END > self.number)
            body.append(If(wanted, (*self.lets, *calls, Barrier())))
        entry = Function("program", params(steps), tuple(body))
        module = Module(NAME, (*self.functions.values(), entry))
        return Emitted(module, self.blob, tuple(self.constant_bytes), self.layers)

    # --- one step ---

    def _step(self, step: Step) -> tuple[Stmt, ...]:
        match step:
            case EmbedStep():
                return self._embed(step)
            case QuantiseStep():
                function = self.use(made(quantise.quantise, self.layout, fixed=step.out.known is not None))
                numbers = (whole_number(step.x.features), self.columns(step.x))
                return (Call(function.name, (self.view(step.x, "x"), *self.rounded(step.out), *numbers)),)
            case LinearStep():
                return self._linear(step)
            case NormStep():
                return self._norm(step)
            case AttentionStep():
                return self._attention(step)
            case ActivationStep():
                function = self.use(made(elementwise.activate, self.layout, step.fn))
                x, out = self.view(step.x, "x"), self.view(step.out, "out", const=False)
                return (Call(function.name, (x, out, self.size(step.out))),)
            case PairStep():
                function = self.use(made(elementwise.combine, self.layout, step.op))
                a, b = self.view(step.a, "a"), self.view(step.b, "b")
                out = self.view(step.out, "out", const=False)
                return (Call(function.name, (a, b, out, self.size(step.out))),)
            case PoolStep():
                return self._pool(step)
            case NormalizeStep():
                function = self.use(made(norm.l2_normalize, self.layout))
                x, out = self.view(step.x, "x"), self.view(step.out, "out", const=False)
                numbers = (whole_number(step.out.features), self.columns(step.out), Const(step.eps, F32))
                return (Call(function.name, (x, out, *numbers)),)
            case FeedStep():
                function = self.use(made(pack.pack, self.layout))
                out = self.view(step.out, "out", const=False)
                given = feature_buffer(step.input)
                return (Call(function.name, (given, out, whole_number(step.out.features), ROWS)),)
            case FetchStep():
                return self._fetch(step)
            case _:
                assert_never(step)

    def _embed(self, step: EmbedStep) -> tuple[Stmt, ...]:
        first = self.id_count
        self.id_count += len(step.lookups)
        ids = Buf(self.local("ids"), BufferType(DType.I32, const=True, align=4))
        self.lets.append(LetView(ids, CALL, TOKENS * (4 * first), TOKENS * len(step.lookups)))
        small = tuple(_integers(self.weights[name]) is not None for name in step.tables)
        function = self.use(made(embed.embed, self.layout, small))
        tables = [buf for i, name in enumerate(step.tables) for buf in self._table(name, i)]
        out = self.view(step.out, "out", const=False)
        return (Call(function.name, (ids, *tables, out, whole_number(step.out.features), TOKENS)),)

    def _table(self, name: str, number: int) -> tuple[Buf, ...]:
        """An embedding table as its kernel takes it: numbers, or integers and scales."""
        parts = _integers(self.weights[name])
        if parts is None:
            return (self.weight(name, f"table{number}"),)
        integers, scales = parts
        return (
            self.constant(f"integers {name}", integers, f"table{number}"),
            self.constant(f"scales {name}", scales, f"scales{number}"),
        )

    def _linear(self, step: LinearStep) -> tuple[Stmt, ...]:
        packings = self.packed[step.name]
        self.layers[step.name] = packings.layer(self.number)
        return linear_calls(self, step, packings)

    def _norm(self, step: NormStep) -> tuple[Stmt, ...]:
        words, made_beside = None, tuple[Buf | Expr, ...]()
        if step.rounded is not None:
            words = "found" if step.rounded.known is None else "fixed"
            made_beside = self.rounded(step.rounded)
        residual = step.residual is not None
        function = self.use(made(norm.layer_norm, self.layout, residual=residual, words=words))
        x = [self.view(step.x, "x")]
        if step.residual is not None:
            x.append(self.view(step.residual, "residual"))
        gamma, beta = self.weight(step.weight, "gamma"), self.weight(step.bias, "beta")
        out = self.view(step.out, "out", const=False)
        numbers = (whole_number(step.out.features), self.columns(step.out), Const(step.eps, F32))
        return (Call(function.name, (*x, gamma, beta, out, *made_beside, *numbers)),)

    def _attention(self, step: AttentionStep) -> tuple[Stmt, ...]:
        places = (step.q, step.k, step.v)
        if len({p.buffer for p in places}) > 1:
            refuse(
                UnsupportedError,
                f"attention {step.name} at {step.origin}: q, k and v come from different layers",
            )
        qkv, out = self.view(step.q, "qkv"), self.view(step.out, "out", const=False)
        head_size = step.out.features // step.heads
        table: tuple[Buf, ...] = ()
        limit: tuple[Expr, ...] = ()
        if step.bias is not None:
            # The kernel looks distances up from query to key, the graph from key to query.
            shape = self.weights[step.bias].shape
            table = (
                self.whole(f"reversed {step.bias}", shape, partial(self._reversed, step.bias), "relative"),
            )
            limit = (whole_number((shape[1] + 1) // 2),)
        rows = tuple(whole_number(p.row) for p in places)
        numbers = (
            SEQUENCES,
            TOKENS,
            whole_number(step.heads),
            whole_number(step.q.total),
            *rows,
            *limit,
            Const(step.scale, F32),
        )

        def call(*keys: Buf) -> tuple[Stmt, ...]:
            kind = Attention(
                head_size, key_bias=bool(keys), relative=step.bias is not None, products=step.products
            )
            function = self.use(*made(attention, self.layout, kind))
            return (Call(function.name, (qkv, *keys, *table, OFFSETS, out, *numbers)),)

        return (If(Compare("ne", HOLES, whole_number(0)), call(KEY_BIAS), call()),)

    def _reversed(self, name: str) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.numbers(name)[:, ::-1])

    def _pool(self, step: PoolStep) -> tuple[Stmt, ...]:
        x, out = self.view(step.x, "x"), self.view(step.out, "out", const=False)
        numbers = (whole_number(step.out.features), TOKENS, SEQUENCES)
        plain = self.use(made(pool.pool, self.layout, step.kind))
        call = Call(plain.name, (x, OFFSETS, out, *numbers))
        if step.kind == "first":
            return (call,)
        weighted = self.use(made(pool.pool, self.layout, step.kind, weighted=True))
        with_holes = Call(weighted.name, (x, KEPT, OFFSETS, out, *numbers))
        return (If(Compare("ne", HOLES, whole_number(0)), (with_holes,), (call,)),)

    def _fetch(self, step: FetchStep) -> tuple[Stmt, ...]:
        if step.x.row != 0 or step.x.features != step.x.total:
            refuse(UnsupportedError, f"output {step.output!r} is part of a stacked product")
        x, given = self.view(step.x, "x"), output_buffer(step.output)
        features = whole_number(step.x.features)
        if step.x.columns == "rows":
            function = self.use(made(pack.unpack, self.layout))
            return (Call(function.name, (x, given, features, ROWS)),)
        function = self.use(made(pack.scatter, self.layout))
        return (Call(function.name, (x, DESTINATION, given, features, TOKENS, PADDED)),)


def _integers(weight: Weight) -> tuple[NDArray[np.generic], NDArray[np.generic]] | None:
    """(integers, scales) of a table that is kept so; None for one of numbers, however it is encoded."""
    if isinstance(weight, Encoded) and weight.encoding == "rows8":
        return weight.parts["integers"], weight.parts["scales"]
    return None
