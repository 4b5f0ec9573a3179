"""What the importer knows about a torch tensor: which activation it is, and how it is laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.fx import Node

from aerogel.model.graph import Value

# B, S: batch and token; F: all features; H, D: features split into heads, P, H, D: into parts of heads;
# L0, L1 ...: the leading axes of a plain MLP's input; BS, SB, BH: two axes in one; 1: an axis of size one.
Axis = str
Padding = Literal["any", "zero", "low", "share"]


@dataclass(frozen=True, slots=True)
class Act:
    """``scale`` times an activation, its torch tensor having ``axes``; ``heads`` where F is split in H and D.
    ``padding``: what torch holds where the mask is 0 (anything, zero, or a number below all others);
    ``share``: zero there, and real tokens divided by their number, so that only a sum may follow."""

    value: Value
    axes: tuple[Axis, ...]
    heads: int = 1
    scale: float = 1.0
    padding: Padding = "any"


@dataclass(frozen=True, slots=True)
class Part:
    """Something that decides about keys: ``add`` to the scores, or bools of those to ``keep`` or ``drop``."""

    node: Node
    kind: Literal["add", "keep", "drop"]


@dataclass(frozen=True, slots=True)
class Scores:
    """(B, H, S, S): scale * q . k plus ``parts``; after softmax over the keys where ``normal``."""

    q: Value
    k: Value
    heads: int
    scale: float
    parts: tuple[Part, ...] = ()
    normal: bool = False


@dataclass(frozen=True, slots=True)
class TokenSum:
    """Sum over the tokens of each sequence with mask 1, not yet divided by their number."""

    value: Value
    axes: tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Norm:
    """max(2-norm of each column, eps), one number per column."""

    value: Value
    axes: tuple[Axis, ...]
    eps: float = 0.0


@dataclass(frozen=True, slots=True)
class Formula:
    """``fn`` of each element of ``x``: an activation function being spelt out, one step after the other."""

    x: Act
    fn: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a split returns: each part a value of its own."""

    parts: tuple[Act, ...]


Known = Act | Scores | TokenSum | Norm | Formula | Parts
