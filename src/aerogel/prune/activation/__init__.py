"""Small activations as zeros: thresholds found on data, applied by the torch module, taken off again."""

from __future__ import annotations

from aerogel.prune.activation.entry import sparsify_activations
from aerogel.prune.activation.report import ActivationReport, ActivationResult, SiteReport
from aerogel.prune.activation.thresholds import apply_thresholds, remove_thresholds, thresholds_of

__all__ = [
    "ActivationReport",
    "ActivationResult",
    "SiteReport",
    "apply_thresholds",
    "remove_thresholds",
    "sparsify_activations",
    "thresholds_of",
]
