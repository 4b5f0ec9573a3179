"""Honest timing: each contender in a process of its own, in alternating blocks, with intervals.

comparison = compare([Contender("a", "pkg.mod:make_a"), Contender("b", "pkg.mod:make_b")], [Case("1x16")])
comparison.case("1x16").speedup("b", over="a")     # 1.31 [1.24, 1.38], or "not proven"
"""

from __future__ import annotations

from aerogel.measure.compare import compare
from aerogel.measure.contender import Case, Contender, Json, Subject
from aerogel.measure.machine import Machine, machine
from aerogel.measure.results import CaseResult, Comparison, ContenderFacts, Ratio, Timing
from aerogel.measure.settings import Progress, Settings

__all__ = [
    "Case",
    "CaseResult",
    "Comparison",
    "Contender",
    "ContenderFacts",
    "Json",
    "Machine",
    "Progress",
    "Ratio",
    "Settings",
    "Subject",
    "Timing",
    "compare",
    "machine",
]
