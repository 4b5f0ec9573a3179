"""The estimate, as a source like any other: what a power model says where nothing measures the CPU."""

from __future__ import annotations

from time import perf_counter

from aerogel.energy.models import Usage
from aerogel.energy.source import CPU, Counted, Part, Survey, Where

ABOUT = "a power model, from the time for which threads were reserved and used"


def survey(where: Where) -> Survey:
    """It is always there; how wide its bounds are depends on what is known of the CPU."""
    return Survey("estimate", ABOUT, channels=(where.model.name,), begin=lambda: Clocked(where))


class Clocked:
    """Wall and CPU time, from now to ``finish``."""

    pause_s = float("inf")

    def __init__(self, where: Where) -> None:
        self._where = where
        self._cpu_s, self._began_s = where.cpu_time(), perf_counter()

    def look(self) -> None:
        """Its clocks run by themselves."""

    def finish(self) -> Counted:
        seconds, cpu_seconds = perf_counter() - self._began_s, self._where.cpu_time() - self._cpu_s
        return estimated(self._where, Usage(seconds, cpu_seconds, self._where.host.reserved))


def estimated(where: Where, usage: Usage) -> Counted:
    """What the power model says of ``usage``."""
    model = where.model
    found = model.estimate(usage)
    part = Part("estimate", model.name, CPU, found.joules, found.low, found.high, model.method)
    about = f"{model.about}; {where.host.show()}"
    return Counted((part,), about, covers=getattr(model, "covers", ""))
