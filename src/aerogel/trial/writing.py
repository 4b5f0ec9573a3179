"""A pruned model into the places that were asked for: a directory, a file of our own, its weights alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aerogel.core.files import replace_file
from aerogel.model.save_pretrained import checkpoint_bytes, save_pretrained
from aerogel.prune.interchange import save_sparse
from aerogel.prune.recipe_file import PruneRecipe
from aerogel.trial.outcome import Written
from aerogel.trial.prune_job import ARTEFACT, WEIGHTS

if TYPE_CHECKING:
    import torch


def write_pruned(
    out: Path,
    model: torch.nn.Module,
    origin: Path,
    file: Path | None,
    record: Mapping[str, Any],
    note: Callable[[str], None],
) -> Written:
    """``model`` to ``out``, which says by its name what it is to be. ``origin``: the dense model's directory;
    ``file``: ``model`` as a file of our own, needed where ``out`` is to be one; ``record``: of how it was
    made, its recipe in it. InputError where it cannot be written: what was there is kept."""
    match out.suffix:
        case str(suffix) if suffix == ARTEFACT:
            assert file is not None, "who asks for one has compiled"
            return _copied(file, out)
        case str(suffix) if suffix == WEIGHTS:
            recipe = PruneRecipe.from_json(record["recipe"])
            return Written(str(out), "weights", save_sparse(model, out, recipe=recipe).file_bytes)
        case _:
            return _saved(out, model, origin, record, note)


def _copied(file: Path, out: Path) -> Written:
    def fill(to: IO[bytes]) -> None:
        with file.open("rb") as opened:
            shutil.copyfileobj(opened, to)

    replace_file(out, fill)
    return Written(str(out), "file", out.stat().st_size)


def _saved(
    out: Path,
    model: torch.nn.Module,
    origin: Path,
    record: Mapping[str, Any],
    note: Callable[[str], None],
) -> Written:
    save_pretrained(model, origin, out, record)
    size = checkpoint_bytes(out)
    if size > 1.5 * checkpoint_bytes(origin):
        note(f"{out} holds the weights as fp32, the dense checkpoint in fewer bits")
    return Written(str(out), "directory", size)
