"""A changed model as a Hugging Face directory: what loads the original loads it; nothing else is touched."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from aerogel.core.errors import InputError
from aerogel.model.save_pretrained import RECORD, check_folder, checkpoint_bytes, save_pretrained
from aerogel.model.sentence import SentenceEncoder
from aerogel.model.source import load_model

transformers = pytest.importorskip("transformers")
LITTLE = {
    "vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 20,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sentence encoder with all that may lie beside its weights."""
    path = tmp_path / "dense"
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**LITTLE)).save_pretrained(path)
    for name in ("tokenizer.json", "vocab.txt", "spiece.model", "LICENSE", "sentence_bert_config.json"):
        (path / name).write_text("{}" if name.endswith("json") else name)
    for name in ("README.md", "model.onnx", "pytorch_model.bin"):
        (path / name).write_text("of the dense model")
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    modules = [{"type": "st.Transformer", "path": ""}, {"type": "st.Pooling", "path": "1_Pooling"}]
    (path / "modules.json").write_text(json.dumps(modules))
    return path


def contents(folder: Path) -> list[str]:
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())


def zeroed(folder: Path) -> Any:
    """The model of ``folder`` with half of one layer zero."""
    source = load_model(str(folder))
    with torch.no_grad():
        source.module.encoder.encoder.layer[0].output.dense.weight[:4] = 0
    return source


def test_what_was_changed_is_loaded_again_and_the_rest_comes_along(folder: Path, tmp_path: Path) -> None:
    source, out = zeroed(folder), tmp_path / "pruned"
    save_pretrained(source.module, folder, out, {"note": "mine"})
    assert contents(out) == [
        "1_Pooling/config.json", "LICENSE", RECORD, "config.json", "model.safetensors", "modules.json",
        "sentence_bert_config.json", "spiece.model", "tokenizer.json", "vocab.txt",
    ]  # fmt: skip
    record = json.loads((out / RECORD).read_text())
    assert record["note"] == "mine"
    assert sorted(record["files"]) == contents(out)
    again = load_model(str(out))
    assert isinstance(again.module, SentenceEncoder)
    assert again.module.pooling == "first"
    with torch.no_grad():
        wanted = source.module(**source.example_inputs)["sentence_embedding"]
        assert torch.equal(again.module(**source.example_inputs)["sentence_embedding"], wanted)
    plain = transformers.BertModel.from_pretrained(out)
    assert not plain.encoder.layer[0].output.dense.weight[:4].any()
    assert checkpoint_bytes(out) == (out / "model.safetensors").stat().st_size


def test_it_is_silent(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_pretrained(zeroed(folder).module, folder, tmp_path / "pruned", {})
    assert capfd.readouterr() == ("", "")


def test_a_classifier_keeps_its_head(tmp_path: Path) -> None:
    config = transformers.BertConfig(**LITTLE, num_labels=3, id2label={0: "a", 1: "b", 2: "c"})
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "dense")
    source = load_model(str(tmp_path / "dense"))
    save_pretrained(source.module, tmp_path / "dense", tmp_path / "out", {})
    again = load_model(str(tmp_path / "out"))
    with torch.no_grad():
        got, wanted = (s.module(**source.example_inputs).logits for s in (again, source))
    assert torch.equal(got, wanted)
    assert again.module.config.id2label == {0: "a", 1: "b", 2: "c"}


def test_a_checkpoint_without_a_pooler_stays_without(tmp_path: Path) -> None:
    model = transformers.BertModel(transformers.BertConfig(**LITTLE), add_pooling_layer=False)
    model.save_pretrained(tmp_path / "dense")
    save_pretrained(load_model(str(tmp_path / "dense")).module, tmp_path / "dense", tmp_path / "out", {})
    assert load_model(str(tmp_path / "out")).module.pooler is None


def test_files_that_are_links_are_copied(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("vocabulary")
    (folder / "vocab.txt").unlink()
    (folder / "vocab.txt").symlink_to(tmp_path / "blob")
    save_pretrained(load_model(str(folder)).module, folder, tmp_path / "out", {})
    assert not (tmp_path / "out" / "vocab.txt").is_symlink()
    assert (tmp_path / "out" / "vocab.txt").read_text() == "vocabulary"


def test_a_path_that_leads_out_is_refused(folder: Path, tmp_path: Path) -> None:
    module = load_model(str(folder)).module
    for path in ("../secret", "/etc"):
        modules = [{"type": "st.Transformer", "path": ""}, {"type": "st.Pooling", "path": path}]
        (folder / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(InputError, match="leads out of the directory"):
            save_pretrained(module, folder, tmp_path / "out", {})
        assert not (tmp_path / "out").exists()


def test_a_write_that_fails_leaves_what_was_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = load_model(str(folder)), tmp_path / "out"
    save_pretrained(source.module, folder, out, {"note": "first"})

    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("I/O error: No space left on device")

    monkeypatch.setattr(type(source.module.encoder), "save_pretrained", fail)
    with pytest.raises(InputError, match=r"out could not be written \(I/O error: No space"):
        save_pretrained(source.module, folder, out, {"note": "second"})
    assert json.loads((out / RECORD).read_text())["note"] == "first"
    assert sorted(f.name for f in tmp_path.iterdir()) == ["dense", "out"]


def test_where_it_may_be_written(folder: Path, tmp_path: Path) -> None:
    check_folder(tmp_path / "new", folder, force=False)
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty", folder, force=False)
    save_pretrained(load_model(str(folder)).module, folder, tmp_path / "ours", {})
    check_folder(tmp_path / "ours", folder, force=False)


def test_where_it_may_not(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.txt").write_text("dear")
    refused = {
        "none/out": "there is no folder",
        "file": "is a file",
        "dense": "holds the dense model, which would be lost",
        ".": "holds the dense model",
        "mine": r"did not write \(letters.txt\): it is no model's directory",
    }
    for place, message in refused.items():
        for force in (False, True):
            with pytest.raises(InputError, match=message):
                check_folder(tmp_path / place, folder, force=force)
    monkeypatch.chdir(tmp_path / "mine")
    with pytest.raises(InputError, match="holds the working directory"):
        check_folder(tmp_path / "mine", folder, force=True)


def test_another_model_is_replaced_only_by_force(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"did not write \(config.json\): --force replaces it"):
        check_folder(other, folder, force=False)
    check_folder(other, folder, force=True)


@pytest.mark.parametrize("record", ["not JSON", "[]", '{"written_by": "aerogel prune", "files": 3}', "{}"])
def test_a_record_that_lists_no_files_makes_a_directory_foreign(
    record: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    save_pretrained(load_model(str(folder)).module, folder, out, {})
    (out / RECORD).write_text(record)
    with pytest.raises(InputError, match="did not write"):
        check_folder(out, folder, force=False)


def test_a_file_put_beside_ours_is_not_lost(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_pretrained(load_model(str(folder)).module, folder, out, {})
    (out / "notes.md").write_text("mine")
    with pytest.raises(InputError, match=r"did not write \(notes.md\): --force replaces it"):
        check_folder(out, folder, force=False)


def test_others_may_read_it_as_they_may_read_what_is_made_here(folder: Path, tmp_path: Path) -> None:
    save_pretrained(load_model(str(folder)).module, folder, tmp_path / "out", {})
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~mask
    files = [f for f in (tmp_path / "out").rglob("*") if f.is_file()]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o666 & ~mask}
