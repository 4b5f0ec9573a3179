from __future__ import annotations

import gc
import socket

import pytest

from aerogel.measure import wire, worker


def test_a_block_lasts_long_enough_and_has_runs_enough() -> None:
    calls = []
    times = worker.block(lambda: calls.append(gc.isenabled()), seconds=0.02, warm_s=0.0, min_runs=3)
    assert sum(times) >= 0.02e9 and len(times) > 3
    # One run to warm up, with the collector as it was; no collection while timing.
    assert calls[0] is True and not any(calls[1:])
    assert len(calls) == len(times) + 1
    assert gc.isenabled()


def test_a_block_of_slow_runs_still_has_the_least_number() -> None:
    assert len(worker.block(lambda: None, seconds=0.0, warm_s=0.0, min_runs=5)) == 5


def test_the_collector_is_back_after_a_failure() -> None:
    runs = iter([None])
    with pytest.raises(StopIteration):
        worker.block(lambda: next(runs), seconds=0.01, warm_s=0.0, min_runs=1)
    assert gc.isenabled()


def test_messages_arrive_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        wire.send(theirs, {"op": "x", "n": [1, 2]}, b"\x00\xff" * 1000)
        wire.send(theirs, {})
        assert wire.receive(ours) == ({"op": "x", "n": [1, 2]}, b"\x00\xff" * 1000)
        assert wire.receive(ours) == ({}, b"")
        theirs.close()
        with pytest.raises(EOFError):
            wire.receive(ours)
