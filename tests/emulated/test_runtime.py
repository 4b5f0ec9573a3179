"""Workers, barriers and futexes of 64-bit ARM: the runtime's own code, on an emulated processor.

Threads take turns where they sleep or wake others; whose turn it is is drawn. The futex is Python's.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Generator

import numpy as np
import pytest
from tests.emulated.arm import PAGE, Processor
from unicorn import UC_PROT_READ, UC_PROT_WRITE
from unicorn import arm64_const as arm64

from aerogel.core.dtypes import DType
from aerogel.core.target import named
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
)
from aerogel.native import llvm, parking_linux, runtime
from aerogel.native.codegen import build, triple
from aerogel.native.engine import ENTRY
from aerogel.native.runtime import Layout

_STATE, _BLOCK, _DATA = 0x5000_0000, 0x6000_0000, 0x7000_0000
_FUTEX, _WAIT, _WAKE = 98, 128, 129
_X = [getattr(arm64, f"UC_ARM64_REG_X{i}") for i in range(4)]


class Machine:
    """The runtime and one program, with memory for a pool, its arguments and one buffer of i64."""

    def __init__(self, module: Module, spin_ns: int = 0) -> None:
        text = llvm.module(module, named("neon"), triple("aarch64"))
        code = build(text + runtime.code("aarch64", parking_linux.code("aarch64"))).object
        self.processor = Processor(code, ("syscall",))
        self.uc = self.processor.uc
        for at in (_STATE, _BLOCK, _DATA):
            self.uc.mem_map(at, PAGE, UC_PROT_READ | UC_PROT_WRITE)
        self.addresses = self.processor.addresses
        self._put(_STATE + Layout.BARRIER, self.addresses["barrier"])
        self._put(_STATE + Layout.SYSCALL, self.addresses["syscall"])
        self._put(_STATE + Layout.SPIN, spin_ns)
        self._put(_STATE + Layout.IDLE_SPIN, spin_ns)
        self._put(_BLOCK, _DATA)
        self.waits = 0
        self._asleep: dict[int, int] = {}
        self._workers: list[Generator[str, None, None]] = []

    def _put(self, at: int, word: int) -> None:
        self.uc.mem_write(at, struct.pack("<Q", word))

    @property
    def data(self) -> np.ndarray:
        return np.frombuffer(bytes(self.uc.mem_read(_DATA, PAGE)), np.int64)

    def run(self, threads: int, rng: random.Random) -> None:
        """One job; workers of earlier jobs are there still."""
        while len(self._workers) < threads - 1:
            number = len(self._workers) + 1
            work = self.addresses["work"]
            self._workers.append(self.processor.thread(work, (_STATE, number), number))
        start = (_STATE, self.addresses[ENTRY], _BLOCK, threads)
        running = [self.processor.thread(self.addresses["start"], start, 0), *self._workers]
        while True:
            able = [i for i in range(len(running)) if i not in self._asleep]
            assert able, "all threads sleep"
            turn = rng.choice(able)
            if next(running[turn], None) is None:
                assert turn == 0, "a worker went home"
                return
            self._futex(turn)

    def _futex(self, thread: int) -> None:
        """What the system does for the thread whose registers are loaded."""
        number, word, operation, value = (self.uc.reg_read(register) for register in _X)
        assert number == _FUTEX
        if operation == _WAIT:
            self.waits += 1
            if struct.unpack("<I", self.uc.mem_read(word, 4))[0] == value & 0xFFFFFFFF:
                self._asleep[thread] = word
        else:
            assert operation == _WAKE
            self._asleep = {who: where for who, where in self._asleep.items() if where != word}


def rounds(count: int) -> Module:
    """``count`` times: each thread counts in its element, waits, adds all of them to one of its own."""
    y, i, j, s = Buf("y", BufferType(DType.I64)), Var("i", I64), Var("j", I64), Var("s", I64)
    zero, me = Const(0, I64), ThreadId()
    body = (
        Store(y, me, Load(y, me) + 1),
        Barrier(),
        Define(s, zero),
        For(j, zero, ThreadCount(), (Assign(s, s + Load(y, j)),)),
        Store(y, me + 16, Load(y, me + 16) + s),
        Barrier(),
    )
    return Module("rounds", (Function("main", (y,), (For(i, zero, Const(count, I64), body),)),))


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_jobs_end_and_barriers_hold_whoever_comes_first(threads: int, seed: int) -> None:
    machine, rng = Machine(rounds(6)), random.Random(seed)
    for job in range(1, 4):
        machine.run(threads, rng)
        done = 6 * job
        assert machine.data[:threads].tolist() == [done] * threads
        assert machine.data[16 : 16 + threads].tolist() == [threads * done * (done + 1) // 2] * threads


def test_fewer_threads_than_before_leave_the_others_asleep() -> None:
    machine, rng = Machine(rounds(3)), random.Random(1)
    for threads in (4, 2, 1, 3):
        machine.run(threads, rng)
    assert machine.data[:4].tolist() == [12, 9, 6, 3]


def test_a_wait_parks_after_its_time_by_the_timer() -> None:
    """On an emulated processor nobody else runs meanwhile, so each wait takes all of its time."""
    machine, ns = Machine(rounds(2), spin_ns=20_000_000), 20_000_000
    begun = time.perf_counter_ns()
    machine.run(3, random.Random(2))
    spent = time.perf_counter_ns() - begun
    assert machine.waits >= 4
    # The timer's period is rounded down to nanoseconds, by at most a part in sixteen here.
    assert 0.9 * ns * machine.waits <= spent <= 100 * ns * machine.waits


@pytest.mark.parametrize("threads", [1, 2])
def test_the_callers_rounding_changes_no_bit_and_is_left_as_it_was(threads: int) -> None:
    y = Buf("y", BufferType(DType.F32))
    # Subnormal, and not a number of 24 bits: flushing or rounding up would show.
    third = Load(y, ThreadId()) * Const(1 / 3, F32)
    machine = Machine(Module("third", (Function("main", (y,), (Store(y, ThreadId(), third),)),)))
    x = np.full(2, 1.1e-38, np.float32)
    machine.uc.mem_write(_DATA, x.tobytes())
    strange = 1 << 24 | 1 << 22
    machine.uc.reg_write(arm64.UC_ARM64_REG_FPCR, strange)
    machine.run(threads, random.Random(0))
    got = machine.data[:1].view(np.float32)[:threads]
    np.testing.assert_array_equal(got, (x * np.float32(1 / 3))[:threads])
    assert got[0] > 0 and machine.uc.reg_read(arm64.UC_ARM64_REG_FPCR) == strange
