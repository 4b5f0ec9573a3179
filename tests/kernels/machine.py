"""Runs kernels every way there is and compares the bits: interpreted and native, one thread and several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.core.target import Target, available
from aerogel.kernels.layout import Layout
from aerogel.loop.interpret import Program, prepare
from aerogel.loop.nodes import Buf, Function, Module
from aerogel.native.guard import guarded

SHAPES = {"avx512": (512, 32), "avx2": (256, 16), "sse2": (128, 16)}
Argument = NDArray[np.generic] | int | float
Edge = Literal["end", "start"]
Kernel = Function | tuple[Function, ...]


@dataclass(frozen=True, eq=False)
class Ready:
    """A kernel that is run many times: verified and compiled once."""

    module: Module
    target: Target | None

    @cached_property
    def program(self) -> Program:
        return prepare(self.module)

    @cached_property
    def compiled(self) -> native.Compiled | None:
        return None if self.target is None else native.compile(self.module, self.target)


@dataclass(frozen=True)
class Machine:
    """One target's layout, and how its kernels are run; ``target`` is None where this CPU lacks it."""

    layout: Layout
    target: Target | None

    @staticmethod
    def named(name: str) -> Machine:
        bits, registers = SHAPES[name]
        found = [t for t in available() if t.name == name]
        return Machine(Layout.of(Target(name, "x86_64", bits, registers, ())), found[0] if found else None)

    @property
    def ragged(self) -> list[int]:
        """Lengths of sequences that cross vectors and tiles, among them 1."""
        lanes, width = self.layout.lanes, self.layout.width
        return [1, lanes + 3, 2, lanes * width + 1, 1, lanes]

    def ready(self, kernel: Kernel) -> Ready:
        """``kernel`` made ready for many runs on this machine."""
        return Ready(Module("kernel", kernel if isinstance(kernel, tuple) else (kernel,)), self.target)

    def run(self, kernel: Kernel | Ready, *args: Argument, interpreted: bool = True) -> None:
        """Runs the kernel on ``args``, whose mutable arrays receive the result.

        The same bits must come from the interpreter with three threads in another order (where races are
        found too), and from native code with one thread and two; where this CPU lacks the target, from the
        interpreter with one thread instead. Natively every buffer lies against an inaccessible page: once
        its end, once its start.
        """
        ready = kernel if isinstance(kernel, Ready) else self.ready(kernel)
        results = self._interpreted(ready, args) if interpreted else {}
        results |= self._native(ready, args)
        _same_bits(results)
        for mine, given in zip(next(iter(results.values())), args, strict=True):
            if isinstance(given, np.ndarray) and given.flags.writeable:
                given[...] = mine

    def _interpreted(self, ready: Ready, args: tuple[Argument, ...]) -> dict[str, list[Argument]]:
        results: dict[str, list[Argument]] = {}
        for threads, order in ((3, 5),) if ready.compiled else ((3, 5), (1, None)):
            results[f"interpreter, {threads} threads"] = used = [
                a.copy() if isinstance(a, np.ndarray) else a for a in args
            ]
            ready.program.run(used, threads, order)
        return results

    def _native(self, ready: Ready, args: tuple[Argument, ...]) -> dict[str, list[Argument]]:
        if ready.compiled is None:
            return {}
        results: dict[str, list[Argument]] = {}
        edges: tuple[tuple[int, Edge], ...] = ((1, "end"), (2, "start"))
        for threads, edge in edges:
            used: list[Argument] = []
            for param, arg in zip(ready.module.entry.params, args, strict=True):
                at_edge = isinstance(param, Buf) and isinstance(arg, np.ndarray)
                used.append(guarded(arg, align=param.type.align, at=edge) if at_edge else arg)
            results[f"native, {threads} threads"] = used
            ready.compiled(*used, threads=threads)
        return results


def _same_bits(results: dict[str, list[Argument]]) -> None:
    """Equal bits everywhere; NaNs may differ in theirs."""
    (first, expected), *others = results.items()
    for other, got in others:
        for at, (a, b) in enumerate(zip(expected, got, strict=True)):
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
                same = a.view(np.uint8) == b.view(np.uint8)
                nan = a.dtype == np.float32 and np.isnan(a).repeat(4) & np.isnan(b).repeat(4)
                assert np.all(same | nan), f"argument {at}: {first} and {other} differ"
