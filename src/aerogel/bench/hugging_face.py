"""An encoder model in a Hugging Face directory: its files, its torch module, its tokenizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.core.files import read_json_object

_WEIGHTS = "model.safetensors"
# Their positions count from the one after the padding's, so their tables are so much longer.
_AFTER_PADDING = frozenset({"roberta", "mpnet", "xlm-roberta", "camembert"})
# What the public models of this kind were trained with; longer texts are cut.
MOST_TOKENS = 256


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """``path`` holds ``config.json``, ``model.safetensors`` and ``tokenizer.json``."""

    path: Path
    config: dict[str, Any]

    @staticmethod
    def open(path: str | Path) -> ModelFolder:
        """InputError where the folder or one of its files is missing, or its configuration unreadable."""
        folder = Path(path)
        for name in ("config.json", _WEIGHTS):
            require(
                (folder / name).is_file(),
                InputError,
                f"{folder} holds no {name}: give a Hugging Face model directory with safetensors weights",
            )
        return ModelFolder(folder, read_json_object(folder / "config.json"))

    @property
    def vocabulary(self) -> int:
        return self._number("vocab_size")

    def _number(self, name: str) -> int:
        value = self.config.get(name)
        known = type(value) is int and value > 0
        require(known, InputError, f"{self.path / 'config.json'}: {name} is {value!r}, not a whole number")
        return int(value or 0)

    @property
    def longest(self) -> int | None:
        """The most tokens of a sequence; None where the configuration does not say."""
        if self.config.get("max_position_embeddings") is None:
            return None
        most = self._number("max_position_embeddings")
        if self.config.get("model_type") not in _AFTER_PADDING:
            return most
        return most - 1 - int(self.config.get("pad_token_id") or 0)

    @property
    def weight_bytes(self) -> int:
        """The size of the checkpoint."""
        return (self.path / _WEIGHTS).stat().st_size

    def zeros(self) -> float | None:
        """The share of zeros in its weight matrices, embeddings left out; None if NumPy cannot read them."""
        count = live = 0
        try:
            with safe_open(self.path / _WEIGHTS, "np") as stored:
                for name in stored.keys():  # noqa: SIM118 (it is no mapping)
                    if "embed" not in name and len(stored.get_slice(name).get_shape()) == 2:
                        weight = stored.get_tensor(name)
                        count, live = count + weight.size, live + int(np.count_nonzero(weight))
        except (OSError, TypeError, ValueError, SafetensorError):
            return None  # a type that NumPy lacks; a broken file is told by whoever loads it
        return 1 - live / count if count else 0.0

    def fingerprint(self) -> str:
        """SHA-256 over configuration and weights: two folders with the same one hold the same model."""
        digest = hashlib.sha256()
        for name in ("config.json", _WEIGHTS):
            with (self.path / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def torch_module(self, attention: str = "sdpa") -> Any:
        """The encoder (no pooling layer, no head) in eval mode, fp32."""
        try:
            import torch
            from transformers import AutoModel
            from transformers.utils import logging
        except ImportError as error:
            raise MissingDependencyError(f"{error}: pip install 'aerogel[bench]'") from error
        # What it reports as unexpected, the pooling layer, is left out on purpose.
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        options: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": attention}
        return AutoModel.from_pretrained(self.path, **self.options, **options).eval()

    @property
    def options(self) -> dict[str, Any]:
        """How transformers is to load the encoder: from the disk alone, and without what is put on top."""
        pools = self.config.get("model_type") in ("bert", "roberta", "mpnet", "xlm-roberta", "camembert")
        return {"local_files_only": True} | ({"add_pooling_layer": False} if pools else {})

    def tokenizer(self) -> Any:
        """A ``tokenizers.Tokenizer`` that cuts long texts and pads a batch to its longest."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingDependencyError(f"{error}: pip install 'aerogel[bench]'") from error
        file = self.path / "tokenizer.json"
        require(file.is_file(), InputError, f"{self.path} holds no tokenizer.json: it cannot take texts")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exceptions
            raise InputError(f"{file} cannot be read: {error}") from error
        tokenizer.enable_truncation(min(MOST_TOKENS, self.longest or MOST_TOKENS))
        pad = int(self.config.get("pad_token_id") or 0)
        tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad))
        return tokenizer
