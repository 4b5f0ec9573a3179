"""A program's tokenizer as transformers has tokenizers, for those who look inside a sentence encoder."""

from __future__ import annotations

from typing import Any

from aerogel.core.errors import FormatError, MissingDependencyError
from aerogel.model.texts import Texts

# What special tokens are for goes by their spelling: a tokenizer.json does not say.
_ROLES = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
    "bos_token": ("<s>",),
    "eos_token": ("</s>",),
}


def transformers_tokenizer(texts: Texts) -> Any:
    """A fast tokenizer that cuts where ``texts`` does. MissingDependencyError without transformers."""
    try:
        from tokenizers import Tokenizer
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        told = 'a transformers tokenizer needs transformers: pip install "aerogel[bench]"'
        raise MissingDependencyError(told) from error
    try:
        read = Tokenizer.from_buffer(texts.tokenizer)
    except Exception as error:  # the library raises bare Exceptions
        raise FormatError(f"the tokenizer cannot be read ({error}): get it anew") from error
    roles: dict[str, Any] = {}
    for role, spellings in _ROLES.items():
        known = [spelling for spelling in spellings if read.token_to_id(spelling) is not None]
        roles |= {role: known[0]} if known else {}
    if texts.max_tokens is not None:
        roles["model_max_length"] = texts.max_tokens
    return PreTrainedTokenizerFast(tokenizer_object=read, **roles)
