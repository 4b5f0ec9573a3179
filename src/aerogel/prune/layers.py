"""Which layers of a torch model may be pruned. Imports torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from aerogel.core.errors import InputError, UnsupportedError, require

Prunable = torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d
KINDS = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d)
LayerChoice = str | re.Pattern[str] | Callable[[str, Any], bool]

HEADS = frozenset({
    "classifier", "pre_classifier", "classification_head", "score", "qa_outputs",
    "cls", "lm_head", "vocab_transform", "vocab_projector", "head",
})  # fmt: skip
"""Module names that mark a task head: few weights, and all of the answer passes through them."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A weight to prune: ``name`` of the parameter (its first, if tied), the parameter itself, and the layers
    of the model that use it. A convolution's is seen as the matrix that its unfolded input is multiplied by,
    [outputs, inputs * kernel height * kernel width]."""

    name: str
    weight: torch.nn.Parameter
    uses: tuple[Prunable, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        outputs = self.weight.shape[0]
        return outputs, self.weight.numel() // outputs if outputs else math.prod(self.weight.shape[1:])

    @property
    def matrix(self) -> torch.Tensor:
        """[outputs, inputs]: a view where memory allows it, so for reading alone; see ``put``."""
        return self.weight.detach().reshape(self.shape)

    def put(self, matrix: torch.Tensor) -> None:
        """Set the weight to the numbers of ``matrix``."""
        self.weight.copy_(matrix.reshape(self.weight.shape))

    @property
    def grouped(self) -> bool:
        """Is it a convolution by groups, whose outputs do not all see the same inputs?"""
        return any(not isinstance(use, torch.nn.Linear) and use.groups > 1 for use in self.uses)

    @property
    def bias(self) -> torch.nn.Parameter | None:
        """The bias that goes with this weight and no other: None where layers share the weight."""
        bias = self.uses[0].bias if len(self.uses) == 1 else None
        return bias if isinstance(bias, torch.nn.Parameter) else None


def prunable(model: torch.nn.Module, choice: LayerChoice | None) -> list[Layer]:
    """The weights of ``model``'s linear layers and convolutions (1-D, 2-D) that ``choice`` takes, each once,
    in the model's order.

    ``choice``: a regular expression searched in the layer's name, a predicate on (name, layer), or None:
    every one, poolers too, but no head (a path component in ``HEADS``), no convolution by groups (few
    weights, none of them idle) and no weight that is also an embedding table. Weights that are not an
    ``nn.Linear``'s (``nn.MultiheadAttention``'s joint projection, say) are left alone. InputError when
    nothing is taken; UnsupportedError for weights that are not plain.
    """
    linears = [(n, m) for n, m in model.named_modules() if isinstance(m, KINDS)]
    takes = _default_choice(model) if choice is None else _predicate(choice)
    users: dict[tuple[object, ...], list[Prunable]] = {}
    for _, module in linears:
        users.setdefault(_identity(module.weight), []).append(module)
    layers: list[Layer] = []
    seen: set[tuple[object, ...]] = set()
    for name, module in linears:
        if not takes(name, module):
            continue
        weight = _plain_weight(name, module)
        if _identity(weight) not in seen:
            seen.add(_identity(weight))
            uses = tuple(users[_identity(weight)])
            layers.append(Layer(f"{name}.weight" if name else "weight", weight, uses))
    require(layers, InputError, _nothing_taken(model, [n for n, _ in linears], choice))
    return layers


def _default_choice(model: torch.nn.Module) -> Callable[[str, Prunable], bool]:
    tables = {_identity(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}

    def takes(name: str, module: Prunable) -> bool:
        if not isinstance(module, torch.nn.Linear) and module.groups > 1:
            return False
        return HEADS.isdisjoint(name.split(".")) and _identity(module.weight) not in tables

    return takes


def _predicate(choice: LayerChoice) -> Callable[[str, Prunable], bool]:
    if isinstance(choice, (str, re.Pattern)):
        try:
            pattern = re.compile(choice)
        except re.error as error:
            raise InputError(f"layers={choice!r} is not a regular expression: {error}") from error
        return lambda name, _: pattern.search(name) is not None
    require(callable(choice), InputError, f"layers is {choice!r}: give a regular expression or a predicate")
    return choice


def _plain_weight(name: str, module: Prunable) -> torch.nn.Parameter:
    weight = dict(module.named_parameters(recurse=False, remove_duplicate=False)).get("weight")
    where = f"layer {name or type(module).__name__!r}"
    if weight is None:
        # torch's parametrisations make ``weight`` a value computed at each use: zeros set there are lost.
        raise UnsupportedError(f"{where}: its weight is computed from others: remove the parametrisation")
    require(not is_lazy(weight), InputError, f"{where} has no weights yet: run the model once on an example")
    require(not weight.is_meta, InputError, f"{where} is on the meta device: load its weights first")
    plain = weight.is_floating_point() and weight.layout == torch.strided
    kind = f"{weight.dtype}, {weight.layout}"
    require(plain, UnsupportedError, f"{where}: its weight is {kind}; only dense floats can be pruned")
    return weight


def _identity(weight: torch.Tensor) -> tuple[object, ...]:
    """Equal for two tensors exactly when they are the same numbers in the same place."""
    if is_lazy(weight) or weight.is_meta or weight.numel() == 0:
        return (id(weight),)
    place = weight.untyped_storage().data_ptr(), weight.storage_offset()
    return (*place, tuple(weight.shape), tuple(weight.stride()), weight.dtype)


def _nothing_taken(model: torch.nn.Module, names: list[str], choice: object) -> str:
    kind = type(model).__name__
    if not names:
        return f"{kind} has no nn.Linear or convolution, so there is nothing to prune: give a model with some"
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    why = (
        "all are heads, embeddings or convolutions by groups"
        if choice is None
        else f"layers={choice!r} takes none of them"
    )
    return f"nothing to prune in {kind}: it has layers ({shown}), but {why}: set layers="
