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
from aerogel.core.files import read_json_object
from aerogel.model.loaded import Source
from aerogel.model.sentence import SentenceEncoder
from aerogel.model.sentence_files import max_tokens, pooling, require_case_kept
from aerogel.model.sentence_settings import from_folder
from aerogel.model.torch_grid import SCALE, restore_scales

ARCHITECTURES = (
    *("albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "megatron-bert"),
    *("mpnet", "rembert", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
)
"""The ``model_type`` of the configurations that can be loaded by directory."""
_EXAMPLE_SHAPE = (2, 16)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def from_directory(path: Path) -> Source:
    """An encoder of a kind in ``ARCHITECTURES``; InputError or UnsupportedError where it is none."""
    config = _config(path)
    kind = config.get("model_type")
    known = ", ".join(ARCHITECTURES)
    require(kind in ARCHITECTURES, UnsupportedError, f"{path}: model_type {kind!r} is not one of {known}")
    module = _pretrained(path, config, _encoder_class(config))
    return _source(path, config, module)


def causal_from_directory(path: Path) -> Source:
    """A causal language model of any kind that transformers has, whose experts can be removed; nothing here
    compiles it. InputError where it is none."""
    config = _config(path)
    told = f"{path} is a {_head(config) or 'model of no kind that is said'}: give a causal language model"
    require(_head(config).endswith("ForCausalLM"), InputError, told)
    return _source(path, config, _pretrained(path, config, transformers.AutoModelForCausalLM))


def _config(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    require(file.is_file(), InputError, f"{path} has no {file.name}: it is not a model's directory")
    config = read_json_object(file)
    _require_safetensors(path)
    return config


def _source(path: Path, config: dict[str, Any], module: Any) -> Source:
    vocabulary = int(module.config.vocab_size)
    pooled = pooling(path)
    if pooled is not None:
        module = SentenceEncoder(module, pooled.kind, pooled.normalized)
    tokenizer = path / "tokenizer.json"
    require_case_kept(path, tokenizer)
    ids = torch.arange(3, 3 + _EXAMPLE_SHAPE[0] * _EXAMPLE_SHAPE[1]).reshape(_EXAMPLE_SHAPE)
    ids = ids % vocabulary
    examples = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    found = tokenizer if tokenizer.is_file() else None
    settings = None if pooled is None else from_folder(path, include_prompt=pooled.include_prompt)
    longest = max_tokens(path, config)
    return Source(module.eval(), examples, found, longest, path.resolve().name, settings)


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


def _encoder_class(config: dict[str, Any]) -> Any:
    """The class that keeps the head a checkpoint was saved with, where it is one that is compiled."""
    classes = {
        "ForSequenceClassification": transformers.AutoModelForSequenceClassification,
        "ForTokenClassification": transformers.AutoModelForTokenClassification,
    }
    head = _head(config)
    return next((c for suffix, c in classes.items() if head.endswith(suffix)), transformers.AutoModel)


def _head(config: dict[str, Any]) -> str:
    """The class a checkpoint was saved from; empty where it is not said."""
    listed = config.get("architectures")
    return str(listed[0]) if isinstance(listed, list) and listed else ""


def _pretrained(path: Path, config: dict[str, Any], auto: Any) -> Any:
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
    if any(name.endswith(f".{SCALE}") for name in found["unexpected_keys"]):
        restore_scales(module, sorted(path.glob("model*.safetensors")))
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
