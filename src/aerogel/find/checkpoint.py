"""The weights of a directory whose kind of model cannot be loaded: read from its safetensors files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from aerogel.core.errors import FormatError, InputError, require
from aerogel.find.held import Held, Role

_TABLES = ("embed", "wte", "wpe", "relative_attention_bias", "shared.weight")
"""Parts of the names by which the usual models call their embedding tables."""


def stored_weights(folder: Path) -> tuple[Held, ...]:
    """All floating-point weights of ``model*.safetensors``. Without the model nobody says what a weight is
    for: one of two dimensions counts as linear unless its name is that of a table. Weights that are tied are
    stored once. InputError where there is no such file, FormatError where one is damaged."""
    files = sorted(folder.glob("model*.safetensors"))
    require(files, InputError, f"{folder} has no model.safetensors: the weights are missing")
    return tuple(held for file in files for held in _of(file))


def _of(file: Path) -> list[Held]:
    found: list[Held] = []
    try:
        with safe_open(file, framework="pt") as opened:  # torch reads bfloat16, NumPy does not
            for name in opened.keys():  # noqa: SIM118 (it is no mapping)
                part: Any = opened.get_slice(name)
                shape = tuple(int(n) for n in part.get_shape())
                if str(part.get_dtype()).startswith(("F", "BF")):
                    found.append(Held(name, _role(name, shape), shape, (name,), _loader(file, name)))
    except (OSError, SafetensorError) as error:
        raise FormatError(f"{file} cannot be read ({error}): get it anew") from error
    return found


def _role(name: str, shape: tuple[int, ...]) -> Role:
    if len(shape) != 2:
        return "other"
    return "embedding" if any(part in name for part in _TABLES) else "linear"


def _loader(file: Path, name: str) -> Callable[[], NDArray[np.float32]]:
    def load() -> NDArray[np.float32]:
        with safe_open(file, framework="pt") as opened:
            tensor: Any = opened.get_tensor(name)
            return tensor.float().numpy()

    return load
