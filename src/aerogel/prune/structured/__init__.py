"""Removal of whole channels, heads and neurons: really smaller modules. torch is imported when it is used."""

from __future__ import annotations

from aerogel.prune.structured.report import KeptWhole, RemovedUnits, StructuredReport, StructuredResult

KINDS = ("channel", "head", "neuron")
"""Patterns that remove what they prune; ``entry.remove_units`` does it."""

__all__ = ["KINDS", "KeptWhole", "RemovedUnits", "StructuredReport", "StructuredResult"]
