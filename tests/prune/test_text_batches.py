"""Texts as batches: of like length, cut to what the model takes, padded no further than their longest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.trial.little import classifier, texts

from aerogel.model.source import load_model
from aerogel.prune.text_batches import batches

pytest.importorskip("transformers")


def test_batches_are_of_like_length_and_cut(tmp_path: Path) -> None:
    source = load_model(str(classifier(tmp_path / "little")))
    known = [*texts(40), "w1 " * 100]
    found = batches(source, known)
    assert all(b["input_ids"].numel() <= 512 for b in found)
    lengths = [b["attention_mask"].sum(1) for b in found]
    # In order of length, and none padded beyond its batch's longest.
    assert [int(n) for batch in lengths for n in batch] == sorted(int(n) for batch in lengths for n in batch)
    assert [int(n.max()) for n in lengths] == [b["input_ids"].shape[1] for b in found]
    assert sum(int(n.sum()) for n in lengths) == sum(min(24, len(text.split())) for text in known)
    again = batches(source, known[::-1])
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(found, again, strict=True))


def test_a_text_longer_than_a_batch_is_a_batch() -> None:
    class Wide:
        def tokenize(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
            mask = np.zeros((len(texts), 700), np.int64)
            for row, text in zip(mask, texts, strict=True):
                row[: len(text)] = 1
            return np.cumsum(mask, 1) * mask, mask

    found = batches(Wide(), ["a" * 700, "b" * 200, "c" * 200, "d" * 200])  # type: ignore[arg-type]
    assert [tuple(b["input_ids"].shape) for b in found] == [(2, 200), (1, 200), (1, 700)]
    assert batches(Wide(), []) == []  # type: ignore[arg-type]
