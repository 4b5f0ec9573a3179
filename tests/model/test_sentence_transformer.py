"""SentenceEncoder: the vectors of torch, and the shapes, types and habits of sentence-transformers.

What is expected here was seen in sentence-transformers 6.2, called with the same arguments.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from tests.model.graphs import Draft  # noqa: E402
from tests.model.little_encoder import (  # noqa: E402
    LONGEST,
    TEXTS,
    WIDTH,
    encoder_folder,
    tokenizer,
    torch_tokens,
    torch_vectors,
)

import aerogel  # noqa: E402
from aerogel.core.errors import FormatError, InputError, MissingDependencyError, UnsupportedError  # noqa: E402
from aerogel.model.compile import build  # noqa: E402
from aerogel.model.graph import Input, Output, Pool  # noqa: E402
from aerogel.model.program import Program  # noqa: E402
from aerogel.model.sentence_program import again  # noqa: E402
from aerogel.model.sentence_settings import RECORDED, Settings  # noqa: E402
from aerogel.model.sentence_transformer import SentenceEncoder  # noqa: E402
from aerogel.model.source import load_model  # noqa: E402
from aerogel.model.texts import Texts  # noqa: E402

EXACT = {"rtol": 1e-5, "atol": 1e-5}


def made(folder: Path, **options: Any) -> SentenceEncoder:
    return SentenceEncoder(folder, plan="quick", **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder_folder(tmp_path_factory.mktemp("little"))


@pytest.fixture(scope="module")
def shared(folder: Path) -> SentenceEncoder:
    """One that no test may change."""
    return made(folder)


@pytest.fixture
def encoder(shared: SentenceEncoder) -> SentenceEncoder:
    """One to change, of the same program."""
    return SentenceEncoder(shared.program)


# --- the numbers -----------------------------------------------------------------------------------


def agree(found: SentenceEncoder, expected: Any) -> None:
    assert_allclose(found.encode(TEXTS), expected, **EXACT)
    assert_allclose(found.encode(TEXTS, batch_size=2), expected, **EXACT)
    for text, row in zip(TEXTS, expected, strict=True):
        assert_allclose(found.encode(text), row, **EXACT)


def test_vectors_are_those_of_torch(shared: SentenceEncoder, folder: Path) -> None:
    agree(shared, torch_vectors(folder, TEXTS))


@pytest.mark.parametrize(
    ("pooling", "normalized"),
    [
        ("cls", True),
        pytest.param("max", False, marks=pytest.mark.slow),
        pytest.param("mean", True, marks=pytest.mark.slow),
        pytest.param("max", True, marks=pytest.mark.slow),
    ],
)
def test_every_pooling_gives_the_vectors_of_torch(pooling: str, normalized: bool, tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path, pooling, normalized=normalized)
    found = made(folder)
    agree(found, torch_vectors(folder, TEXTS, pooling, normalized=normalized))
    for text, tokens in zip(TEXTS, found.encode(TEXTS, output_value="token_embeddings"), strict=True):
        assert_allclose(tokens.numpy(), torch_tokens(folder, text), **EXACT)


def test_a_thousand_texts_keep_their_order(shared: SentenceEncoder) -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list("abcdefgh"), random.integers(0, 30))) for _ in range(1000)]
    found = shared.encode(texts)
    assert found.shape == (1000, WIDTH)
    for i in (0, 1, 499, 998, 999):
        assert_allclose(found[i], shared.encode(texts[i]), **EXACT)


def test_texts_are_cut_where_the_model_says(shared: SentenceEncoder, folder: Path) -> None:
    found = SentenceEncoder(again(shared.program, max_tokens=5))
    assert found.max_seq_length == found.get_max_seq_length() == 5
    assert_allclose(found.encode(TEXTS), torch_vectors(folder, TEXTS, most=5), **EXACT)


def test_the_length_can_be_set_lower_and_back(encoder: SentenceEncoder, folder: Path) -> None:
    whole = encoder.encode(TEXTS)
    encoder.max_seq_length = 4
    assert encoder.max_seq_length == 4
    assert_allclose(encoder.encode(TEXTS), torch_vectors(folder, TEXTS, most=4), **EXACT)
    assert len(encoder.encode("a b c d e", output_value="token_embeddings")) == 4
    encoder.max_seq_length = None
    assert encoder.max_seq_length == LONGEST
    assert_array_equal(encoder.encode(TEXTS), whole)
    assert len(encoder.encode("a b c d e", output_value="token_embeddings")) == 7


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "4", True])
def test_a_length_that_is_none_is_refused(encoder: SentenceEncoder, wrong: Any) -> None:
    with pytest.raises(InputError, match="whole number from 1 on"):
        encoder.max_seq_length = wrong


def test_a_length_beyond_the_positions_is_refused(encoder: SentenceEncoder) -> None:
    with pytest.raises(InputError, match="takes at most 24 tokens"):
        encoder.max_seq_length = LONGEST + 1


# --- shapes and types ------------------------------------------------------------------------------

FLOATS = ("numpy", "float32")


@pytest.mark.parametrize(
    ("options", "kind", "width"),
    [
        ({}, FLOATS, WIDTH),
        ({"convert_to_tensor": True}, ("torch", "float32"), WIDTH),
        ({"convert_to_tensor": True, "convert_to_numpy": False}, ("torch", "float32"), WIDTH),
        ({"truncate_dim": 5}, FLOATS, 5),
        ({"truncate_dim": 99}, FLOATS, WIDTH),
        ({"precision": None}, FLOATS, WIDTH),
        ({"precision": "int8"}, ("numpy", "int8"), WIDTH),
        ({"precision": "uint8"}, ("numpy", "uint8"), WIDTH),
        ({"precision": "binary"}, ("numpy", "int8"), WIDTH // 8),
        ({"precision": "ubinary"}, ("numpy", "uint8"), WIDTH // 8),
        ({"precision": "ubinary", "convert_to_tensor": True}, ("torch", "uint8"), WIDTH // 8),
        ({"batch_size": 1, "show_progress_bar": False, "device": "cpu", "task": "x"}, FLOATS, WIDTH),
    ],
)
def test_what_comes_back(
    shared: SentenceEncoder, options: dict[str, Any], kind: tuple[str, str], width: int
) -> None:
    found = shared.encode(TEXTS, **options)
    assert type(found).__module__ == kind[0] and str(found.dtype).removeprefix("torch.") == kind[1]
    assert tuple(found.shape) == (len(TEXTS), width)
    if options.get("precision") not in ("int8", "uint8"):
        alone = shared.encode(TEXTS[0], **options)
        assert type(alone) is type(found) and tuple(alone.shape) == (width,)


def test_a_list_of_tensors(shared: SentenceEncoder) -> None:
    found = shared.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(found, list) and len(found) == len(TEXTS)
    assert all(isinstance(row, torch.Tensor) and row.shape == (WIDTH,) for row in found)
    assert_array_equal(np.stack([row.numpy() for row in found]), shared.encode(TEXTS))
    alone = shared.encode("a", convert_to_numpy=False)
    assert isinstance(alone, torch.Tensor) and alone.shape == (WIDTH,)


@pytest.mark.parametrize("given", [[], (), np.array([], dtype=str)])
def test_nothing_gives_nothing(shared: SentenceEncoder, given: Any) -> None:
    assert shared.encode(given).shape == (0,) and shared.encode(given, precision="int8").shape == (0,)
    tensor = shared.encode(given, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.shape == (0,) and tensor.dtype == torch.float32
    for options in (
        {"convert_to_numpy": False},
        {"output_value": "token_embeddings"},
        {"output_value": None},
    ):
        assert shared.encode(given, **options) == []


def test_a_cut_vector_is_made_of_length_one_again(shared: SentenceEncoder) -> None:
    whole = shared.encode(TEXTS)
    assert_array_equal(shared.encode(TEXTS, truncate_dim=5), whole[:, :5])
    unit = shared.encode(TEXTS, truncate_dim=5, normalize_embeddings=True)
    assert_allclose(unit, whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True), **EXACT)


def test_any_sequence_of_strings_will_do(shared: SentenceEncoder) -> None:
    class Column:
        """As a table's column hands out its values."""

        def tolist(self) -> list[str]:
            return list(TEXTS)

    expected = shared.encode(TEXTS)
    for given in (tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object), Column()):
        assert_array_equal(shared.encode(given), expected)
    assert_array_equal(shared.encode(sentences=TEXTS), expected)
    assert_array_equal(shared.encode(inputs=TEXTS), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", None], "text 1 is None, a NoneType and no string: fill or drop missing values"),
        (["a", "b", float("nan")], "text 2 is nan, a float and no string: fill or drop"),
        (["a", 3], "text 1 is 3, a int and no string: give strings"),
        ([["a", "b"]], r"text 0 is \['a', 'b'\], a list and no string"),
        ([("a", "b")], "a tuple and no string"),
        ([b"a"], "a bytes and no string"),
        (["a", "b\ud800"], "text 1 holds half a surrogate pair at 1"),
        (None, "a NoneType is no text: give a string or a list of strings"),
        (3, "a int is no text"),
        (b"a", "a bytes is no text"),
        ({"a"}, "a set is no text"),
        ({"text": "a"}, "a dict is no text"),
        ((t for t in "ab"), "a generator is no text"),
        (np.array([["a"]]), "a ndarray is no text"),
    ],
)
def test_what_is_no_text_is_named(shared: SentenceEncoder, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shared.encode(given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, InputError, "batch_size=0"),
        ({"precision": "float16"}, InputError, "'float16' is unknown: did you mean 'float32'"),
        ({"precision": ["int8"]}, InputError, "is unknown"),
        ({"output_value": "vectors"}, InputError, "output_value='vectors' is unknown"),
        ({"output_value": "token_embeddings", "precision": "int8"}, UnsupportedError, "for sentence vectors"),
        ({"truncate_dim": 0}, InputError, "truncate_dim=0"),
        ({"prompt_name": "absent"}, InputError, "no prompt 'absent': the prompts are query, document"),
        ({"prompt": 3}, InputError, "prompt 0 is 3"),
        ({"device": "cuda:0"}, UnsupportedError, "device 'cuda:0': programs run on the CPU"),
        ({"device": ["cpu", "cpu"]}, UnsupportedError, "programs run on the CPU"),
        ({"pool": {}}, UnsupportedError, "other processes are not needed"),
        ({"normalise": True}, InputError, "encode has no argument normalise"),
    ],
)
def test_a_call_that_cannot_be_is_refused(
    shared: SentenceEncoder, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        shared.encode(TEXTS, **options)


def test_eight_bits_of_one_text_have_no_range(shared: SentenceEncoder) -> None:
    with pytest.raises(InputError, match="give 2 texts or more"):
        shared.encode("a", precision="int8")


# --- tokens ----------------------------------------------------------------------------------------


def test_token_vectors_are_those_of_torch(shared: SentenceEncoder, folder: Path) -> None:
    found = shared.encode(TEXTS, output_value="token_embeddings")
    assert isinstance(found, list) and all(isinstance(tokens, torch.Tensor) for tokens in found)
    for text, tokens in zip(TEXTS, found, strict=True):
        assert_allclose(tokens.numpy(), torch_tokens(folder, text), **EXACT)


def test_everything_at_once(shared: SentenceEncoder) -> None:
    whole = shared.encode(TEXTS, output_value=None, truncate_dim=5)
    assert len(whole) == len(TEXTS)
    for text, found in zip(TEXTS, whole, strict=True):
        assert set(found) == {"input_ids", "attention_mask", "token_embeddings", "sentence_embedding"}
        assert_allclose(found["sentence_embedding"].numpy(), shared.encode(text)[:5], **EXACT)
        tokens = found["token_embeddings"]
        assert len(tokens) == len(found["input_ids"]) == int(found["attention_mask"].sum())
    assert set(shared.encode("a", output_value=None)) == set(whole[0])


# --- prompts ---------------------------------------------------------------------------------------

PROMPTS = {"query": "query : ", "passage": "passage : "}


SETTINGS = Settings(PROMPTS, "passage", "dot")


def with_settings(encoder: SentenceEncoder, settings: Settings) -> SentenceEncoder:
    return SentenceEncoder(again(encoder.program, provenance={RECORDED: settings.to_json()}))


@pytest.fixture(scope="module")
def prompted(shared: SentenceEncoder) -> SentenceEncoder:
    return with_settings(shared, SETTINGS)


def test_prompts_are_put_before_texts(prompted: SentenceEncoder) -> None:
    def plain(prompt: str) -> Any:
        return prompted.encode([prompt + t for t in TEXTS], prompt="")

    assert prompted.prompts == {"query": "query : ", "document": "", "passage": "passage : "}
    assert prompted.default_prompt_name == "passage" and prompted.similarity_fn_name == "dot"
    expected = {name: plain(prompt) for name, prompt in {**PROMPTS, "none": ""}.items()}
    assert np.abs(expected["query"] - expected["none"]).max() > 0.01
    assert_array_equal(prompted.encode(TEXTS), expected["passage"])
    assert_array_equal(prompted.encode(TEXTS, "query"), expected["query"])
    assert_array_equal(prompted.encode(TEXTS, "passage", "query : "), expected["query"])
    assert_array_equal(prompted.encode_query(TEXTS), expected["query"])
    assert_array_equal(prompted.encode_query(TEXTS, prompt_name="passage"), expected["passage"])
    assert_array_equal(prompted.encode_query(TEXTS, prompt=""), expected["none"])
    # The original has an empty prompt called document in every model, and takes that one.
    assert_array_equal(prompted.encode_document(TEXTS), expected["none"])
    given = SentenceEncoder(prompted.program, prompts={"passage": "passage : ", "document": "query : "})
    assert_array_equal(given.encode_document(TEXTS), expected["query"])
    assert_array_equal(given.encode_query(TEXTS), expected["none"])


def test_arguments_replace_what_the_model_says(prompted: SentenceEncoder) -> None:
    given = SentenceEncoder(
        prompted.program, "cpu", default_prompt_name="query", similarity_fn_name="euclidean", truncate_dim=3
    )
    assert (given.default_prompt_name, given.similarity_fn_name, given.truncate_dim) == (
        "query",
        "euclidean",
        3,
    )
    assert given.get_sentence_embedding_dimension() == given.get_embedding_dimension() == 3
    assert given.encode("a").shape == (3,) and given.encode("a", truncate_dim=4).shape == (4,)
    given.truncate_dim = None
    assert given.encode("a").shape == (WIDTH,) and given.get_embedding_dimension() == WIDTH


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": {"a": 1}}, "prompts must be texts by name"),
        ({"default_prompt_name": "absent"}, "no prompt 'absent' to be the default"),
        ({"similarity_fn_name": "angle"}, "similarity 'angle' is unknown"),
        ({"truncate_dim": -1}, "truncate_dim is -1"),
        ({"device": "cuda"}, "programs run on the CPU"),
        ({"threads": 0}, "threads=0"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    shared: SentenceEncoder, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((InputError, UnsupportedError), match=message):
        SentenceEncoder(shared.program, **options)


def test_a_prompt_left_out_of_the_pooling_is_refused(shared: SentenceEncoder) -> None:
    found = with_settings(shared, Settings(PROMPTS, include_prompt=False))
    assert found.encode(TEXTS).shape == (len(TEXTS), WIDTH)
    with pytest.raises(UnsupportedError, match="leaves a prompt's tokens out"):
        found.encode_query(TEXTS)


# --- comparing -------------------------------------------------------------------------------------


def test_similarity_is_the_models_own(prompted: SentenceEncoder, encoder: SentenceEncoder) -> None:
    a, b = prompted.encode(TEXTS), prompted.encode(TEXTS[:2])
    found = prompted.similarity(a, b)
    assert isinstance(found, torch.Tensor) and found.shape == (len(TEXTS), 2)
    assert_allclose(found.numpy(), a @ b.T, rtol=1e-5)
    encoder.similarity_fn_name = "euclidean"
    pairs = encoder.similarity_pairwise(a, a[::-1])
    assert_allclose(pairs.numpy(), -np.linalg.norm(a - a[::-1], axis=1), **EXACT)
    with pytest.raises(InputError, match="similarity 'angle' is unknown"):
        encoder.similarity_fn_name = "angle"


# --- where it comes from ---------------------------------------------------------------------------


def test_a_file_gives_the_same_and_keeps_the_settings(prompted: SentenceEncoder, tmp_path: Path) -> None:
    changed = SentenceEncoder(prompted.program, prompts={"query": "a ", "passage": "b"}, truncate_dim=6)
    changed.similarity_fn_name = "manhattan"
    changed.max_seq_length = 9
    changed.save(tmp_path / "m.aero", embeddings="fp32")
    again = SentenceEncoder(str(tmp_path / "m.aero"), plan="quick")
    for name in ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim", "max_seq_length"):
        assert getattr(again, name) == getattr(changed, name), name
    assert_array_equal(again.encode_query(TEXTS), changed.encode_query(TEXTS))


@pytest.mark.slow
def test_what_the_command_line_compiles_keeps_them_too(tmp_path: Path) -> None:
    from aerogel.cli import main

    folder = encoder_folder(tmp_path / "model", settings={"prompts": PROMPTS, "truncate_dim": 7})
    file = tmp_path / "m.aero"
    assert main(["compile", str(folder), "-o", str(file), "--embeddings", "fp32", "--json"]) == 0
    found = SentenceEncoder(file, plan="quick")
    assert found.prompts["query"] == "query : " and found.get_embedding_dimension() == 7
    assert_allclose(found.encode_query(TEXTS), made(folder).encode_query(TEXTS), **EXACT)


def test_a_program_will_do(shared: SentenceEncoder) -> None:
    found = SentenceEncoder(shared.program, threads=1)
    assert found.program.built is shared.program.built and found.program.threads == 1
    assert_allclose(found.encode(TEXTS), shared.encode(TEXTS), **EXACT)


@pytest.mark.slow
def test_an_encoder_that_says_nothing_of_pooling_gets_its_mean(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path, None)
    source = load_model(str(folder))
    program = aerogel.compile(source.module, source.example_inputs, plan="quick", texts=source.texts())
    program.save(tmp_path / "bare.aero", embeddings="fp32")
    expected = torch_vectors(folder, TEXTS)
    for given in (program, tmp_path / "bare.aero", folder):
        found = SentenceEncoder(given, plan="quick")
        agree(found, expected)
        assert found.max_seq_length == LONGEST
    assert_allclose(found.encode("a", output_value="token_embeddings"), torch_tokens(folder, "a"), **EXACT)


def test_hidden_states_alone_are_pooled_by_their_mean(shared: SentenceEncoder) -> None:
    graph = shared.program.built.graph
    hidden = next(op.x for op in graph.ops if isinstance(op, Pool))
    bare = replace(graph, outputs=(Output("last_hidden_state", hidden),))
    program = build(bare, plan="quick", texts=shared.program.texts)
    assert_allclose(SentenceEncoder(program).encode(TEXTS), shared.encode(TEXTS), **EXACT)


def test_a_model_that_is_no_encoder_of_texts_is_refused(shared: SentenceEncoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no 'all-MiniLM-L6-v2'"):
        SentenceEncoder("all-MiniLM-L6-v2")
    with pytest.raises(InputError, match="has no tokenizer"):
        SentenceEncoder(Program(shared.program.built))
    graph = shared.program.built.graph
    logits = replace(graph, outputs=(Output("logits", graph.outputs[0].value),))
    with pytest.raises(InputError, match="puts out logits: a sentence encoder puts out one vector per text"):
        SentenceEncoder(build(logits, plan="quick", texts=shared.program.texts))
    (tmp_path / "broken.aero").write_bytes(b"nothing")
    with pytest.raises(FormatError):
        SentenceEncoder(tmp_path / "broken.aero")


def test_it_says_what_it_is(shared: SentenceEncoder) -> None:
    assert repr(shared).endswith(": 16 numbers per text, at most 24 tokens)")
    assert bool(shared) and shared.device == torch.device("cpu")


# --- as a torch module -----------------------------------------------------------------------------


def test_features_in_vectors_out(shared: SentenceEncoder) -> None:
    features = shared.tokenize(TEXTS)
    assert all(isinstance(f, torch.Tensor) and f.shape == (len(TEXTS), LONGEST) for f in features.values())
    whole = shared({**features, "token_type_ids": torch.zeros_like(features["input_ids"])})
    assert isinstance(whole["sentence_embedding"], torch.Tensor)
    assert_allclose(whole["sentence_embedding"].numpy(), shared.encode(TEXTS), **EXACT)
    assert whole["input_ids"] is features["input_ids"]
    with pytest.raises(UnsupportedError, match="pairs of texts"):
        shared.forward({**features, "token_type_ids": torch.ones_like(features["input_ids"])})
    prompted = shared.preprocess(["a"], prompt="b ")
    assert_array_equal(prompted["input_ids"], shared.tokenize(["b a"])["input_ids"])


def test_what_makes_no_sense_here_changes_nothing_or_is_refused(shared: SentenceEncoder) -> None:
    for same in (
        shared.eval(),
        shared.train(False),
        shared.cpu(),
        shared.to("cpu"),
        shared.to(torch.float32),
    ):
        assert same is shared
    assert shared.to(device=torch.device("cpu"), non_blocking=True) is shared
    for other in ("cuda", torch.device("cuda", 0), torch.float16):
        with pytest.raises(UnsupportedError, match="run on the CPU"):
            shared.to(other)
    with pytest.raises(UnsupportedError, match="train the torch module"):
        shared.train()
    for call in (
        shared.start_multi_process_pool,
        shared.encode_multi_process,
        shared.stop_multi_process_pool,
    ):
        with pytest.raises(UnsupportedError, match="other processes are not needed"):
            call(["a"])
    assert not hasattr(shared, "fit")


def test_its_tokenizer_serves_those_who_count_tokens(encoder: SentenceEncoder) -> None:
    found = encoder.tokenizer
    ids = found.encode("a b c")
    assert ids == [2, 5, 6, 7, 3] and found.decode(ids[1:-1]) == "a b c"
    assert found.model_max_length == LONGEST and found.pad_token == "[PAD]" and found.cls_token == "[CLS]"
    padded = found(["a", "a b"], padding=True, truncation=True, return_tensors="np")
    assert_array_equal(padded["input_ids"], [[2, 5, 3, 0], [2, 5, 6, 3]])
    encoder.max_seq_length = 3
    assert encoder.tokenizer("a b c", truncation=True)["input_ids"] == [2, 5, 3]


# --- as those call it who expect the original ------------------------------------------------------


def test_callers_that_know_only_the_methods(shared: SentenceEncoder) -> None:
    expected = shared.encode(TEXTS)
    # A vector store's wrapper: newlines out, lists of floats on.
    texts = [t.replace("\n", " ") for t in TEXTS]
    rows = shared.encode(texts, show_progress_bar=False, normalize_embeddings=False).tolist()
    assert isinstance(rows[0][0], float) and len(rows) == len(TEXTS)
    # Topic models and keyword search.
    assert_array_equal(shared.encode(TEXTS, show_progress_bar=True), expected)
    # A similarity index: contiguous float32, its width known before.
    assert expected.flags.c_contiguous and expected.shape[1] == shared.get_sentence_embedding_dimension()
    # Semantic search on tensors.
    corpus, query = shared.encode(TEXTS, convert_to_tensor=True), shared.encode("a", convert_to_tensor=True)
    scores = torch.nn.functional.cosine_similarity(query[None], corpus)
    assert torch.topk(scores, 3).indices.shape == (3,)
    assert int(shared.similarity(query, corpus).argmax()) == int(scores.argmax())


def test_calls_from_several_threads(shared: SentenceEncoder) -> None:
    expected = shared.encode(TEXTS)
    wrong: list[int] = []

    def call(number: int) -> None:
        right = (np.allclose(shared.encode(TEXTS), expected, atol=1e-5) for _ in range(10))
        if not all(right):
            wrong.append(number)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_torch_all_but_tensors_works(shared: SentenceEncoder, tmp_path: Path) -> None:
    shared.save(tmp_path / "m.aero")
    code = f"""
        import sys
        sys.modules["torch"] = sys.modules["transformers"] = None
        import numpy as np
        import aerogel
        encoder = aerogel.SentenceEncoder({str(tmp_path / "m.aero")!r}, plan="quick")
        vectors = encoder.encode(["a b", "c"])
        assert vectors.shape == (2, {WIDTH}) and encoder.device == "cpu"
        assert type(encoder.similarity(vectors, vectors)) is np.ndarray
        assert type(encoder.encode("a", output_value="token_embeddings")) is np.ndarray
        assert type(encoder(encoder.tokenize(["a"]))["sentence_embedding"]) is np.ndarray
        for options in ({{"convert_to_tensor": True}}, {{"convert_to_numpy": False}}):
            try:
                encoder.encode(["a"], **options)
                raise SystemExit("no error")
            except aerogel.AerogelError as error:
                assert "needs torch: pip install" in str(error), error
        try:
            encoder.tokenizer
            raise SystemExit("no error")
        except aerogel.AerogelError as error:
            assert "needs transformers" in str(error), error
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_tensor_is_refused_before_any_work(
    shared: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(type(shared.program), "encoded", None)
    with pytest.raises(MissingDependencyError, match="convert_to_tensor=True"):
        shared.encode(TEXTS, convert_to_tensor=True)


def test_a_model_without_a_mask_takes_one_text_at_a_time(tmp_path: Path) -> None:
    tokenizer(tmp_path)
    draft = Draft((Input("ids", "ids", 50),))
    graph = draft.graph(draft.pool(draft.embedding(8)))
    texts = Texts((tmp_path / "tokenizer.json").read_bytes())
    found = SentenceEncoder(build(graph, plan="quick", texts=texts))
    assert found.encode(TEXTS).shape == (len(TEXTS), 8)
    lengths = [len(t) for t in found.encode(TEXTS, output_value="token_embeddings")]
    assert lengths[:3] == [5, 2, 3] and lengths[4] == 40 == found.max_seq_length


@pytest.mark.slow
def test_all_minilm_gives_the_vectors_of_torch() -> None:
    import transformers

    from aerogel.bench.demo import model_folder

    try:
        folder = model_folder()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    from tokenizers import Tokenizer

    texts = [
        "",
        "a",
        "How do I sort a list?",
        "日本語 ümläut 🤗",
        "word " * 600,
        *(f"text {i} " * i for i in range(30)),
    ]
    model = transformers.BertModel.from_pretrained(folder).eval()
    read = Tokenizer.from_file(str(folder / "tokenizer.json"))
    read.no_padding()
    read.enable_truncation(256)
    expected = []
    with torch.no_grad():
        for text in texts:
            hidden = model(input_ids=torch.tensor([read.encode(text).ids])).last_hidden_state[0]
            expected.append(torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy())
    assert_allclose(SentenceEncoder(folder).encode(texts), np.stack(expected), rtol=0, atol=2e-6)
