"""A directory whose weights are in a sparse layout, as one that everything reads. Imports torch.

The sparse layouts of compressed-tensors were given up, so what was saved in them no longer loads: this writes
the same weights dense, with their zeros, and leaves out of ``config.json`` what made loaders look for parts.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from aerogel.core.errors import InputError, require
from aerogel.core.files import read_json_object
from aerogel.core.folders import replace_folder, require_place
from aerogel.prune.interchange.checkpoint import Checkpoint, read_checkpoint
from aerogel.prune.interchange.tensors import first_names, write_file

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def to_dense(folder: str | Path, out: str | Path) -> Checkpoint:
    """Write the model of the directory ``folder`` to the new directory ``out``: its weights dense, all else
    as it is; what was read. InputError where ``out`` holds anything, or cannot be written; and the errors of
    ``read_checkpoint``."""
    folder, out = Path(folder), Path(out)
    require(folder.is_dir(), InputError, f"{folder} is no directory: give a model's")
    empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    require(empty, InputError, f"{out} is there already: give a new directory")
    require_place(out)
    found = read_checkpoint(folder)
    weights = {file for pattern in _WEIGHTS for file in folder.glob(pattern)}

    def fill(place: Path) -> None:
        for file in sorted(f for f in folder.rglob("*") if f.is_file() and f not in weights):
            to = place / file.relative_to(folder)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
        once, _ = first_names(found.state)  # loaders tie again what the model says is tied
        write_file(place / "model.safetensors", once, {})
        if (folder / "config.json").is_file():
            text = json.dumps(_plain(read_json_object(folder / "config.json")), indent=2)
            (place / "config.json").write_text(text + "\n", "utf-8")

    replace_folder(out, fill)
    return found


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Without what is said about how weights are stored, but for scales of weights that were quantised."""
    plain = {
        key: value for key, value in config.items() if key not in ("sparsity_config", "compression_config")
    }
    home = plain.pop("quantization_config", None)
    if isinstance(home, dict) and home.get("config_groups"):
        plain["quantization_config"] = {k: v for k, v in home.items() if k != "sparsity_config"}
    return plain
