"""Every kernel's own tests, on an emulated ARM processor: the bits of the interpreter, guard pages around
every buffer, one thread and two."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.fixtures import FixtureFunctionDefinition
from tests.emulated.arm import Edge, Emulated
from tests.kernels import conftest as kernels
from tests.kernels.machine import Argument, Kernel, Machine, Ready

from aerogel.core.target import Target
from aerogel.kernels.layout import Layout
from aerogel.loop.nodes import Module

rng = kernels.rng


@dataclass(frozen=True, eq=False)
class EmulatedReady(Ready):
    """A kernel whose machine code runs on an emulated processor."""

    @cached_property
    def compiled(self) -> Any:
        assert self.target is not None
        return Emulated(self.module, self.target)


@dataclass(frozen=True)
class EmulatedMachine(Machine):
    """A machine whose native code is emulated."""

    def ready(self, kernel: Kernel) -> Ready:
        return EmulatedReady(
            Module("kernel", kernel if isinstance(kernel, tuple) else (kernel,)), self.target
        )

    def _native(self, ready: Ready, args: tuple[Argument, ...]) -> dict[str, list[Argument]]:
        results: dict[str, list[Argument]] = {}
        edges: tuple[tuple[int, Edge], ...] = ((1, "end"), (2, "start"))
        for threads, edge in edges:
            results[f"emulated, {threads} threads"] = used = [
                a.copy() if isinstance(a, np.ndarray) else a for a in args
            ]
            compiled: Any = ready.compiled
            compiled(*used, threads=threads, at=edge)
        return results


@pytest.fixture(scope="session")
def machine(arm: Target) -> Machine:
    return EmulatedMachine(Layout.of(arm), arm)


def kernel_tests() -> dict[str, Any]:
    """Each test of tests/kernels that takes a machine, under a name that says where it stands, and the
    fixtures that stand beside them."""
    found: dict[str, Any] = {}
    for path in sorted(Path(kernels.__file__).parent.glob("test_*.py")):
        module = import_module(f"tests.kernels.{path.stem}")
        for name, value in vars(module).items():
            if isinstance(value, FixtureFunctionDefinition):
                assert found.setdefault(name, value) is value, f"two fixtures are called {name}: rename one"
            elif (
                inspect.isfunction(value)
                and name.startswith("test_")
                and "machine" in inspect.signature(value).parameters
            ):
                found[f"{path.stem}_{name.removeprefix('test_')}"] = value
    return found


globals().update(kernel_tests())
