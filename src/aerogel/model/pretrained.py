"""A model in a Hugging Face directory. Imports torch and transformers."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging as log

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.files import read_json, read_json_object
from aerogel.model.loaded import Source
from aerogel.model.sentence import SentenceEncoder

ARCHITECTURES = ("bert", "distilbert", "mpnet", "roberta")
"""The ``model_type`` of the configurations that can be loaded by directory."""
_EXAMPLE_SHAPE = (2, 16)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def from_directory(path: Path) -> Source:
    file = path / "config.json"
    require(file.is_file(), InputError, f"{path} has no {file.name}: it is not a model's directory")
    config = read_json_object(file)
    _require_safetensors(path)
    kind = config.get("model_type")
    known = ", ".join(ARCHITECTURES)
    require(kind in ARCHITECTURES, UnsupportedError, f"{path}: model_type {kind!r} is not one of {known}")
    module = _pretrained(path, config)
    vocabulary = int(module.config.vocab_size)
    pooling = _pooling(path)
    if pooling is not None:
        module = SentenceEncoder(module, *pooling)
    tokenizer = path / "tokenizer.json"
    ids = torch.arange(3, 3 + _EXAMPLE_SHAPE[0] * _EXAMPLE_SHAPE[1]).reshape(_EXAMPLE_SHAPE)
    ids = ids % vocabulary
    examples = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    found = tokenizer if tokenizer.is_file() else None
    return Source(module.eval(), examples, found, _max_tokens(path, config), path.resolve().name)


def _require_safetensors(path: Path) -> None:
    if any(path.glob("model*.safetensors")):
        return
    pickled = sorted(p.name for pattern in _PICKLED for p in path.glob(pattern))
    if pickled:
        raise InputError(
            f"{path} has only pickled weights ({', '.join(pickled)}), and reading those can run any code: "
            "convert them to model.safetensors"
        )
    raise InputError(f"{path} has no model.safetensors: the weights are missing")


def _pretrained(path: Path, config: dict[str, Any]) -> Any:
    classes = {
        "ForSequenceClassification": transformers.AutoModelForSequenceClassification,
        "ForTokenClassification": transformers.AutoModelForTokenClassification,
    }
    listed = config.get("architectures")
    head = str(listed[0]) if isinstance(listed, list) and listed else ""
    auto = next((c for suffix, c in classes.items() if head.endswith(suffix)), transformers.AutoModel)
    try:
        with quiet():
            module, found = auto.from_pretrained(
                path, use_safetensors=True, local_files_only=True, trust_remote_code=False,
                dtype=torch.float32, output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, by name
            )  # fmt: skip
    except Exception as error:  # transformers and safetensors raise nearly anything for a broken directory
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {reason}") from error
    missing = set(found["missing_keys"])
    if missing and all(name.split(".")[0] == "pooler" for name in missing):
        # Checkpoints trained without a pooler: what transformers puts there is random.
        module.pooler = None
        missing = set()
    wrong = sorted(missing | {str(k[0]) for k in found["mismatched_keys"]})
    require(not wrong, InputError, f"{path}: weights missing or of another shape: {', '.join(wrong[:5])}")
    return module


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars and no warnings about what is checked here."""
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(logging.ERROR)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _max_tokens(path: Path, config: dict[str, Any]) -> int | None:
    """The least of what the position table allows and what sentence-transformers was told."""
    positions = config.get("max_position_embeddings")
    if config.get("model_type") in ("roberta", "mpnet") and isinstance(positions, int):
        # Their positions start behind the padding index.
        padding = config.get("pad_token_id")
        positions -= (padding if isinstance(padding, int) else 1) + 1
    found = [positions]
    if (path / "sentence_bert_config.json").is_file():
        found.append(read_json_object(path / "sentence_bert_config.json").get("max_seq_length"))
    return min((n for n in found if isinstance(n, int)), default=None)


def _pooling(path: Path) -> tuple[str, bool] | None:
    """(``mean``, ``first`` or ``max``; normalised?) as ``modules.json`` says, None without that file."""
    if not (path / "modules.json").is_file():
        return None
    modules = read_json(path / "modules.json")
    listed = isinstance(modules, list) and all(
        isinstance(m, dict) and isinstance(m.get("type"), str) and isinstance(m.get("path"), str)
        for m in modules
    )
    require(
        listed, InputError, f"{path / 'modules.json'} must hold a list of modules, each with type and path"
    )
    kinds = [m["type"].rpartition(".")[2] for m in modules]
    fits = kinds[:2] == ["Transformer", "Pooling"] and kinds[2:] in ([], ["Normalize"])
    require(fits, UnsupportedError, f"{path}: modules.json lists {', '.join(kinds)}: only pooling is known")
    config = read_json_object(path / modules[1]["path"] / "config.json")
    modes = {"mean_tokens": "mean", "cls_token": "first", "max_tokens": "max"}
    chosen = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if on is True and "_mode_" in name
    ]
    known = len(chosen) == 1 and chosen[0] in modes
    require(
        known, UnsupportedError, f"{path}: pooling {' and '.join(chosen)}: give one of {', '.join(modes)}"
    )
    return modes[chosen[0]], kinds[2:] == ["Normalize"]
