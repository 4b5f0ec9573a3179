"""How a model was made sparse, as its own files say: by aerogel, with the recipe; or by others, whose
checkpoints hold zeros like other numbers (SparseML, llm-compressor). What they say is not taken for what is:
zeros are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from aerogel.core.errors import AerogelError, InputError
from aerogel.core.files import read_json_object
from aerogel.find.words import percent
from aerogel.model.save_pretrained import RECORD
from aerogel.prune.recipe_file import PruneRecipe


@dataclass(frozen=True, slots=True)
class History:
    """``recipe``: of aerogel's pruning; ``zeros``: the share that it left in the layers it pruned. What
    others declare: ``layout``, ``structure``, ``claimed``, ``modifiers``, see ``interchange.Declared``."""

    recipe: PruneRecipe | None = None
    zeros: float | None = None
    layout: str | None = None
    structure: str | None = None
    claimed: float | None = None
    modifiers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != UNKNOWN

    def words(self) -> tuple[str, ...]:
        """Sentences, without a full stop."""
        said: list[str] = []
        if self.zeros is not None:
            said.append(f"Pruned by aerogel: {percent(self.zeros, 1)} zeros in the layers it pruned")
        if self.recipe is not None:
            said.append(f"Its recipe: {'; '.join(self.recipe.to_yaml().splitlines())}")
        parts = [f"by {', '.join(self.modifiers)}"] if self.modifiers else []
        parts += [f"{percent(self.claimed)} zeros"] if self.claimed is not None else []
        parts += [self.structure] if self.structure is not None else []
        parts += [f"stored as {self.layout}"] if self.layout is not None else []
        if parts:
            said.append(f"Its files say that it was pruned: {', '.join(parts)}")
        return tuple(said)

    def to_json(self) -> dict[str, Any]:
        recipe = None if self.recipe is None else self.recipe.to_json()
        return {**asdict(self), "recipe": recipe, "modifiers": list(self.modifiers)}


UNKNOWN = History()
"""Of a model whose files say nothing."""


def recorded_history(record: Mapping[str, Any]) -> History:
    """Of what aerogel wrote beside a model, or into an .aero file; what it does not understand it leaves."""
    recipe: PruneRecipe | None = None
    if isinstance(record.get("recipe"), Mapping):
        try:
            recipe = PruneRecipe.from_json(record["recipe"])
        except InputError:  # of another version, say
            recipe = None
    pruning = record.get("pruning")
    share = cast("Mapping[str, Any]", pruning).get("sparsity") if isinstance(pruning, Mapping) else None
    known = isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1
    return History(recipe, float(cast("float", share)) if known else None)


def folder_history(folder: Path) -> History:
    """Of a model's directory. FormatError where ``config.json`` says it in a way that cannot be."""
    # Reading what others declare comes with torch, which whoever opens a directory needs anyhow.
    from aerogel.prune.interchange.declared import declared

    said = declared(folder)
    own = UNKNOWN
    if (folder / RECORD).is_file():
        try:
            own = recorded_history(read_json_object(folder / RECORD))
        except AerogelError:  # it is no part of the model
            own = UNKNOWN
    return History(own.recipe, own.zeros, said.layout, said.structure, said.sparsity, said.modifiers)


def require_dense_layout(folder: Path, history: History) -> None:
    """InputError for weights that are stored in a sparse layout, which only aerogel's own reader reads."""
    if history.layout in (None, "dense"):
        return
    raise InputError(
        f"{folder} stores its weights as {history.layout!r}: make it a directory that everything loads, with "
        f"aerogel.prune.interchange.to_dense({str(folder)!r}, NEW)"
    )
