"""Sources followed through a block: read at its ends, and in between by a thread as often as they need it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterable

from aerogel.core.errors import MeasureError
from aerogel.energy.source import Counted, Following, Survey

_TOGETHER_S = 0.02
"""Sources that are due so soon are looked at at once: waking up costs as much as a look."""


class Recording:
    """Looks at every source from the start to ``finish``, by a daemon thread that sleeps in between. Begin
    and end may be in different threads."""

    def __init__(self, surveys: tuple[Survey, ...]) -> None:
        """A source that cannot be read now is in ``failed``, with the reason, and the others are followed."""
        self.failed: dict[str, str] = {}
        self._following: dict[str, Following] = {}
        for survey in surveys:
            try:
                self._following[survey.source] = survey.begin()
            except MeasureError as error:
                self.failed[survey.source] = str(error)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="aerogel-meter", daemon=True)
        # Without a thread a short block can still be measured, and a long one says why not.
        if math.isfinite(pause_s(self._following.values())):
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def finish(self) -> dict[str, Counted]:
        """What each source counted; ``failed`` has, for the others, why that cannot be told."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        counted: dict[str, Counted] = {}
        for source, following in self._following.items():
            try:
                counted[source] = following.finish()
            except MeasureError as error:
                self.failed[source] = str(error)
        return counted

    def _follow(self) -> None:
        """Each source is looked at when it is due, and not as often as another needs it."""
        now_s = time.monotonic()
        due = {source: now_s + one.pause_s for source, one in self._following.items()}
        while not self._over.wait(max(0.0, min(due.values()) - time.monotonic())):
            now_s = time.monotonic()
            for source, one in self._following.items():
                if due[source] <= now_s + _TOGETHER_S:
                    one.look()
                    due[source] = now_s + one.pause_s


def pause_s(following: Iterable[Following]) -> float:
    """The time between two looks that all of them are content with; infinite where they need none."""
    return min((one.pause_s for one in following), default=math.inf)
