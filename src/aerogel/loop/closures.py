"""Loop IR functions as Python closures: the inside of the interpreter.

A node is matched once, when it is compiled; running it is a call. A frame is a list: the number of the
running thread, how many threads there are, then a slot for each name of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np

from aerogel.core.errors import LoopError
from aerogel.loop.exact import operation
from aerogel.loop.memory import overlapping, scratch
from aerogel.loop.nodes import (
    Alloc,
    Assign,
    Barrier,
    Block,
    Buf,
    Call,
    Const,
    Define,
    Expr,
    For,
    Function,
    If,
    Iota,
    Let,
    LetView,
    Load,
    Prefetch,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.values import ComputeError, Value, literal
from aerogel.loop.walk import children, has_barrier, stmt_kind

Frame = list[Any]
Evaluate = Callable[[Frame], Value]
Run = Callable[[Frame], None]
Advance = Callable[[Frame], Generator[str, None, None]]

_THREAD, _COUNT, FIRST_SLOT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Compiled:
    """A function that contains no barrier."""

    run: Run
    slots: int
    params: tuple[Var | Buf, ...]


@dataclass(slots=True)
class FunctionCompiler:
    """Closures for one function. A name has one slot in the frame, shared by scopes that do not nest."""

    module: str
    function: Function
    functions: dict[str, Compiled]
    slots: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for param in self.function.params:
            self.slot(param)

    def compiled(self, body: Block) -> Compiled:
        run = self.block(body, "body")
        return Compiled(run, len(self.slots) + FIRST_SLOT, self.function.params)

    def slot(self, named: Var | Buf) -> int:
        return self.slots.setdefault(named.name, len(self.slots) + FIRST_SLOT)

    def located(self, path: str, kind: str, error: ComputeError) -> LoopError:
        return LoopError(f"module {self.module!r}, function {self.function.name!r}, {path}.{kind}: {error}")

    # --- statements -------------------------------------------------------------------------

    def block(self, block: Block, path: str) -> Run:
        steps = tuple((at, self.statement(stmt, f"{path}[{at}].")) for at, stmt in enumerate(block))

        def run(frame: Frame) -> None:
            at = 0
            try:
                for at, step in steps:  # noqa: B007 (the handler reads it)
                    step(frame)
            except ComputeError as error:
                raise self.located(f"{path}[{at}]", stmt_kind(block[at]), error) from None

        return run

    def waiting_block(self, block: Block, path: str) -> Advance:
        """A block that may hold barriers: it yields the path of each."""
        steps: list[tuple[int, Run | None, Advance | None]] = []
        for at, stmt in enumerate(block):
            waits = has_barrier((stmt,))
            here = f"{path}[{at}]."
            steps.append(
                (at, None, self.waiting(stmt, here)) if waits else (at, self.statement(stmt, here), None)
            )

        def advance(frame: Frame) -> Generator[str, None, None]:
            at = 0
            try:
                for at, step, waiting in steps:  # noqa: B007 (the handler reads it)
                    if step is not None:
                        step(frame)
                    elif waiting is not None:
                        yield from waiting(frame)
            except ComputeError as error:
                raise self.located(f"{path}[{at}]", stmt_kind(block[at]), error) from None

        return advance

    def waiting(self, stmt: Stmt, path: str) -> Advance:
        match stmt:
            case Barrier():
                return lambda _: (where for where in (path + "barrier",))
            case For():
                return self._waiting_for(stmt, path)
            case While(cond=cond):
                test, body = self.expr(cond), self.waiting_block(stmt.body, path + "while")

                def loop(frame: Frame) -> Generator[str, None, None]:
                    while test(frame):
                        yield from body(frame)

                return loop
            case If(cond=cond):
                chosen, then = self.expr(cond), self.waiting_block(stmt.then, path + "if")
                orelse = self.waiting_block(stmt.orelse, path + "else")
                return lambda frame: (then if chosen(frame) else orelse)(frame)
            case _:
                raise LoopError(f"{stmt_kind(stmt)} holds no barrier")

    def _waiting_for(self, stmt: For, path: str) -> Advance:
        start, stop, step, slot = self.expr(stmt.start), self.expr(stmt.stop), stmt.step, self.slot(stmt.var)
        body = self.waiting_block(stmt.body, path + "for")

        def loop(frame: Frame) -> Generator[str, None, None]:
            for i in range(start(frame), stop(frame), step):
                frame[slot] = i
                yield from body(frame)

        return loop

    def statement(self, stmt: Stmt, path: str) -> Run:
        match stmt:
            case Let() | Define() | Assign():
                return self._set(self.slot(stmt.var), self.expr(stmt.value))
            case LetView():
                return self._view(stmt)
            case Alloc(buf=buf, count=count):
                return self._set(self.slot(buf), lambda _: scratch(buf.type, buf.name, count))
            case Store():
                return self._store(stmt)
            case VStore():
                return self._vstore(stmt)
            case For():
                return self._for(stmt, path)
            case While(cond=cond):
                return self._while(self.expr(cond), self.block(stmt.body, path + "while"))
            case If():
                return self._if(stmt, path)
            case Prefetch(index=index):
                return self._evaluated(self.expr(index))
            case Call():
                return self._call(stmt)
            case Barrier():
                raise LoopError("a barrier is run by waiting blocks only")
            case _:
                assert_never(stmt)

    @staticmethod
    def _set(slot: int, value: Evaluate) -> Run:
        def run(frame: Frame) -> None:
            frame[slot] = value(frame)

        return run

    @staticmethod
    def _evaluated(value: Evaluate) -> Run:
        def run(frame: Frame) -> None:
            value(frame)

        return run

    def _view(self, stmt: LetView) -> Run:
        base, buf, slot = self.slot(stmt.base), stmt.buf, self.slot(stmt.buf)
        offset, count = self.expr(stmt.offset), self.expr(stmt.count)

        def run(frame: Frame) -> None:
            frame[slot] = frame[base].view(buf.type, buf.name, offset(frame), count(frame))

        return run

    def _store(self, stmt: Store) -> Run:
        buf, index, value = self.slot(stmt.buf), self.expr(stmt.index), self.expr(stmt.value)

        def run(frame: Frame) -> None:
            frame[buf].store(index(frame), value(frame), frame[_THREAD])

        return run

    def _vstore(self, stmt: VStore) -> Run:
        buf, index, value = self.slot(stmt.buf), self.expr(stmt.index), self.expr(stmt.value)
        if stmt.mask is None:

            def run(frame: Frame) -> None:
                frame[buf].vstore(index(frame), value(frame), frame[_THREAD])

            return run
        mask = self.expr(stmt.mask)

        def run_masked(frame: Frame) -> None:
            frame[buf].masked_store(index(frame), value(frame), mask(frame), frame[_THREAD])

        return run_masked

    def _for(self, stmt: For, path: str) -> Run:
        start, stop, step, slot = self.expr(stmt.start), self.expr(stmt.stop), stmt.step, self.slot(stmt.var)
        body = self.block(stmt.body, path + "for")

        def run(frame: Frame) -> None:
            for i in range(start(frame), stop(frame), step):
                frame[slot] = i
                body(frame)

        return run

    @staticmethod
    def _while(cond: Evaluate, body: Run) -> Run:
        def run(frame: Frame) -> None:
            while cond(frame):
                body(frame)

        return run

    def _if(self, stmt: If, path: str) -> Run:
        cond, then = self.expr(stmt.cond), self.block(stmt.then, path + "if")
        orelse = self.block(stmt.orelse, path + "else")

        def run(frame: Frame) -> None:
            (then if cond(frame) else orelse)(frame)

        return run

    def _call(self, stmt: Call) -> Run:
        callee = self.functions[stmt.function]
        values = [self._slot_value(a) if isinstance(a, Buf) else self.expr(a) for a in stmt.args]
        buffers = [(at, param.type.const) for at, param in enumerate(callee.params) if isinstance(param, Buf)]
        room = [None] * (callee.slots - FIRST_SLOT - len(values))

        def run(frame: Frame) -> None:
            args = [value(frame) for value in values]
            if pair := overlapping([(args[at], const) for at, const in buffers]):
                raise ComputeError(
                    f"arguments {pair[0].name!r} and {pair[1].name!r} overlap: distinct buffers are disjoint"
                )
            callee.run([frame[_THREAD], frame[_COUNT], *args, *room])

        return run

    def _slot_value(self, buf: Buf) -> Evaluate:
        slot = self.slot(buf)
        return lambda frame: frame[slot]

    # --- expressions ------------------------------------------------------------------------

    def expr(self, expr: Expr) -> Evaluate:
        match expr:
            case Const():
                value = literal(expr)
                return lambda _: value
            case Var():
                slot = self.slots[expr.name]
                return lambda frame: frame[slot]
            case Load(index=index):
                return self._load(self.slots[expr.buf.name], self.expr(index))
            case VLoad():
                return self._vload(expr)
            case Iota(type=type_):
                lanes: Value = np.arange(type_.lanes).astype(type_.dtype.numpy())
                return lambda _: lanes
            case ThreadId():
                return lambda frame: frame[_THREAD]
            case ThreadCount():
                return lambda frame: frame[_COUNT]
            case _:
                return self._operation(expr)

    @staticmethod
    def _load(slot: int, index: Evaluate) -> Evaluate:
        return lambda frame: frame[slot].load(index(frame), frame[_THREAD])

    def _vload(self, expr: VLoad) -> Evaluate:
        slot, index, lanes = self.slots[expr.buf.name], self.expr(expr.index), expr.lanes
        if expr.mask is None:
            return lambda frame: frame[slot].vload(index(frame), lanes, frame[_THREAD])
        mask = self.expr(expr.mask)
        return lambda frame: frame[slot].masked_load(index(frame), mask(frame), frame[_THREAD])

    def _operation(self, expr: Expr) -> Evaluate:
        run = operation(expr)
        parts = [self.expr(child) for child in children(expr)]
        match parts:
            case [a]:
                return lambda frame: run(a(frame))
            case [a, b]:
                return lambda frame: run(a(frame), b(frame))
            case [a, b, c]:
                return lambda frame: run(a(frame), b(frame), c(frame))
            case _:
                raise LoopError(f"{type(expr).__name__} has {len(parts)} operands")
