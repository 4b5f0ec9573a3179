"""The ``.aero`` file: the same program again, without torch; whatever is damaged or hostile is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model import zoo
from tests.model.graphs import Draft, as_dict, quick, rows_of, tokens
from tests.model.networks import graph_of

import aerogel
from aerogel.core.errors import AerogelError, FormatError, InputError
from aerogel.formats import container
from aerogel.formats.canonical import Encoded, decode
from aerogel.model import artefact as files
from aerogel.model.artefact import Artefact
from aerogel.model.compile import build
from aerogel.model.graph import Embedding, Graph, Linear, Value
from aerogel.model.program import Program
from aerogel.model.texts import Texts

tokenizers = pytest.importorskip("tokenizers")


def pruned(graph: Graph, share: float) -> Graph:
    random, weights = np.random.default_rng(0), dict(graph.weights)
    for name in {op.weight for op in graph.linears()}:
        weights[name] = graph.weight(name) * (random.random(weights[name].shape) >= share).astype(np.float32)
    return replace(graph, weights=weights)


def encoder(*, pooled: int = 1) -> Graph:
    d = Draft()
    x = d.norm(d.add(d.embedding(8), d.embedding(8)))
    x = d.attend(x)
    return pruned(d.graph(*(d.pool(x, kind) for kind in ("mean", "max", "first")[:pooled])), 0.5)


def tokenizer() -> bytes:
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return made.to_str().encode()


def same_graph(a: Graph, b: Graph) -> None:
    """Every operation and every number."""
    assert replace(a, weights={}) == replace(b, weights={})
    for name in a.weights:
        np.testing.assert_array_equal(a.weight(name), b.weight(name))


# --- the same program again --------------------------------------------------------------------


def of_zoo(name: str) -> tuple[Graph, dict[str, np.ndarray]]:
    graph = graph_of(name)
    if name in ("mlp", "gated"):
        rows = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
        return graph, {i.name: rows for i in graph.inputs}
    batch = zoo.batch((7, 3, 5, 1))
    return graph, {i.name: batch[i.name] for i in graph.inputs if i.name in batch}


# More encoders with zeros would only have more code compiled for the same kinds of arrays.
SHARES = [("mlp", 0.0), ("mlp", 0.6), ("mlp", 0.9), ("gated", 0.6)]
SHARES += [("BertModel", 0.0), ("MPNetModel", 0.0), ("mean_tokens", 0.6)]
MORE_SHARES = [("gated", 0.0), ("gated", 0.9), ("BertModel", 0.6), ("BertModel", 0.9)]
MORE_SHARES += [("MPNetModel", 0.6), ("MPNetModel", 0.9), ("mean_tokens", 0.0), ("mean_tokens", 0.9)]


@pytest.mark.parametrize(
    ("name", "share"), [*SHARES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_SHARES)]
)
def test_the_same_bits_come_back_from_exact_files(name: str, share: float, tmp_path: Path) -> None:
    graph, inputs = of_zoo(name)
    program = quick(pruned(graph, share))
    program.save(tmp_path / "m.aero", embeddings="fp32")
    again = aerogel.load(tmp_path / "m.aero", threads=1, plan=program.plan)
    assert again.plan == program.plan
    same_graph(again.built.graph, program.built.graph)
    before, after = program(**inputs), again(**inputs)
    assert list(as_dict(graph, before)) == list(as_dict(graph, after))
    for old, new in zip(as_dict(graph, before).values(), as_dict(graph, after).values(), strict=True):
        np.testing.assert_array_equal(old, new)


# Every way to look up a table is in the first three.
TABLES = ("BertModel", "RobertaModel", "MPNetModel")
MORE_TABLES = ("DistilBertModel", "BertForSequenceClassification", "max_filled", "first_token")


@pytest.mark.parametrize(
    "name", [*TABLES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_TABLES)]
)
def test_integers_for_tables_are_close(name: str, tmp_path: Path) -> None:
    graph, inputs = of_zoo(name)
    program = quick(graph)
    program.save(tmp_path / "m.aero")
    again = aerogel.load(str(tmp_path / "m.aero"), threads=1, plan="quick")
    tables = {op.table for op in graph.ops if isinstance(op, Embedding)}
    for weight, numbers in again.built.graph.weights.items():
        assert isinstance(numbers, Encoded) and (numbers.encoding == "rows8") == (weight in tables)
        if weight not in tables:
            np.testing.assert_array_equal(decode(numbers), graph.weight(weight))
    for old, new in zip(
        as_dict(graph, program(**inputs)).values(), as_dict(graph, again(**inputs)).values(), strict=True
    ):
        assert np.abs(old - new).max() < 0.03 * np.abs(old).max()


def test_zeros_take_no_room(tmp_path: Path) -> None:
    d = rows_of(64)
    dense = d.graph(d.linear(d.linear("x", 256), 64))
    full = sum(4 * w.size for w in dense.weights.values())
    sizes: list[float] = []
    for share in (0.0, 0.5, 0.8):
        quick(pruned(dense, share)).save(tmp_path / "m.aero")
        sizes.append((tmp_path / "m.aero").stat().st_size / full)
    head = 4000 / full
    assert sizes[0] < 1 + head and sizes[1] < 0.55 + head and sizes[2] < 0.26 + head


def test_a_table_that_is_a_weight_too_is_kept_exactly(tmp_path: Path) -> None:
    d = Draft()
    x = d.embedding(8)
    logits = Linear(Value("logits", 50, "tokens"), x, "table0", None, "here")
    d.ops.append(logits)
    quick(d.graph("logits")).save(tmp_path / "m.aero")
    found = files.load(tmp_path / "m.aero").graph
    np.testing.assert_array_equal(found.weight("table0"), d.weights["table0"])
    given = tokens((3, 5))
    again = aerogel.load(tmp_path / "m.aero", plan="quick", threads=1)
    np.testing.assert_array_equal(again(**given), quick(d.graph("logits"))(**given))


def test_what_is_loaded_can_be_saved_again(tmp_path: Path) -> None:
    first, second = tmp_path / "a.aero", tmp_path / "b.aero"
    quick(encoder()).save(first, embeddings="fp32")
    aerogel.load(first, plan="quick").save(second, embeddings="fp32")
    assert first.read_bytes() == second.read_bytes()
    aerogel.load(first, plan="quick").save(first)
    quick(encoder()).save(second)
    assert first.read_bytes() == second.read_bytes()


def test_everything_else_comes_back(tmp_path: Path) -> None:
    recorded = {"source": "here", "accuracy": [0.9, None], "ö": {"a": True}}
    program = build(encoder(), plan="quick", texts=Texts(tokenizer(), 7), provenance=recorded)
    program.save(tmp_path / "m.aero")
    again = aerogel.load(tmp_path / "m.aero", plan="quick", threads=1)
    assert again.texts == Texts(tokenizer(), 7)
    assert again.provenance == recorded
    assert again.threads == 1


@pytest.mark.parametrize(
    ("provenance", "embeddings", "message"),
    [
        ({"a": float("nan")}, "int8", "plain data"),
        ({"a": np.ones(3)}, "int8", "plain data"),
        ({}, "int4", "'int8' or 'fp32'"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    provenance: dict[str, Any], embeddings: Any, message: str, tmp_path: Path
) -> None:
    program = build(encoder(), plan="quick", provenance=provenance)
    with pytest.raises(InputError, match=message):
        program.save(tmp_path / "m.aero", embeddings=embeddings)
    assert list(tmp_path.iterdir()) == []


WITHOUT_TORCH = """
import sys
import numpy as np, aerogel
program = aerogel.load(sys.argv[1], plan="quick", threads=1)
print(program(ids=np.array([[1, 2, 3]]), mask=np.array([[1, 1, 1]])).shape)
print(program.encode(["a b", "c"]).shape)
print([name for name in ("torch", "transformers", "scipy") if name in sys.modules])
"""


def test_running_needs_no_torch(tmp_path: Path) -> None:
    build(encoder(), plan="quick", texts=Texts(tokenizer())).save(tmp_path / "m.aero")
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, str(tmp_path / "m.aero")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["(1, 8)", "(2, 8)", "[]"], done.stderr


# --- texts -------------------------------------------------------------------------------------

TEXTS = ["a b c", "h", "b a d c e f g", "", "a b", "unknown words here", "c c c c"]


def reader(graph: Graph, max_tokens: int | None = None) -> Program:
    return build(graph, plan="quick", threads=1, texts=Texts(tokenizer(), max_tokens))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_vectors_come_in_the_order_of_the_texts(batch_size: int) -> None:
    program = reader(encoder())
    texts = [t for t in TEXTS if t]
    found = program.encode(texts, batch_size=batch_size)
    assert found.shape == (6, 8) and found.dtype == np.float32
    for text, vector in zip(texts, found, strict=True):
        ids, mask = Texts(tokenizer()).tokenize([text])
        np.testing.assert_allclose(vector, program(ids=ids, mask=mask)[0], atol=1e-6)


def test_no_text_gives_no_vector() -> None:
    assert reader(encoder()).encode([]).shape == (0, 8)


def test_long_texts_are_cut() -> None:
    program = reader(encoder(), 3)
    np.testing.assert_array_equal(program.encode(["a b c d e"]), program.encode(["a b c"]))


def test_one_output_called_the_sentences_is_the_one() -> None:
    graph = encoder(pooled=2)
    second = replace(graph.outputs[1], name="sentence_embedding")
    program = reader(replace(graph, outputs=(graph.outputs[0], second)))
    ids, mask = Texts(tokenizer()).tokenize(["a b"])
    np.testing.assert_array_equal(program.encode(["a b"]), program(ids=ids, mask=mask)["sentence_embedding"])


def test_without_a_mask_nothing_is_padded() -> None:
    d = Draft(inputs=(Draft().inputs[0],))
    program = reader(d.graph(d.pool(d.attend(d.embedding(8)))))
    found = program.encode(["a b c", "d"])
    np.testing.assert_allclose(found[1], program(np.array([[5]]))[0], atol=1e-6)
    with pytest.raises(InputError, match="no mask"):
        program.tokenize(["a b c", "d"])
    assert list(program.tokenize(["a b", "c d"])) == ["ids"]


def no_pool() -> Graph:
    d = Draft()
    return d.graph(d.embedding(8))


@pytest.mark.parametrize(
    ("make", "texts", "options", "message"),
    [
        (lambda: quick(encoder()), ["a"], {}, "no tokenizer"),
        (lambda: reader(no_pool()), ["a"], {}, "one pooled output, the program has none"),
        (lambda: reader(encoder(pooled=2)), ["a"], {}, "one pooled output, the program has out0, out1"),
        (lambda: reader(encoder()), "a text", {}, "list of strings"),
        (lambda: reader(encoder()), ["a", 3], {}, "list of strings"),
        (lambda: reader(encoder()), None, {}, "list of strings"),
        (lambda: reader(encoder()), ["a"], {"batch_size": 0}, "batch_size=0"),
        (lambda: reader(encoder()), ["a"], {"batch_size": 1.5}, r"batch_size=1\.5"),
        (lambda: reader(encoder()), ["a " * 41], {}, "at most 40"),
        (lambda: reader(encoder()), ["a", ""], {"batch_size": 1}, "needs a token"),
    ],
)
def test_what_cannot_be_encoded_is_said(
    make: Callable[[], Program], texts: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make().encode(texts, **options)


# --- damage ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    build(encoder(), plan="quick", texts=Texts(tokenizer(), 9), provenance={"by": "me"}).save(
        tmp_path / "m.aero"
    )
    return tmp_path / "m.aero"


def corrupted(content: bytes, random: np.random.Generator) -> bytes:
    """Bits flipped, bytes replaced, a part cut off, moved, or doubled."""
    spoilt = bytearray(content)
    a, b = sorted(random.integers(0, len(content), 2))
    match random.integers(6):
        case 0:
            for place in random.integers(0, len(content), random.integers(1, 4)):
                spoilt[place] ^= 1 << random.integers(8)
        case 1:
            spoilt[random.integers(len(content))] = random.integers(256)
        case 2:
            del spoilt[a:]
        case 3:
            del spoilt[a:b]
        case 4:
            spoilt[a:b] = bytes(b - a)
        case _:
            spoilt[a:a] = spoilt[a:b]
    return bytes(spoilt)


def survive(saved: Path, count: int, seed: int) -> None:
    """Every corruption is an error, or what is read is the same to the last number, so computes the same."""
    content, wanted = saved.read_bytes(), files.load(saved)
    random = np.random.default_rng(seed)
    path, refused = saved.parent / "bad.aero", 0
    for _ in range(count):
        path.write_bytes(corrupted(content, random))
        try:
            found = files.load(path)
        except FormatError:
            refused += 1
            continue
        same_graph(found.graph, wanted.graph)
        assert (found.tokenizer, found.max_tokens, found.provenance) == (tokenizer(), 9, {"by": "me"})
    assert refused > 0.9 * count


def test_corruptions_are_errors_or_harmless(saved: Path) -> None:
    survive(saved, 500, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_corruptions_are_errors_or_harmless(saved: Path) -> None:
    survive(saved, 10_000, 1)


def rewrite(
    path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object], to: Path | None = None
) -> Path:
    """Write the file with its head and arrays changed, and a checksum that vouches for it."""
    contents = container.read(path)
    arrays = {name: array.copy() for name, array in contents.arrays.items()}
    head = json.loads(arrays[files.HEAD].tobytes())
    change(head, arrays)
    if files.HEAD in arrays:
        arrays[files.HEAD] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    metadata = dict(contents.metadata) | {files.CHECKSUM: container.checksum(arrays)}
    container.write(to or path, arrays, metadata)
    return to or path


def drop(name: str) -> Callable[[dict[str, Any], dict[str, Any]], object]:
    return lambda head, arrays: arrays.pop(next(n for n in arrays if n.startswith(name)))


def entry(**changes: Any) -> Callable[[dict[str, Any], dict[str, Any]], object]:
    return lambda head, arrays: head["weights"]["layer4.weight"].update(changes)


def put(*path: Any) -> Callable[[dict[str, Any], dict[str, Any]], object]:
    def change(head: dict[str, Any], arrays: dict[str, Any]) -> None:
        *keys, last, value = path
        at: Any = head
        for key in keys:
            at = at[key]
        at[last] = value

    return change


VOUCHED: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], object], str]] = {
    "no head": (lambda head, arrays: arrays.pop("head"), "no head"),
    "head of nothing": (lambda head, arrays: head.clear(), "the head must hold"),
    "head without a graph": (lambda head, arrays: head.pop("graph"), "the head must hold"),
    "head with more": (put("more", 1), "the head must hold"),
    "weights as a list": (put("weights", []), "must be tables"),
    "provenance as text": (put("provenance", "me"), "must be tables"),
    "max_tokens 0": (put("max_tokens", 0), "max_tokens is 0"),
    "max_tokens true": (put("max_tokens", True), "max_tokens is True"),
    "a weight missing": (lambda head, arrays: head["weights"].pop("layer4.weight"), "has no weight"),
    "values missing": (drop("weight/layer4.weight/"), "are missing"),
    "unknown encoding": (entry(encoding="zip"), "stored in no way"),
    "encoding of a list": (entry(encoding=[]), "stored in no way"),
    "shape of text": (entry(shape="88"), "impossible shape"),
    "shape true": (entry(shape=[True, 64]), "impossible shape"),
    "shape negative": (entry(shape=[-8, -8]), "impossible shape"),
    "shape endless": (entry(shape=[1 << 39, 1 << 39]), "impossible"),
    "shape of many": (entry(shape=[8, 8, *[1] * 90]), "impossible"),
    "shape transposed": (entry(shape=[4, 16]), "of shape"),
    "shape larger": (entry(shape=[8, 800]), "bits has|too few|values has"),
    "ids beyond the table": (put("graph", "inputs", 0, "limit", 51), "may look up"),
    "features too many": (put("graph", "ops", 0, "out", "features", 9), "needs"),
    "an operation unknown": (put("graph", "ops", 0, "is", "Run"), "cannot stand there"),
}  # fmt: skip


@pytest.mark.parametrize("name", VOUCHED)
def test_what_a_checksum_vouches_for_is_checked_all_the_same(saved: Path, name: str) -> None:
    change, message = VOUCHED[name]
    rewrite(saved, change)
    with pytest.raises(FormatError, match=message):
        aerogel.load(saved, plan="quick")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "is no aerogel artefact"),
        ({files.FORMAT: "2", files.CHECKSUM: "0"}, "has format 2, this aerogel reads 1: upgrade"),
        ({files.FORMAT: "1"}, "checksum"),
        ({files.FORMAT: "1", files.CHECKSUM: "0"}, "checksum"),
    ],
)
def test_other_files_and_versions_are_told_apart(saved: Path, metadata: dict[str, str], message: str) -> None:
    container.write(saved, container.read(saved).arrays, metadata)
    with pytest.raises(FormatError, match=message):
        aerogel.load(saved)


@pytest.mark.parametrize("odd", ['a"\n%x = \\22 ö{}', "out) {", "", "a" * 10_000])
def test_odd_names_are_refused_before_they_reach_machine_code(odd: str, tmp_path: Path) -> None:
    graph = encoder()
    inputs = (replace(graph.inputs[0], name=odd), graph.inputs[1])
    ops = tuple(
        replace(op, lookup=replace(op.lookup, name=odd)) if isinstance(op, Embedding) else op
        for op in graph.ops
    )  # fmt: skip
    named = replace(graph, inputs=inputs, ops=ops, outputs=(replace(graph.outputs[0], name=odd),))
    files.save(tmp_path / "m.aero", Artefact(named), embeddings="fp32")
    given = tokens((3, 2))
    try:
        again = aerogel.load(tmp_path / "m.aero", plan="quick", threads=1)
    except AerogelError:
        assert not odd.isidentifier() or odd == ""
        return
    np.testing.assert_array_equal(again(given["ids"], given["mask"]), quick(graph)(**given))


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(data, dict | list):
        for key in data if isinstance(data, dict) else range(len(data)):
            yield from leaves(data[key], (*path, key))
    else:
        yield path


HOSTILE = """
import sys, signal
from pathlib import Path
sys.path.insert(0, sys.argv[2])
signal.alarm(100)
import numpy as np
import aerogel
from aerogel.core.errors import AerogelError
from tests.model.graphs import tokens
ran = refused = 0
for path in sorted(Path(sys.argv[1]).glob("hostile*.aero")):
    try:
        program = aerogel.load(path, plan="quick", threads=1)
        program(*(tokens((3, 5))[i.kind] for i in program.built.graph.inputs))
        ran += 1
    except AerogelError:
        refused += 1
print(ran, refused)
"""


def test_heads_that_lie_are_refused_or_run_in_bounds(saved: Path) -> None:
    """Every number of the head replaced, with a checksum that fits: no crash, no hang, no other error."""
    head = json.loads(container.read(saved).arrays[files.HEAD].tobytes())
    random, count = np.random.default_rng(0), 0
    for path in leaves(head["graph"]):
        old: Any = head["graph"]
        for key in path:
            old = old[key]
        if isinstance(old, int | float) and not isinstance(old, bool):
            for value in (0, 1, old + 1, (1 << 31) - 1):
                if random.random() < 0.4:
                    rewrite(saved, put("graph", *path, value), saved.parent / f"hostile{count}.aero")
                    count += 1
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(saved.parent), root],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    ran, refused = map(int, done.stdout.split())
    assert ran + refused == count and ran > 0 and refused > 10
