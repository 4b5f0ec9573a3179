"""The slow machine that defines what a Loop IR program means.

``prepare`` turns a module into Python closures once; ``interpret`` runs it on NumPy arrays. Every index
is checked against its buffer. Threads are coroutines that advance from barrier to barrier; between two
barriers, an element that one thread writes and another touches is an error, whatever the order.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop.closures import FIRST_SLOT, Advance, Compiled, Frame, FunctionCompiler
from aerogel.loop.memory import Region, Shadow, View
from aerogel.loop.nodes import Buf, Const, Module, Var
from aerogel.loop.values import Value, bounds, literal
from aerogel.loop.verify import verify


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
    compiled: dict[str, Compiled] = {}
    for function in module.functions[:-1]:
        compiler = FunctionCompiler(module.name, function, compiled)
        compiled[function.name] = compiler.compiled(function.body)
    compiler = FunctionCompiler(module.name, module.entry, compiled)
    advance = compiler.waiting_block(module.entry.body, "body")
    return Program(module, advance, len(compiler.slots) + FIRST_SLOT)


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
            [thread, threads, *values, *[None] * (self.slots - FIRST_SLOT - len(values))]
            for thread in range(threads)
        ]
        with np.errstate(all="ignore"):
            self._advance_all([self.advance(frame) for frame in frames], shadows, order)

    def _advance_all(
        self, running: list[Generator[str, None, None]], shadows: list[Shadow], order: int | None
    ) -> None:
        turns = list(range(len(running)))
        shuffle = None if order is None else random.Random(order).shuffle
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
                        f"arguments {other.name!r} and {param.name!r} share memory:"
                        " distinct buffers are disjoint, in-place work is one parameter"
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
        what = f"a {arg.dtype} array of shape {arg.shape}" if isinstance(arg, np.ndarray) else repr(arg)
        raise LoopError(f"argument {param.name!r} is {what}: give a contiguous 1-D {dtype.numpy()} array")
    if not param.type.const and not arg.flags.writeable:
        raise LoopError(f"argument {param.name!r} is read-only, but the parameter is not const")
    return View(arg, Region(param.name, Shadow.of(arg.nbytes) if watched else None), dtype, param.name)


def _scalar_argument(param: Var, arg: object) -> Value:
    dtype = param.type.dtype
    if isinstance(arg, bool | np.bool_) and dtype is DType.BOOL:
        return bool(arg)
    if isinstance(arg, int | np.integer) and not isinstance(arg, bool) and dtype.is_integer:
        low, high = bounds(dtype)
        if low <= arg <= high:
            return int(arg)
    elif isinstance(arg, int | float | np.floating) and not isinstance(arg, bool) and dtype.is_float:
        return literal(Const(float(arg), param.type))
    raise LoopError(f"argument {param.name!r} is {arg!r}: give a number that is a {dtype.short}")
