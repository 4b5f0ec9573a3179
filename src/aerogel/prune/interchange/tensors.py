"""What comes in and goes out: named tensors of a model, and safetensors files of them. Imports torch."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import safetensors
import torch
from safetensors.torch import save

from aerogel.core.errors import AerogelError, FormatError, InputError, require
from aerogel.core.files import replace_file

Named = torch.nn.Module | Mapping[str, torch.Tensor]
"""A module, or its ``state_dict``."""


def named_tensors(source: Named) -> dict[str, torch.Tensor]:
    """The tensors of ``source`` by name, detached; tied ones under each of their names. InputError for
    anything else, for a tensor on the meta device, and for one that is not plain rows of numbers."""
    state: Mapping[str, Any] = source.state_dict() if isinstance(source, torch.nn.Module) else source
    require(
        isinstance(state, Mapping), InputError, f"{type(source).__name__}: give a module or its state_dict"
    )
    for name, tensor in state.items():
        fits = isinstance(name, str) and isinstance(tensor, torch.Tensor)
        require(
            fits, InputError, f"{name!r} is a {type(tensor).__name__}: only tensors, by name, can be stored"
        )
        require(not tensor.is_meta, InputError, f"{name!r} is on the meta device: load its weights first")
        plain = tensor.layout == torch.strided and not tensor.is_quantized
        require(plain, InputError, f"{name!r} is {tensor.layout}: turn it into a plain tensor first")
    return {name: tensor.detach() for name, tensor in state.items()}


def same_memory(tensor: torch.Tensor) -> tuple[object, ...]:
    """Equal for two tensors exactly when they are the same numbers in the same place."""
    if tensor.numel() == 0:
        return (id(tensor),)
    place = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
    return (*place, tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def first_names(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(each tensor once, under its first name; the other names of tied ones, with their first)."""
    first: dict[tuple[object, ...], str] = {}
    once: dict[str, torch.Tensor] = {}
    ties: dict[str, str] = {}
    for name, tensor in tensors.items():
        owner = first.setdefault(same_memory(tensor), name)
        if owner == name:
            once[name] = tensor
        else:
            ties[name] = owner
    return once, ties


def write_file(path: Path, tensors: Mapping[str, torch.Tensor], texts: Mapping[str, str]) -> None:
    """Replace ``path`` by a safetensors file; on a failure the old one stays. ``texts``: of the header."""
    # Tensors that overlap in part are refused by safetensors: each gets memory of its own.
    own = {
        name: t.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, t in tensors.items()
    }

    def fill(file: IO[bytes]) -> None:
        file.write(save(own, {"format": "pt", **texts}))

    replace_file(path, fill)


@contextmanager
def opened(path: Path) -> Generator[Any]:
    """The file at ``path``, as ``safetensors.safe_open`` has it. InputError where there is none, FormatError
    naming it for whatever is wrong inside, also with what is made of it in this block."""
    require(path.is_file(), InputError, f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except AerogelError:
        raise
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path} cannot be read ({reason}): it is damaged, get it anew") from error


def ties_of(text: str | None) -> dict[str, str]:
    """The other names of tied tensors, as JSON in a header; FormatError for anything else."""
    try:
        said = {} if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the ties in its header are not JSON ({error})") from error
    plain = isinstance(said, dict) and all(isinstance(first, str) for first in said.values())
    require(plain, FormatError, "the ties in its header are no map from name to name")
    return said


def text_of(file: Any, key: str) -> str | None:
    """A text of an opened file's header, None where it has none of that name."""
    return (file.metadata() or {}).get(key)
