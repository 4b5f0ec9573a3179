"""What GPUs draw while a meter of the whole computer is read: a calibration is of the computer without them.

A power model of the computer is added to what GPUs' own meters count. If it were calibrated with them, what
they draw idle would count twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aerogel.core.errors import MeasureError, require
from aerogel.energy.block import meter
from aerogel.energy.reading import Reading
from aerogel.energy.source import GPU, Part, Where
from aerogel.energy.sources import surveys

METERS = ("nvml", "hwmon", "powermetrics")
"""The sources that know GPUs."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Gpus:
    """``count`` of them drew ``joules``, between ``low`` and ``high``; all 0 where there are none."""

    count: int = 0
    joules: float = 0.0
    low: float = 0.0
    high: float = 0.0


def gpus_of(reading: Reading) -> Gpus:
    """The GPUs among a reading's parts, whether they are in its sum or not."""
    parts = [part for part in reading.parts if _is_gpu(part)]
    return Gpus(
        len(parts),
        sum(part.joules for part in parts if part.joules is not None),
        sum(part.low for part in parts),
        sum(part.high for part in parts),
    )


def require_readable(root: Path | str) -> int:
    """How many GPUs can be read. MeasureError where one is here whose meter a command would open: once it is
    open, what the GPU draws idle would count twice."""
    found = surveys(Where(Path(root)), METERS)
    for survey in found:
        closed = survey.obstacle and survey.present and survey.advice
        told = f"what a GPU draws must be told from the rest, and it cannot be read ({survey.obstacle})"
        blind = closed and any(what.startswith(GPU) for what in survey.covers)
        require(not blind, MeasureError, f"{told}: {survey.advice}")
    return sum(what.startswith(GPU) for one in found if not one.obstacle for what in one.covers)


def beside_gpus(root: Path | str, act: Callable[[], _T]) -> tuple[_T, Gpus, float]:
    """What ``act`` gives, what GPUs drew meanwhile, and the seconds it took."""
    count = require_readable(root)
    with meter(root=root, meters=METERS) as metered:
        done = act()
    found = gpus_of(metered.reading)
    lost = "; ".join(metered.reading.notes) or metered.reading.obstacle
    require(found.count >= count, MeasureError, f"of {count} GPUs {found.count} could be read: {lost}")
    return done, found, metered.seconds


def _is_gpu(part: Part) -> bool:
    return part.covers.startswith(GPU)
