"""Random well-formed Loop IR programs that never go wrong, with arguments to run them on.

They use every node kind on every element type, and are free of races for 1 to ``MAX_THREADS`` threads:
each thread works on a slice of its own of every mutable buffer. No NaN's bits are ever looked at.

    @given(programs())
    def test(program):
        got, want = program.arguments(), program.arguments()
        run(program.module, got)
        interpret(program.module, want)
        assert_same(program, got, want)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.loop.expressions import DTYPES, LANES, SLICE, Expressions

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import (
    BOOL,
    F32,
    I64,
    Alloc,
    Assign,
    Barrier,
    Binary,
    Block,
    Buf,
    BufferType,
    Call,
    Compare,
    Const,
    Define,
    Expr,
    For,
    Function,
    If,
    Let,
    LetView,
    Module,
    Prefetch,
    Scalar,
    Store,
    ThreadId,
    Var,
    Vec,
    VStore,
    While,
)

MAX_THREADS = 4


@dataclass(frozen=True)
class Program:
    """A module and the seed of the arguments it runs on."""

    module: Module
    seed: int

    def arguments(self) -> list[Any]:
        """Fresh arguments in the order of the entry's parameters, the same every time."""
        rng = np.random.default_rng(self.seed)
        return [_array(p, rng) if isinstance(p, Buf) else _number(p, rng) for p in self.module.entry.params]


def programs() -> st.SearchStrategy[Program]:
    """Random programs for Hypothesis; it shrinks them by the choices made."""
    return st.randoms(use_true_random=False).map(random_program)


def random_program(rng: random.Random) -> Program:
    """A random program; the same one for the same state of ``rng``."""
    helper = _helper(rng)
    return Program(Module("random", (helper, _entry(rng, helper))), rng.randrange(1 << 16))


def assert_same(program: Program, got: Sequence[Any], want: Sequence[Any]) -> None:
    """The same bits in every buffer; any NaN equals any NaN."""
    for param, a, b in zip(program.module.entry.params, got, want, strict=True):
        if isinstance(param, Buf):
            np.testing.assert_array_equal(comparable(param, a), comparable(param, b), err_msg=param.name)


def comparable(param: Buf, array: Any) -> Any:
    """The array's bits, with all NaN made one."""
    dtype = param.type.dtype
    if dtype is DType.BF16:
        return np.where(array & 0x7FFF > 0x7F80, np.uint16(0x7FC0), array)
    if dtype.is_float:
        return np.where(np.isnan(array), array.dtype.type(np.nan), array).view(f"uint{dtype.bits}")
    return array


# --- arguments ------------------------------------------------------------------------------

_SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -6e-8, 65504.0, 3.4e38, 0.1, 1e300)


def _array(param: Buf, rng: np.random.Generator) -> Any:
    count, dtype = SLICE * MAX_THREADS * (4 if param is _BYTES else 1), param.type.dtype
    if dtype is DType.BOOL:
        return rng.integers(0, 2, count).astype(np.bool_)
    raw = rng.integers(0, 256, count * dtype.itemsize, dtype=np.uint8).view(dtype.numpy())
    if not dtype.is_float or dtype is DType.BF16:
        return raw
    with np.errstate(all="ignore"):
        usual = rng.normal(size=count).astype(dtype.numpy())
        special = rng.choice(np.array(_SPECIAL), count).astype(dtype.numpy())
    return np.choose(rng.integers(0, 3, count), [raw, usual, special])


def _number(param: Var, rng: np.random.Generator) -> int | float:
    return float(np.float32(rng.normal())) if param.type.dtype.is_float else int(rng.integers(-100, 100))


# --- programs -------------------------------------------------------------------------------

_CONST = tuple(Buf(f"c_{d.short}", BufferType(d, const=True)) for d in DTYPES)
_MUTABLE = tuple(Buf(f"m_{d.short}", BufferType(d)) for d in DTYPES)
_BYTES = Buf("bytes", BufferType(DType.U8, align=8))
_N, _X = Var("n", I64), Var("x", F32)


def _entry(rng: random.Random, helper: Function) -> Function:
    params = (_N, _X, *_CONST, *_MUTABLE, _BYTES)
    scope = Scope(rng, helper=helper, barriers=True)
    for param in params:
        if param is not _BYTES:
            scope.add(param, own_slice=isinstance(param, Buf) and not param.type.const)
    head = [*_scratch(scope), *_views(scope)]
    body = [stmt for _ in range(rng.randint(2, 8)) for stmt in scope.statement(3)]
    return Function("main", params, (*head, *body))


def _helper(rng: random.Random) -> Function:
    dtypes = rng.sample(DTYPES, 3)
    params: list[Var | Buf] = [Var("k", I64), Var("w", Scalar(rng.choice((DType.F32, DType.I32, DType.U8))))]
    params += [Buf(f"in_{dtypes[0].short}", BufferType(dtypes[0], const=True))]
    params += [Buf(f"out_{d.short}", BufferType(d)) for d in dtypes[1:]]
    scope = Scope(rng)
    for param in params:
        scope.add(param, own_slice=isinstance(param, Buf) and not param.type.const)
    head = _scratch(scope)
    return Function(
        "helper", tuple(params), (*head, *(s for _ in range(rng.randint(1, 3)) for s in scope.statement(2)))
    )


def _scratch(scope: Scope) -> Block:
    """An Alloc, filled before anything reads it."""
    buf = Buf(scope.fresh("s"), BufferType(scope.rng.choice(DTYPES)))
    i = Var(scope.fresh("i"), I64)
    fill = scope.expr(Scalar(buf.type.dtype), 1)
    scope.add(buf)
    return (Alloc(buf, SLICE), For(i, Const(0, I64), Const(SLICE, I64), (Store(buf, i, fill),)))


def _views(scope: Scope) -> Block:
    """Two typed views of a thread's own bytes that share half of them, and one of const bytes. Only of
    integers: in bytes the bits of a NaN would show."""
    here, count = ThreadId() * (4 * SLICE), Const(SLICE, I64)
    first = Buf(scope.fresh("v"), BufferType(scope.rng.choice((DType.U16, DType.I16)), align=2))
    second = Buf(scope.fresh("v"), BufferType(scope.rng.choice((DType.U8, DType.I8))))
    third = Buf(scope.fresh("v"), BufferType(scope.rng.choice((DType.U32, DType.I16)), const=True))
    for buf in (first, second, third):
        scope.add(buf)
    const_bytes = next(buf for buf in _CONST if buf.type.dtype is DType.U8)
    return (
        LetView(first, _BYTES, here, count),
        LetView(second, _BYTES, here + SLICE, count),
        LetView(third, const_bytes, Const(0, I64), count),
    )


@dataclass
class Scope(Expressions):
    """What is in scope while a function is made. ``helper``: a function that may be called."""

    helper: Function | None = None
    barriers: bool = False
    changeable: list[Var] = field(default_factory=list)
    made: int = 0

    def fresh(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"

    def add(self, named: Var | Buf, own_slice: bool = False) -> None:
        if isinstance(named, Var):
            self.variables.append(named)
            return
        self.buffers.append(named)
        if own_slice:
            self.own_slices.add(named.name)

    # --- statements -------------------------------------------------------------------------

    def inside(self, make: Callable[[], Block]) -> Block:
        """A block: what it binds goes out of scope."""
        variables, changeable = list(self.variables), list(self.changeable)
        block = make()
        self.variables, self.changeable = variables, changeable
        return block

    def block(self, depth: int) -> Block:
        count = self.rng.randint(0, 3)
        return self.inside(lambda: tuple(s for _ in range(count) for s in self.statement(depth)))

    def statement(self, depth: int) -> Block:
        """One random statement, with what it needs before it."""
        simple = [
            self.let,
            self.define,
            self.assign,
            self.store,
            self.vstore,
            self.vstore,
            self.prefetch,
            self.call,
        ]
        if depth == 0:
            return self.rng.choice(simple)()
        nested = [self.for_, self.unrolled, self.while_, self.if_]
        return self.rng.choice([*simple, *nested])() if depth == 1 else self.rng.choice(nested + simple)()

    def let(self) -> Block:
        value = self.expr(self.any_type(), 3)
        var = Var(self.fresh("a"), value.type)
        self.variables.append(var)
        return (Let(var, value),)

    def define(self) -> Block:
        value = self.expr(self.any_type(), 2)
        var = Var(self.fresh("d"), value.type)
        self.variables.append(var)
        self.changeable.append(var)
        return (Define(var, value),)

    def assign(self) -> Block:
        if not self.changeable:
            return self.define()
        var = self.rng.choice(self.changeable)
        return (Assign(var, self.expr(var.type, 3)),)

    def store(self) -> Block:
        buf = self.mutable()
        return (Store(buf, self.index(buf), self.expr(Scalar(buf.type.dtype), 3)),)

    def vstore(self) -> Block:
        buf = self.mutable()
        lanes = self.rng.choice(LANES)
        value = self.expr(Vec(buf.type.dtype, lanes), 3)
        mask = self.expr(Vec(DType.BOOL, lanes), 2) if self.rng.random() < 0.4 else None
        return (VStore(buf, self.index(buf), value, mask),)

    def prefetch(self) -> Block:
        return (Prefetch(self.rng.choice(self.buffers), self.index_value(2)),)

    def call(self) -> Block:
        if self.helper is None:
            return self.store()
        args = []
        for param in self.helper.params:
            if isinstance(param, Var):
                args.append(self.expr(param.type, 2))
            else:
                pool = _CONST if param.type.const else _MUTABLE
                args.append(next(buf for buf in pool if buf.type.dtype is param.type.dtype))
        barrier = (Barrier(),) if self.barriers and self.rng.random() < 0.3 else ()
        return (Call(self.helper.name, tuple(args)), *barrier)

    def _loop(self, start: Expr, stop: Expr, step: int, unroll: bool) -> Block:
        var = Var(self.fresh("i"), I64)

        def body() -> Block:
            self.variables.append(var)
            return self.block(1)

        with_barrier = self.barriers and isinstance(stop, Const) and not unroll and self.rng.random() < 0.3
        kept, self.barriers = self.barriers, False
        inner = self.inside(body)
        self.barriers = kept
        return (For(var, start, stop, (*inner, Barrier()) if with_barrier else inner, step, unroll),)

    def for_(self) -> Block:
        start = Const(self.rng.randint(-3, 3), I64)
        bound = Binary("and", self.index_value(1), Const(7, I64))
        stop = Const(self.rng.randint(-3, 8), I64) if self.rng.random() < 0.5 else bound
        return self._loop(start, stop, self.rng.randint(1, 3), unroll=False)

    def unrolled(self) -> Block:
        return self._loop(
            Const(0, I64), Const(self.rng.randint(0, 4), I64), self.rng.randint(1, 2), unroll=True
        )

    def while_(self) -> Block:
        counter = Var(self.fresh("w"), I64)
        kept, self.barriers = self.barriers, False
        self.variables.append(counter)
        body = self.block(1)
        self.barriers = kept
        again = Binary("and", Compare("lt", counter, Const(self.rng.randint(0, 4), I64)), Const(True, BOOL))
        return (Define(counter, Const(0, I64)), While(again, (*body, Assign(counter, counter + 1))))

    def if_(self) -> Block:
        cond = self.expr(BOOL, 2)
        kept, self.barriers = self.barriers, False
        made = (If(cond, self.block(1), self.block(1) if self.rng.random() < 0.6 else ()),)
        self.barriers = kept
        return made

    def mutable(self) -> Buf:
        return self.rng.choice([buf for buf in self.buffers if not buf.type.const])
