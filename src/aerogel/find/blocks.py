"""What is heard of a comparison while it is made: blocks that were timed count even where it is given up
later, for want of time."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from aerogel.core.errors import MeasureError, require
from aerogel.find.skipped import NO_TIME
from aerogel.measure import Progress, Settings
from aerogel.measure.intervals import ratio_interval
from aerogel.tune.breakeven import Bounds


class Blocks:
    """Hears every step of a comparison: keeps the blocks, ends it when time is up, and passes on what
    ``said`` makes of a step, each line once."""

    def __init__(
        self,
        settings: Settings,
        left: Callable[[], float],
        say: Callable[[str], None],
        said: Callable[[Progress], str],
    ) -> None:
        self._settings, self._left, self._say, self._said = settings, left, say, said
        self._told = set[str]()
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def tell(self, step: Progress) -> None:
        """MeasureError when time is up, which ends the comparison."""
        if step.stage == "block" and step.seconds is not None:
            self._seconds.setdefault((step.case, step.contender), []).append(step.seconds)
        if (said := self._said(step)) not in self._told:
            self._told.add(said)
            self._say(said)
        require(self._left() > 0, MeasureError, NO_TIME)

    def whole(self, case: str, contenders: int) -> bool:
        """Was every contender timed in every round?"""
        counts = [len(found) for (name, _), found in self._seconds.items() if name == case]
        return counts == [self._settings.rounds] * contenders

    def seconds(self, case: str, contender: str) -> float:
        """The median block."""
        return median(self._seconds[case, contender])

    def ratio(self, case: str, slow: str, fast: str) -> Bounds:
        """Seconds of ``slow`` over those of ``fast``, round by round."""
        pair = self._seconds[case, slow], self._seconds[case, fast]
        return Bounds(*ratio_interval(*pair, self._settings.confidence, self._settings.resolution))
