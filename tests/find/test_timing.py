"""The order in which things are timed, and that one which fails does not cost the others."""

from __future__ import annotations

import pytest
from tests.find.evidence import pay_map
from tests.find.networks import mlp, subject
from tests.model.graphs import rows_of

from aerogel.core.errors import MeasureError
from aerogel.find import timing as module
from aerogel.find.other_runtime import OtherRuntime
from aerogel.find.paymap import WAYS
from aerogel.find.skipped import Skipped
from aerogel.find.subject import Subject
from aerogel.find.timing import measure_timing
from aerogel.model.graph import Graph
from aerogel.tune.breakeven import Way


def wide() -> Graph:
    draft = rows_of(64)
    return draft.graph(draft.linear("x", 128))


MAP = ["dense int8", "control", *(str(way) for way in WAYS[1:])]


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    class Map:
        def __init__(self, *_: object) -> None:
            self.control = lambda: asked.append("control")
            self.way = lambda way: asked.append(str(way))
            self.result = lambda: pay_map(())

    class Whole:
        splits = gains = ()

        def __init__(self, *_: object) -> None:
            self.trials: list[object] = []
            self.missing = [Skipped("more", "it is late")]

        def now(self) -> None:
            asked.append("now")

        def trial(self, way: Way) -> None:
            asked.append(f"trial {way}")
            if way == Way("block4x1"):
                raise MeasureError("no clock")

    monkeypatch.setattr(module, "MapTimer", Map)

    def other(*_: object) -> OtherRuntime:
        asked.append("other")
        return OtherRuntime(missing=Skipped("another", "none is there"))

    monkeypatch.setattr(module, "WholeTimer", Whole)
    monkeypatch.setattr(module, "measure_other_runtime", other)
    return asked


def test_the_most_important_first_and_failures_are_said(order: list[str]) -> None:
    found = measure_timing(subject(wide()), 0.0, lambda: 1e9, lambda _: None)
    assert order == [
        "now", "dense int8", "trial dense int8", "other", "control", "unstructured", "trial unstructured",
        "block4x4 int8", "trial block4x4 int8", "block4x1", "trial block4x1", *map(str, WAYS[4:]),
    ]  # fmt: skip
    assert found.missing == (
        Skipped("the whole model", "no clock"),
        Skipped("another", "none is there"),
        Skipped("more", "it is late"),
    )


def test_a_tiny_model_is_not_compiled(order: list[str]) -> None:
    measure_timing(subject(mlp()), 0.0, lambda: 1e9, lambda _: None)
    assert order == MAP


def test_a_refused_model_has_a_map_alone(order: list[str]) -> None:
    graph = wide()
    refused = Subject("net", "module", subject(graph).weights, None, "why")
    found = measure_timing(refused, 0.0, lambda: 1e9, lambda _: None)
    assert order == MAP
    assert found.missing[0] == Skipped("the whole model", "compile would refuse it")
