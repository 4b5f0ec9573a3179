"""Threads, barriers, and what may go wrong around them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError
from aerogel.loop.nodes import (
    I64, Assign, Barrier, Buf, BufferType, Const, Define, For, Function, Load, Module, Store, ThreadCount, ThreadId,
    Var,
)  # fmt: skip
from aerogel.native import compile, thread_limit

I64_BUFFER = BufferType(DType.I64)


def rounds_module() -> Module:
    """``n`` times: every thread counts in ``y``, waits, sums all counts into ``z``, waits."""
    y, z, n = Buf("y", I64_BUFFER), Buf("z", I64_BUFFER), Var("n", I64)
    i, j, s = Var("i", I64), Var("j", I64), Var("s", I64)
    zero, me = Const(0, I64), ThreadId()
    body = (
        Store(y, me, Load(y, me) + 1),
        Barrier(),
        Define(s, zero),
        For(j, zero, ThreadCount(), (Assign(s, s + Load(y, j)),)),
        # A thread that ran ahead would add to a sum that its neighbours still read.
        Store(z, me, Load(z, me) + s),
        Barrier(),
    )
    return Module("rounds", (Function("main", (y, z, n), (For(i, zero, n, body),)),))


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


def check_rounds(threads: int, rounds: int, y: np.ndarray, z: np.ndarray) -> None:
    assert y[:threads].tolist() == [rounds] * threads
    assert z[:threads].tolist() == [threads * rounds * (rounds + 1) // 2] * threads
    assert not y[threads:].any() and not z[threads:].any()


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 2, 1, 5])
@pytest.mark.usefixtures("many")
def test_barriers_order_what_threads_see(threads: int) -> None:
    program = compile(rounds_module())
    y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
    program(y, z, 50, threads=threads)
    check_rounds(threads, 50, y, z)


@pytest.mark.parametrize("wanted", [0, -1, 1.5, "2"])
def test_senseless_thread_counts_are_refused(wanted: object) -> None:
    y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
    with pytest.raises(InputError, match="threads="):
        compile(rounds_module())(y, z, 1, threads=wanted)  # type: ignore[arg-type]


def test_ten_thousand_threads_are_capped() -> None:
    y, z = np.zeros(300, np.int64), np.zeros(300, np.int64)
    compile(rounds_module())(y, z, 3, threads=10_000)
    check_rounds(thread_limit(), 3, y, z)


@pytest.mark.usefixtures("many")
def test_two_callers_share_the_pool() -> None:
    program = compile(rounds_module())
    failures: list[BaseException] = []

    def call() -> None:
        try:
            for _ in range(20):
                y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
                program(y, z, 10, threads=3)
                check_rounds(3, 10, y, z)
        except BaseException as error:  # noqa: BLE001 (handed to the test's thread)
            failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


@pytest.mark.usefixtures("many")
def test_idle_threads_cost_no_cpu() -> None:
    y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
    compile(rounds_module())(y, z, 10, threads=4)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.05


@pytest.mark.usefixtures("many")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_its_own_threads() -> None:
    program = compile(rounds_module())
    y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
    program(y, z, 5, threads=3)
    stop = threading.Event()

    def keep_busy() -> None:
        a, b = np.zeros(16, np.int64), np.zeros(16, np.int64)
        while not stop.is_set():
            program(a, b, 20, threads=3)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                a, b = np.zeros(16, np.int64), np.zeros(16, np.int64)
                compile(rounds_module())(a, b, 5, threads=3)
                right = a[:3].tolist() == [5] * 3 and b[:3].tolist() == [3 * 15] * 3
                os._exit(0 if right else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        busy.join()


def run_script(text: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
