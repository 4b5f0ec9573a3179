"""The slow machine that defines what a Loop IR program means.

``prepare`` turns a module into Python closures once; ``interpret`` runs it on NumPy arrays. Every index
is checked against its buffer. Threads are coroutines that advance from barrier to barrier; between two
barriers, an element that one thread writes and another touches is an error, whatever the order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop import exact
from aerogel.loop.exact import Fault, Value
from aerogel.loop.memory import Region, Shadow, View, overlapping, scratch
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
    Module,
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
from aerogel.loop.verify import verify
from aerogel.loop.walk import children, has_barrier, stmt_kind

Frame = list[Any]
"""The running function's values: thread number, thread count, then one slot per name."""
Evaluate = Callable[[Frame], Value]
Run = Callable[[Frame], None]
Advance = Callable[[Frame], Generator[str, None, None]]

_THREAD, _COUNT, _FIRST = 0, 1, 2


def interpret(module: Module, args: Sequence[object], threads: int = 1, order: int | None = None) -> None:
    """Run the module's entry; ``args`` in the order of its parameters.

    A buffer takes a contiguous 1-D NumPy array of its dtype (uint16 for bf16), changed in place; a
    scalar takes a Python or NumPy number. ``order`` seeds a shuffle of the threads at every barrier.
    LoopError names the statement where the program is ill-formed or goes wrong.
    """
    prepare(module).run(args, threads, order)


def prepare(module: Module) -> Program:
    """Verify the module and compile it to closures, to be run many times."""
    verify(module)
    compiled: dict[str, _Compiled] = {}
    for function in module.functions[:-1]:
        compiler = _Compiler(module.name, function, compiled)
        compiled[function.name] = compiler.compiled(function.body)
    compiler = _Compiler(module.name, module.entry, compiled)
    advance = compiler.waiting_block(module.entry.body, "body")
    return Program(module, advance, len(compiler.slots) + _FIRST)


@dataclass(frozen=True, slots=True)
class Program:
    """A module ready to run: ``advance`` runs one thread of its entry, pausing at barriers."""

    module: Module
    advance: Advance
    slots: int

    def run(self, args: Sequence[object], threads: int = 1, order: int | None = None) -> None:
        """As ``interpret``."""
        if threads < 1:
            raise LoopError(f"module {self.module.name!r} needs at least 1 thread: got {threads}")
        values = self._arguments(args, watched=threads > 1)
        shadows = [v.region.shadow for v in values if isinstance(v, View) and v.region.shadow is not None]
        frames: list[Frame] = [
            [thread, threads, *values, *[None] * (self.slots - _FIRST - len(values))]
            for thread in range(threads)
        ]
        with np.errstate(all="ignore"):
            self._advance_all([self.advance(frame) for frame in frames], shadows, order)

    def _advance_all(
        self, running: list[Generator[str, None, None]], shadows: list[Shadow], order: int | None
    ) -> None:
        turns, shuffle = list(range(len(running))), None if order is None else random.Random(order).shuffle
        while True:
            if shuffle is not None:
                shuffle(turns)
            stops = {thread: next(running[thread], None) for thread in turns}
            waiting = sorted(thread for thread, where in stops.items() if where is not None)
            if not waiting:
                return
            first = stops[waiting[0]]
            for thread, where in sorted(stops.items()):
                if where != first:
                    does = "has ended" if where is None else f"waits at {where}"
                    raise LoopError(
                        f"module {self.module.name!r}: deadlock: thread {waiting[0]} waits at {first},"
                        f" but thread {thread} {does}"
                    )
            for shadow in shadows:
                shadow.barrier()

    def _arguments(self, args: Sequence[object], *, watched: bool) -> list[Value]:
        entry = self.module.entry
        if len(args) != len(entry.params):
            raise LoopError(
                f"function {entry.name!r} takes {len(entry.params)} arguments, but got {len(args)}"
            )
        values: list[Value] = []
        for param, arg in zip(entry.params, args, strict=True):
            if isinstance(param, Buf):
                values.append(_buffer_argument(param, arg, watched=watched and not param.type.const))
            else:
                values.append(_scalar_argument(param, arg))
        arrays = [(p, v.data) for p, v in zip(entry.params, values, strict=True) if isinstance(p, Buf)]
        for i, (param, data) in enumerate(arrays):
            for other, before in arrays[:i]:
                if not (param.type.const and other.type.const) and np.may_share_memory(data, before):
                    raise LoopError(
                        f"arguments {other.name!r} and {param.name!r} share memory: distinct buffers are disjoint,"
                        " in-place work is one parameter"
                    )
        return values


def _buffer_argument(param: Buf, arg: object, *, watched: bool) -> View:
    dtype = param.type.dtype
    if (
        not isinstance(arg, np.ndarray)
        or arg.ndim != 1
        or not arg.flags.c_contiguous
        or arg.dtype != dtype.numpy()
    ):
        what = f"{arg.dtype} array of shape {arg.shape}" if isinstance(arg, np.ndarray) else repr(arg)
        raise LoopError(f"argument {param.name!r} is {what}: give a contiguous 1-D {dtype.numpy()} array")
    if not param.type.const and not arg.flags.writeable:
        raise LoopError(f"argument {param.name!r} is read-only, but the parameter is not const")
    return View(arg, Region(param.name, Shadow.of(arg.nbytes) if watched else None), dtype, param.name)


def _scalar_argument(param: Var, arg: object) -> Value:
    dtype = param.type.dtype
    if isinstance(arg, bool | np.bool_) and dtype is DType.BOOL:
        return bool(arg)
    if isinstance(arg, int | np.integer) and not isinstance(arg, bool) and dtype.is_integer:
        low, high = exact.bounds(dtype)
        if low <= arg <= high:
            return int(arg)
    elif isinstance(arg, int | float | np.floating) and not isinstance(arg, bool) and dtype.is_float:
        return exact.literal(Const(float(arg), param.type))
    raise LoopError(f"argument {param.name!r} is {arg!r}: give a number that is a {dtype.short}")


# --- compiling ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A function that contains no barrier."""

    run: Run
    slots: int
    params: tuple[Var | Buf, ...]


@dataclass(slots=True)
class _Compiler:
    """Closures for one function. A name has one slot in the frame, shared by scopes that do not nest."""

    module: str
    function: Function
    functions: dict[str, _Compiled]
    slots: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for param in self.function.params:
            self.slot(param)

    def compiled(self, body: Block) -> _Compiled:
        run = self.block(body, "body")
        return _Compiled(run, len(self.slots) + _FIRST, self.function.params)

    def slot(self, named: Var | Buf) -> int:
        return self.slots.setdefault(named.name, len(self.slots) + _FIRST)

    def located(self, path: str, kind: str, fault: Fault) -> LoopError:
        return LoopError(f"module {self.module!r}, function {self.function.name!r}, {path}.{kind}: {fault}")

    # --- statements -------------------------------------------------------------------------

    def block(self, block: Block, path: str) -> Run:
        steps = tuple((at, self.statement(stmt, f"{path}[{at}].")) for at, stmt in enumerate(block))

        def run(frame: Frame) -> None:
            at = 0
            try:
                for at, step in steps:
                    step(frame)
            except Fault as fault:
                raise self.located(f"{path}[{at}]", stmt_kind(block[at]), fault) from None

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
                for at, step, waiting in steps:
                    if step is not None:
                        step(frame)
                    elif waiting is not None:
                        yield from waiting(frame)
            except Fault as fault:
                raise self.located(f"{path}[{at}]", stmt_kind(block[at]), fault) from None

        return advance

    def waiting(self, stmt: Stmt, path: str) -> Advance:
        match stmt:
            case Barrier():
                return lambda frame: (where for where in (path + "barrier",))
            case For():
                return self._waiting_for(stmt, self.waiting_block(stmt.body, path + "for"))
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

    def _waiting_for(self, stmt: For, body: Advance) -> Advance:
        start, stop, step, slot = self.expr(stmt.start), self.expr(stmt.stop), stmt.step, self.slot(stmt.var)

        def loop(frame: Frame) -> Generator[str, None, None]:
            for frame[slot] in range(start(frame), stop(frame), step):
                yield from body(frame)

        return loop

    def statement(self, stmt: Stmt, path: str) -> Run:
        match stmt:
            case Let() | Define() | Assign():
                return self._set(self.slot(stmt.var), self.expr(stmt.value))
            case LetView():
                return self._view(stmt)
            case Alloc(buf=buf, count=count):
                return self._set(self.slot(buf), lambda frame: scratch(buf.type, buf.name, count))
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
            for frame[slot] in range(start(frame), stop(frame), step):
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
        room = [None] * (callee.slots - _FIRST - len(values))

        def run(frame: Frame) -> None:
            args = [value(frame) for value in values]
            if pair := overlapping([(args[at], const) for at, const in buffers]):
                raise Fault(
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
                value = exact.literal(expr)
                return lambda frame: value
            case Var():
                slot = self.slots[expr.name]
                return lambda frame: frame[slot]
            case Load(index=index):
                return self._load(self.slots[expr.buf.name], self.expr(index))
            case VLoad():
                return self._vload(expr)
            case Iota(type=type_):
                lanes = np.arange(type_.lanes).astype(type_.dtype.numpy())
                return lambda frame: lanes
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
        run = exact.operation(expr)
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
