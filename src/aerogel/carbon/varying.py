"""Grid intensity that varies with time, for runs that are over: the mean over the time each took."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.carbon.amount import Amount
from aerogel.carbon.assess import Intensity
from aerogel.carbon.factor import Factor
from aerogel.carbon.plan.intensities import UNIT, Intensities, Slot
from aerogel.carbon.run import Run

_TOLERANCE_S = 1e-6


def varying(table: Intensities, source: str) -> Intensity:
    """For ``Settings.intensity``: of a run that ``table`` covers from its beginning to its end the mean over
    that time, as if it drew the same power all the while; of any other None. ``source``: the table's name."""

    def of(run: Run) -> Factor | None:
        begin = run.began_at.timestamp()
        # A run of no length takes the slot it lies in.
        end = begin + max(run.seconds, _TOLERANCE_S)
        parts = [slot.within(begin, end) for slot in table.get(run.place or "", ())]
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


def _mean(slots: Sequence[Slot], seconds: float) -> Amount:
    return Amount.total((slot.intensity.scaled(slot.seconds / seconds) for slot in slots), UNIT)
