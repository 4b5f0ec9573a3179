"""The dense control: which there is, what there is time for, and that failures are said, not raised."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from aerogel.core.errors import MeasureError
from aerogel.find import controls as module
from aerogel.find.controls import Shape, installed, measure_controls
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.measure import Case, Progress, Settings

SHAPES = [Shape(64, 64, 128), Shape(64, 64, 16)]


def missing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))


def measured(seconds: float = 1e9) -> module.Controls:
    return measure_controls(SHAPES, lambda: seconds, lambda _: None)


def test_onnxruntime_where_it_can_be_used_else_torch_else_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    assert installed() == "onnxruntime fp32"
    missing(monkeypatch, "onnx")
    assert installed() == "torch fp32"
    missing(monkeypatch, "onnx", "torch")
    assert installed() is None
    found = measured()
    assert (found.name, found.layers) == (None, ())
    assert found.missing == Skipped("another runtime", "neither onnxruntime nor torch is installed")


def test_no_time() -> None:
    found = measured(1.0)
    assert (found.name, found.missing) == (None, Skipped(str(installed()), NO_TIME))


def test_as_many_shapes_as_there_is_time_for() -> None:
    shapes = [Shape(64, n, 16) for n in range(1, 50)]
    some = module._affordable(shapes, 3, 20)
    assert 1 < len(some) < 20 and some == shapes[: len(some)]
    huge = [Shape(30_000, 30_000 + n, 128) for n in range(50)]
    assert module._affordable(huge, 3, 20) == []


def test_shapes_that_were_done_stand_when_a_comparison_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first shape is timed in full, the second in part: then time is up."""
    monkeypatch.setattr(module, "installed", lambda: "onnxruntime fp32")
    took = {module.OURS: 2.0, "onnxruntime fp32": 1.0, module.INT8: 0.25}
    seconds = [1e9]

    def drag(contenders: object, cases: list[Case], settings: Settings, *, progress: Any) -> None:
        for case in cases:
            for turn in range(settings.rounds):
                if case is cases[1] and turn == 2:
                    seconds[0] = -1.0
                for name, each in took.items():
                    progress(Progress("block", name, case.name, 1, 99, each * (1 + turn)))
        pytest.fail("nobody ended it")

    monkeypatch.setattr(module, "compare", drag)
    found = measure_controls(SHAPES, lambda: seconds[0], lambda _: None)
    assert found.missing == Skipped("onnxruntime fp32 at 1 of 2 shapes", NO_TIME)
    (only,) = found.layers
    assert only.shape == SHAPES[0]
    assert only.dense_over_control.value == 2.0
    assert only.int8_speedup is not None and only.int8_speedup.value == 4.0
    assert only.int8_error is None, "outputs come at the end"


def test_a_failure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MeasureError("contender 'x' has died.\nThe end of its stderr: ...")

    monkeypatch.setattr(module, "compare", fail)
    found = measured()
    assert found.name is None
    assert found.missing == Skipped(str(installed()), "contender 'x' has died.")


@pytest.mark.slow
def test_real_contenders_agree_and_int8_comes_with_its_error() -> None:
    pytest.importorskip("onnxruntime")
    told: list[str] = []
    found = measure_controls(SHAPES, lambda: 1e9, told.append)
    assert found.name == "onnxruntime fp32" and found.missing is None
    assert [layer.shape for layer in found.layers] == SHAPES
    for layer in found.layers:
        ratio = layer.dense_over_control
        assert 0.01 < ratio.low <= ratio.value <= ratio.high < 100
        assert layer.int8_speedup is not None and layer.int8_error is not None
        assert 1e-5 < layer.int8_error < 0.1
    assert found.at(SHAPES[1]) == found.layers[1]
    assert len(told) == len(set(told)), "a line per shape"


@pytest.mark.slow
def test_torch_serves_where_onnx_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "onnx")
    found = measured()
    assert found.name == "torch fp32"
    assert all(layer.int8_speedup is None for layer in found.layers)


def test_a_comparison_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1e9, 10.0, -1.0])

    def drag(*_: object, progress: object, **__: object) -> None:
        for done in range(5):
            progress(Progress("load", f"contender {done}", "", done, 5))  # type: ignore[operator]
        pytest.fail("nobody ended it")

    monkeypatch.setattr(module, "compare", drag)
    found = measure_controls(SHAPES, lambda: next(seconds), lambda _: None)
    assert found.missing == Skipped(str(installed()), NO_TIME)
