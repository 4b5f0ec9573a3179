"""``with meter() as m``: the energy of a block, measured where there are meters, else bounded by a model."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aerogel.core.errors import MeasureError, require
from aerogel.energy.estimate import estimated
from aerogel.energy.host import this_host
from aerogel.energy.models import Estimate, Method, Usage, choose_model
from aerogel.energy.reading import Reading
from aerogel.energy.recording import Recording
from aerogel.energy.source import CpuTime, Survey, Where
from aerogel.energy.sources import require_known, surveys
from aerogel.energy.together import read_together


def meter(
    *,
    tdp_watts: float | None = None,
    tdp_threads: int | None = None,
    root: Path | str = Path("/"),
    cpu_time: CpuTime | None = None,
    wall_log: Path | str | None = None,
    meters: Sequence[str] | None = None,
) -> Meter:
    """The energy of one block.

        with meter() as m:
            work()
        print(m)    # also m.joules, m.low, m.high, m.method, m.source, m.seconds, m.cpu_seconds, m.to_json()

    What meters there are is summed without overlap, whoever used the energy: CPU packages and their memory by
    RAPL, GPUs by NVML, others by hwmon or powermetrics; ``m.reading.parts`` has each by itself. Given the log
    that a wall meter writes (``wall_log`` or AEROGEL_WALL_LOG; see wall.py), it is the whole computer's.

    Where the CPU has no meter, ``m.joules`` is None and the bounds are those of the power model
    ``watts-per-thread``. Given the CPU's thermal design power in watts (``tdp_watts`` or AEROGEL_TDP_WATTS;
    of all sockets together) and, in a virtual machine, the hardware threads that it is for (``tdp_threads``
    or AEROGEL_TDP_THREADS), ``m.joules`` is an estimate. ``models.py`` has the models and their sources.

    Blocks may be nested, run in several threads at once, and fail: the reading is there all the same.
    InputError where a power or a number of threads is none. ``root``: where the system's files are looked up.
    ``cpu_time``: the CPU seconds so far of whatever the block is charged for, where that is not this process
    and the children it has waited for; power models need it. ``meters``: the sources that may be used, by
    their names in ``SOURCES``; all by default.
    """
    require_known(meters or ())
    where = here(tdp_watts=tdp_watts, tdp_threads=tdp_threads, root=root, wall_log=wall_log)
    if cpu_time is not None:
        where = replace(where, cpu_time=cpu_time)
    return Meter(where, None if meters is None else tuple(meters))


def here(
    *,
    tdp_watts: float | None = None,
    tdp_threads: int | None = None,
    root: Path | str = Path("/"),
    wall_log: Path | str | None = None,
) -> Where:
    """What ``meter`` with these arguments, and the environment's, looks at."""
    root = Path(root)
    host = this_host(root)
    log = wall_log or os.environ.get("AEROGEL_WALL_LOG", "").strip() or None
    return Where(
        root=root,
        wall_log=None if log is None else Path(log).expanduser(),
        model=choose_model(tdp_watts, tdp_threads, host),
        host=host,
    )


class Meter:
    """Made by ``meter``; good for one block. All but entering it is an error until the block has ended."""

    def __init__(
        self, where: Where, meters: tuple[str, ...] | None = None, found: tuple[Survey, ...] | None = None
    ) -> None:
        """``found``: the surveys of another meter of the same place, which need not be made again."""
        self._where, self._meters, self._found = where, meters, found
        self._unused = threading.Lock()
        self._running: _Running | None = None
        self._reading: Reading | None = None

    def __enter__(self) -> Self:
        # Never released: of two threads that enter it at once, one is told.
        require(
            self._unused.acquire(blocking=False),
            MeasureError,
            "this meter has been used already: make one for each block, with meter()",
        )
        if self._found is None:
            self._found = surveys(self._where, self._meters)
        self._running = _Running(self._where, self._found)
        return self

    def another(self) -> Meter:
        """A meter for another block that looks where this one does; quicker than ``meter()``, which looks for
        what there is."""
        return Meter(self._where, self._meters, self._found)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._running is not None and self._reading is None:
            self._reading = self._running.finish()

    @property
    def reading(self) -> Reading:
        """What the block took; MeasureError before it has ended."""
        if self._reading is None:
            so_far = "has not begun" if self._running is None else "has not ended"
            raise MeasureError(f"the metered block {so_far}: read the meter after `with meter() as m: ...`")
        return self._reading

    @property
    def idle(self) -> Estimate | None:
        """What the power model says the block would have taken without its load; None where it was measured:
        a counter does not tell the two apart."""
        reading = self.reading
        if reading.model is None:
            return None
        return self._where.model.estimate(Usage(reading.seconds, 0.0, self._where.host.reserved))

    @property
    def joules(self) -> float | None:
        return self.reading.joules

    @property
    def low(self) -> float | None:
        return self.reading.low

    @property
    def high(self) -> float | None:
        return self.reading.high

    @property
    def method(self) -> Method:
        return self.reading.method

    @property
    def source(self) -> str:
        return self.reading.source

    @property
    def seconds(self) -> float:
        return self.reading.seconds

    @property
    def cpu_seconds(self) -> float:
        return self.reading.cpu_seconds

    def __str__(self) -> str:
        return str(self.reading)

    def to_json(self) -> dict[str, Any]:
        return self.reading.to_json()


class _Running:
    """From entering a block to leaving it. Nothing that is wrong with a meter is an error of the block."""

    def __init__(self, where: Where, found: tuple[Survey, ...]) -> None:
        self._where, self._surveys = where, found
        # The estimate is made of the block's own clocks.
        read = (s for s in self._surveys if not s.obstacle and s.source != "estimate")
        self._recording = Recording(tuple(read))
        self._cpu_s, self._began = where.cpu_time(), time.perf_counter()

    def finish(self) -> Reading:
        seconds, cpu_seconds = time.perf_counter() - self._began, self._where.cpu_time() - self._cpu_s
        counted = self._recording.finish()
        if any(s.source == "estimate" for s in self._surveys):
            usage = Usage(seconds, cpu_seconds, self._where.host.reserved)
            counted["estimate"] = estimated(self._where, usage)
        return read_together(self._surveys, counted, self._recording.failed, seconds, cpu_seconds)
