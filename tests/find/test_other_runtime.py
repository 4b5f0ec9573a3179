"""The whole model in another runtime: ratios by hand, and that a failure or a wrong model is said."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.find.networks import mlp
from tests.model.graphs import rows_of

from aerogel.core.errors import MeasureError
from aerogel.find import other_runtime as module
from aerogel.find.other_runtime import FP32, INT8, OURS, WHAT, measure_other_runtime
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.measure import Case, Contender, Progress, Settings

TOOK = {OURS: 3.0, FP32: 2.0, INT8: 0.5}


class Found:
    """As much of a comparison as is asked for."""

    def __init__(self, cases: list[Case], off: float) -> None:
        one = np.ones((1, 2), np.float32)
        outputs = {OURS: one, FP32: one * (1 + off), INT8: one * 1.25}
        self.cases = [type("Done", (), {"name": case.name, "outputs": outputs}) for case in cases]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Contender]:
    return made_up(monkeypatch, 0.0)


def made_up(monkeypatch: pytest.MonkeyPatch, off: float) -> list[Contender]:
    pytest.importorskip("onnx")
    asked: list[Contender] = []

    def compare(
        contenders: list[Contender], cases: list[Case], settings: Settings, *, progress: Any
    ) -> Found:
        asked.extend(contenders)
        for contender in contenders:
            assert all(
                Path(str(p)).stat().st_size > 0 for k, p in contender.args.items() if k in ("model", "onnx")
            )
            progress(Progress("load", contender.name, "", 1, 9))
        for case in cases:
            for _ in range(settings.rounds):
                for name, seconds in TOOK.items():
                    progress(Progress("block", name, case.name, 1, 9, seconds))
        return Found(cases, off)

    monkeypatch.setattr(module, "compare", compare)
    return asked


def test_our_time_over_theirs_and_what_their_integers_gain(compared: list[Contender]) -> None:
    told: list[str] = []
    found = measure_other_runtime(mlp(), lambda: 1e9, told.append)
    assert found.missing is None
    assert [control.tokens for control in found.controls] == [16, 128]
    for control in found.controls:
        assert control.dense_s == 3.0
        assert control.dense_over_control.value == pytest.approx(1.5)
        assert control.int8_speedup.value == pytest.approx(4.0)
        assert control.dense_over_int8.value == pytest.approx(6.0)
        assert control.int8_error == pytest.approx(0.25)
    assert [contender.args["threads"] for contender in compared] == [1, 1, 1]
    assert len(told) == len(set(told)) == 5


def test_zeros_are_filled_for_both_so_that_a_dense_model_is_timed() -> None:
    draft = rows_of(8)
    graph = draft.graph(draft.linear("x", 4))
    (name,) = {op.weight for op in graph.linears()}
    graph.weight(name)[...] = 0
    filled = module._filled(graph)
    assert filled.weight(name).all() and not graph.weight(name).any()


def test_another_answer_is_no_control(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, 0.01)
    found = measure_other_runtime(mlp(), lambda: 1e9, lambda _: None)
    assert found.controls == () and found.missing is not None
    assert "computes something else than our program: off by 1.0e-02" in found.missing.why


def test_no_libraries_no_time_and_failures_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_other_runtime(mlp(), lambda: 1.0, lambda _: None).missing == Skipped(WHAT, NO_TIME)

    def fail(*_: object, **__: object) -> None:
        raise MeasureError("contender 'x' has died.\nThe end of its stderr: ...")

    monkeypatch.setattr(module, "compare", fail)
    found = measure_other_runtime(mlp(), lambda: 1e9, lambda _: None)
    assert found.missing == Skipped(WHAT, "contender 'x' has died.")

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    found = measure_other_runtime(mlp(), lambda: 1e9, lambda _: None)
    assert found.missing is not None and "No space left" in found.missing.why
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    found = measure_other_runtime(mlp(), lambda: 1e9, lambda _: None)
    assert found.missing == Skipped(WHAT, "onnxruntime and onnx are not installed")


@pytest.mark.slow
def test_real_runtimes_agree_on_the_whole_model() -> None:
    pytest.importorskip("onnxruntime")
    draft = rows_of(64)
    found = measure_other_runtime(draft.graph(draft.linear("x", 128)), lambda: 1e9, lambda _: None)
    assert found.missing is None and len(found.controls) == 2
    for control in found.controls:
        assert 0 < control.dense_over_control.low <= control.dense_over_control.high
        assert 1e-6 < control.int8_error < 0.2
