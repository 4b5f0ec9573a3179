"""Inputs that an encoder from transformers can be traced with, from its configuration."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from aerogel.core.errors import InputError, require

_SHAPE = (2, 16)


def encoder_inputs(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Token ids and mask, and token types where the model tells sentences of a pair apart. InputError, asking
    for example inputs, where ``module`` has no vocabulary in its configuration, or takes no ``input_ids``."""
    config: Any = getattr(module, "config", None)
    vocabulary = getattr(config, "vocab_size", None)
    taken = inspect.signature(module.forward).parameters
    known = isinstance(vocabulary, int) and vocabulary > 0 and "input_ids" in taken
    name = type(module).__name__
    told = f"{name} is no encoder from transformers: give example_inputs, what it is called with"
    require(known, InputError, told)
    assert isinstance(vocabulary, int)
    ids = torch.arange(_SHAPE[0] * _SHAPE[1]).reshape(_SHAPE) % vocabulary
    found = {"input_ids": ids}
    if "attention_mask" in taken:
        found["attention_mask"] = torch.ones_like(ids)
    if "token_type_ids" in taken and (getattr(config, "type_vocab_size", 0) or 0) > 1:
        found["token_type_ids"] = torch.zeros_like(ids)
    return found
