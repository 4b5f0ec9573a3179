from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aerogel.bench.cases import TokenBatch, lengths_case, texts_case, token_batch
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.subject import EncoderSubject, mean_pooled
from aerogel.core.errors import InputError, MeasureError

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "red": 2, "green": 3, "blue": 4}


class Doubling:
    """Hidden states are (2 id, 1), on padding as well: what a subject must mask out."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []

    def bind(self, batch: TokenBatch) -> np.ndarray:
        self.batches.append(batch.ids.shape)
        return batch.ids

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        return np.stack([2.0 * inputs, np.ones(inputs.shape)], axis=-1)

    def to_numpy(self, hidden: np.ndarray) -> np.ndarray:
        return hidden.astype(np.float32)

    def facts(self) -> dict:
        return {"size_bytes": 5}


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    # As some published tokenizers have it: everything padded to a fixed length, which a batch must not be.
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config = {"vocab_size": 5, "max_position_embeddings": 6, "pad_token_id": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return ModelFolder.open(tmp_path)


def test_results_are_hidden_states_without_what_padding_holds(folder: ModelFolder) -> None:
    subject = EncoderSubject(folder, Doubling())
    case = lengths_case("ragged", [2, 4])
    subject.prepare(case.params)
    found = subject.result()
    ids = token_batch(case.params, 5).ids
    np.testing.assert_array_equal(found[..., 0], 2 * ids)
    np.testing.assert_array_equal(found[..., 1], [[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(subject.run()[..., 0], 2 * ids)


def test_a_pinned_subject_keeps_its_own_lengths(folder: ModelFolder) -> None:
    subject = EncoderSubject(folder, Doubling(), {"lengths": [3]})
    subject.prepare(lengths_case("other", [7, 7]).params)
    assert subject.run().shape == (1, 3, 2)


def test_vectors_are_means_over_tokens_in_the_order_of_the_texts(folder: ModelFolder) -> None:
    texts = ["red", "green green blue blue", "nothing known", "blue red"] * 20
    runtime = Doubling()
    subject = EncoderSubject(folder, runtime)
    subject.prepare(texts_case(texts).params)
    wanted = [[2 * np.mean([VOCABULARY.get(word, 1) for word in text.split()]), 1.0] for text in texts]
    np.testing.assert_allclose(subject.result(), wanted, rtol=1e-6)
    assert all(batch <= 32 and longest <= 4 for batch, longest in runtime.batches)


def test_long_texts_are_cut_where_positions_end(folder: ModelFolder) -> None:
    runtime = Doubling()
    subject = EncoderSubject(folder, runtime)
    subject.prepare({"texts": ["red " * 40]})
    subject.result()
    assert runtime.batches == [(1, 6)]


def test_without_a_case_there_is_no_result(folder: ModelFolder) -> None:
    with pytest.raises(MeasureError, match="no case was prepared"):
        EncoderSubject(folder, Doubling()).result()


def test_pooling_an_empty_sequence_gives_zeros() -> None:
    hidden = np.full((2, 3, 4), 7.0, np.float32)
    mask = np.array([[0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(mean_pooled(hidden, mask), [[0] * 4, [7] * 4])


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json"):
        ModelFolder.open(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        ModelFolder.open(tmp_path)


def test_fingerprints_tell_models_apart(folder: ModelFolder) -> None:
    before = folder.fingerprint()
    assert before == folder.fingerprint()
    (folder.path / "model.safetensors").write_bytes(b"Weights")
    assert folder.fingerprint() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "is not JSON"), (b"\xff", "is not JSON"), (b"[]", "must hold a JSON object")],
)
def test_a_spoilt_configuration_is_named(folder: ModelFolder, content: bytes, message: str) -> None:
    (folder.path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"config\.json {message}"):
        ModelFolder.open(folder.path)


@pytest.mark.parametrize("value", ['"many"', "null", "0", "true"])
def test_a_size_that_is_none_is_named(folder: ModelFolder, value: str) -> None:
    (folder.path / "config.json").write_text(f'{{"vocab_size": {value}}}')
    with pytest.raises(InputError, match=r"config\.json: vocab_size is .*, not a whole number"):
        _ = ModelFolder.open(folder.path).vocabulary


def test_a_spoilt_tokenizer_is_named(folder: ModelFolder) -> None:
    (folder.path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json cannot be read"):
        folder.tokenizer()
