"""A tiny encoder with random weights in a directory, as models are handed on; and what torch makes of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, LONGEST = 16, 24
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (*"abcdefgh", "query", "passage", ":", "ümläut", "日")
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES |= {"vocab_size": len(SPECIAL) + len(WORDS), "max_position_embeddings": LONGEST}

TEXTS = ["a b c", "", "h", "ümläut 日 unknown 🤗", "a b " * 40, "  c  d ", "g f e d c b a"]
"""Long, empty, foreign and unknown."""


def tokenizer(folder: Path) -> None:
    """Words are split at spaces, pairs and special tokens treated as BERT does."""
    import tokenizers
    from tokenizers.processors import BertProcessing

    ids = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens(list(SPECIAL))
    made.save(str(folder / "tokenizer.json"))


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def encoder_folder(
    folder: Path,
    pooling: str | None = "mean",
    *,
    normalized: bool = False,
    settings: dict[str, Any] | None = None,
    include_prompt: bool = True,
    most: int | None = None,
) -> Path:
    """A BERT in ``folder``; ``pooling`` None leaves out all that sentence-transformers would write."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(**SIZES)).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    model.save_pretrained(folder)
    tokenizer(folder)
    if pooling is not None:
        kinds = ["Transformer", "Pooling", *(["Normalize"] if normalized else [])]
        paths = ("", "1_Pooling", "2_Normalize")
        listed = [
            {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(zip(kinds, paths, strict=False))
        ]
        write_json(folder / "modules.json", listed)
        config = {"pooling_mode": pooling, "embedding_dimension": WIDTH, "include_prompt": include_prompt}
        write_json(folder / "1_Pooling" / "config.json", config)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": most})
        write_json(folder / "config_sentence_transformers.json", settings or {})
    return folder


@cache
def _torch_model(folder: Path) -> Any:
    import transformers

    return transformers.BertModel.from_pretrained(folder).eval()


def torch_tokens(folder: Path, text: str, most: int = LONGEST) -> NDArray[np.float32]:
    """[tokens, features]: the last hidden states of one text, special tokens too."""
    import tokenizers
    import torch

    read = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    read.enable_truncation(most)
    ids = torch.tensor([read.encode(text).ids])
    with torch.no_grad():
        found = _torch_model(folder)(input_ids=ids, attention_mask=torch.ones_like(ids))
    return found.last_hidden_state[0].numpy()


POOL = {
    "mean": lambda tokens: tokens.mean(0),
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(0),
}


def torch_vectors(
    folder: Path,
    texts: list[str],
    pooling: str = "mean",
    *,
    normalized: bool = False,
    most: int = LONGEST,
) -> NDArray[np.float32]:
    """[texts, features] of each text by itself, so without any padding."""
    rows = np.stack([POOL[pooling](torch_tokens(folder, text, most)) for text in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) if normalized else rows
