"""Every Loop IR node on every element type, on an emulated ARM processor, against the interpreter: the tests
that machine code of this CPU must meet."""

from __future__ import annotations

import inspect

import pytest
from tests.emulated.arm import Emulated
from tests.native import test_differential as differential

from aerogel.core.target import Target


@pytest.fixture(autouse=True)
def emulated(arm: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differential, "compile", Emulated)
    monkeypatch.setattr(differential, "available", lambda: [arm])


@pytest.fixture
def target(arm: Target) -> Target:
    return arm


# Random programs are in test_programs.
globals().update(
    {
        name: test
        for name, test in inspect.getmembers(differential, inspect.isfunction)
        if name.startswith("test_") and not hasattr(test, "hypothesis")
    }
)
