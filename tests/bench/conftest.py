"""Contenders set up their process as they like; here several share one."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def torch_computes_gradients_again() -> Iterator[None]:
    """Torch's contender switches gradients off for good."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_grad_enabled(True)
