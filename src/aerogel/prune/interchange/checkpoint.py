"""A model's directory with sparse weights, as compressed-tensors or we store them. Imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from aerogel.core.errors import FormatError, InputError, require
from aerogel.core.files import read_json_object, replace_file
from aerogel.core.suggest import unknown
from aerogel.prune.interchange import bitmask
from aerogel.prune.interchange.declared import Declared, declared, require_floats, with_sparsity
from aerogel.prune.interchange.sparse_file import Saved, is_ours, load_sparse
from aerogel.prune.interchange.tensors import (
    Named,
    first_names,
    named_tensors,
    opened,
    text_of,
    ties_of,
    write_file,
)
from aerogel.prune.recipe_file import PruneRecipe

RECIPE = "aerogel-recipe.yaml"
_TIES = "aerogel_ties"


@dataclass(frozen=True)
class Checkpoint:
    """``state``: dense tensors by name, as ``load_state_dict`` takes them; ``layouts``: how those
    that are not dense are stored; ``declared``: what the directory says of itself."""

    state: dict[str, torch.Tensor]
    layouts: Mapping[str, str]
    declared: Declared


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The weights of a directory (``model*.safetensors``, one or several) or of a single file, dense.

    Read are plain weights, ``sparse-bitmask``, ``sparse-24-bitmask`` and what ``save_sparse`` writes.
    InputError where there are none; FormatError, naming file and weight, for what is truncated or contradicts
    itself; UnsupportedError for weights of few bits and for layouts that nobody here knows.
    """
    said, files = _files(Path(path))
    state: dict[str, torch.Tensor] = {}
    layouts: dict[str, str] = {}
    for name, tensor, layout in stored(Path(path), said, files):
        require(name not in state, FormatError, f"{path}: {name!r} is stored twice: delete the files of one")
        state[name] = tensor
        if layout != "dense":
            layouts[name] = layout
    for file in files:
        with opened(file) as held:
            ties = ties_of(text_of(held, _TIES))
            for name, first in ties.items():
                fits = first in state and name not in state
                told = f"{name!r} is said to be tied to {first!r}, which is not there"
                require(fits, FormatError, told)
                state[name] = state[first]
    return Checkpoint(state, layouts, said)


def stored(path: Path, said: Declared, files: Sequence[Path]) -> Iterator[tuple[str, torch.Tensor, str]]:
    """(name, dense tensor, how it is stored) of each weight of ``files``, one in memory at a time."""
    where: dict[str, Path] = {}
    for file in files:
        with opened(file) as held:
            ours = is_ours(held)
            names = [] if ours else list(held.keys())
        if ours:
            loaded = load_sparse(file)
            yield from ((name, tensor, loaded.encodings[name]) for name, tensor in loaded.state.items())
        for name in names:
            require(name not in where, FormatError, f"{path}: {name!r} is in {where.get(name)} and in {file}")
            where[name] = file
    require_floats(path, said, where)
    whole = _bases(path, said, where)
    taken = {f"{base}.{part}" for base in whole for part in bitmask.PARTS}
    for name in (n for n in where if n not in taken):
        yield name, _tensor(where[name], name), "dense"
    for base in whole:
        parts = {p: _tensor(where[n], n) for p in bitmask.PARTS if (n := f"{base}.{p}") in where}
        try:
            weight = bitmask.weight_of(parts)
        except FormatError as error:
            raise FormatError(f"{where[f'{base}.compressed']}: {base!r}: {error}") from error
        layout = bitmask.BITMASK if "row_offsets" in parts else bitmask.TWO_FOUR
        yield (base if base.endswith(".weight") or base == "weight" else f"{base}.weight"), weight, layout


def _files(path: Path) -> tuple[Declared, list[Path]]:
    if path.is_file():
        return Declared(), [path]
    require(path.is_dir(), InputError, f"there is no directory or file {path}")
    files = sorted(path.glob("model*.safetensors"))
    require(files, InputError, f"{path} has no model.safetensors: the weights are missing")
    return declared(path), files


def checkpoint_parts(path: Path) -> tuple[Declared, Iterator[tuple[str, torch.Tensor, str]]]:
    """What the directory or file at ``path`` says of itself, and its weights as ``stored`` gives them."""
    said, files = _files(path)
    return said, stored(path, said, files)


def _bases(path: Path, said: Declared, names: Mapping[str, Path]) -> list[str]:
    """The names whose weights stand as parts."""
    ends = [name.removesuffix(".compressed") for name in names if name.endswith(".compressed")]
    whole = [base for base in ends if f"{base}.bitmask" in names]
    lost = [base for base in ends if base not in whole]
    # Where nothing says that weights are stored as parts, a parameter may well be called so.
    sure = said.layout not in bitmask.LAYOUTS or not lost
    told = f"{path}: {lost[0] if lost else ''!r} has no bitmask: a file of the checkpoint is missing"
    require(sure, FormatError, told)
    return whole


def _tensor(file: Path, name: str) -> torch.Tensor:
    with opened(file) as held:
        return held.get_tensor(name)


# --- writing ------------------------------------------------------------------------------------


def write_checkpoint(
    model: Named,
    folder: str | Path,
    layout: str = bitmask.BITMASK,
    *,
    config: Mapping[str, Any] | None = None,
    recipe: PruneRecipe | None = None,
) -> Saved:
    """Write ``model`` as compressed-tensors did: ``model.safetensors`` and ``config.json`` in ``folder``.

    ``layout``: ``sparse-bitmask``, for each linear layer it makes smaller; or ``sparse-24-bitmask``, for
    every one with at most 2 non-zeros in each 4 inputs. What is not stored so stands under ``ignore``. Of a
    ``state_dict``, where nothing says which layers are linear, any ``.weight`` of two dimensions is one.
    ``config``: what ``config.json`` holds besides; by default the model's own, else what is in ``folder``.
    ``recipe`` goes to ``aerogel-recipe.yaml``. InputError where no layer fits the layout, where a split
    checkpoint lies in ``folder``, or it cannot be written; then its weights are as they were.
    """
    folder = Path(folder)
    require(layout in bitmask.LAYOUTS, InputError, unknown("layout", layout, bitmask.LAYOUTS))
    split = sorted(f.name for f in folder.glob("model*.safetensors") if f.name != "model.safetensors")
    told = f"{folder} holds another checkpoint ({', '.join(split[:2])}): give a new folder"
    require(not split, InputError, told)
    tensors, ties = first_names(named_tensors(model))
    linear, owners = _linear(model, tensors), set(ties.values())
    # Who shares its weight would have to look for it under another's name: it stays dense.
    alone = [name for name in linear if name in tensors and name not in owners]
    chosen = [name for name in alone if bitmask.fits(tensors[name], layout)]
    why = (
        "no linear layer has 2 zeros in each 4 inputs" if layout == bitmask.TWO_FOUR else "none gets smaller"
    )
    require(chosen, InputError, f"nothing to store as {layout}: {why}; save_sparse chooses for each")
    parts = {name: tensor for name, tensor in tensors.items() if name not in chosen}
    for name in chosen:
        for part, tensor in bitmask.parts_of(tensors[name], layout).items():
            key = f"{_layer(name)}.{part}"
            require(
                key not in parts, InputError, f"{name!r} would be stored as {key!r}, which there is already"
            )
            parts[key] = tensor
    text = with_sparsity(_config(model, folder, config), _said(tensors, linear, chosen, layout))
    _write(folder, parts, ties, text, recipe)
    encodings = {name: layout if name in chosen else "dense" for name in tensors}
    size = (folder / "model.safetensors").stat().st_size
    return Saved(encodings, sum(t.nbytes for t in tensors.values()), size)


def _write(
    folder: Path,
    parts: Mapping[str, torch.Tensor],
    ties: Mapping[str, str],
    config: str,
    recipe: PruneRecipe | None,
) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}") from error
    write_file(folder / "model.safetensors", parts, {_TIES: json.dumps(ties)} if ties else {})

    def fill(file: IO[bytes]) -> None:
        file.write(config.encode())

    replace_file(folder / "config.json", fill)
    if recipe is not None:
        recipe.save(folder / RECIPE)


def _linear(model: Named, tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the weights of linear layers, in the model's order."""
    if isinstance(model, torch.nn.Module):
        layers = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
        return [f"{name}.weight" if name else "weight" for name in layers]
    return [n for n, t in tensors.items() if t.ndim == 2 and (n.endswith(".weight") or n == "weight")]


def _layer(name: str) -> str:
    """The layer whose weight is ``name``. That of a model which is one layer has no name to strip."""
    return name.removesuffix(".weight")


def _said(
    tensors: Mapping[str, torch.Tensor], linear: list[str], chosen: list[str], layout: str
) -> dict[str, Any]:
    held = [tensors[name] for name in linear if name in tensors]
    size = sum(tensor.numel() for tensor in held)
    zeros = size - sum(int(torch.count_nonzero(tensor)) for tensor in held)
    return {
        "format": layout,
        "targets": ["Linear"],
        "ignore": [_layer(name) for name in linear if name not in chosen],
        "global_sparsity": zeros / size,
        "sparsity_structure": "2:4" if layout == bitmask.TWO_FOUR else "unstructured",
        "registry_requires_subclass": False,
    }


def _config(model: Named, folder: Path, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What ``config.json`` holds besides: that of ``transformers`` models writes itself."""
    if given is not None:
        return given
    own: Any = getattr(model, "config", None)
    if own is not None and hasattr(own, "to_json_string"):
        return json.loads(own.to_json_string())
    return read_json_object(folder / "config.json") if (folder / "config.json").is_file() else {}
