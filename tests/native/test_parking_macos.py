"""Parking on macOS, with its two functions played by the futex of Linux."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.test_pool import check_rounds, rounds_module

from aerogel.native import compile, parking_linux, parking_macos, runtime
from aerogel.native import pool as pools
from aerogel.native.codegen import build, triple
from aerogel.native.engine import Loaded

pytestmark = pytest.mark.skipif(not parking_linux.AVAILABLE, reason="plays macOS by the futex of Linux")

# Threads sleep in this code until the process ends.
_KEPT: list[object] = []


def played() -> str:
    """What macOS documents of the functions, as LLVM: a word of 4 bytes, no flags; -1 or a count."""
    address, number = parking_linux.syscall_address(), {"x86_64": 202, "aarch64": 98}[runtime.MACHINE]

    def futex(operation: int, value: str) -> str:
        return (
            f"  %call = inttoptr i64 {address} to ptr\n"
            f"  %r = call i64 (i64, ...) %call(i64 {number}, ptr %word, i32 {operation}, i32 {value},"
            " ptr null, ptr null, i32 0)\n  %done = trunc i64 %r to i32\n  ret i32 %done\n}\n"
        )

    return (
        "define i32 @os_sync_wait_on_address(ptr %word, i64 %wide, i64 %size, i32 %flags) {\n"
        f"  %value = trunc i64 %wide to i32\n{futex(128, '%value')}"
        "define i32 @os_sync_wake_by_address_all(ptr %word, i64 %size, i32 %flags) {\n"
        f"{futex(129, '2147483647')}"
    )


@pytest.fixture
def like_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of threads that park as they would on macOS."""
    parking = "\n".join(
        line for line in parking_macos.code(runtime.MACHINE).splitlines() if not line.startswith("declare")
    )
    text = runtime.code(parking=parking) + played()
    loaded = Loaded(build(f'target triple = "{triple()}"\n{text}').object, ("start", "work", "barrier"))
    _KEPT.append(loaded)
    monkeypatch.setattr(pools, "_pools", [])
    monkeypatch.setattr(pools, "PARKING", parking_macos)
    monkeypatch.setattr(pools, "runtime", lambda: runtime.bound(loaded))


@pytest.mark.usefixtures("many", "like_macos")
def test_barriers_order_what_threads_see() -> None:
    program = compile(rounds_module())
    for threads in (2, 5, 3):
        y, z = np.zeros(16, np.int64), np.zeros(16, np.int64)
        program(y, z, 50, threads=threads)
        check_rounds(threads, 50, y, z)
    assert len(pools._pools) == 1


def test_it_is_for_macos_alone() -> None:
    assert not parking_macos.AVAILABLE and parking_macos.syscall_address() == 0
    assert runtime.PARKING is parking_linux
