"""Where a model comes from: a Hugging Face directory, or ``module.py:factory``. Imports torch."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, MissingDependencyError, UnsupportedError, require

ARCHITECTURES = ("bert", "distilbert", "mpnet", "roberta")
"""The ``model_type`` of the configurations that can be loaded by directory."""
_EXAMPLE_SHAPE = (2, 16)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class Source:
    """A model as loaded: ``module`` in eval mode, inputs it can be called with, its tokenizer's file if it
    has one, the most tokens its texts may have, and a short name to show."""

    module: torch.nn.Module
    example_inputs: tuple[Any, ...] | dict[str, Any]
    tokenizer_path: Path | None
    max_tokens: int | None
    name: str

    def tokenize(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(input ids, attention mask), both (texts, longest text), cut to ``max_tokens``, padded behind."""
        require(texts, InputError, "no text was given: give at least one")
        if self.tokenizer_path is None:
            raise InputError(f"{self.name} has no tokenizer.json, so it takes no text: give arrays instead")
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 (optional: only texts need it)
        except ModuleNotFoundError as error:
            raise MissingDependencyError('texts need tokenizers: pip install "aerogel[bench]"') from error
        tokenizer = Tokenizer.from_file(str(self.tokenizer_path))
        padding = (tokenizer.padding or {}) | {"length": None, "pad_to_multiple_of": None}
        tokenizer.enable_padding(**padding)
        tokenizer.no_truncation()
        if self.max_tokens is not None:
            tokenizer.enable_truncation(self.max_tokens)
        encoded = tokenizer.encode_batch(list(texts))
        ids = np.array([e.ids for e in encoded], np.int64)
        return ids, np.array([e.attention_mask for e in encoded], np.int64)


def load_model(spec: str) -> Source:
    """The model that ``spec`` names.

    ``FILE.py:FUNCTION``: the file is run, and FUNCTION() returns (torch module, example inputs). Otherwise
    a directory with ``config.json``, ``model.safetensors`` and, for texts, ``tokenizer.json``; where it has
    ``modules.json`` too (sentence-transformers), pooling and normalisation are part of the module. Pickled
    weights are refused, since unpickling can run anything. InputError or UnsupportedError say what is so.
    """
    file, colon, function = spec.rpartition(":")
    if colon and file.endswith(".py"):
        return _from_factory(Path(file), function)
    path = Path(spec)
    require(path.exists(), InputError, f"there is no {spec!r}: give a model's directory, or FILE.py:FUNCTION")
    if path.suffix == ".py":
        raise InputError(f"{spec!r} names no function: write {spec}:FUNCTION, which returns (module, inputs)")
    require(
        path.is_dir(), InputError, f"{spec!r} is a file: give the directory it is in, or FILE.py:FUNCTION"
    )
    return _from_directory(path)


# --- FILE.py:FUNCTION ------------------------------------------------------------------------------------


def _from_factory(file: Path, function: str) -> Source:
    require(file.is_file(), InputError, f"there is no file {str(file)!r}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    require(spec and spec.loader, InputError, f"{str(file)!r} cannot be imported")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script: what lies beside the file can be imported, by it and by the classes it defines.
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules.setdefault(file.stem, module)
    try:
        spec.loader.exec_module(module)
        require(hasattr(module, function), InputError, f"{file} has no {function!r}")
        made = getattr(module, function)()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file}:{function} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return _checked(made, file, function)


def _checked(made: object, file: Path, function: str) -> Source:
    pair = isinstance(made, tuple) and len(made) == 2
    require(
        pair, InputError, f"{file}:{function} must return (module, example inputs), not {type(made).__name__}"
    )
    assert isinstance(made, tuple)
    module, inputs = made
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{file}:{function} returned a {type(module).__name__} first: return a torch module")
    examples = (
        inputs
        if isinstance(inputs, dict)
        else tuple(inputs)
        if isinstance(inputs, list | tuple)
        else (inputs,)
    )
    return Source(module.eval(), examples, None, None, f"{file.stem}:{function}")


# --- a directory -------------------------------------------------------------------------------------------


def _from_directory(path: Path) -> Source:
    config = _json_object(path / "config.json")
    _require_safetensors(path)
    kind = config.get("model_type")
    known = ", ".join(ARCHITECTURES)
    require(kind in ARCHITECTURES, UnsupportedError, f"{path}: model_type {kind!r} is not one of {known}")
    module = _pretrained(path, config)
    pooling = _pooling(path)
    if pooling is not None:
        module = SentenceEncoder(module, *pooling)
    tokenizer = path / "tokenizer.json"
    ids = torch.arange(3, 3 + _EXAMPLE_SHAPE[0] * _EXAMPLE_SHAPE[1]).reshape(_EXAMPLE_SHAPE)
    ids = ids % int(config["vocab_size"])
    examples = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    found = tokenizer if tokenizer.is_file() else None
    return Source(module.eval(), examples, found, _max_tokens(path, config), path.resolve().name)


def _json_object(path: Path) -> dict[str, Any]:
    require(path.is_file(), InputError, f"{path.parent} has no {path.name}: it is not a model's directory")
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    require(isinstance(read, dict), InputError, f"{path} must hold a JSON object")
    return read


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


def _pretrained(path: Path, config: dict[str, Any]) -> torch.nn.Module:
    try:
        import transformers  # noqa: PLC0415 (optional, and slow to import)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            'model directories need transformers: pip install "aerogel[bench]"'
        ) from error
    classes = {
        "ForSequenceClassification": transformers.AutoModelForSequenceClassification,
        "ForTokenClassification": transformers.AutoModelForTokenClassification,
    }
    head = str((config.get("architectures") or [""])[0])
    auto = next((c for suffix, c in classes.items() if head.endswith(suffix)), transformers.AutoModel)
    try:
        with _quiet(transformers):
            module, found = auto.from_pretrained(
                path, use_safetensors=True, local_files_only=True, trust_remote_code=False,
                dtype=torch.float32, output_loading_info=True,
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
def _quiet(transformers: Any) -> Generator[None]:
    """No progress bars and no warnings about what is checked here."""
    log = transformers.utils.logging
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
        positions -= int(config.get("pad_token_id", 1)) + 1
    found = [positions]
    if (path / "sentence_bert_config.json").is_file():
        found.append(_json_object(path / "sentence_bert_config.json").get("max_seq_length"))
    return min((n for n in found if isinstance(n, int)), default=None)


def _pooling(path: Path) -> tuple[str, bool] | None:
    """(``mean``, ``first`` or ``max``; normalised?) as ``modules.json`` says, None without that file."""
    if not (path / "modules.json").is_file():
        return None
    modules = json.loads((path / "modules.json").read_text(encoding="utf-8"))
    kinds = [str(m["type"]).rpartition(".")[2] for m in modules]
    fits = kinds[:2] == ["Transformer", "Pooling"] and kinds[2:] in ([], ["Normalize"])
    require(fits, UnsupportedError, f"{path}: modules.json lists {', '.join(kinds)}: only pooling is known")
    config = _json_object(path / modules[1]["path"] / "config.json")
    modes = {"mean_tokens": "mean", "cls_token": "first", "max_tokens": "max"}
    chosen = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if on is True and "_mode_" in name
    ]
    known = len(chosen) == 1 and chosen[0] in modes
    require(
        known, UnsupportedError, f"{path}: pooling {' and '.join(chosen)}: give one of {', '.join(modes)}"
    )
    return modes[chosen[0]], kinds[2:] == ["Normalize"]


class SentenceEncoder(torch.nn.Module):
    """An encoder with its pooling: (B, S) ids and mask -> (B, features), one vector per text."""

    def __init__(self, encoder: torch.nn.Module, pooling: str, normalized: bool) -> None:  # noqa: FBT001
        super().__init__()
        self.encoder, self.pooling, self.normalized = encoder, pooling, normalized

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        match self.pooling:
            case "first":
                vector = hidden[:, 0]
            case "max":
                vector = hidden.masked_fill(mask == 0, -torch.inf).amax(1)
            case _:
                vector = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        if self.normalized:
            vector = torch.nn.functional.normalize(vector, dim=1)
        return {"sentence_embedding": vector}
