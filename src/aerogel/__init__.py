"""aerogel: find, induce, store, run and prove sparsity, from the model down to the chip.

Everything a user needs is here, and is loaded when first touched: ``import aerogel as ag``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aerogel.core.errors import AerogelError

if TYPE_CHECKING:
    from aerogel.energy import Reading, meter
    from aerogel.find.inspect import inspect
    from aerogel.model.compile import compile
    from aerogel.model.load import load
    from aerogel.model.program import Program
    from aerogel.model.sentence_transformer import SentenceEncoder
    from aerogel.model.transformers_model import TransformersModel
    from aerogel.prune import PruneResult, Schedule, prune, recover
    from aerogel.tune.plan import Plan

__version__ = "0.1.0"

__all__ = [
    "AerogelError",
    "Plan",
    "Program",
    "PruneResult",
    "Reading",
    "Schedule",
    "SentenceEncoder",
    "TransformersModel",
    "__version__",
    "compile",
    "inspect",
    "load",
    "meter",
    "prune",
    "recover",
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
    "prune": "aerogel.prune.entry",
    "PruneResult": "aerogel.prune.report",
    "recover": "aerogel.prune.entry",
    "Schedule": "aerogel.prune.schedule",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"aerogel has no attribute {name!r}: it has {', '.join(sorted(__all__))}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
