"""Energy: meters where there are any, and named power models with wide bounds where there are none.

with meter() as m:
    work()
print(m)     # joules, bounds, method and source in one sentence
"""

from __future__ import annotations

from aerogel.energy.block import Meter, meter, meter_text
from aerogel.energy.host import Host, this_host
from aerogel.energy.models import LinearTdp, Model, WattsPerThread, choose_model
from aerogel.energy.rapl import Survey, survey
from aerogel.energy.reading import Reading
from aerogel.energy.saving import saving

__all__ = [
    "Host",
    "LinearTdp",
    "Meter",
    "Model",
    "Reading",
    "Survey",
    "WattsPerThread",
    "choose_model",
    "meter",
    "meter_text",
    "saving",
    "survey",
    "this_host",
]
