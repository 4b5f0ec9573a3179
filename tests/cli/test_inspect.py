"""``aerogel inspect``: sections as they come, one JSON object, and every misuse in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.find.networks import encoder, factories, mlp

from aerogel.cli import main
from aerogel.find.sensitivity import PATTERNS, SHARES
from aerogel.model.artefact import Artefact, save


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return factories(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with a tokenizer of letters."""
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    path = tmp_path_factory.mktemp("files") / "letters.aero"
    save(path, Artefact(encoder(), made.to_str().encode(), 40))
    return path


def test_text_by_default(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{file}:net"]) == 0
    shown = capsys.readouterr()
    for section in (
        "WEIGHTS: 212, of which 23 are zero",
        "ACTIVATIONS on its example inputs",
        "COSTS",
        "BREAK-EVEN",
        "VERDICT",
    ):
        assert section in shown.out
    assert "loading the model" in shown.err
    assert shown.out.index("WEIGHTS") < shown.out.index("VERDICT")


def test_json_has_what_the_schema_says(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{file}:net", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["version"] == 1 and read["kind"] == "factory"
    assert read["verdict"]["pays"] == "neither" and read["verdict"]["reasons"]
    up = read["weights"]["layers"][0]
    assert {"name", "role", "shape", "readers", "count", "zeros", "near_max", "near_rms", "share", "pattern",
            "bytes", "stored_bytes"} <= set(up)  # fmt: skip
    assert (up["zeros"], up["count"]) == (23, 128)
    assert {"place", "fn", "names", "columns", "zeros"} <= set(read["activations"]["rows"][0])
    assert {"name", "kind", "flops", "effective_flops", "live_flops", "bytes", "effective_bytes"} <= set(
        read["costs"]["costs"][0]["layers"][0]
    )
    assert {"threads", "columns", "rows", "control", "missing", "too_small"} <= set(read["timing"]["map"])


def test_every_layer(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(artefact), "--layers"]) == 0
    shown = capsys.readouterr().out
    assert all(f"layer{i}.weight " in shown for i in (1, 2, 3))


def test_texts_from_a_file(artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a b c\nd e\n")
    assert main(["inspect", str(artefact), "--data", str(texts), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["activations"]["texts"] == 2
    assert read["activations"]["tokens"] == 5


def test_texts_that_are_built_in(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(artefact), "--json"]) == 0
    assert "docstrings" in json.loads(capsys.readouterr().out)["activations"]["about"]


@pytest.mark.parametrize("name", ["absent.txt", "empty.txt", "texts.pdf"])
def test_data_that_cannot_be_used(
    artefact: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if not name.startswith("absent"):
        path.write_text("\n")
    assert main(["inspect", str(artefact), "--data", str(path)]) == 2
    assert name in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("/no/such/model", "there is no '/no/such/model'"),
        ("{file}:bare", "has no linear layer"),
        ("{file}:broken", "weight 'down.weight' holds 1 NaN"),
        ("{file}", "names no function"),
    ],
)
def test_models_that_cannot_be_inspected(
    file: Path, spec: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", spec.format(file=file)]) == 2
    shown = capsys.readouterr()
    assert said in shown.err.splitlines()[-1]
    assert shown.out == ""


def test_a_refused_model_is_no_failure(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{file}:odd"]) == 0
    shown = capsys.readouterr().out
    assert "compile would refuse this model" in shown and "WEIGHTS" in shown


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_seconds_must_be_a_time(file: Path, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", f"{file}:net", f"--seconds={seconds}"])
    assert ended.value.code == 2
    assert "is not a number of seconds above 0" in capsys.readouterr().err


def test_little_time_is_kept_to(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{file}:large", "--seconds", "0.001"]) == 0
    assert "there was no time" in capsys.readouterr().out


def test_an_artefact_without_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "m.aero", Artefact(mlp()))
    assert main(["inspect", str(tmp_path / "m.aero")]) == 0
    assert "ACTIVATIONS: not looked at" in capsys.readouterr().out


def test_zeros_of_tables_stored_as_integers_are_counted_as_stored(
    artefact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(artefact), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    table = next(layer for layer in read["weights"]["layers"] if layer["role"] == "embedding")
    assert table["count"] == 50 * 8
    assert np.isfinite(table["rms"])


def test_sensitivity_is_asked_for(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{file}:net", "--sensitivity", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["sensitivity"]
    assert {row["name"] for row in found["rows"]} == {"up.weight", "down.weight"}
    seen = {(row["pattern"], row["sparsity"]) for row in found["rows"]}
    assert seen == {*((p, s) for p in PATTERNS[:3] for s in SHARES), ("2:4", 0.5)}
    assert all(row["change"] >= 0 for row in found["rows"])
    # Layers this small are not timed, so nothing is said of where they pay.
    assert (found["pays"], found["missing"]) == ([], [])


def test_sensitivity_of_a_file_is_refused_at_once(artefact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(artefact), "--sensitivity"]) == 2
    shown = capsys.readouterr()
    assert "is no torch module" in shown.err.splitlines()[-1]
    assert shown.out == ""
