"""What users get of a result."""

from __future__ import annotations

from typing import Any

from aerogel.formats.storage import Storage
from aerogel.tensor.tensor import Tensor


def presented(storage: Storage) -> Any:
    """A result as users get it: dense ones as NumPy arrays in the order of their modes, others as tensors."""
    form = storage.format
    if not form.dense or form.block:
        return Tensor(storage)
    if not storage.shape:
        return storage.values[0]
    if form.straight:
        return storage.values.reshape(storage.shape)
    stored = storage.values.reshape([storage.shape[mode] for mode in form.order])
    return stored.transpose([form.order.index(mode) for mode in range(len(form.order))])
