"""All sources of energy readings in one table: the first that covers a part of the computer is summed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aerogel.core.errors import InputError, require
from aerogel.energy import estimate, hwmon, nvml, powermetrics, wall, zones
from aerogel.energy.source import Survey, Where

SOURCES: dict[str, Callable[[Where], Survey]] = {
    "rapl": zones.survey,
    "nvml": nvml.survey,
    "hwmon": hwmon.survey,
    "powermetrics": powermetrics.survey,
    "wall": wall.survey,
    "estimate": estimate.survey,
}


def require_known(meters: Iterable[str]) -> None:
    """InputError for a name that is no source's, and for a name in place of a list."""
    told = f"meters={meters!r}: give a list of names, such as ['rapl', 'nvml']"
    require(not isinstance(meters, str), InputError, told)
    unknown = sorted(set(meters) - SOURCES.keys())
    said = f"no meter is called {', '.join(map(repr, unknown))}: there are {', '.join(SOURCES)}"
    require(not unknown, InputError, said)


def surveys(where: Where | None = None, meters: tuple[str, ...] | None = None) -> tuple[Survey, ...]:
    """What each source finds; of those named in ``meters`` alone, where it is given. InputError for a name
    that is none."""
    require_known(meters or ())
    where = where or Where()
    return tuple(survey(where) for name, survey in SOURCES.items() if meters is None or name in meters)
