"""Weights in a safetensors file that is as small as their zeros allow. Imports torch.

Any reader of safetensors opens it. What is stored dense it reads as always; a tensor that is smaller
otherwise stands as parts, ``NAME::PART``, and the header's text ``aerogel_sparse`` says, as JSON, how to put
it together:

    {"version": 1,
     "tensors": {NAME: {"encoding": ..., "dtype": ..., "shape": [...], "of": [n, m] or null}},
     "ties": {NAME: the name it is stored under}}

The encodings and their parts: see ``encoding``. The header's text ``recipe`` holds what made the zeros.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, require
from aerogel.prune.interchange.bits import SPARSE, bits_of, from_bits, live
from aerogel.prune.interchange.encoding import Encoded, decode, smallest
from aerogel.prune.interchange.tensors import (
    Named,
    first_names,
    named_tensors,
    opened,
    text_of,
    write_file,
)
from aerogel.prune.recipe_file import PruneRecipe

VERSION = 1
_ABOUT, _RECIPE, _MARK = "aerogel_sparse", "recipe", "::"


@dataclass(frozen=True)
class Saved:
    """What a file took: ``encodings``: by name of the tensor, ties not counted; ``dense_bytes``: of the same
    numbers as they are in memory; ``file_bytes``: of the file."""

    encodings: Mapping[str, str]
    dense_bytes: int
    file_bytes: int


@dataclass(frozen=True)
class Loaded:
    """``state``: dense tensors by name, as ``load_state_dict`` takes them, tied ones the same tensor;
    ``encodings``: how each was stored; ``recipe``: what made the zeros, None where the file does not say."""

    state: dict[str, torch.Tensor]
    encodings: Mapping[str, str]
    recipe: PruneRecipe | None


def save_sparse(model: Named, path: str | Path, *, recipe: PruneRecipe | None = None) -> Saved:
    """Write ``model``, a module or its ``state_dict``, to ``path``, each tensor in its smallest encoding.

    Every non-zero comes back bit for bit; a zero of either sign comes back as +0.0, unless its tensor is
    stored dense. Tied tensors are stored once. InputError where the file cannot be written (what was
    there is kept), or for tensors that cannot be stored, by name.
    """
    tensors, ties = first_names(named_tensors(model))
    parts: dict[str, torch.Tensor] = {}
    about: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        require(_MARK not in name, InputError, f"{name!r} has {_MARK!r} in its name: rename it")
        encoded = _encoded(tensor)
        if encoded is None:
            parts[name] = tensor
            continue
        about[name] = {
            "encoding": encoded.encoding,
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(encoded.shape),
            "of": encoded.of,
        }
        for part, array in encoded.parts.items():
            parts[f"{name}{_MARK}{part}"] = _part_tensor(part, array, tensor.dtype)
    texts = {_ABOUT: json.dumps({"version": VERSION, "tensors": about, "ties": ties})}
    if recipe is not None:
        texts[_RECIPE] = json.dumps(recipe.to_json())
    write_file(Path(path), parts, texts)
    encodings = {name: str(about[name]["encoding"]) if name in about else "dense" for name in tensors}
    return Saved(encodings, sum(t.nbytes for t in tensors.values()), Path(path).stat().st_size)


def _encoded(tensor: torch.Tensor) -> Encoded | None:
    """None where the tensor had better be stored as it is."""
    if tensor.dtype not in SPARSE.values() or tensor.ndim == 0:
        return None
    bits = bits_of(tensor)
    encoded = smallest(bits, live(tensor, bits))
    return None if encoded.encoding == "dense" else encoded


def _part_tensor(part: str, array: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
    """``values`` keep their type, so that whoever opens the file sees numbers."""
    if part == "values":
        return from_bits(array, dtype)
    return torch.from_numpy(np.ascontiguousarray(array))


def load_sparse(path: str | Path) -> Loaded:
    """What ``save_sparse`` wrote, or any safetensors file. InputError where there is no such file,
    FormatError, naming the tensor, where it is truncated, or its parts do not fit each other or what the
    header says."""
    with opened(Path(path)) as file:
        about, ties = _about(text_of(file, _ABOUT))
        names = set(file.keys())
        state: dict[str, torch.Tensor] = {}
        for name, said in about.items():
            state[name] = _decoded(file, name, said, names)
        for name in sorted(n for n in names if n.partition(_MARK)[0] not in about):
            state[name] = file.get_tensor(name)
        for name, first in ties.items():
            fits = first in state and name not in state
            require(
                fits,
                FormatError,
                f"{name!r} is said to be tied to {first!r}, which is not there, or to be both",
            )
            state[name] = state[first]
        recipe = _recipe(text_of(file, _RECIPE)) if about else None
    encodings = {name: str(about[name]["encoding"]) if name in about else "dense" for name in state}
    return Loaded(state, encodings | {name: encodings[first] for name, first in ties.items()}, recipe)


def is_ours(file: Any) -> bool:
    """Does an opened safetensors file say how to put its parts together?"""
    return text_of(file, _ABOUT) is not None


def _about(text: str | None) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    if text is None:
        return {}, {}
    told = f"{_ABOUT} in its header is not what this version writes"
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{_ABOUT} in its header is not JSON ({error})") from error
    require(isinstance(said, dict), FormatError, told)
    version = said.get("version")
    newer = isinstance(version, int) and version > VERSION
    require(not newer, FormatError, f"it is of version {version}, this is {VERSION}: update aerogel")
    about, ties = said.get("tensors"), said.get("ties")
    fits = version == VERSION and isinstance(about, dict) and isinstance(ties, dict)
    fits = fits and all(isinstance(entry, dict) for entry in about.values())
    fits = fits and all(isinstance(first, str) for first in ties.values())
    require(fits, FormatError, told)
    return cast("dict[str, dict[str, Any]]", about), cast("dict[str, str]", ties)


def _decoded(file: Any, name: str, said: Mapping[str, Any], names: set[str]) -> torch.Tensor:
    shape, of, dtype = said.get("shape"), said.get("of"), said.get("dtype")
    whole = isinstance(shape, list) and all(type(n) is int for n in shape)
    pair = of is None or (isinstance(of, list) and len(of) == 2 and all(type(n) is int for n in of))
    known = isinstance(dtype, str) and dtype in SPARSE
    require(
        whole and pair and known, FormatError, f"{name!r}: its shape, type or group is none: {dict(said)}"
    )
    mine = [n for n in names if n.startswith(f"{name}{_MARK}")]
    wide = SPARSE[cast("str", dtype)]
    parts: dict[str, NDArray[Any]] = {}
    for key in mine:
        part, tensor = key.partition(_MARK)[2], file.get_tensor(key)
        fits = tensor.dtype == wide if part == "values" else not tensor.dtype.is_floating_point
        require(fits, FormatError, f"{key!r} is {tensor.dtype}, which does not go with {dtype}")
        parts[part] = bits_of(tensor) if part == "values" else tensor.numpy()
    try:
        group = None if of is None else (of[0], of[1])
        encoded = Encoded(str(said.get("encoding")), tuple(cast("list[int]", shape)), parts, group)
        return from_bits(decode(encoded), wide)
    except FormatError as error:
        raise FormatError(f"{name!r}: {error}") from error


def _recipe(text: str | None) -> PruneRecipe | None:
    if text is None:
        return None
    try:
        return PruneRecipe.from_json(json.loads(text))
    except (ValueError, RecursionError) as error:  # InputError is a ValueError
        raise FormatError(f"the recipe in its header cannot be read: {error}") from error
