"""Bytes of the tensors that calibration holds, and their peak: counted, so that it means the same everywhere.

What one block's forward pass needs for one batch comes and goes inside torch, and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def tensor_bytes(value: Any) -> int:
    """Bytes of the tensors in ``value``: a tensor, or tuples, lists and dicts of them; others count 0."""
    if isinstance(value, dict):
        value = value.values()
    elif hasattr(value, "element_size"):
        return int(value.numel() * value.element_size())
    return sum(map(tensor_bytes, value)) if isinstance(value, Iterable) and not isinstance(value, str) else 0


class Ledger:
    """``peak``: the most bytes held at one time so far."""

    def __init__(self) -> None:
        self._held = self.peak = 0

    def hold(self, *values: Any) -> None:
        self._held += sum(map(tensor_bytes, values))
        self.peak = max(self.peak, self._held)

    def drop(self, *values: Any) -> None:
        self._held -= sum(map(tensor_bytes, values))
