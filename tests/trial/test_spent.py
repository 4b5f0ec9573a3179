"""The phases of a run are metered one by one, and none is counted twice."""

from __future__ import annotations

import time

import pytest

from aerogel.trial.spent import Phases


def test_phases_make_up_the_whole() -> None:
    phases = Phases()
    began = time.perf_counter()
    with phases.run():
        time.sleep(0.02)
        for pause in (0.03, 0.05):
            with phases.phase("pruning"):
                time.sleep(pause)
        with phases.phase("recovery"):
            time.sleep(0.01)
    whole = time.perf_counter() - began
    spent = phases.spent()
    assert spent.recovery is not None and spent.other is not None
    assert spent.pruning.seconds >= 0.08
    assert spent.recovery.seconds >= 0.01
    assert spent.other.seconds >= 0.02
    assert spent.made.seconds == pytest.approx(spent.pruning.seconds + spent.recovery.seconds)
    assert spent.made.seconds + spent.other.seconds <= whole
    found = spent.to_json()
    assert found["pruning"]["text"] and "parts" not in found["pruning"]


def test_without_recovery_there_is_none() -> None:
    phases = Phases()
    with phases.run(), phases.phase("pruning"):
        pass
    assert phases.spent().recovery is None


def test_a_phase_that_fails_is_still_counted() -> None:
    def fails() -> None:
        time.sleep(0.01)
        raise ZeroDivisionError

    phases = Phases()
    with pytest.raises(ZeroDivisionError), phases.run(), phases.phase("pruning"):
        fails()
    found = phases.reading("pruning")
    assert found is not None and found.seconds >= 0.01
