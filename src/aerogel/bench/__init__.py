"""Contenders and the comparison of an encoder across runtimes. Other runtimes are imported only in the
process of their contender."""

from __future__ import annotations

from aerogel.bench.encoder import DENSE, RUNTIMES, EncoderBench, Variant, compare_encoder
from aerogel.bench.quality import Quality, quality
from aerogel.bench.render import milliseconds, plain, rich_table
from aerogel.bench.table import Table

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
    "quality",
    "rich_table",
]
