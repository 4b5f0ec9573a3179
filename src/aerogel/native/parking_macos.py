"""Sleeping and waking on macOS, from 14.4 on: its public functions that wait on an address.

Source: os/os_sync_wait_on_address.h. LLVM's linker finds them by name in this process.
"""

from __future__ import annotations

import ctypes
import sys

AVAILABLE = sys.platform == "darwin" and hasattr(ctypes.CDLL(None), "os_sync_wait_on_address")


def syscall_address() -> int:
    """Nothing is called by its address."""
    return 0


def code(machine: str) -> str:
    """LLVM: ``park`` sleeps while ``*word == value`` (or returns early), ``wake`` wakes its sleepers."""
    # 4: the size of the word; the last argument: no flags, a word of this process alone.
    return """
declare i32 @os_sync_wait_on_address(ptr, i64, i64, i32)
declare i32 @os_sync_wake_by_address_all(ptr, i64, i32)

define internal void @park(ptr %state, ptr %word, i32 %value) {
  %wide = zext i32 %value to i64
  %left = call i32 @os_sync_wait_on_address(ptr %word, i64 %wide, i64 4, i32 0)
  ret void
}

define internal void @wake(ptr %state, ptr %word) {
  %done = call i32 @os_sync_wake_by_address_all(ptr %word, i64 4, i32 0)
  ret void
}
"""
