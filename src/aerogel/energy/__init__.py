"""Energy: meters where there are any, and named power models with wide bounds where there are none.

with meter() as m:
    work()
print(m)     # joules, bounds, method and source in one sentence
"""

from __future__ import annotations

from aerogel.energy.block import Meter, meter
from aerogel.energy.rapl import Survey, survey
from aerogel.energy.reading import Reading
from aerogel.energy.saving import saving

__all__ = ["Meter", "Reading", "Survey", "meter", "saving", "survey"]
