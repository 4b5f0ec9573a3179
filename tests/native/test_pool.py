"""Threads, barriers, and what may go wrong around them."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Barrier,
    Buf,
    BufferType,
    Const,
    Define,
    For,
    Function,
    Load,
    Module,
    Store,
    ThreadCount,
    ThreadId,
    Var,
)  # fmt: skip
from aerogel.native import compile, thread_limit
from aerogel.native import pool as pools
from aerogel.native.codegen import build, triple
from aerogel.native.engine import Loaded

Script = Callable[..., subprocess.CompletedProcess[str]]

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


def check_rounds(threads: int, rounds: int, y: np.ndarray, z: np.ndarray) -> None:
    assert y[:threads].tolist() == [rounds] * threads
    assert z[:threads].tolist() == [threads * rounds * (rounds + 1) // 2] * threads
    assert not y[threads:].any() and not z[threads:].any()


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 4, 5])
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


# --- whole processes --------------------------------------------------------------------------

PRELUDE = """
import os, signal, sys, threading, time
# A background shell hands down SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from aerogel.core.dtypes import DType
from aerogel.loop.nodes import *
from aerogel.native import compile
y, n, i = Buf("y", BufferType(DType.I64)), Var("n", I64), Var("i", I64)
body = (Store(y, ThreadId(), Load(y, ThreadId()) + 1), Barrier())
program = compile(Module("count", (Function("main", (y, n), (For(i, Const(0, I64), n, body),)),)))
def count(rounds, threads=3):
    a = np.zeros(8, np.int64)
    program(a, rounds, threads=threads)
    assert a.tolist() == [rounds] * threads + [0] * (8 - threads), a
"""


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "ending",
    [
        "",
        "time.sleep(0.05)",
        "sys.exit(0)",
        "bound = program.bind(np.zeros(8, np.int64), 1000)",
        "threading.Thread(target=lambda: [count(1000) for _ in range(10**6)], daemon=True).start()",
        "import atexit; atexit.register(count, 5)",
    ],
)
def test_python_ends_cleanly_with_workers_about(script: Script, ending: str) -> None:
    done = script(f"{PRELUDE}\ncount(10)\n{ending}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("many")
def test_interrupts_leave_the_pool_usable(script: Script) -> None:
    """Ctrl-C at many moments: in a start of threads, in a job, between jobs."""
    text = f"""{PRELUDE}
main = threading.main_thread().ident
stop = False
def annoy():
    while not stop:
        time.sleep(0.0015)
        if not stop:
            signal.pthread_kill(main, signal.SIGINT)
annoying = threading.Thread(target=annoy, daemon=True)
annoying.start()
caught, begun = 0, time.monotonic()
threads = 2
while caught < 60 and time.monotonic() - begun < 30:
    try:
        threads = threads % 6 + 1
        count(200, threads)
    except KeyboardInterrupt:
        caught += 1
while not stop or annoying.is_alive():
    # Its last signal may come long after it was told to stop.
    try:
        stop = True
        annoying.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        pass
for threads in (1, 2, 6, 3):
    count(50, threads)
print(caught)
"""
    done = script(text)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


@pytest.mark.usefixtures("many")
def test_fewer_threads_than_wanted_when_none_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pools, "_pools", [])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
    compile(rounds_module())(y, z, 5, threads=4)
    check_rounds(1, 5, y, z)
    assert "running on 1" in caplog.text


def test_every_thread_rounds_the_same_way() -> None:
    """A caller that flushes subnormals to zero, as torch can be told to, does not change results."""
    tiny, out = Buf("tiny", BufferType(DType.F32, const=True)), Buf("out", BufferType(DType.F32))
    half = Load(tiny, ThreadId()) * Const(0.5, F32)
    program = compile(Module("half", (Function("main", (tiny, out), (Store(out, ThreadId(), half),)),)))
    x = np.full(4, 1e-38, np.float32)
    want = x * np.float32(0.5)
    code = _control_setter()
    set_flush = ctypes.CFUNCTYPE(None, ctypes.c_uint32)(code.addresses["set"])
    try:
        set_flush(0x9FC0)
        for threads in (1, 2):
            y = np.zeros(4, np.float32)
            program(x, y, threads=threads)
            got = y.copy().view(np.uint32)
            used = min(threads, thread_limit())
            assert got[:used].tolist() == want[:used].view(np.uint32).tolist()
    finally:
        set_flush(0x1F80)


def _control_setter() -> Loaded:
    if platform.machine() != "x86_64":
        pytest.skip("the control register is x86's")
    text = f"""
target triple = "{triple()}"
define void @set(i32 %wanted) {{
  %slot = alloca i32
  store volatile i32 %wanted, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  ret void
}}"""
    return Loaded(build(text).object, ("set",))


@pytest.mark.slow
def test_wake_latency() -> None:
    """Prints how long an empty job takes with workers spinning and parked; asserts nothing about time."""
    program = compile(rounds_module())
    bound = program.bind(np.zeros(16, np.int64), np.zeros(16, np.int64), 0)
    for name, pause in (("spinning", 0.0), ("parked", 0.002)):
        times: list[float] = []
        for _ in range(200):
            time.sleep(pause) if pause else None
            begun = time.perf_counter()
            bound.run(threads=2)
            times.append(time.perf_counter() - begun)
        print(  # noqa: T201 (what the test is for)
            f"{name}: median {np.median(times) * 1e6:.1f} us, 90th {np.quantile(times, 0.9) * 1e6:.1f} us"
        )
    assert len(times) == 200


def test_who_asks_again_soon_finds_workers_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10**9]
    monkeypatch.setattr(pools, "perf_counter_ns", lambda: now[0])
    pool = pools.Pool()
    assert not pool.lively(), "nobody has asked yet"
    now[0] += pools.SOON_NS - 1
    assert pool.lively()
    now[0] += pools.SOON_NS
    assert not pool.lively(), "asked too long ago"


def test_a_run_on_several_threads_leaves_them_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10**9]
    monkeypatch.setattr(pools, "perf_counter_ns", lambda: now[0])
    pool = pools.Pool()
    monkeypatch.setattr(pool, "_start", lambda *_: None)
    monkeypatch.setattr(pool, "_grow", lambda count: count)
    pool.launch(0, 0, 1)
    assert not pool.lively()
    now[0] += pools.SOON_NS
    pool.launch(0, 0, 2)
    assert pool.lively()
