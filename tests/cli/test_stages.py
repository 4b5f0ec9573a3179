"""Progress of a job in stages: lines where nobody watches, a bar where somebody does."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from aerogel.cli import stages as module
from aerogel.cli.stages import stages


def test_a_line_when_a_stage_begins_and_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with stages() as told:
        told.stage("loading")
        told.stage("pruning: a", 0.1)
        told.stage("pruning: b", 0.2)
        now[0] += 11
        told.stage("pruning: c", 0.3)
        told.note("that is so")
        told.stage("writing")
    assert capsys.readouterr() == (
        "", "loading\n[ 10%] pruning: a\n[ 30%] pruning: c\nnote: that is so\nwriting\n"
    )  # fmt: skip


def test_a_bar_for_who_watches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with stages() as told:
        shown: Any = told
        told.stage("loading")
        told.stage("pruning: a[0]", 0.25)
        task = shown._shown.tasks[0]
        assert (task.description, task.completed, task.total) == ("pruning: a[0]", 0.25, 1.0)
        told.note("layer[0] is kept")
    out, err = capsys.readouterr()
    assert out == ""
    assert "note: layer[0] is kept" in err
