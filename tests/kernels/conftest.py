"""Every target's layout in turn, random numbers that are always the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.kernels.machine import SHAPES, Machine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each target; in a module of INTEGERS both ways to multiply words, which any CPU can do."""
    if "machine" in metafunc.fixturenames:
        ways = ("words", "pairs") if getattr(metafunc.module, "INTEGERS", False) else ("",)
        given = [(name, way) for name in SHAPES for way in ways]
        metafunc.parametrize(
            "machine", given, indirect=True, scope="session", ids=lambda given: "-".join(filter(None, given))
        )


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    name, way = request.param
    found = Machine.named(name)
    return replace(found, layout=replace(found.layout, pairs=way == "pairs"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
