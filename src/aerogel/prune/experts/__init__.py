"""Experts that are really removed from mixtures of experts, by what they add to the model's sums."""

from __future__ import annotations

from aerogel.prune.experts.entry import remove_experts
from aerogel.prune.experts.report import ExpertsReport, ExpertsResult, MixtureReport

__all__ = ["ExpertsReport", "ExpertsResult", "MixtureReport", "remove_experts"]
