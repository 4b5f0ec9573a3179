"""What files say of how a model was made sparse: aerogel's recipe, others' declarations, and nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.find.networks import factories

from aerogel.core.errors import InputError
from aerogel.find.history import UNKNOWN, folder_history, recorded_history
from aerogel.find.render import text
from aerogel.find.result import Header
from aerogel.find.subject import open_subject
from aerogel.model.aero_file import write_file
from aerogel.model.source import load_model
from aerogel.prune import prune
from aerogel.prune.provenance import provenance
from aerogel.prune.recipe_file import PruneRecipe

RECIPE = PruneRecipe(0.8, pattern="block4x1")


def folder(tmp_path: Path, config: dict[str, Any], recipe: str | None = None, record: object = None) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if recipe is not None:
        (tmp_path / "recipe.yaml").write_text(recipe)
    if record is not None:
        (tmp_path / "aerogel.json").write_text(json.dumps(record))
    return tmp_path


def test_a_file_of_our_own_says_its_recipe(tmp_path: Path) -> None:
    source = load_model(f"{factories(tmp_path)}:net")
    result = prune(source.module, 0.5)
    record = provenance(source, result.report, recipe=RECIPE.to_json())
    write_file(source, result.model, tmp_path / "m.aero", record)
    history = open_subject(tmp_path / "m.aero", None, lambda _: None).history
    assert history.recipe == RECIPE
    assert history.zeros == result.report.sparsity
    shown = text(Header("m.aero", "artefact", None, history))
    assert 'Its recipe: sparsity: 0.8; pattern: "block4x1".' in shown
    assert "Pruned by aerogel: 50.0 % zeros in the layers it pruned." in shown
    assert history.to_json()["recipe"] == RECIPE.to_json()


def test_what_sparseml_and_llm_compressor_leave(tmp_path: Path) -> None:
    said = {"format": "dense", "sparsity_structure": "2:4", "global_sparsity": 0.5}
    config = {"quantization_config": {"sparsity_config": said}}
    found = folder_history(folder(tmp_path, config, "stage:\n  SparseGPTModifier:\n    sparsity: 0.5\n"))
    assert found.words() == (
        "Its files say that it was pruned: by SparseGPTModifier, 50 % zeros, 2:4, stored as dense",
    )
    assert found.to_json()["modifiers"] == ["SparseGPTModifier"]


def test_a_directory_says_its_recipe(tmp_path: Path) -> None:
    record = {"recipe": RECIPE.to_json(), "pruning": {"sparsity": 0.801}}
    found = folder_history(folder(tmp_path, {}, record=record))
    assert (found.recipe, found.zeros) == (RECIPE, 0.801)


@pytest.mark.parametrize(
    "record",
    [
        {"recipe": {"sparsty": 1}, "pruning": None},
        {"recipe": 3, "pruning": {"sparsity": "much"}},
        {"recipe": None, "pruning": {"sparsity": True}},
        {"pruning": {"sparsity": 7}},
        {},
    ],
)
def test_what_is_not_understood_is_left(record: dict[str, Any], tmp_path: Path) -> None:
    assert recorded_history(record) == UNKNOWN
    assert not folder_history(folder(tmp_path, {}, record=record))
    assert text(Header("m", "directory", None)) == "m: compile takes this model"


def test_a_record_that_cannot_be_read_is_no_part_of_the_model(tmp_path: Path) -> None:
    (folder(tmp_path, {}) / "aerogel.json").write_text("{")
    assert folder_history(tmp_path) == UNKNOWN


def test_a_sparse_layout_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    config = {"quantization_config": {"sparsity_config": {"format": "sparse-bitmask"}}}
    with pytest.raises(InputError, match=r"stores its weights as 'sparse-bitmask': .*to_dense"):
        open_subject(folder(tmp_path, config), None, lambda _: None)
