"""TransformersModel in the pipelines of transformers: the labels and scores of the torch model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from tests.model.little_encoder import SPECIAL, WORDS, tokenizer  # noqa: E402
from tests.model.zoo import hugging, mlp  # noqa: E402

import aerogel  # noqa: E402
from aerogel.core.errors import InputError, UnsupportedError  # noqa: E402
from aerogel.model.texts import Texts  # noqa: E402
from aerogel.model.transformers_model import TransformersModel  # noqa: E402
from aerogel.model.transformers_tokenizer import transformers_tokenizer  # noqa: E402

TEXTS = ["a b c", "h g f e d c b a", "", "ümläut 日 unknown"]
PAIRS = [{"text": a, "text_pair": b} for a, b in pairwise(TEXTS)]
SIZE = len(SPECIAL) + len(WORDS)
LABELS = {0: "no", 1: "perhaps", 2: "yes"}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("words")
    tokenizer(folder)
    return transformers_tokenizer(Texts((folder / "tokenizer.json").read_bytes(), 24))


def pipeline(name: str, task: str, words: Any, **options: Any) -> Any:
    labels = {"num_labels": 3, "id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()}}
    module = hugging(name, layers=1, vocab_size=SIZE, pad_token_id=0, **(labels | options))
    return transformers.pipeline(task, model=module, tokenizer=words, device="cpu")


def replaced(pipe: Any) -> TransformersModel:
    pipe.model = TransformersModel(pipe.model, plan="quick")
    return pipe.model


def assert_alike(found: Any, wanted: Any) -> None:
    """Numbers to 1e-5, all else the same."""
    match wanted:
        case dict():
            assert list(found) == list(wanted)
            for key, value in wanted.items():
                assert_alike(found[key], value)
        case list() | tuple():
            assert type(found) is type(wanted) and len(found) == len(wanted)
            for one, other in zip(found, wanted, strict=True):
                assert_alike(one, other)
        case float() | np.floating():
            assert type(found) is type(wanted)
            assert_allclose(found, wanted, rtol=0, atol=1e-5)
        case _:
            assert found == wanted


CLASSIFIERS = [
    "BertForSequenceClassification",
    *(
        pytest.param(f"{family}ForSequenceClassification", marks=pytest.mark.slow)
        for family in ("DistilBert", "Roberta", "MPNet", "Electra", "XLMRoberta")
    ),
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_and_scores_of_texts(name: str, words: Any) -> None:
    pipe = pipeline(name, "text-classification", words)
    calls = (
        lambda: pipe(TEXTS[0]),
        lambda: pipe(TEXTS),
        lambda: pipe(TEXTS, batch_size=8),
        lambda: pipe(TEXTS, top_k=None),
        lambda: pipe(TEXTS, top_k=2, function_to_apply="sigmoid", batch_size=3),
        lambda: pipe("a b " * 40, truncation=True),
        lambda: pipe(PAIRS if name.startswith("Bert") else TEXTS[:2], batch_size=2),
    )
    wanted = [call() for call in calls]
    assert len({row["score"] for row in wanted[1]}) == len(TEXTS)  # texts are told apart
    model = replaced(pipe)
    for call, expected in zip(calls, wanted, strict=True):
        assert_alike(call(), expected)
    assert not isinstance(model, torch.nn.Module) and pipe.device == model.device
    if name.startswith("Bert"):  # which of a pair a token belongs to makes a difference
        ids, kinds = torch.tensor([[2, 5, 3, 6, 3]]), torch.tensor([[0, 0, 0, 1, 1]])
        assert float((model(ids, token_type_ids=kinds).logits - model(ids).logits).abs().max()) > 1e-3


@pytest.mark.parametrize(
    "name",
    [
        "DistilBertForTokenClassification",
        pytest.param("BertForTokenClassification", marks=pytest.mark.slow),
        pytest.param("RobertaForTokenClassification", marks=pytest.mark.slow),
    ],
)
def test_labels_of_tokens(name: str, words: Any) -> None:
    pipe = pipeline(name, "token-classification", words)
    calls = (
        lambda: pipe(TEXTS[0]),
        lambda: pipe(TEXTS, batch_size=3),
        lambda: pipe(TEXTS, aggregation_strategy="simple"),
    )
    wanted = [call() for call in calls]
    replaced(pipe)
    for call, expected in zip(calls, wanted, strict=True):
        assert_alike(call(), expected)


@pytest.mark.slow
def test_other_pipelines(words: Any) -> None:
    labels = {"id2label": {0: "entailment", 1: "neutral", 2: "contradiction"}}
    labels["label2id"] = {v: k for k, v in labels["id2label"].items()}
    cases = (
        ("BertForSequenceClassification", "zero-shot-classification", labels, ("a b", ["c", "d"])),
        ("BertForMaskedLM", "fill-mask", {}, (["a [MASK] c", "[MASK]"],)),
        ("BertModel", "feature-extraction", {}, (TEXTS,)),
    )
    for name, task, options, given in cases:
        pipe = pipeline(name, task, words, **options)
        wanted = pipe(*given)
        replaced(pipe)
        assert_alike(pipe(*given), wanted)


@pytest.fixture(scope="module")
def module() -> Any:
    return hugging("DistilBertForSequenceClassification", layers=1)


@pytest.fixture(scope="module")
def model(module: Any) -> TransformersModel:
    return TransformersModel(module, plan="quick")


IDS = torch.tensor([[5, 6, 7, 8], [9, 3, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def test_outputs_as_the_model_has_them(model: TransformersModel, module: Any) -> None:
    with torch.no_grad():
        wanted = module(IDS, MASK).logits
    found = model(IDS, MASK)
    assert isinstance(found, transformers.utils.ModelOutput) and list(found) == ["logits"]
    for logits in (found.logits, found["logits"], found[0], model(IDS, MASK, return_dict=False)[0]):
        assert_allclose(logits.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5)
    named = model(input_ids=IDS.tolist(), attention_mask=MASK.numpy(), token_type_ids=torch.zeros_like(IDS))
    assert_allclose(named.logits.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5)
    nothing = model(IDS, MASK, output_attentions=False, labels=None, use_cache=True)
    assert torch.equal(nothing.logits, found.logits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"output_attentions": True}, "output_attentions is nothing this program was compiled for"),
        ({"inputs_embeds": torch.zeros(2, 4, 32)}, "inputs_embeds is nothing"),
        ({"labels": torch.zeros(2)}, "labels is nothing"),
        (
            {"token_type_ids": torch.ones_like(IDS)},
            "token_type_ids is nothing .*takes input_ids, attention_mask",
        ),
        ({"position_ids": torch.zeros_like(IDS)}, "position_ids is nothing"),
    ],
)
def test_what_it_cannot_do_is_told(model: TransformersModel, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        model(IDS, MASK, **given)


def test_as_a_module_it_stays_where_it_is(model: TransformersModel) -> None:
    for same in (
        model.eval(),
        model.train(False),
        model.to("cpu"),
        model.to(torch.device("cpu"), torch.float32),
    ):
        assert same is model
    assert model.device == torch.device("cpu") and model.dtype == torch.float32 and not model.can_generate()
    assert repr(model) == "TransformersModel(DistilBert: input_ids, attention_mask)"
    with pytest.raises(UnsupportedError, match="run on the CPU"):
        model.to("cuda")
    with pytest.raises(UnsupportedError, match="train the torch module"):
        model.train()


def test_a_program_or_a_file_with_a_configuration(
    model: TransformersModel, module: Any, tmp_path: Path
) -> None:
    expected = model(IDS, MASK).logits
    model.program.save(tmp_path / "m.aero", embeddings="fp32")
    module.config.save_pretrained(tmp_path)
    for given in (
        TransformersModel(model.program, module.config),
        TransformersModel(str(tmp_path / "m.aero"), tmp_path, plan="quick", threads=1),
    ):
        assert given.config.num_labels == 2
        assert_allclose(given(IDS, MASK).logits.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="give config="):
        TransformersModel(model.program)
    with pytest.raises(InputError, match="compiled already: leave out threads"):
        TransformersModel(model.program, module.config, threads=1)
    with pytest.raises(InputError, match=r"has no config\.json"):
        TransformersModel(model.program, tmp_path / "absent")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        TransformersModel(model.program, tmp_path)


def test_a_pipeline_is_no_model(words: Any) -> None:
    pipe = pipeline("DistilBertForSequenceClassification", "text-classification", words)
    with pytest.raises(InputError, match=r"a TextClassificationPipeline is no model: give its \.model"):
        TransformersModel(pipe)


def test_an_encoder_needs_no_example_inputs(module: Any) -> None:
    program = aerogel.compile(module, plan="quick")
    with torch.no_grad():
        wanted = module(IDS, MASK).logits
    assert_allclose(program(IDS, MASK).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="Sequential is no encoder from transformers: give example_inputs"):
        aerogel.compile(mlp())
