"""Every target's layout in turn, a cache of the tests' own, random numbers that are always the same."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.machine import SHAPES, Machine


@pytest.fixture(params=SHAPES, scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine.named(request.param)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine code made by tests stays out of the user's cache."""
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "native-cache"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
