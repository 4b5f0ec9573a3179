"""Every target's layout in turn, random numbers that are always the same."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.machine import SHAPES, Machine


@pytest.fixture(params=SHAPES, scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine.named(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
