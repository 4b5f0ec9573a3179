"""What a checkpoint's directory says about its sparsity: ``config.json`` and recipes beside it.

compressed-tensors puts ``sparsity_config`` into ``quantization_config`` of ``config.json`` (its first
releases: into ``compression_config``, SparseML: at the top); SparseML, SparseZoo and llm-compressor leave a
``recipe.yaml`` that names what was done, such as ``MagnitudePruningModifier``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aerogel.core.errors import FormatError, UnsupportedError, require
from aerogel.core.files import read_json_object

_HOMES = ("quantization_config", "compression_config")
_MODIFIER = re.compile(r"\b((?=[A-Z])\w*(?:Prun|SparseGPT|Wanda|OBCQ)\w*Modifier)\b")
_RECIPES = ("recipe.yaml", "recipe.yml", "*_recipe.yaml")
_MOST = 1 << 20
QUANTIZED = ("weight_packed", "weight_shape", "weight_g_idx")
"""Parts of names that only weights of few bits have."""


@dataclass(frozen=True)
class Declared:
    """``layout``: how weights are stored: ``dense``, ``sparse-bitmask`` ..., None where nothing is said;
    ``structure``: ``2:4``, ``unstructured``; ``sparsity``: the share of zeros that is claimed, 0 to 1;
    ``modifiers``: what recipes beside it name; ``quantized``: its numbers are of few bits."""

    layout: str | None = None
    structure: str | None = None
    sparsity: float | None = None
    modifiers: tuple[str, ...] = ()
    quantized: bool = False


def declared(folder: Path) -> Declared:
    """What ``folder`` says; FormatError where ``config.json`` says it in a way that cannot be."""
    config = read_json_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    home: Mapping[str, Any] = next((config[k] for k in _HOMES if isinstance(config.get(k), dict)), {})
    said = home.get("sparsity_config") or config.get("sparsity_config") or {}
    require(isinstance(said, dict), FormatError, f"{folder}/config.json: sparsity_config is no map")
    layout, structure, share = said.get("format"), said.get("sparsity_structure"), said.get("global_sparsity")
    plain = all(v is None or isinstance(v, str) for v in (layout, structure))
    require(
        plain, FormatError, f"{folder}/config.json: sparsity_config has {layout!r}, {structure!r}: no names"
    )
    return Declared(layout, structure, _share(share), _modifiers(folder), bool(home.get("config_groups")))


def _share(said: object) -> float | None:
    """Older files have per cent, newer ones a share; above 1 it can only be the first."""
    if not isinstance(said, int | float) or isinstance(said, bool) or not 0 <= said <= 100:
        return None
    return said / 100 if said > 1 else float(said)


def _modifiers(folder: Path) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for file in sorted({f for pattern in _RECIPES for f in folder.glob(pattern) if f.is_file()}):
        with file.open("rb") as opened:
            text = opened.read(_MOST).decode("utf-8", "replace")
        found |= dict.fromkeys(_MODIFIER.findall(text))
    return tuple(found)


def require_floats(folder: Path, said: Declared, names: Iterable[str]) -> None:
    """UnsupportedError where weights are stored with few bits, or in a layout nobody here knows."""
    packed = next((n for n in names if n.rpartition(".")[2] in QUANTIZED), None)
    told = f"{folder}: {packed!r} is of a quantised weight: only floats are read, so decompress it first"
    require(packed is None, UnsupportedError, told)
    known = said.layout in (None, "dense", "sparse-bitmask", "sparse-24-bitmask")
    told = f"{folder} stores weights as {said.layout!r}: sparse-bitmask and sparse-24-bitmask are read"
    require(known, UnsupportedError, told)
    both = said.quantized and said.layout not in (None, "dense")
    told = f"{folder} is sparse and quantised: its scales would be lost, so decompress it first"
    require(not both, UnsupportedError, told)


def with_sparsity(config: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """``config.json`` with ``said`` as its ``sparsity_config``, as text."""
    whole = {k: v for k, v in config.items() if k not in (*_HOMES, "sparsity_config")}
    kept = cast("Mapping[str, Any]", config.get(_HOMES[0]) or {})
    home = {"quant_method": "compressed-tensors", "format": "dense", **kept, "sparsity_config": dict(said)}
    return json.dumps({**whole, _HOMES[0]: home}, indent=2) + "\n"
