"""aerogel: find, induce, store, run and prove sparsity, from the model down to the chip.

Everything a user needs is here, and is loaded when first touched: ``import aerogel as ag``.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aerogel.core.errors import AerogelError

if TYPE_CHECKING:
    from aerogel.energy import Reading, meter
    from aerogel.energy.decorator import metered
    from aerogel.energy.training import TrainingEnergy
    from aerogel.find.inspect import inspect
    from aerogel.model.compile import compile
    from aerogel.model.load import load
    from aerogel.model.program import Program
    from aerogel.model.sentence_transformer import SentenceEncoder
    from aerogel.model.transformers_model import TransformersModel
    from aerogel.prune import PruneResult, Schedule, prune, recover
    from aerogel.prune.activation.entry import sparsify_activations
    from aerogel.prune.experts.entry import remove_experts
    from aerogel.prune.recipe_file import PruneRecipe
    from aerogel.prune.structured.entry import remove_units
    from aerogel.tensor.entry import einsum, evaluate, explain
    from aerogel.tensor.files import read, write
    from aerogel.tensor.make import tensor
    from aerogel.tensor.tensor import Tensor
    from aerogel.tune.plan import Plan

__version__ = "0.1.0"

__all__ = [
    "AerogelError",
    "Plan",
    "Program",
    "PruneRecipe",
    "PruneResult",
    "Reading",
    "Schedule",
    "SentenceEncoder",
    "Tensor",
    "TrainingEnergy",
    "TransformersModel",
    "__version__",
    "compile",
    "einsum",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "meter",
    "metered",
    "prune",
    "read",
    "recover",
    "remove_experts",
    "remove_units",
    "sparsify_activations",
    "tensor",
    "write",
]

_HOME = {
    "inspect": "aerogel.find.inspect",
    "compile": "aerogel.model.compile",
    "load": "aerogel.model.load",
    "Program": "aerogel.model.program",
    "SentenceEncoder": "aerogel.model.sentence_transformer",
    "TransformersModel": "aerogel.model.transformers_model",
    "Plan": "aerogel.tune.plan",
    "meter": "aerogel.energy.block",
    "Reading": "aerogel.energy.reading",
    "metered": "aerogel.energy.decorator",
    "TrainingEnergy": "aerogel.energy.training",
    "prune": "aerogel.prune.entry",
    "PruneRecipe": "aerogel.prune.recipe_file",
    "PruneResult": "aerogel.prune.report",
    "remove_experts": "aerogel.prune.experts.entry",
    "remove_units": "aerogel.prune.structured.entry",
    "sparsify_activations": "aerogel.prune.activation.entry",
    "recover": "aerogel.prune.entry",
    "Schedule": "aerogel.prune.schedule",
    "tensor": "aerogel.tensor.make",
    "Tensor": "aerogel.tensor.tensor",
    "einsum": "aerogel.tensor.entry",
    "evaluate": "aerogel.tensor.entry",
    "explain": "aerogel.tensor.entry",
    "read": "aerogel.tensor.files",
    "write": "aerogel.tensor.files",
}


_FOLDERS = ("chip", "interop")
"""Folders that are touched as a whole; ``interop`` needs torch, so they are not in ``__all__``."""


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return import_module(f"aerogel.{name}")
    if name not in _HOME:
        raise AttributeError(f"aerogel has no attribute {name!r}: it has {', '.join(sorted(__all__))}")
    return _public(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_FOLDERS})


@cache  # a call of ``ag.einsum`` on a tiny tensor takes not much longer than finding it
def _public(name: str) -> Any:
    return getattr(import_module(_HOME[name]), name)


class _CallableFolder(ModuleType):
    """The folder ``tensor`` or ``einsum``, which can be called as the function of that name."""

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.__wrapped__.__doc__

    @property
    def __wrapped__(self) -> Any:
        """Where ``inspect`` looks for the signature."""
        return _public(self.__name__[len(__name__) + 1 :])

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _public(self.__name__[len(__name__) + 1 :])(*args, **options)


class _Aerogel(ModuleType):
    """This module. Importing ``aerogel.tensor.make`` binds the name ``tensor`` here to the folder, which
    would hide the function ``aerogel.tensor``; so the folder, called, is that function."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOME and type(value) is ModuleType:
            value.__class__ = _CallableFolder
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Aerogel
