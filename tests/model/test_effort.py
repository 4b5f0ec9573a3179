"""Small calls run on one thread, others on as many as were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from tests.model.graphs import quick, rows_of

from aerogel.model.effort import Effort


@pytest.fixture(autouse=True)
def worth_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users have it."""
    monkeypatch.setattr("aerogel.model.effort.WORTH_THREADS_S", 40e-6)


def test_a_little_network_runs_on_one_thread_whatever_was_asked_for() -> None:
    d = rows_of(8)
    effort = Effort.of(quick(d.graph(d.linear("x", 4))).built)
    assert (effort.per_token, effort.per_row) == (0, 32)
    assert [effort.threads(0, 1, wanted) for wanted in (1, 2, 5)] == [1, 1, 1]


def test_many_rows_or_large_weights_are_worth_threads() -> None:
    assert Effort(per_token=0, per_row=32, nbytes=128).threads(0, 1 << 20, 2) == 2
    assert Effort(per_token=1000, per_row=0, nbytes=128).threads(1 << 20, 0, 3) == 3
    assert Effort(per_token=1, per_row=1, nbytes=1 << 24).threads(1, 1, 2) == 2


def test_zeros_are_no_effort() -> None:
    d = rows_of(64)
    y = d.linear("x", 64)
    (name,) = (name for name, weight in d.weights.items() if np.ndim(weight) == 2)
    d.weights[name][:, 8:] = 0
    effort = Effort.of(quick(d.graph(y)).built)
    assert effort.per_row == 64 * 8
