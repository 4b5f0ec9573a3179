"""All sources of energy readings in one table: the first that covers a part of the computer is summed."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.core.errors import InputError, require
from aerogel.energy import estimate, hwmon, nvml, zones
from aerogel.energy.source import Survey, Where

SOURCES: dict[str, Callable[[Where], Survey]] = {
    "rapl": zones.survey,
    "nvml": nvml.survey,
    "hwmon": hwmon.survey,
    "estimate": estimate.survey,
}


def surveys(where: Where | None = None, meters: tuple[str, ...] | None = None) -> tuple[Survey, ...]:
    """What each source finds; of those named in ``meters`` alone, where it is given. InputError for a name
    that is none."""
    where = where or Where()
    unknown = sorted(set(meters or ()) - SOURCES.keys())
    require(
        not unknown,
        InputError,
        f"no meter is called {', '.join(unknown)}: there are {', '.join(SOURCES)}",
    )
    return tuple(survey(where) for name, survey in SOURCES.items() if meters is None or name in meters)
