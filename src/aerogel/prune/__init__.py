"""Where zeros may go: importance, patterns, exact selection. torch is imported when a model is pruned."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from aerogel.prune.entry import prune, recover
from aerogel.prune.pattern import PATTERNS, Pattern
from aerogel.prune.report import LayerReport, PruneReport, PruneResult, RecoveryReport
from aerogel.prune.schedule import Schedule

__all__ = [
    "PATTERNS",
    "LayerReport",
    "Pattern",
    "PruneReport",
    "PruneResult",
    "RecoveryReport",
    "Schedule",
    "prune",
    "recover",
]


class _CallableModule(ModuleType):
    """Importing this package binds ``aerogel.prune`` to the module, which would hide the function
    ``aerogel.prune``; so the module, called, is that function."""

    def __call__(self, *args: Any, **options: Any) -> PruneResult:
        return prune(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
