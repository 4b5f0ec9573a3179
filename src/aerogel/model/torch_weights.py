"""Weights of a torch module as float32 arrays under their qualified names, checked once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require

_KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _key(tensor: torch.Tensor) -> tuple[Any, ...]:
    return (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


class Weights:
    """Arrays the graph reads so far. Tied parameters are one array under the first of their names."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.arrays: dict[str, NDArray[np.float32]] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._kept: list[torch.Tensor] = []  # so that no address is used twice
        named = [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]
        for name, tensor in named:
            if tensor.numel():
                self._names.setdefault(_key(tensor), name)

    def add(self, tensor: torch.Tensor, fallback: str) -> tuple[str, str]:
        """(name, note): the name it is stored under, one made from ``fallback`` where it is no parameter or
        buffer itself; the note says when it was converted. InputError where it holds NaN or infinity."""
        name = self._names.get(_key(tensor))
        if name is None:
            name = self._names[_key(tensor)] = self._free(fallback)
            self._kept.append(tensor)
        note = "" if tensor.dtype == torch.float32 else f"[from {str(tensor.dtype).removeprefix('torch.')}]"
        if name not in self.arrays:
            self.arrays[name] = _array(name, tensor)
        return name, note

    def rows(self, name: str, rows: slice) -> str:
        """The name of some rows of a weight or of a bias that has been added."""
        module, dot, last = name.rpartition(".")
        part = f"[{rows.start}:{rows.stop}]"
        own = f"{module}{part}{dot}{last}" if module else f"{name}{part}"
        self.arrays.setdefault(own, self.arrays[name][rows])
        return own

    def name_of(self, tensor: torch.Tensor) -> str | None:
        """The name of the parameter or buffer ``tensor`` is, None where it is something computed."""
        return self._names.get(_key(tensor))

    def _free(self, name: str) -> str:
        """``name``, numbered where something else has it."""
        taken = set(self._names.values())
        numbered = (name, *(f"{name}_{i}" for i in range(1, len(taken) + 1)))
        return next(n for n in numbered if n not in taken)


def _array(name: str, tensor: torch.Tensor) -> NDArray[np.float32]:
    kind = f"weight {name!r} is {tensor.dtype} on {tensor.device}"
    require(
        tensor.dtype in _KINDS, UnsupportedError, f"{kind}: only real floating-point weights can be compiled"
    )
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    finite = np.isfinite(array)
    if not finite.all():
        count = int(finite.size - np.count_nonzero(finite))
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"weight {name!r} holds {count} NaN or infinite numbers, the first at {where}: repair it"
        )
    if np.signbit(array[array == 0]).any():
        array = array + np.float32(0)  # -0.0 + 0.0 is 0.0: a stored zero then has one spelling
    else:
        array = array.view()
    array.flags.writeable = False
    return array
