"""A packed weight once more: calls that take turns with copies find none in the cache."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from aerogel.core.memory import copy_aligned
from aerogel.formats.packed import Packed
from aerogel.formats.rows import PackedRows

P = TypeVar("P", Packed, PackedRows)


def copied(packed: P) -> P:
    """The same, elsewhere in memory."""
    arrays = {f.name: getattr(packed, f.name) for f in fields(packed)}
    return replace(packed, **{n: copy_aligned(a) for n, a in arrays.items() if isinstance(a, np.ndarray)})
