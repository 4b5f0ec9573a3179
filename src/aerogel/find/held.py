"""A weight that a model holds, whatever the model came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["linear", "embedding", "other"]


@dataclass(frozen=True, slots=True)
class Held:
    """``role``: ``linear`` [outputs, inputs], an ``embedding`` table [rows, features], or any ``other``:
    norms, biases. ``readers``: who uses it; more than one where it is tied. ``load()``: its numbers,
    float32."""

    name: str
    role: Role
    shape: tuple[int, ...]
    readers: tuple[str, ...]
    load: Callable[[], NDArray[np.float32]] = field(repr=False, compare=False)
