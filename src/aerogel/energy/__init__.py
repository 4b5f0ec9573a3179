"""Energy: meters where there are any, and named power models with wide bounds where there are none.

with meter() as m:
    work()
print(m)     # joules, bounds, method and source in one sentence
"""

from __future__ import annotations

from aerogel.energy.block import Meter, here, meter
from aerogel.energy.reading import Reading
from aerogel.energy.saving import saving
from aerogel.energy.source import Part, Survey, Where
from aerogel.energy.sources import SOURCES, surveys

__all__ = [
    "SOURCES",
    "Meter",
    "Part",
    "Reading",
    "Survey",
    "Where",
    "here",
    "meter",
    "saving",
    "surveys",
]
