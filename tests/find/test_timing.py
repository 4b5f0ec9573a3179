"""The order in which things are timed, and that one which fails does not cost the others."""

from __future__ import annotations

import pytest
from tests.find.evidence import pay_map
from tests.find.networks import mlp, subject
from tests.model.graphs import rows_of

from aerogel.core.errors import MeasureError
from aerogel.find import timing as module
from aerogel.find.skipped import Skipped
from aerogel.find.subject import Subject
from aerogel.find.timing import measure_timing
from aerogel.model.graph import Graph


def wide() -> Graph:
    draft = rows_of(64)
    return draft.graph(draft.linear("x", 128))


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    class Map:
        def __init__(self, *_: object) -> None:
            self.control = lambda: asked.append("control")
            self.pattern = asked.append
            self.result = lambda: pay_map(())

    class Whole:
        splits = gains = ()

        def __init__(self, *_: object) -> None:
            self.trials: list[object] = []
            self.missing = [Skipped("more", "it is late")]

        def now(self) -> None:
            asked.append("now")

        def trial(self, pattern: str) -> None:
            asked.append(f"trial {pattern}")
            if pattern == "block4x1":
                raise MeasureError("no clock")

    monkeypatch.setattr(module, "MapTimer", Map)
    monkeypatch.setattr(module, "WholeTimer", Whole)
    return asked


def test_the_most_important_first_and_failures_are_said(order: list[str]) -> None:
    found = measure_timing(subject(wide()), 0.0, lambda: 1e9, lambda _: None)
    assert order == [
        "now", "control", "unstructured", "trial unstructured", "trial block4x1", "block4x1", "block2x1",
    ]  # fmt: skip
    assert found.missing == (Skipped("the whole model", "no clock"), Skipped("more", "it is late"))


def test_a_tiny_model_is_not_compiled(order: list[str]) -> None:
    measure_timing(subject(mlp()), 0.0, lambda: 1e9, lambda _: None)
    assert order == ["control", "unstructured", "block4x1", "block2x1"]


def test_a_refused_model_has_a_map_alone(order: list[str]) -> None:
    graph = wide()
    refused = Subject("net", "module", subject(graph).weights, None, "why")
    found = measure_timing(refused, 0.0, lambda: 1e9, lambda _: None)
    assert order == ["control", "unstructured", "block4x1", "block2x1"]
    assert found.missing[0] == Skipped("the whole model", "compile would refuse it")
