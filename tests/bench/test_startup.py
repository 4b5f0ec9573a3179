from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.model.graphs import Draft, quick

from aerogel.bench import startup
from aerogel.core.errors import MeasureError
from aerogel.model.texts import Texts


def test_the_last_line_a_fresh_process_prints_is_taken() -> None:
    code = "import os, sys; print('first'); print(sys.argv[1], os.environ['SETTING'])"
    assert startup._python(code, "argument", SETTING="set") == "argument set"


def test_a_process_that_fails_is_shown() -> None:
    with pytest.raises(MeasureError, match="ZeroDivisionError"):
        startup._python("1 / 0")


def test_importing_is_timed_and_quick() -> None:
    assert 0 < float(startup._python(startup._IMPORT)) < 5


def test_every_number_is_of_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second compile and the second answer find their code in the cache; a load builds nothing before."""
    answers = {
        startup._IMPORT: iter([9.0, *[0.125] * 7]),
        startup._COMPILE: iter([
            '{"trace_s": 2.0, "build_s": 3.0, "idle_cpu_share": 0.5}',
            '{"trace_s": 1.0, "build_s": 0.5, "idle_cpu_share": 0.25}',
        ]),
        startup._LOAD: iter([0.0625]),
        startup._ANSWER: iter([8.0, 0.5, 0.125, 0.25, 0.0625, 9.0]),
    }  # fmt: skip
    caches: set[str] = set()

    def fake(code: str, *arguments: str, **environment: str) -> str:
        caches.update(environment.values())
        return str(next(answers[code]))

    monkeypatch.setattr(startup, "_python", fake)
    found = startup.startup(Path("model"))
    assert found == startup.Startup(
        import_s=0.125,
        trace_s=1.0,
        first_compile_s=5.0,
        cached_compile_s=1.5,
        cached_load_s=0.0625,
        artefact_load_s=0.25,
        idle_cpu_share=0.25,
    )
    assert all(next(rest, None) is None for rest in answers.values())
    assert len(caches) == 1
    assert json.loads(json.dumps(found.to_json()))["artefact_load_s"] == 0.25


def test_a_file_is_answered_without_torch_from_an_empty_cache_and_from_a_full_one(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    d = Draft()
    program = quick(d.graph(d.pool(d.attend(d.embedding(8)))))
    program.texts = Texts(words.to_str().encode())
    program.save(tmp_path / "m.aero")
    found = startup.first_answer(tmp_path / "m.aero", tmp_path / "cache", text=True, times=1)
    assert list((tmp_path / "cache" / "packs").glob("*.recipe"))
    assert 0 < found.median_s == found.cached_s[0] < found.first_s
    # The same file, now for ids: nothing is new.
    again = startup.first_answer(tmp_path / "m.aero", tmp_path / "cache", times=1)
    assert again.first_s < found.first_s
    assert json.loads(json.dumps(again.to_json()))["median_s"] == again.median_s


@pytest.mark.slow
def test_a_little_model_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr(startup, "_IMPORTS", 1)
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(**sizes, intermediate_size=16, max_position_embeddings=20)
    transformers.BertModel(config).save_pretrained(tmp_path)
    found = startup.startup(tmp_path)
    assert all(value > 0 for name, value in found.to_json().items() if name != "idle_cpu_share")
    # Nothing is timed or compiled where the plan is kept and the code is cached.
    assert found.cached_load_s < found.first_compile_s - found.trace_s
    # No torch, so no tracing.
    assert found.artefact_load_s < found.first_compile_s
