"""Sleeping and waking on Linux: the futex system call, made through libc's ``syscall``."""

from __future__ import annotations

import ctypes
import platform
import sys

_NUMBERS = {"x86_64": 202, "aarch64": 98}
_WAIT, _WAKE, _PRIVATE = 0, 1, 128

AVAILABLE = sys.platform == "linux" and platform.machine() in _NUMBERS


def syscall_address() -> int:
    """Where libc's ``syscall`` lives in this process."""
    return ctypes.cast(ctypes.CDLL(None).syscall, ctypes.c_void_p).value or 0


def code(machine: str) -> str:
    """LLVM: ``park`` sleeps while ``*word == value`` (or returns early), ``wake`` wakes its sleepers."""
    number = _NUMBERS[machine]
    call = "call i64 (i64, ...) %syscall"
    return f"""
define internal void @park(ptr %state, ptr %word, i32 %value) {{
  %slot = getelementptr i8, ptr %state, i64 8
  %syscall = load ptr, ptr %slot
  {call}(i64 {number}, ptr %word, i32 {_WAIT | _PRIVATE}, i32 %value, ptr null, ptr null, i32 0)
  ret void
}}

define internal void @wake(ptr %state, ptr %word) {{
  %slot = getelementptr i8, ptr %state, i64 8
  %syscall = load ptr, ptr %slot
  {call}(i64 {number}, ptr %word, i32 {_WAKE | _PRIVATE}, i32 2147483647, ptr null, ptr null, i32 0)
  ret void
}}
"""
