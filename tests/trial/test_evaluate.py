"""A user's measure: what it is given, and every way it can go wrong, with the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trial.little import classifier

from aerogel.core.errors import InputError
from aerogel.model.loaded import Source
from aerogel.model.source import load_model
from aerogel.trial.evaluate import ByFunction

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return load_model(str(classifier(tmp_path_factory.mktemp("models") / "little")))


def look(tmp_path: Path, source: Source, code: str, name: str = "f", file: str = "check.py") -> Any:
    (tmp_path / file).write_text(code)
    judge = ByFunction.load(f"{tmp_path / file}:{name}", source)
    return judge.look(source.module, "dense", lambda _: None)


NUMBERS = {
    "return 3": {"score": 3.0},
    "return -0.5": {"score": -0.5},
    "import numpy; return numpy.float32(0.25)": {"score": 0.25},
    "import numpy; return numpy.array(7)": {"score": 7.0},
    "import torch; return torch.tensor(0.5)": {"score": 0.5},
    "return {'f1': 1, 'em': 0.5}": {"f1": 1.0, "em": 0.5},
}


@pytest.mark.parametrize("body", NUMBERS)
def test_numbers_of_every_kind(body: str, tmp_path: Path, source: Source) -> None:
    assert look(tmp_path, source, f"def f(model):\n    {body}\n") == NUMBERS[body]


NONE = {
    "return None": "returned None for the dense model: return a number, or a dict of numbers by name",
    "pass": "returned None",
    "return 'good'": "returned a str",
    "return True": "returned a bool",
    "return [0.5]": "returned a list",
    "return 1j": "returned a complex",
    "import numpy; return numpy.zeros(2)": "returned a ndarray",
    "return float('nan')": "returned nan for the dense model: it must be finite",
    "return float('inf')": "returned inf",
    "return {}": "returned an empty dict",
    "return {3: 1.0}": "returned a dict with the key 3",
    "return {'f1': None}": "returned None under 'f1'",
    "return {'f1': float('nan')}": "returned nan under 'f1'",
}


@pytest.mark.parametrize("body", NONE)
def test_what_is_no_number_is_named(body: str, tmp_path: Path, source: Source) -> None:
    with pytest.raises(InputError, match=NONE[body]) as caught:
        look(tmp_path, source, f"def f(model):\n    {body}\n")
    assert "check.py:f" in str(caught.value)


FAILS = {
    "def f(model):\n    x = 1\n    raise ValueError('no labels')\n":
        r"failed on the dense model: ValueError: no labels \(line 3 of check.py\)",
    "def f(model):\n    return g(model)\ndef g(model):\n    return model.nothing\n":
        r"failed on the dense model: AttributeError: .*nothing.* \(line 4 of check.py\)",
    "def f(model):\n    return len(3)\n": r"TypeError: .*len.* \(line 2 of check.py\)",
    "import json\ndef f(model):\n    return json.loads('{')\n": r"JSONDecodeError: .* \(line 3 of check.py\)",
    "def f(model):\n    exit(3)\n": r"failed on the dense model: SystemExit: 3 \(line 2 of check.py\)",
    "def f(model:\n": r"cannot be imported: SyntaxError: .* \(line 1 of check.py\)",
    "import no_such_library\n": r"cannot be imported: ModuleNotFoundError: .* \(line 1 of check.py\)",
    "f = 3\n": "has no function 'f'",
    "def g(model): return 1\n": "has no function 'f'",
    "def f(): return 1\n": r"cannot be called \(too many positional arguments\): FUNCTION\(model\) or",
    "def f(model, data): return 1\n": r"cannot be called \(missing a required argument: 'data'\)",
    "def f(tokenizer, model): return 1\n": "cannot be called .*multiple values for argument 'tokenizer'",
}  # fmt: skip


@pytest.mark.parametrize("code", FAILS)
def test_what_fails_is_told_with_its_line(code: str, tmp_path: Path, source: Source) -> None:
    with pytest.raises(InputError, match=FAILS[code]):
        look(tmp_path, source, code)


@pytest.mark.parametrize("spec", ["check.py", "check:f", "check.py:", "check.py:f g", "none.py:f", ":f", ""])
def test_what_names_no_function_is_refused(
    spec: str, tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "check.py").write_text("def f(model): return 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"is not FILE.py:FUNCTION|there is no file 'none.py'"):
        ByFunction.load(spec, source)


def test_an_interrupt_is_not_swallowed(tmp_path: Path, source: Source) -> None:
    with pytest.raises(KeyboardInterrupt):
        look(tmp_path, source, "def f(model):\n    raise KeyboardInterrupt\n")


def test_it_is_given_the_model_in_use_and_its_tokenizer(tmp_path: Path, source: Source) -> None:
    code = """
import torch
def f(model, tokenizer):
    assert not model.training and not torch.is_grad_enabled()
    given = tokenizer(["w1 w2 w3", "w4"])
    assert given["input_ids"].tolist() == [[3, 4, 5], [6, 0, 0]]
    assert given["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert tokenizer("w1")["input_ids"].shape == (1, 1)
    again = tokenizer(["w1 w2 w3", "w4"], padding=True, truncation=True, return_tensors="pt")
    assert all(torch.equal(again[name], given[name]) for name in given)
    return model(**given).logits.sum()
"""
    found = look(tmp_path, source, code)
    ids, mask = (torch.from_numpy(array) for array in source.tokenize(["w1 w2 w3", "w4"]))
    with torch.no_grad():
        assert found["score"] == pytest.approx(float(source.module(ids, mask).logits.sum()))


@pytest.mark.parametrize("options", ["padding=False", "return_tensors='np'", "max_length=8"])
def test_options_the_tokenizer_does_not_have_are_refused(
    options: str, tmp_path: Path, source: Source
) -> None:
    with pytest.raises(InputError, match="this tokenizer always cuts and pads"):
        look(tmp_path, source, f"def f(model, tokenizer):\n    tokenizer(['w1'], {options})\n")


def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Path, source: Source) -> None:
    plain = Source(source.module, source.example_inputs, None, None, "plain")
    with pytest.raises(InputError, match=r"takes a tokenizer, but plain has no tokenizer.json"):
        look(tmp_path, plain, "def f(model, tokenizer): return 1")


def test_what_it_prints_does_not_stand_amid_the_result(
    tmp_path: Path, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    look(tmp_path, source, "print('loading')\ndef f(model):\n    print('judging')\n    return 1\n")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "loading\njudging\n")


def test_a_model_it_changes_is_told(tmp_path: Path, source: Source) -> None:
    code = """
def f(model):
    model.train()
    model.classifier.bias.add_(1)
    return 1
"""
    before = source.module.classifier.bias.detach().clone()
    with pytest.raises(InputError, match="changed the weights of the dense model: only look"):
        look(tmp_path, source, code)
    assert not source.module.training
    with torch.no_grad():
        source.module.classifier.bias.copy_(before)


def test_both_models_see_the_same_chance(tmp_path: Path, source: Source) -> None:
    code = """
import random, numpy, torch
def f(model):
    return random.random() + numpy.random.rand() + torch.rand(1).item()
"""
    assert look(tmp_path, source, code) == look(tmp_path, source, code)


def test_what_lies_beside_the_file_can_be_imported_when_it_is_called(tmp_path: Path, source: Source) -> None:
    (tmp_path / "beside_check.py").write_text("VALUE = 5")
    code = "def f(model):\n    from beside_check import VALUE\n    return VALUE\n"
    assert look(tmp_path, source, code, file="check_beside.py") == {"score": 5.0}


def test_two_looks_make_an_accuracy(tmp_path: Path, source: Source) -> None:
    (tmp_path / "check.py").write_text("def f(model): return 1")
    judge = ByFunction.load(f"{tmp_path}/check.py:f", source)
    found = judge.accuracy({"a": 1.0, "b": 2.0}, {"b": 1.5, "a": 0.5})
    assert (found.method, found.judged_by, found.texts) == ("by check.py:f", ("a", "b"), None)
    with pytest.raises(InputError, match="returned a for the dense model, b for the pruned one"):
        judge.accuracy({"a": 1.0}, {"b": 1.0})
