"""Texts to token ids: padding, cutting, and tokenizers that cannot be read."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

from aerogel.core.errors import FormatError, InputError, MissingDependencyError
from aerogel.model.texts import Texts

tokenizers = pytest.importorskip("tokenizers")


def tokenizer(**options: Any) -> bytes:
    """Words a to e are 2 to 6; pads and cuts as ``options`` say, which is not what a program wants."""
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcde"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if options:
        made.enable_padding(**options)
        made.enable_truncation(2)
    return made.to_str().encode()


def test_texts_are_padded_to_the_longest() -> None:
    ids, mask = Texts(tokenizer()).tokenize(["a b c", "d", "unknown"])
    np.testing.assert_array_equal(ids, [[2, 3, 4], [5, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0], [1, 0, 0]])
    assert ids.dtype == mask.dtype == np.int64


@pytest.mark.parametrize(
    "options", [{"length": 9}, {"pad_to_multiple_of": 8}, {"direction": "left", "pad_id": 6}]
)
def test_what_the_file_says_of_padding_counts_only_for_the_id(options: dict[str, Any]) -> None:
    ids, mask = Texts(tokenizer(**options)).tokenize(["a b c", "d"])
    pad = options.get("pad_id", 0)
    np.testing.assert_array_equal(ids, [[2, 3, 4], [5, pad, pad]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])


def test_texts_are_cut() -> None:
    ids, mask = Texts(tokenizer(), 2).tokenize(["a b c", "d"])
    np.testing.assert_array_equal(ids, [[2, 3], [5, 0]])
    np.testing.assert_array_equal(mask, [[1, 1], [1, 0]])


def test_the_tokenizer_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Texts(tokenizer())
    first = texts.tokenize(["a"])
    monkeypatch.setattr(tokenizers, "Tokenizer", None)
    np.testing.assert_array_equal(texts.tokenize(["a"]), first)


def test_any_sequence_of_strings_will_do_and_the_empty_text() -> None:
    ids, mask = Texts(tokenizer()).tokenize(("a", ""))
    np.testing.assert_array_equal(ids, [[2], [0]])
    np.testing.assert_array_equal(mask, [[1], [0]])


@pytest.mark.parametrize("given", ["text", b"text", [b"a"], ["a", None], [1], 3, None, {"a": 1}, [["a"]]])
def test_what_is_no_list_of_strings_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="list of strings"):
        Texts(tokenizer()).tokenize(given)


def test_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="no text"):
        Texts(tokenizer()).tokenize([])


GOOD = json.loads(tokenizer())


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"garbage", b"\xff\xfe", tokenizer()[:-20], b"[" * 100_000,
        b'{"model":' * 10_000,
        json.dumps(GOOD | {"model": {"type": "Unheard"}}).encode(),
        json.dumps(GOOD | {"model": GOOD["model"] | {"vocab": {"a": -1}}}).encode(),
        json.dumps(GOOD | {"model": GOOD["model"] | {"vocab": None}}).encode(),
        json.dumps(GOOD | {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}}}).encode(),
        json.dumps(GOOD | {"version": "9"}).encode(),
    ],
)  # fmt: skip
def test_a_tokenizer_that_cannot_be_read_is_damaged(content: bytes) -> None:
    with pytest.raises(FormatError, match="the tokenizer cannot be read"):
        Texts(content).tokenize(["a"])


def test_a_tokenizer_that_fails_on_a_text_is_damaged() -> None:
    lacking = GOOD | {"model": GOOD["model"] | {"vocab": {"a": 0}}}
    with pytest.raises(FormatError, match="the tokenizer fails"):
        Texts(json.dumps(lacking).encode()).tokenize(["a b"])


def test_bits_flipped_are_an_error_or_ids() -> None:
    content, random = tokenizer(), np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(content)
        spoilt[random.integers(len(spoilt))] ^= 1 << random.integers(8)
        try:
            ids, mask = Texts(bytes(spoilt)).tokenize(["a b c", "d e"])
        except FormatError:
            continue
        assert ids.shape == mask.shape and ids.shape[0] == 2


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match="texts need tokenizers"):
        Texts(tokenizer()).tokenize(["a"])
