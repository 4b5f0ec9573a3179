"""Recipes: the same object from Python, YAML and JSON; what cannot be is refused with what was meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.prune import prune
from aerogel.prune.recipe_file import PruneRecipe

TEXT = """\
# What made the encoder sparse.
sparsity:
  attention: 0.5
  "intermediate|output": 9e-1
method: wanda
pattern: block4x1
recovery: [none, distill:10m]
repair: true
layers: encoder
note: no
"""


def test_yaml_and_python_make_the_same_object() -> None:
    recipe = PruneRecipe.from_yaml(TEXT)
    assert recipe == PruneRecipe(
        {"attention": 0.5, "intermediate|output": 0.9},
        method="wanda",
        pattern="block4x1",
        recovery=("none", "distill:10m"),
        repair=True,
        layers="encoder",
    )
    # YAML 1.1 would make false of it.
    assert recipe.note == "no"
    assert PruneRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        # PyYAML makes 124, sixtieths, of it.
        ("pattern: 2:4", PruneRecipe(pattern="2:4")),
        ("sparsity: 1", PruneRecipe(1.0)),
        ("sparsity: .8\nrecovery: distill:5s", PruneRecipe(0.8, recovery="distill:5s")),
        ('{"sparsity": 0.8, "importance": null}', PruneRecipe(0.8)),
        ("layers: '12'", PruneRecipe(layers="12")),
        ("sparsity: {1: 0.5, no: 0.25}", PruneRecipe({"1": 0.5, "no": 0.25})),
        ("recovery: []", PruneRecipe(recovery=())),
        ("{}", PruneRecipe()),
    ],
)
def test_what_yaml_means(text: str, recipe: PruneRecipe) -> None:
    assert PruneRecipe.from_yaml(text) == recipe


names = st.text(max_size=12)
recipes = st.builds(
    PruneRecipe,
    sparsity=st.none() | st.floats(0, 1) | st.dictionaries(names, st.floats(0, 1), min_size=1, max_size=3),
    importance=st.none() | names,
    repair=st.none() | st.booleans(),
    recovery=st.none() | st.just("distill:3steps") | st.lists(st.sampled_from(["admm", "distill:1h"])),
    layers=st.none() | names,
    note=st.none() | names,
)


@settings(max_examples=30)
@given(recipes)
def test_what_is_written_is_read_as_the_same(recipe: PruneRecipe) -> None:
    back = PruneRecipe.from_yaml(recipe.to_yaml())
    assert (back, back.note) == (recipe, recipe.note)


def test_files(tmp_path: Path) -> None:
    recipe = PruneRecipe(0.8, importance="wanda", budget="owl")
    recipe.save(tmp_path / "r.yaml")
    assert PruneRecipe.read(tmp_path / "r.yaml") == recipe
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfsparsity: 0.8\r\n")
    assert PruneRecipe.read(str(tmp_path / "r.yaml")) == PruneRecipe(0.8)
    (tmp_path / "r.yaml").write_bytes(b"sparsity: \xff")
    with pytest.raises(InputError, match=r"r\.yaml is no text in UTF-8"):
        PruneRecipe.read(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text("sparsety: 0.8")
    with pytest.raises(InputError, match=r"r\.yaml: a recipe has no 'sparsety': did you mean 'sparsity'\?"):
        PruneRecipe.read(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text("#" * 70_000)
    with pytest.raises(InputError, match=r"r\.yaml: a recipe of 65537 characters is none"):
        PruneRecipe.read(tmp_path / "r.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        PruneRecipe.read(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="could not be written"):
        recipe.save(tmp_path / "none" / "r.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pruning: 3", "no 'pruning': there are sparsity, method"),
        ("budgets: owl", "did you mean 'budget'"),
        ("0.8", "a map of settings, not a float"),
        ("", "a map of settings, not a NoneType"),
        ("- 0.8", "a map of settings, not a list"),
        ("sparsity: 80", "write 0.8 for 80 %"),
        ("sparsity: -0.1", "a share from 0 to 1"),
        ("sparsity: true", "a share from 0 to 1"),
        ("sparsity: .inf", "a share from 0 to 1"),
        ("sparsity: 1e999", "a share from 0 to 1"),
        ("sparsity: {}", "an empty map"),
        ("sparsity: {a: b}", "sparsity of 'a' is 'b'"),
        ("sparsity: 0.8\npattern: 2:4", "pattern 2:4 is 0.5"),
        ("pattern: 4:2", "at most N are kept"),
        ("pattern: block", "pattern 'block' is unknown"),
        ("budget: 3", "budget is 3: a recipe has a text there"),
        ("layers: [a]", "a recipe has a text there"),
        ("repair: 1", "write true or false"),
        ("recovery: 3", "write one step"),
        ("recovery: [3]", "each step is a text"),
        ("recovery: distill", "write distill:90s"),
        ("sparsity: 0.8\nsparsity: 0.9", "line 2 has 'sparsity' a second time"),
        ("sparsity: {a: 1, a: 0}", "has 'a' a second time"),
        ("note: &x y\nlayers: *x", "line 1 has a reference"),
        ("? [a]\n: b", "a key that is no text"),
        ("a: [", "it is no YAML"),
        ("a: b\n---\na: c", "it is no YAML"),
        ("\tx: 1", "it is no YAML"),
        ("note: \x00", "it is no YAML"),
        ("[" * 20 + "]" * 20, "nested too deeply"),
        ("[" * 9000, "it is no YAML|nested too deeply"),
        ("note: !!python/object/apply:os.system [ls]", "has a tag"),
        ("note: " + "9" * 5000, "a recipe has a text there"),
    ],
)
def test_what_cannot_be_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        PruneRecipe.from_yaml(text)


def layer() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(16, 8)


def test_applying_is_pruning() -> None:
    wanted = prune(layer(), 0.75, pattern="block4x1")
    heard: list[str] = []
    found = PruneRecipe(0.75, pattern="block4x1", note="x").apply(layer(), progress=heard.append)
    assert torch.equal(found.model.weight, wanted.model.weight)
    assert found.report.requested == wanted.report.requested == 0.75
    model = layer()
    assert PruneRecipe.from_yaml("pattern: 2:4").apply(model, inplace=True).model is model


def test_what_prune_refuses_it_refuses() -> None:
    with pytest.raises(InputError, match="needs data"):
        PruneRecipe(0.5, method="wanda").apply(layer())


def test_a_choice_this_version_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "aerogel.prune.recipe_file.prune", lambda model, sparsity, data, inplace, progress: None
    )
    with pytest.raises(UnsupportedError, match="knows no budget: leave it out"):
        PruneRecipe(0.5, budget="owl").apply(layer())
