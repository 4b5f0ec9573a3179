"""Files that shrink: everything comes back, and a damaged file is an error that names the tensor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from aerogel.core.errors import FormatError, InputError
from aerogel.prune import prune
from aerogel.prune.interchange import load_sparse, save_sparse
from aerogel.prune.recipe_file import PruneRecipe


class Tied(torch.nn.Module):
    """A table that is its output layer's weight as well, and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(32, 64)
        self.hidden = torch.nn.Linear(64, 128)
        self.norm = torch.nn.LayerNorm(128)
        self.out = torch.nn.Linear(64, 32, bias=False)
        self.out.weight = self.table.weight
        self.register_buffer("steps", torch.tensor(7))


@pytest.fixture(scope="module")
def pruned() -> Tied:
    return prune(Tied(), 0.9, layers="hidden").model  # type: ignore[return-value]


RECIPE = PruneRecipe(sparsity=0.9, layers="hidden", recovery=["least_squares"], note="a test")  # type: ignore[arg-type]


@pytest.fixture
def written(pruned: Tied, tmp_path: Path) -> Path:
    save_sparse(pruned, tmp_path / "a.safetensors", recipe=RECIPE)
    return tmp_path / "a.safetensors"


def test_a_pruned_module_comes_back_and_is_smaller(pruned: Tied, tmp_path: Path) -> None:
    saved = save_sparse(pruned, tmp_path / "a.safetensors", recipe=RECIPE)
    loaded = load_sparse(tmp_path / "a.safetensors")
    assert saved.encodings["hidden.weight"] == loaded.encodings["hidden.weight"] == "bitmap"
    assert saved.encodings["table.weight"] == loaded.encodings["out.weight"] == "dense"
    assert saved.file_bytes == (tmp_path / "a.safetensors").stat().st_size < 0.6 * saved.dense_bytes
    assert saved.dense_bytes == sum(p.nbytes for p in pruned.parameters()) + 8
    fresh = Tied()
    fresh.load_state_dict(loaded.state)
    for name, tensor in pruned.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
    assert loaded.state["table.weight"] is loaded.state["out.weight"]
    assert (loaded.recipe, loaded.recipe and loaded.recipe.note) == (RECIPE, "a test")


def test_what_is_dense_is_read_by_any_reader(written: Path, pruned: Tied) -> None:
    plain = load_file(written)
    assert torch.equal(plain["table.weight"], pruned.table.weight)
    assert plain["hidden.weight::values"].dtype == torch.float32


def test_a_plain_file_is_read_too(tmp_path: Path) -> None:
    save_file({"a::b": torch.ones(2), "w": torch.zeros(3)}, tmp_path / "x.safetensors", {"recipe": "{"})
    loaded = load_sparse(tmp_path / "x.safetensors")
    assert (set(loaded.state), loaded.recipe) == ({"a::b", "w"}, None)


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float64, torch.float8_e4m3fn, torch.int8]
)
@pytest.mark.parametrize("shape", [(64, 32), (8, 4, 3, 3), (300,), (), (0, 4)])
def test_types_and_shapes(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    numbers = 50 * torch.randn(shape, generator=generator)
    tensor = (numbers * (torch.rand(shape, generator=generator) < 0.2)).to(dtype)
    save_sparse({"w": tensor.T if tensor.ndim == 2 else tensor}, tmp_path / "w.safetensors")
    back = load_sparse(tmp_path / "w.safetensors").state["w"]
    assert back.dtype == dtype
    assert torch.equal(back.double(), (tensor.T if tensor.ndim == 2 else tensor).double())


def test_minus_zero_is_a_zero(tmp_path: Path) -> None:
    weight = torch.full((16, 64), -0.0)
    weight[3, 4] = 1.0
    saved = save_sparse({"w": weight}, tmp_path / "w.safetensors")
    back = load_sparse(tmp_path / "w.safetensors").state["w"]
    assert saved.encodings["w"] != "dense"
    assert torch.equal(back, weight)
    assert not torch.signbit(back).any()


def test_two_of_four_takes_less_than_a_bitmap_would(tmp_path: Path) -> None:
    weight = prune(torch.nn.Linear(192, 64, bias=False).to(torch.float16), pattern="2:4").model.state_dict()
    saved = save_sparse(weight, tmp_path / "w.safetensors")
    assert dict(saved.encodings) == {"weight": "n_of_m"}
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        stored = sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118
    assert stored == 64 * 192 // 2 * 2 + 8 * (64 * 192 // 4) // 24
    assert torch.equal(load_sparse(tmp_path / "w.safetensors").state["weight"], weight["weight"])


def test_the_old_file_stays_where_the_new_one_cannot_be_written(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(InputError, match="on the meta device"):
        save_sparse({"w": torch.zeros(2, device="meta")}, written)
    with pytest.raises(InputError, match="rename it"):
        save_sparse({"a::b": torch.zeros(2)}, written)
    with pytest.raises(InputError, match="'w' is a list"):
        save_sparse({"w": [1.0]}, written)  # type: ignore[dict-item]
    with pytest.raises(InputError, match="give a module"):
        save_sparse([torch.zeros(2)], written)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"torch\.sparse"):
        save_sparse({"w": torch.eye(3).to_sparse()}, written)
    with pytest.raises(InputError, match="could not be written"):
        save_sparse({"w": torch.zeros(2)}, written / "below.safetensors")
    assert written.read_bytes() == before


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        load_sparse(tmp_path / "none.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x02pickled")
    with pytest.raises(FormatError, match=r"x\.safetensors cannot be read"):
        load_sparse(tmp_path / "x.safetensors")


def test_every_truncation_is_an_error(written: Path) -> None:
    whole = written.read_bytes()
    for keep in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        written.write_bytes(whole[:keep])
        with pytest.raises(FormatError, match=r"a\.safetensors"):
            load_sparse(written)


def rewritten(path: Path, change: object, texts: object = lambda t: t) -> None:
    """The file with its tensors and its texts changed."""
    with safe_open(path, framework="pt") as file:
        said = dict(file.metadata())
    tensors = load_file(path)
    change(tensors)  # type: ignore[operator]
    save_file(tensors, path, texts(said))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("hidden.weight::bits"), r"'hidden.weight': bitmap has parts \['values'\]"),
        (lambda t: t.update({"hidden.weight::bits": ~t["hidden.weight::bits"]}), "values has"),
        (lambda t: t.update({"hidden.weight::values": t["hidden.weight::values"][1:]}), "values has"),
        (
            lambda t: t.update({"hidden.weight::values": t["hidden.weight::values"].half()}),
            "does not go with",
        ),
        (lambda t: t.update({"hidden.weight::bits": t["hidden.weight::bits"].float()}), "does not go with"),
        (lambda t: t.update({"out.weight": torch.zeros(2)}), "tied"),
        (lambda t: t.pop("table.weight"), "tied"),
    ],
)
def test_tensors_that_lie(written: Path, change: object, told: str) -> None:
    rewritten(written, change)
    with pytest.raises(FormatError, match=told):
        load_sparse(written)


def said(**changes: object):
    def change(texts: dict[str, str]) -> dict[str, str]:
        about = json.loads(texts["aerogel_sparse"])
        about["tensors"]["hidden.weight"] |= changes.pop("hidden", {})  # type: ignore[arg-type]
        return texts | {"aerogel_sparse": json.dumps(about | changes)}

    return change


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (said(version=2), "version 2, this is 1: update"),
        (said(version="1"), "not what this version writes"),
        (said(tensors=[]), "not what this version writes"),
        (said(tensors={"w": 3}), "not what this version writes"),
        (said(ties={"w": 3}), "not what this version writes"),
        (said(ties={"w": "nothing"}), "tied to 'nothing'"),
        (said(hidden={"shape": [1 << 62, 4]}), "impossible"),
        (said(hidden={"shape": [128.0, 64]}), "none"),
        (said(hidden={"shape": [-1, 64]}), "impossible"),
        (said(hidden={"dtype": "complex64"}), "none"),
        (said(hidden={"of": [2]}), "none"),
        (said(hidden={"encoding": None}), "encoding 'None' is unknown"),
        (lambda t: t | {"aerogel_sparse": "{"}, "not JSON"),
        (lambda t: t | {"aerogel_sparse": "[" * 100_000}, "not JSON"),
        (lambda t: t | {"aerogel_sparse": "[]"}, "not what this version writes"),
        (lambda t: t | {"recipe": "{"}, "recipe in its header"),
        (lambda t: t | {"recipe": '{"sparsety": 1}'}, "did you mean 'sparsity'"),
    ],
)
def test_headers_that_lie(written: Path, texts: object, told: str) -> None:
    rewritten(written, lambda _: None, texts)
    with pytest.raises(FormatError, match=told):
        load_sparse(written)
