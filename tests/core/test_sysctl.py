"""Asking macOS, with its C library played."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from aerogel.core.sysctl import whole_number

KNOWN = {b"on": 1, b"off": 0, b"cores": 8}


class LibC:
    """``sysctlbyname`` as macOS documents it: 0 and a value, or -1."""

    @staticmethod
    def sysctlbyname(key: bytes, value: Any, size: Any, new: None, new_size: Any) -> int:
        assert size._obj.value == ctypes.sizeof(value._obj) and new is None and new_size.value == 0
        if key == b"long":
            size._obj.value = 8
        elif key not in KNOWN:
            return -1
        else:
            value._obj.value = KNOWN[key]
        return 0


@pytest.mark.parametrize(
    ("key", "number"), [(b"on", 1), (b"off", 0), (b"cores", 8), (b"unknown", None), (b"long", None)]
)
def test_a_number_or_none(key: bytes, number: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: LibC)
    assert whole_number(key) == number
