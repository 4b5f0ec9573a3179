"""Kernels on other machines: the slow one that defines Loop IR, and this CPU with every buffer fenced in.

Both take the kernel's own way of allocating, counting and filling; only how a phase runs is exchanged. Room
that the kernel leaves unset is filled here, on each machine with other bytes: what a kernel forgets shows.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.target import Target
from aerogel.formats.storage import Storage
from aerogel.loop.interpret import Program, prepare
from aerogel.loop.nodes import Buf, Var
from aerogel.lower.emit import Phase, module, params
from aerogel.lower.kernel import Kernel, Listed
from aerogel.lower.scheduled import PARTS, Scheduled
from aerogel.lower.split import cuts
from aerogel.native.compiler import compile as compile_
from aerogel.native.guard import guarded

Array = NDArray[Any]


class _Elsewhere(Kernel):
    """Gathers the arguments of a phase as arrays and numbers, and hands them to ``execute``."""

    pattern: int

    def _run(self, phase: Phase, call: Any, arrays: list[Array]) -> None:
        wanted = params(self.scheduled, phase)
        given: list[Any] = []
        for operand in self.scheduled.operands:
            storage = call.storages[operand.name]
            given += [*(array for level in storage.levels for array in level), storage.values]
        given += [call.extents[index] for index in self.scheduled.order]
        order = self.scheduled.order
        outer = call.extents[order[0]] if order else 1
        pieces = PARTS if self.scheduled.partial else call.threads
        marks = self._borrow_marks(call) if self.scheduled.hoists else []
        given += [cuts(self.scheduled, call.storages, outer, pieces), *arrays, *marks]
        assert len(given) == len(wanted), (phase, [p.name for p in wanted])
        for param, value in zip(wanted, given, strict=True):
            assert isinstance(param, Var) == isinstance(value, int), param
            if self.unset(param.name, phase):
                value.view(np.uint8).fill(self.pattern)
        self.execute(phase, given, call.threads)
        assert not any(array.any() for array in marks), "marks are left as they were found"

    def unset(self, name: str, phase: Phase) -> bool:
        """Whether the kernel allots this buffer without setting it."""
        scheduled = self.scheduled
        if name == "ends" or (name.startswith("out.") and name.endswith(".crd")):
            return True
        if name != "out.values":
            return False
        if scheduled.assembly == "pattern" or phase == "once":
            return True
        tails = scheduled.assembly != "dense" and scheduled.out_indices[scheduled.appended :]
        return self.covers or (scheduled.assembly != "dense" and not tails)

    def execute(self, phase: Phase, given: list[Any], threads: int) -> None:
        raise NotImplementedError


class Interpreted(_Elsewhere):
    """On the loop interpreter, which checks every index, and every element that two threads touch.
    ``order`` shuffles the threads."""

    pattern = 0

    def __init__(self, scheduled: Scheduled, target: Target, order: int | None = None) -> None:
        super().__init__(scheduled, target)
        self.order = order
        self.programs: dict[Phase, Program] = {}

    def execute(self, phase: Phase, given: list[Any], threads: int) -> None:
        if phase not in self.programs:
            self.programs[phase] = prepare(module(self.scheduled, phase, self.target))
        self.programs[phase].run(given, threads, self.order)


class Fenced(_Elsewhere):
    """In machine code, on copies that end (or begin) at an inaccessible page."""

    pattern = 1

    def __init__(self, scheduled: Scheduled, target: Target, at: Literal["end", "start"] = "end") -> None:
        super().__init__(scheduled, target)
        self.at: Literal["end", "start"] = at

    def execute(self, phase: Phase, given: list[Any], threads: int) -> None:
        program = compile_(module(self.scheduled, phase, self.target), self.target)
        fenced = [guarded(a, at=self.at) if isinstance(a, np.ndarray) else a for a in given]
        program(*fenced, threads=threads)
        for param, before, after in zip(program.params, given, fenced, strict=True):
            if isinstance(param, Buf) and not param.type.const:
                before[:] = after


def arrays_of(found: Storage | Listed) -> list[Array]:
    """Every array of a result."""
    if isinstance(found, Listed):
        return [*found.coordinates, found.values]
    return [*(array for level in found.levels for array in level), found.values]


def assert_same(a: Storage | Listed, b: Storage | Listed, what: str) -> None:
    """The same bits in every array; all NaN are one."""
    for x, y in zip(arrays_of(a), arrays_of(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape, what
        np.testing.assert_array_equal(bits(x), bits(y), err_msg=what)


def bits(array: Array) -> Array:
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), array.dtype.type(np.nan), array).view(f"u{array.itemsize}")
