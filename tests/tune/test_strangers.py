"""What runs between two timed calls: a layer with more loops than a CPU remembers, in either number."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import pytest

from aerogel.core.target import current
from aerogel.tune import choose as choosing
from aerogel.tune.choose import choose
from aerogel.tune.strangers import strangers


@pytest.mark.parametrize("element", ["f32", "i8"])
def test_it_takes_a_moment_and_is_made_once(element: Any) -> None:
    call = strangers(current(), element)
    assert strangers(current(), element) is call
    call()
    start = perf_counter()
    call()
    assert 1e-5 < perf_counter() - start < 0.1


def test_it_runs_before_every_timed_call_and_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    trial = choosing._Trial(lambda: order.append("call"), lambda: order.append("between"))
    monkeypatch.setattr(choosing, "perf_counter", lambda: order.append("clock") or 0.0)
    trial.run()
    assert order == ["between", "clock", "call", "clock"]


def test_a_choice_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(choosing, "strangers", lambda target, element: lambda: calls.append(element))
    matrix = (np.random.default_rng(1).random((64, 64)) < 0.3).astype(np.float32)
    choose({"a": matrix}, current(), columns=32)
    assert calls and set(calls) == {"f32"} and len(calls) % choosing.ROUNDS == 0
