"""A file as a contender: the same hidden states and vectors as the directory it was made from, no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.model import zoo
from tests.model.graphs import IDS, Draft, quick, rows_of

from aerogel.bench.cases import lengths_case, texts_case
from aerogel.bench.native_program import HIDDEN, make, with_hidden_states
from aerogel.core.errors import InputError, UnsupportedError
from aerogel.model.graph import Graph
from aerogel.model.texts import Texts

tokenizers = pytest.importorskip("tokenizers")
RAGGED = lengths_case("ragged", [5, 2, 1]).params
TEXTS = [f"{a} {b} {a} d" for a in "abc" for b in "abcdefgh"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "native-cache"))


def tokenizer() -> bytes:
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    # What some published tokenizers have, and a batch must not.
    made.enable_padding(length=30)
    made.enable_truncation(2)
    return made.to_str().encode()


def drafts() -> dict[str, Graph]:
    """One encoder, put out as hidden states, as one pooled vector, and as both."""
    d = Draft()
    x = d.attend(d.norm(d.add(d.embedding(8), d.embedding(8))))
    mean = d.pool(x)
    return {
        "hidden": d.graph(x),
        "pooled": d.graph(d.normalize(mean)),
        "both": d.graph(mean, x),
    }


def saved(graph: Graph, path: Path, *, text: bool = True) -> str:
    program = quick(graph)
    if text:
        program.texts = Texts(tokenizer(), 3)
    program.save(path, embeddings="fp32")
    return str(path)


@pytest.mark.parametrize("kind", ["hidden", "pooled"])
def test_whatever_a_file_puts_out_its_hidden_states_and_vectors_are_those_of_the_encoder(
    kind: str, tmp_path: Path
) -> None:
    graphs = drafts()
    expected = quick(graphs["hidden"])
    subject = make(saved(graphs[kind], tmp_path / "m.aero"), threads=1)
    subject.prepare(RAGGED)
    subject.run()
    batch = subject._batch
    assert batch is not None
    hidden = expected(ids=batch.ids, mask=batch.mask)
    np.testing.assert_allclose(subject.result(), hidden, rtol=1e-5, atol=1e-6)

    subject.prepare(texts_case(TEXTS).params)
    # Cut where every contender cuts, not where the file or its tokenizer does: all four words count.
    words = {word: i for i, word in enumerate("abcdefgh", 2)}
    ids = np.array([[words[w] for w in text.split()] for text in TEXTS])
    wanted = expected(ids=ids, mask=np.ones_like(ids)).mean(axis=1)
    np.testing.assert_allclose(subject.result(), wanted, rtol=1e-5, atol=1e-6)


def test_texts_are_cut_where_positions_end(tmp_path: Path) -> None:
    graph = replace(drafts()["hidden"], max_length=3)
    subject = make(saved(graph, tmp_path / "m.aero"))
    long, short = "a b c d e f", "a b c"
    subject.prepare(texts_case([long, short, "h"]).params)
    found = subject.result()
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])


def test_facts_name_the_file_the_constants_and_the_memory(tmp_path: Path) -> None:
    path = saved(drafts()["pooled"], tmp_path / "m.aero")
    facts = make(path, threads=1).facts()
    assert facts["size_bytes"] == Path(path).stat().st_size
    assert facts["constants_bytes"] > 0 and facts["threads"] == 1
    if sys.platform == "linux":
        assert facts["peak_bytes"] >= facts["resident_bytes"] > 1 << 20


def test_a_file_runs_in_a_process_without_torch(tmp_path: Path) -> None:
    path = saved(drafts()["pooled"], tmp_path / "m.aero")
    code = (
        "import sys; from aerogel.bench.native_program import make\n"
        "s = make(sys.argv[1]); s.prepare({'texts': ['a b', 'c']}); assert s.result().shape == (2, 8)\n"
        "s.facts(); s.prepare({'lengths': [3, 1]}); s.run()\n"
        "loaded = {'torch', 'transformers', 'onnxruntime'} & set(sys.modules); assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_directory_and_the_file_made_of_it_agree(tmp_path: Path) -> None:
    module = zoo.hugging("BertModel")
    module.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer())
    folder = make(str(tmp_path), threads=1)
    folder._runtime._program.save(tmp_path / "m.aero", embeddings="fp32")
    file = make(str(tmp_path / "m.aero"), threads=1)
    for subject in (folder, file):
        subject.prepare(RAGGED)
    np.testing.assert_allclose(file.result(), folder.result(), rtol=1e-5, atol=1e-6)
    assert folder.facts()["constants_bytes"] == folder.facts()["size_bytes"]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    path = saved(drafts()["hidden"], tmp_path / "m.aero", text=False)
    with pytest.raises(InputError, match="has the zeros it has"):
        make(path, sparsity=0.5)
    subject = make(path)
    subject.prepare(texts_case(["a"]).params)
    with pytest.raises(InputError, match="holds no tokenizer"):
        subject.result()
    d = rows_of()
    with pytest.raises(UnsupportedError, match="one input of token ids, this has 0"):
        make(saved(d.graph(d.linear("x")), tmp_path / "mlp.aero", text=False))


def test_padding_without_a_mask_is_refused(tmp_path: Path) -> None:
    d = Draft((IDS,))
    subject = make(saved(d.graph(d.linear(d.embedding(8))), tmp_path / "m.aero"))
    subject.prepare(lengths_case("alike", [3, 3]).params)
    assert subject.result().shape == (2, 3, 8)
    with pytest.raises(InputError, match="takes no mask"):
        subject.prepare(RAGGED)


def test_the_output_over_tokens_is_found_or_added() -> None:
    graphs = drafts()
    assert with_hidden_states(graphs["hidden"]) == (graphs["hidden"], "out0")
    assert with_hidden_states(graphs["both"]) == (graphs["both"], "out1")
    graph, name = with_hidden_states(graphs["pooled"])
    assert name == HIDDEN and [o.name for o in graph.outputs] == ["out0", HIDDEN]
    # A pooled output may have the name already.
    taken = replace(
        graphs["pooled"], outputs=tuple(replace(o, name=HIDDEN) for o in graphs["pooled"].outputs)
    )
    graph, name = with_hidden_states(taken)
    assert [o.name for o in graph.outputs] == [HIDDEN, name] and name != HIDDEN
    d = Draft()
    one, other = d.pool(d.embedding(8)), d.pool(d.embedding(8))
    with pytest.raises(UnsupportedError, match="no output over tokens"):
        with_hidden_states(d.graph(d.add(one, other)))
