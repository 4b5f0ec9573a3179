"""What macOS says of the machine."""

from __future__ import annotations

import ctypes


def whole_number(key: bytes) -> int | None:
    """The 32-bit number that ``sysctl`` keeps under ``key``; None where it keeps none."""
    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    none, nothing = None, ctypes.c_size_t(0)
    done = ctypes.CDLL(None).sysctlbyname(key, ctypes.byref(value), ctypes.byref(size), none, nothing)
    return value.value if done == 0 and size.value == ctypes.sizeof(value) else None
