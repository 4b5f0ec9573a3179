"""``aerogel compile`` and ``aerogel run``, on a small network made by a factory."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.energy.metered import measured

from aerogel.cli import compile as compile_command
from aerogel.cli import main
from aerogel.energy import meter
from aerogel.model.explain import Explanation
from aerogel.model.program import Program

FACTORY = """
import torch
def mlp():
    torch.manual_seed(0)
    layers = torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
    return torch.nn.Sequential(*layers), torch.ones(2, 8)
class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 4)
    def forward(self, x):
        y = self.layer(x)
        return {"plain": y, "positive": torch.relu(y)}
def two():
    return Two(), torch.ones(2, 8)
def unknown():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real
    return Odd(), torch.ones(2, 8)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small_models.py"
    path.write_text(FACTORY)
    return path


def save(path: Path, /, **arrays: np.ndarray) -> Path:
    with zipfile.ZipFile(path, "w") as file:  # np.savez takes no array named self
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w") as entry:
                np.save(entry, array)
    return path


def test_compile_shows_every_layer(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", f"{file}:mlp"]) == 0
    shown = capsys.readouterr().out
    assert "16 x 8" in shown
    assert "4 x 16" in shown


def test_joules_of_steps_need_a_meter(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aerogel.tune.energy_fit.cpu_meter", partial(meter, root=tmp_path))
    assert main(["compile", f"{file}:mlp", "--energy"]) == 2
    shown = capsys.readouterr()
    assert "energy per layer needs a meter: no RAPL counters here" in shown.err and not shown.out


def test_joules_of_steps_are_asked_for_once_the_machine_is_known(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A meter that is there, and a machine that takes its time to be fitted."""
    asked: list[object] = []

    def fitted(target: object, threads: int, *, tell: Callable[[str, float], None]) -> None:
        tell("metering fp32, 1 thread", 0.25)
        asked.append(threads)

    plain = Program.explain

    def explained(self: Program, *, energy: bool) -> Explanation:
        asked.append(energy)
        return plain(self)

    monkeypatch.setattr(compile_command, "require_meter", lambda: measured(1.0, 1.0))
    monkeypatch.setattr(compile_command, "machine_roofline", fitted)
    monkeypatch.setattr(Program, "explain", explained)
    assert main(["compile", f"{file}:mlp", "--energy", "--threads", "1"]) == 0
    assert asked == [1, True]
    shown = capsys.readouterr().err
    assert "energy is metered by " in shown and "metering fp32, 1 thread" in shown


def test_compile_prunes_first_where_asked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "compile",
        f"{file}:mlp",
        "--sparsity",
        "0.5",
        "--pattern",
        "block4x1",
        "--threads",
        "1",
        "--json",
    ]
    assert main(words) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["model"] == "small_models:mlp"
    assert (read["pruned"]["pattern"], read["pruned"]["sparsity"]) == ("block4x1", 0.5)
    assert read["program"]


def test_run_gives_what_the_module_gives(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    given, written = save(tmp_path / "x.npz", x=x), tmp_path / "y.npz"
    assert main(["run", f"{file}:two", "--input", str(given), "-o", str(written), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["outputs"]["plain"] == {"shape": [3, 4], "dtype": "float32"}
    assert read["written"] == str(written)
    with np.load(written) as outputs:
        assert sorted(outputs.files) == ["plain", "positive"]
        np.testing.assert_array_equal(np.maximum(outputs["plain"], 0), outputs["positive"])


def test_a_single_output_is_named_too(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((2, 8), np.float32)
    given, written = save(tmp_path / "x.npz", input=x), tmp_path / "y.npz"
    assert main(["run", f"{file}:mlp", "--input", str(given), "-o", str(written)]) == 0
    assert capsys.readouterr().out.startswith("output  float32 2 x 4\n")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    with np.load(written) as outputs, torch.no_grad():
        np.testing.assert_allclose(
            outputs["output"], module(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-6
        )


def bad_pickle(path: Path) -> Path:
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    return path


def single(path: Path) -> Path:
    np.save(path.with_suffix(".npy"), np.ones(3))
    return path.with_suffix(".npy")


def nonsense(path: Path) -> Path:
    path.write_bytes(b"nonsense")
    return path


def truncated(path: Path) -> Path:
    save(path, input=np.ones((2, 8), np.float32))
    path.write_bytes(path.read_bytes()[:-30])
    return path


def flipped(path: Path) -> Path:
    np.savez_compressed(path, input=np.arange(16, dtype=np.float32).reshape(2, 8))
    content = bytearray(path.read_bytes())
    content[80] ^= 255
    path.write_bytes(content)
    return path


def missing(path: Path) -> Path:
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bad_pickle, "cannot be read as a .npz file"),
        (single, "one array without a name"),
        (nonsense, "cannot be read as a .npz file"),
        (truncated, "cannot be read as a .npz file"),
        (flipped, "cannot be read as a .npz file"),
        (missing, "cannot be read as a .npz file"),
        (
            lambda p: save(p, y=np.ones((2, 8), np.float32)),
            "x.npz: the model has no input 'y': it takes input",
        ),
        (lambda p: save(p, self=np.ones((2, 8), np.float32)), "x.npz: the model has no input 'self'"),
        (lambda p: save(p, input=np.ones((2, 7), np.float32)), "input"),
    ],
)
def test_bad_inputs_are_one_line_and_status_2(
    file: Path, tmp_path: Path, make: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = make(tmp_path / "x.npz")  # type: ignore[operator]
    assert main(["run", f"{file}:mlp", "--input", str(given)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("aerogel: InputError: ")
    assert shown.err.count("\n") == 1


def test_an_output_that_cannot_be_written_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = save(tmp_path / "x.npz", input=np.ones((2, 8), np.float32))
    words = ["run", f"{file}:mlp", "--input", str(given), "-o", str(tmp_path / "no" / "y.npz")]
    assert main(words) == 2
    assert "could not be written" in capsys.readouterr().err


def test_what_cannot_be_compiled_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", f"{file}:unknown"]) == 2
    assert "fft" in capsys.readouterr().err


def test_text_needs_a_tokenizer(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", f"{file}:mlp", "--text", "hello"]) == 2
    assert "takes no text" in capsys.readouterr().err


def test_a_tokenizer_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("tokenizers")
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, intermediate_size=16, max_position_embeddings=20)
    transformers.BertModel(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    capsys.readouterr()
    assert main(["run", str(tmp_path), "--text", "hello"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("aerogel: FormatError: the tokenizer cannot be read")
    assert shown.err.count("\n") == 1


def test_a_missing_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(tmp_path / "none")]) == 2
    assert "there is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["compile"],
        ["run", "m"],
        ["run", "m", "--text", "a", "--input", "b"],
        ["compile", "m", "--sparsity", "2"],
        ["compile", "m", "--sparsity", "nan"],
        ["compile", "m", "--pattern", "hexagon"],
        ["compile", "m", "--threads", "0"],
        ["compile", "m", "--threads", "many"],
    ],
)
def test_bad_usage_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: aerogel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--sparsity", "x", "'x' is not a fraction between 0 and 1, such as 0.8"),
        ("--sparsity", "1.5", "'1.5' is not a fraction between 0 and 1, such as 0.8"),
        ("--threads", "abc", "'abc' is not a whole number from 1 on, such as 2"),
        ("--threads", "0", "'0' is not a whole number from 1 on, such as 2"),
        ("--threads", "9" * 5000, "is not a whole number from 1 on, such as 2"),
    ],
)
def test_wrong_numbers_are_told_in_words(
    option: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["compile", "m", option, text])
    shown = capsys.readouterr().err
    assert f"argument {option}: " in shown
    assert message in shown
