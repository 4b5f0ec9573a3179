"""The layouts of compressed-tensors against a naive reading of what they are; what hostile files get."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from aerogel.core.errors import FormatError, InputError, UnsupportedError
from aerogel.prune import prune
from aerogel.prune.interchange import read_checkpoint, save_sparse, write_checkpoint
from aerogel.prune.interchange.bitmask import BITMASK, TWO_FOUR, parts_of, weight_of
from aerogel.prune.recipe_file import PruneRecipe


def dense_from(parts: dict[str, torch.Tensor]) -> np.ndarray:
    """The definition, weight by weight: the next number wherever a bit is set."""
    rows, columns = (int(n) for n in parts["shape"].reshape(-1))
    numbers = iter(parts["compressed"].reshape(-1).double().tolist())
    out = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            if int(parts["bitmask"][r, c // 8]) >> (c % 8) & 1:
                out[r, c] = next(numbers)
    return out


def sparse(rows: int, columns: int, density: float = 0.3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(rows, columns, generator=generator) < density
    return torch.randn(rows, columns, generator=generator) * keep


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 20), st.floats(0, 1), st.integers(0, 99))
def test_a_bitmask_is_what_its_definition_says(rows: int, columns: int, density: float, seed: int) -> None:
    weight = sparse(rows, columns, density, seed)
    parts = parts_of(weight, BITMASK)
    np.testing.assert_array_equal(dense_from(parts), weight)
    assert torch.equal(weight_of(parts), weight)
    starts = [int(torch.count_nonzero(weight[:r])) for r in range(rows)]
    assert parts["row_offsets"].tolist() == starts
    assert (parts["bitmask"].shape, parts["bitmask"].dtype) == ((rows, -(-columns // 8)), torch.uint8)
    assert parts["shape"].tolist() == [rows, columns]
    assert parts["compressed"].shape == (int(torch.count_nonzero(weight)),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("columns", [4, 12, 64])
def test_two_of_four_is_what_its_definition_says(dtype: torch.dtype, columns: int) -> None:
    weight = prune(torch.nn.Linear(columns, 6), pattern="2:4").model.weight.detach()
    weight[0], weight[1, 1] = -0.0, 0.0  # a group of less than two
    weight = weight.to(dtype)
    parts = parts_of(weight, TWO_FOUR)
    assert set(parts) == {"compressed", "bitmask", "shape"}
    assert (parts["compressed"].shape, parts["shape"].tolist()) == ((6, columns // 2), [[6], [columns]])
    np.testing.assert_array_equal(dense_from(parts), weight.double())
    assert torch.equal(weight_of(parts).double(), weight.double())


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(16, 64)
        self.up = torch.nn.Linear(64, 96)
        self.down = torch.nn.Linear(96, 64)
        self.norm = torch.nn.LayerNorm(64)
        self.out = torch.nn.Linear(64, 16, bias=False)
        self.out.weight = self.table.weight


def same(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> bool:
    wanted = model.state_dict()
    return set(wanted) == set(state) and all(torch.equal(wanted[name], state[name]) for name in wanted)


@pytest.mark.parametrize(("layout", "pattern"), [(BITMASK, "unstructured"), (TWO_FOUR, "2:4")])
def test_a_model_comes_back_from_its_directory(layout: str, pattern: str, tmp_path: Path) -> None:
    model = prune(Net(), 0.5 if pattern == "2:4" else 0.8, pattern=pattern, layers="up").model
    (tmp_path / "config.json").write_text('{"model_type": "net", "quantization_config": {"x": 1}}')
    recipe = PruneRecipe(0.8, layers="up")
    saved = write_checkpoint(model, tmp_path, layout, recipe=recipe)
    assert saved.encodings["up.weight"] == layout
    assert saved.encodings["down.weight"] == saved.encodings["table.weight"] == "dense"
    assert saved.file_bytes < saved.dense_bytes
    names = set(load_file(tmp_path / "model.safetensors"))
    wanted = {"up.compressed", "up.bitmask", "up.shape", "up.bias", "down.weight", "table.weight"}
    assert wanted <= names
    assert not names & {"up.weight", "out.weight"}
    config = json.loads((tmp_path / "config.json").read_text())
    home = config["quantization_config"]
    zeros = int((model.up.weight == 0).sum()) / (2 * 64 * 96)  # type: ignore[union-attr]
    assert (config["model_type"], home["quant_method"], home["x"]) == ("net", "compressed-tensors", 1)
    assert home["sparsity_config"] == {
        "format": layout,
        "targets": ["Linear"],
        "ignore": ["down", "out"],
        "global_sparsity": zeros,
        "sparsity_structure": "2:4" if layout == TWO_FOUR else "unstructured",
        "registry_requires_subclass": False,
    }
    assert PruneRecipe.read(tmp_path / "aerogel-recipe.yaml") == recipe
    found = read_checkpoint(tmp_path)
    assert same(model, found.state)
    assert (dict(found.layouts), found.declared.layout) == ({"up.weight": layout}, layout)


def test_older_names_split_files_and_spare_dimensions(tmp_path: Path) -> None:
    up, down = sparse(6, 20), sparse(5, 9, seed=1)
    old = {f"up.weight.{part}": tensor for part, tensor in parts_of(up, BITMASK).items()}
    old["up.weight.compressed"] = old["up.weight.compressed"][:, None]
    old["up.weight.row_offsets"] = old["up.weight.row_offsets"][:, None]
    new = {f"down.{part}": tensor for part, tensor in parts_of(down, BITMASK).items()}
    mask = {"up.weight.bitmask": old.pop("up.weight.bitmask")}
    save_file(old, tmp_path / "model-00001-of-00002.safetensors")
    save_file(new | mask | {"bias": torch.ones(3)}, tmp_path / "model-00002-of-00002.safetensors")
    said = {"format": BITMASK, "global_sparsity": 70.0, "sparsity_structure": "unstructured"}
    (tmp_path / "config.json").write_text(json.dumps({"compression_config": {"sparsity_config": said}}))
    found = read_checkpoint(tmp_path)
    assert torch.equal(found.state["up.weight"], up)
    assert torch.equal(found.state["down.weight"], down)
    assert found.declared.sparsity == pytest.approx(0.7)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FormatError, match="has no bitmask: a file of the checkpoint is missing"):
        read_checkpoint(tmp_path)


def test_convolutions_and_vectors_in_bitmasks_are_read() -> None:
    weight = sparse(4, 3 * 2 * 5).reshape(4, 3, 2, 5)
    flat = parts_of(weight.reshape(-1, 5), BITMASK)
    shape = torch.tensor(weight.shape)
    assert torch.equal(weight_of({**flat, "shape": shape}), weight)
    flat = parts_of(weight.reshape(1, -1), BITMASK)
    vector = weight_of({**flat, "bitmask": flat["bitmask"][0], "shape": torch.tensor([120])})
    assert torch.equal(vector, weight.reshape(-1))


def test_our_own_file_and_plain_files_are_read(tmp_path: Path) -> None:
    model = prune(Net(), 0.9).model
    save_sparse(model, tmp_path / "model.safetensors")
    found = read_checkpoint(tmp_path)
    assert same(model, found.state)
    assert found.layouts["up.weight"] == "bitmap"
    # A parameter that happens to be called so.
    save_file({"zip.compressed": torch.ones(2)}, tmp_path / "model.safetensors")
    assert list(read_checkpoint(tmp_path / "model.safetensors").state) == ["zip.compressed"]


GOOD = parts_of(sparse(6, 20), BITMASK)
PAIRS = parts_of(prune(torch.nn.Linear(24, 6), pattern="2:4").model.weight.detach(), TWO_FOUR)


@pytest.mark.parametrize(
    ("parts", "change", "told"),
    [
        (GOOD, {"compressed": GOOD["compressed"][1:]}, "compressed has .* entries, but there are"),
        (GOOD, {"compressed": GOOD["compressed"].int()}, "which is no weight's"),
        (GOOD, {"bitmask": GOOD["bitmask"][1:]}, "bitmask has 15 entries, but there are 18 bytes"),
        (GOOD, {"bitmask": GOOD["bitmask"].int()}, "must be bytes"),
        (GOOD, {"bitmask": GOOD["bitmask"] | 128}, "a bit past the last column"),
        (GOOD, {"bitmask": GOOD["bitmask"] ^ 1}, "compressed has"),
        (GOOD, {"row_offsets": GOOD["row_offsets"] + 1}, "row_offsets are not"),
        (GOOD, {"row_offsets": GOOD["row_offsets"][1:]}, "row_offsets are not"),
        (GOOD, {"row_offsets": GOOD["row_offsets"].float()}, "whole numbers"),
        (GOOD, {"shape": torch.tensor([1 << 40, 1 << 40])}, "impossible"),
        (GOOD, {"shape": torch.tensor([1 << 20, 20])}, "bitmask has"),
        (GOOD, {"shape": torch.tensor([-6, 20])}, "impossible"),
        (GOOD, {"shape": torch.tensor([6.0, 20.0])}, "whole numbers"),
        (GOOD, {"shape": torch.ones(100_000, dtype=torch.int64)}, "impossible"),
        (GOOD, {"shape": torch.zeros(0, dtype=torch.int64)}, "impossible"),
        (PAIRS, {"shape": torch.tensor([[9], [16]])}, "not 2 of every 4"),
        (PAIRS, {"bitmask": torch.full_like(PAIRS["bitmask"], 0x1E)}, "not 2 of every 4"),
    ],
)
def test_parts_that_lie(
    parts: dict[str, torch.Tensor], change: dict[str, torch.Tensor], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    save_file({f"up.{n}": t.contiguous() for n, t in (parts | change).items()}, file)
    with pytest.raises(FormatError, match=rf"model\.safetensors: 'up': .*({told})"):
        read_checkpoint(tmp_path)


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    save_file({f"up.{n}": t for n, t in GOOD.items() if n != "shape"}, tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match="no shape: the file is not whole"):
        read_checkpoint(tmp_path)


def test_names_that_clash(tmp_path: Path) -> None:
    twice = {f"up.{n}": t for n, t in GOOD.items()} | {"up.weight": torch.ones(2)}
    save_file(twice, tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match=r"'up\.weight' is stored twice"):
        read_checkpoint(tmp_path)
    for name in "ab":
        save_file({"w": torch.ones(2)}, tmp_path / f"model-{name}.safetensors")
    with pytest.raises(FormatError, match="'w' is in"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("names", "config", "told"),
    [
        (["up.weight_packed"], {}, "of a quantised weight"),
        (["w"], {"sparsity_config": {"format": "marlin-24"}}, "stores weights as 'marlin-24'"),
        (
            ["w"],
            {"quantization_config": {"config_groups": {"0": {}}, "sparsity_config": {"format": TWO_FOUR}}},
            "its scales would be lost",
        ),
    ],
)
def test_what_is_not_read_says_so(names: list[str], config: object, told: str, tmp_path: Path) -> None:
    save_file({name: torch.ones(2) for name in names}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedError, match=told):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "config", ["{", "[]", '{"sparsity_config": [1]}', '{"sparsity_config": {"format": 3}}']
)
def test_configurations_that_cannot_be(config: str, tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises((FormatError, InputError), match=r"config\.json"):
        read_checkpoint(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no directory or file"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(InputError, match="the weights are missing"):
        read_checkpoint(tmp_path)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'sparse-bitmask'"):
        write_checkpoint(Net(), tmp_path, "bitmask")
    with pytest.raises(InputError, match="none gets smaller"):
        write_checkpoint(Net(), tmp_path)
    with pytest.raises(InputError, match="has 2 zeros in each 4"):
        write_checkpoint(Net(), tmp_path, TWO_FOUR)
    clash = {"up.weight": sparse(64, 64), "up.shape": torch.ones(2)}
    with pytest.raises(InputError, match=r"'up\.shape', which there is"):
        write_checkpoint(clash, tmp_path)
    save_file({"w": torch.ones(2)}, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(InputError, match="give a new folder"):
        write_checkpoint({"up.weight": sparse(64, 64)}, tmp_path)
    assert not (tmp_path / "config.json").exists()
    with pytest.raises(InputError, match="cannot be made"):
        write_checkpoint(
            {"w.weight": sparse(64, 64)}, tmp_path / "model-00001-of-00002.safetensors" / "below"
        )


def test_one_layer_alone(tmp_path: Path) -> None:
    layer = prune(torch.nn.Linear(64, 64), 0.9).model
    write_checkpoint(layer, tmp_path)
    assert same(layer, read_checkpoint(tmp_path).state)
