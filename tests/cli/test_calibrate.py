"""``aerogel compile --calibrate``: ranges of activations found on a file of texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.model.little_encoder import TEXTS, encoder_folder

import aerogel
from aerogel.cli import main


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("a b c d\nquery : e f\ng h a b c d e f g\n")
    return path


@pytest.mark.slow
def test_a_file_with_ranges_found_on_texts(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(encoder_folder(tmp_path / "model")), tmp_path / "m.aero"
    words = ["compile", model, "--precision", "int8", "--calibrate", str(texts), "-o", str(out), "--json"]
    assert main(words) == 0
    kernels = [step["kernel"] for step in json.loads(capsys.readouterr().out)["program"]["steps"]]
    assert sum("quantise static" in kernel for kernel in kernels) == 2
    program = aerogel.load(out)
    assert len(program.built.graph.ranges) == 2
    assert np.isfinite(program.encode(TEXTS)).all()


def test_what_is_wrong_is_said_before_anything_takes_time(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "no-such-model", "--calibrate", str(texts)]) == 2
    assert "add --precision int8" in capsys.readouterr().err
    words = ["compile", "no-such-model", "--precision", "int8", "--calibrate", str(tmp_path / "none.txt")]
    assert main(words) == 2
    assert "there is no" in capsys.readouterr().err
    assert main(["compile", "no-such.aero", "--calibrate", str(texts)]) == 2
    assert "calibrate the model it was made from" in capsys.readouterr().err
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    assert main(["compile", "no-such-model", "--precision", "int8", "--calibrate", str(empty)]) == 2
    assert "holds no text" in capsys.readouterr().err
