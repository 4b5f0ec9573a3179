"""The threads of this process: started when first needed, asleep when idle, one job at a time.

Workers are Python daemon threads that stay in machine code (`runtime`); a job is one native call, which
no Python exception can interrupt half-way.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from time import perf_counter_ns

from aerogel.core.errors import InputError
from aerogel.native import cores
from aerogel.native.lock import LOCK
from aerogel.native.runtime import IDLE_SPIN_TICKS, PARKING, SPIN_TICKS, Layout, runtime

_log = logging.getLogger("aerogel")
SOON_NS = 800_000
"""Calls no further apart find the workers of the last one awake: these spin somewhat longer."""


def _memory() -> int:
    """The address of a pool's memory: zeroed, on a line of its own, never freed."""
    raw = ctypes.create_string_buffer(Layout.size(cores.MOST) + Layout.LINE)
    # When Python shuts down its objects go, but workers still sleep here until the process ends.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(raw))
    return -(-ctypes.addressof(raw) // Layout.LINE) * Layout.LINE


class Pool:
    """Worker threads and the memory they meet in."""

    def __init__(self) -> None:
        self.state = _memory()
        self._runtime = runtime()
        self._start = self._runtime.start
        self._busy = threading.Lock()
        self._joined = threading.Condition()
        self._workers = 0
        self._asked = -SOON_NS
        for offset, word in (
            (Layout.BARRIER, self._runtime.barrier),
            (Layout.SYSCALL, PARKING.syscall_address()),
            (Layout.SPIN, SPIN_TICKS),
            (Layout.IDLE_SPIN, IDLE_SPIN_TICKS),
        ):
            ctypes.c_uint64.from_address(self.state + offset).value = word

    def run(self, function: int, block: int, threads: int) -> None:
        """Run an entry on ``threads`` threads (capped by ``cores.limit``), the caller being thread 0."""
        self.launch(function, block, 1 if threads == 1 else self.threads(threads))

    def launch(self, function: int, block: int, count: int) -> None:
        """As ``run``, on as many threads as ``ready`` or ``threads`` said."""
        if count == 1:
            self._start(self.state, function, block, 1)
            return
        # Only calls stand inside, no loops: an interrupt cannot fall between the lock and its release.
        with self._busy:
            self._start(self.state, function, block, self._grow(count))
        self._asked = perf_counter_ns()

    def lively(self) -> bool:
        """Whether little work is worth a second thread: who asked, or ran on several, a moment ago has them
        awake, or pays once for waking them. Else that would take longer than the work."""
        now = perf_counter_ns()
        soon = now - self._asked < SOON_NS
        self._asked = now
        return soon

    def threads(self, wanted: object) -> int:
        """How many threads a call for ``wanted`` gets; InputError below 1."""
        if not isinstance(wanted, int) or wanted < 1:
            raise InputError(f"threads={wanted!r}: give a whole number from 1 on")
        return 1 if wanted == 1 else min(wanted, cores.limit())

    def ready(self, wanted: object) -> int:
        """How many threads a call for ``wanted`` will surely have, now that they are started: for work that
        was shared out beforehand."""
        count = self.threads(wanted)
        if count <= self._workers + 1:
            return count
        with self._busy:
            return self._grow(count)

    def _grow(self, threads: int) -> int:
        """Start the workers that ``threads`` threads need; how many threads there then are."""
        while self._workers < threads - 1:
            goal = self._workers + 1
            worker = threading.Thread(target=self._serve, name="aerogel", daemon=True)
            try:
                worker.start()
            except RuntimeError as error:
                _log.warning("no more threads can be started (%s): running on %d", error, self._workers + 1)
                return self._workers + 1
            with self._joined:
                while self._workers < goal:
                    self._joined.wait()
        return threads

    def _serve(self) -> None:
        """A worker's life. It numbers itself, so an interrupted start leaves at worst an idle spare."""
        with self._joined:
            if self._workers + 1 >= cores.MOST:
                return
            self._workers += 1
            number = self._workers
            self._joined.notify_all()
        self._runtime.work(self.state, number)


# This process's pool, once it has one.
_pools: list[Pool] = []


def pool() -> Pool:
    """The pool of this process."""
    if not _pools:
        # Of two callers at once the first to append counts; no lock that a fork could find taken.
        _pools.append(Pool())
    return _pools[0]


def _after_fork() -> None:
    """Only the forking thread lives on in the child: forget the workers, and the lock that others held."""
    _pools.clear()
    LOCK.release()


if hasattr(os, "register_at_fork"):
    # No other thread may be inside LLVM at that moment: the child would find its locks held for ever.
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=_after_fork)
