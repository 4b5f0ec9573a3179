"""Contenders and the comparison of a model across runtimes. Other runtimes are imported only in the
process of their contender, which may have another Python and so little to import: names load when touched."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aerogel.bench.encoder import RUNTIMES, EncoderBench, compare_encoder
    from aerogel.bench.quality import Quality
    from aerogel.bench.render import milliseconds, plain, rich_table
    from aerogel.bench.table import Table
    from aerogel.bench.variant import DENSE, Variant

__all__ = [
    "DENSE",
    "RUNTIMES",
    "EncoderBench",
    "Quality",
    "Table",
    "Variant",
    "compare_encoder",
    "milliseconds",
    "plain",
    "rich_table",
]

_HOME = {
    "DENSE": "aerogel.bench.variant",
    "RUNTIMES": "aerogel.bench.encoder",
    "EncoderBench": "aerogel.bench.encoder",
    "Quality": "aerogel.bench.quality",
    "Table": "aerogel.bench.table",
    "Variant": "aerogel.bench.variant",
    "compare_encoder": "aerogel.bench.encoder",
    "milliseconds": "aerogel.bench.render",
    "plain": "aerogel.bench.render",
    "rich_table": "aerogel.bench.render",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
