"""What models are fed: texts as far as the bounds allow, or their example inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.find.networks import encoder, mlp, subject

from aerogel.core.errors import InputError
from aerogel.find import samples as module
from aerogel.find.samples import random_inputs, sample
from aerogel.find.subject import Subject
from aerogel.model.graph import Graph
from aerogel.model.texts import Texts

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def texts() -> Texts:
    """Words, each letter one; 40 tokens at most."""
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return Texts(made.to_str().encode(), 40)


def fed(made: Subject, data: Any) -> tuple[dict[str, np.ndarray], ...]:
    found = sample(made, data)
    assert found.batches is not None
    return tuple(dict(batch) for batch in found.batches)


def test_texts_become_one_batch_with_a_mask(texts: Texts) -> None:
    made = subject(encoder(), texts=texts)
    (batch,) = fed(made, ["a b c", "d"])
    np.testing.assert_array_equal(batch["mask"], [[1, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(batch["ids"][0], [2, 3, 4])
    assert sample(made, ["a b c", "d"]).about == "2 of the texts given"


def test_no_more_texts_than_positions(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_POSITIONS", 7)
    (batch,) = fed(subject(encoder(), texts=texts), ["a b", "a b c", "a b c", "a"])
    assert batch["ids"].shape == (2, 3), "a third text of three tokens would make nine positions"


def test_one_text_is_taken_however_long(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_POSITIONS", 2)
    (batch,) = fed(subject(encoder(), texts=texts), ["a b c d", "a"])
    assert batch["ids"].shape == (1, 4)


def test_without_a_mask_every_text_is_a_batch(texts: Texts) -> None:
    graph = encoder()
    bare = Graph(graph.inputs[:1], graph.ops, graph.outputs, graph.weights, graph.max_length)
    batches = fed(subject(bare, texts=texts), ["a b c", "d"])
    assert [batch["ids"].shape for batch in batches] == [(1, 3), (1, 1)]
    assert all(set(batch) == {"ids"} for batch in batches)


def test_built_in_texts(texts: Texts) -> None:
    found = sample(subject(encoder(), texts=texts), None)
    assert "docstrings of Python's logging" in found.about
    assert found.texts is not None and found.texts > 5


def test_a_file_of_texts(texts: Texts, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("a b\n\nc\n")
    found = sample(subject(encoder(), texts=texts), file)
    assert found.texts == 2 and str(file) in found.about


@pytest.mark.parametrize("data", [[], ["", "  "], "a text", [1, 2]])
def test_data_without_texts(texts: Texts, data: Any) -> None:
    with pytest.raises(InputError, match="data "):
        sample(subject(encoder(), texts=texts), data)


def test_an_empty_file(texts: Texts, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("\n")
    with pytest.raises(InputError, match="holds no text"):
        sample(subject(encoder(), texts=texts), file)


@pytest.mark.parametrize("graph", [mlp(), encoder()])
def test_random_inputs_fit_the_graph(graph: Graph) -> None:
    from aerogel.model.reference import evaluate

    given = random_inputs(graph, 5)
    assert set(given) == {i.name for i in graph.inputs}
    assert evaluate(graph, given)["out0"].shape[0] in (1, 5)
