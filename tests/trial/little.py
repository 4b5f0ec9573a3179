"""Small models in directories, and texts for them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch

WORDS = [f"w{number}" for number in range(60)]
CONFIG: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 24,
}  # fmt: skip


def tokenizer(folder: Path) -> None:
    import tokenizers

    known = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))


def sentence_encoder(folder: Path, **config: Any) -> Path:
    """A BERT with mean pooling, as sentence-transformers lays it out; ``config``: what differs."""
    import transformers

    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**{**CONFIG, **config})).save_pretrained(folder)
    tokenizer(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    listed = [{"type": f"sentence_transformers.models.{k}", "path": "1_Pooling"} for k in ("Pooling",)]
    encoder = {"type": "sentence_transformers.models.Transformer", "path": ""}
    (folder / "modules.json").write_text(json.dumps([encoder, *listed]))
    return folder


def classifier(folder: Path, labels: int = 3) -> Path:
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(**CONFIG, num_labels=labels)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer(folder)
    return folder


def texts(count: int, seed: int = 0) -> list[str]:
    """Different ones, of 3 to 12 words."""
    chosen = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(chosen.choices(WORDS, k=chosen.randint(3, 12)))] = None
    return list(found)
