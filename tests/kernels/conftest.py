"""Runs kernels every way there is and compares the bits: interpreted and native, one thread and several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from aerogel import native
from aerogel.core.target import Target, available
from aerogel.kernels.layout import Layout
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import Function, Module

SHAPES = {"avx512": (512, 32), "avx2": (256, 16), "sse2": (128, 16)}
Argument = NDArray[np.generic] | int | float


@dataclass(frozen=True)
class Machine:
    """One target's layout, and how its kernels are run."""

    layout: Layout
    target: Target | None

    def run(self, kernel: Function | tuple[Function, ...], *args: Argument, interpreted: bool = True) -> None:
        """Runs the kernel on ``args``, whose mutable arrays receive the result.

        The same bits must come from the interpreter with one thread, with three in another order (where
        races are found too), and from native code with one thread and two, where this CPU has the target.
        """
        functions = kernel if isinstance(kernel, tuple) else (kernel,)
        module = Module("kernel", functions)
        results: dict[str, list[Argument]] = {}
        if interpreted:
            for threads, order in ((1, None), (3, 5)):
                results[f"interpreter, {threads} threads"] = used = _copies(args)
                interpret(module, used, threads=threads, order=order)
        if self.target is not None:
            program = native.compile(module, self.target)
            for threads in (1, 2):
                results[f"native, {threads} threads"] = used = _copies(args)
                program(*used, threads=threads)
        _same_bits(results)
        for mine, given in zip(next(iter(results.values())), args, strict=True):
            if isinstance(given, np.ndarray) and given.flags.writeable:
                given[...] = mine


def _copies(args: tuple[Argument, ...]) -> list[Argument]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def _same_bits(results: dict[str, list[Argument]]) -> None:
    (first, expected), *others = results.items()
    for other, got in others:
        for at, (a, b) in enumerate(zip(expected, got, strict=True)):
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
                same = a.view(np.uint8) == b.view(np.uint8)
                nan = a.dtype == np.float32 and np.isnan(a).repeat(4) & np.isnan(b).repeat(4)
                assert np.all(same | nan), f"argument {at}: {first} and {other} differ"


@pytest.fixture(params=SHAPES, scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    bits, registers = SHAPES[request.param]
    found = [t for t in available() if t.name == request.param]
    return Machine(
        Layout.of(Target(request.param, "x86_64", bits, registers, ())), found[0] if found else None
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def ragged() -> Callable[[Machine], list[int]]:
    """Lengths of sequences that cross vectors and tiles, among them 1."""

    def lengths(machine: Machine) -> list[int]:
        lanes, width = machine.layout.lanes, machine.layout.width
        return [1, lanes + 3, 2, lanes * width + 1, 1, lanes]

    return lengths
