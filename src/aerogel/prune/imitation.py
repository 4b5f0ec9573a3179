"""How far a pruned model is from the dense one on a batch: hidden states and output. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.batches import Call
from aerogel.prune.blocks import hidden


@dataclass(frozen=True, slots=True)
class View:
    """What a model did with one batch: the output of each block, and its own; ``logits``: these are."""

    states: tuple[torch.Tensor, ...]
    output: torch.Tensor
    logits: bool


def view(model: torch.nn.Module, call: Call, blocks: Sequence[str]) -> View:
    """Run ``model`` and look at what the modules named ``blocks`` made."""
    states: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: Any, output: Any) -> None:
        made = hidden(output)
        if made is not None and made.is_floating_point():
            states.append(made)

    with ExitStack() as hooks:
        for name in blocks:
            hooks.callback(model.get_submodule(name).register_forward_hook(keep).remove)
        output = call.run(model)
    if isinstance(output, Mapping) and "logits" in output:
        return View(tuple(states), output["logits"], logits=True)
    if isinstance(output, Mapping):
        output = next(iter(output.values()))
    made = hidden(output)
    if made is None or not made.is_floating_point():
        raise UnsupportedError(
            f"{type(model).__name__} gives a {type(output).__name__}: recovery needs a tensor"
        )
    return View(tuple(states), made, logits=False)


def distance(student: View, teacher: View, mask: torch.Tensor | None) -> torch.Tensor:
    """A scalar, 0 where both agree: the mean over the blocks' states and the output of how far each is off.

    States count by their error relative to their spread, token by token; so does an output, unless it is
    logits, which count by Kullback-Leibler divergence. Tokens where ``mask`` is False do not count. More
    weight on the output, or on similarities between texts, made vectors worse: a few texts a batch say
    little of them, where every token of every block says what it should be.
    """
    pairs = zip(student.states, teacher.states, strict=True)
    ours, theirs = tuple(student.output.shape), tuple(teacher.output.shape)
    told = f"the teacher's output is {theirs}, not {ours}: give the dense model that was pruned"
    require(ours == theirs and len(student.states) == len(teacher.states), InputError, told)
    errors = [*(relative(s, t, mask) for s, t in pairs), _of_output(student, teacher, mask)]
    return torch.stack(errors).mean()


def relative(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The mean square of the difference over the teacher's variance."""
    ours, theirs = _rows(student, mask), _rows(teacher, mask)
    spread = theirs.var(0, correction=0).mean() if len(theirs) > 1 else theirs.square().mean()
    return (ours - theirs).square().mean() / spread.clamp_min(1e-12)


def _of_output(student: View, teacher: View, mask: torch.Tensor | None) -> torch.Tensor:
    if student.logits:
        ours, theirs = (functional.log_softmax(_rows(v.output, mask), -1) for v in (student, teacher))
        return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return relative(student.output, teacher.output, mask)


def _rows(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    rows = x.reshape(-1, x.shape[-1]).float()
    return rows[mask.reshape(-1)] if mask is not None and x.shape[:-1] == mask.shape else rows
