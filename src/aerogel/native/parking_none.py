"""No way to sleep on a word of memory: programs run on the calling thread alone."""

from __future__ import annotations

AVAILABLE = False


def syscall_address() -> int:
    """There is nothing to call."""
    return 0


def code(machine: str) -> str:
    """LLVM: never called, since no second thread is ever started."""
    return """
define internal void @park(ptr %state, ptr %word, i32 %value) {
  ret void
}

define internal void @wake(ptr %state, ptr %word) {
  ret void
}
"""
