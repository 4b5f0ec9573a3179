"""Grid intensity that varies with time, for runs that are over: the mean over the time each took."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Intensity
from aerogel.carbon.factor import Factor
from aerogel.carbon.intensities import UNIT, Intensities, Slot
from aerogel.carbon.places import place_named
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError, require

_TOLERANCE_S = 1e-6


def varying(table: Intensities, source: str) -> Intensity:
    """For ``Settings.intensity``: of a run that ``table`` covers from its beginning to its end the mean over
    that time, as if it drew the same power all the while; of any other None. ``source``: the table's name.

    InputError where the table names a place that is not known: it would be of no run, and nobody would see.
    """
    named = _named(table, source)

    def of(run: Run) -> Factor | None:
        begin = run.began_at.timestamp()
        # A run of no length takes the slot it lies in.
        end = begin + max(run.seconds, _TOLERANCE_S)
        parts = [slot.within(begin, end) for slot in named.get(run.place or "", ())]
        found = [part for part in parts if part is not None]
        covered = sum(part.seconds for part in found)
        if covered < end - begin - _TOLERANCE_S or not found:
            return None
        mean = _mean(found, covered)
        assert mean.value is not None, "a table has a value in every row"
        return Factor(
            f"grid/{run.place} at {run.began}",
            mean.value,
            mean.low,
            mean.high,
            UNIT,
            run.year,
            source,
            "derived",
            "mean over the time of the run, weighted by time",
            own=True,
        )

    return of


def _named(table: Intensities, source: str) -> Intensities:
    """By places as runs have them: "FRA" of France."""
    found: dict[str, tuple[Slot, ...]] = {}
    for text, slots in table.items():
        try:
            place = place_named(text)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        require(place not in found, InputError, f"{source} has {place} under two names: give it one")
        found[place] = slots
    return found


def _mean(slots: Sequence[Slot], seconds: float) -> Amount:
    return Amount.total((slot.intensity.scaled(slot.seconds / seconds) for slot in slots), UNIT)
