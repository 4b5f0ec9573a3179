"""``with meter() as m``: the energy of a block, measured where there is a meter, else bounded by a model."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aerogel.core.errors import MeasureError, require
from aerogel.energy.host import Host, this_host
from aerogel.energy.models import Estimate, Method, Model, Usage, choose_model
from aerogel.energy.rapl import survey
from aerogel.energy.reading import Reading
from aerogel.energy.recording import Counted, Recording

CpuTime = Callable[[], float]
"""CPU seconds so far."""


def meter(
    *,
    tdp_watts: float | None = None,
    tdp_threads: int | None = None,
    root: Path | str = Path("/"),
    cpu_time: CpuTime | None = None,
) -> Meter:
    """The energy of one block.

        with meter() as m:
            work()
        print(m)    # also m.joules, m.low, m.high, m.method, m.source, m.seconds, m.cpu_seconds, m.to_json()

    With RAPL counters that may be read, the energy of all CPU packages and of their memory is measured,
    whoever used them. Without, ``m.joules`` is None and the bounds are those of the power model
    ``watts-per-thread``. Given the CPU's thermal design power in watts (``tdp_watts`` or AEROGEL_TDP_WATTS;
    of all sockets together) and, in a virtual machine, the hardware threads that it is for (``tdp_threads``
    or AEROGEL_TDP_THREADS), ``m.joules`` is an estimate. ``models.py`` has the models and their sources.
    GPUs are never included.

    Blocks may be nested, run in several threads at once, and fail: the reading is there all the same.
    InputError where a power or a number of threads is none. ``root``: where the system's files are looked up.
    ``cpu_time``: the CPU seconds so far of whatever the block is charged for, where that is not this process
    and the children it has waited for; power models need it.
    """
    host = this_host(Path(root))
    return Meter(choose_model(tdp_watts, tdp_threads, host), host, Path(root), cpu_time or cpu_s)


class Meter:
    """Made by ``meter``; good for one block. All but entering it is an error until the block has ended."""

    def __init__(self, model: Model, host: Host, root: Path, cpu_time: CpuTime) -> None:
        self._model, self._host, self._root, self._cpu_time = model, host, root, cpu_time
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
        self._running = _Running(self._root, self._cpu_time)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._running is not None and self._reading is None:
            self._reading = self._running.finish(self._model, self._host)

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
        return self._model.estimate(Usage(reading.seconds, 0.0, self._host.reserved))

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

    def __init__(self, root: Path, cpu_time: CpuTime) -> None:
        self._survey, self._cpu_time = survey(root), cpu_time
        self._obstacle = self._survey.obstacle
        self._recording = self._record()
        self._cpu_s, self._began = cpu_time(), time.perf_counter()

    def _record(self) -> Recording | None:
        if self._obstacle:
            return None
        try:
            return Recording(self._survey.zones)
        except MeasureError as error:
            self._obstacle = str(error)
            return None

    def finish(self, model: Model, host: Host) -> Reading:
        seconds, cpu_seconds = time.perf_counter() - self._began, self._cpu_time() - self._cpu_s
        if self._recording is not None:
            try:
                counted = self._recording.finish()
            except MeasureError as error:
                self._obstacle = str(error)
            else:
                return _measured(counted, host, seconds, cpu_seconds)
        found = model.estimate(Usage(seconds, cpu_seconds, host.reserved))
        return Reading(
            joules=found.joules,
            low=found.low,
            high=found.high,
            method=model.method,
            source=f"{model.about}; {host.show()}",
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            model=model.name,
            obstacle=self._obstacle,
            advice=self._survey.advice,
        )


def _measured(counted: Counted, host: Host, seconds: float, cpu_seconds: float) -> Reading:
    return Reading(
        joules=counted.joules,
        low=counted.low,
        high=counted.high,
        method="measured",
        source=meter_text(counted.summed, counted.mirrored, virtual=host.virtual is True),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
    )


def meter_text(summed: tuple[str, ...], mirrored: tuple[str, ...] = (), *, virtual: bool = False) -> str:
    """What RAPL covers, in words, and what is known of its error."""
    whose = "as shown to this virtual machine" if virtual else "all of it, other processes included"
    once = f", {len(mirrored)} mirrored counters left out" if mirrored else ""
    return f"RAPL {' + '.join(summed)} ({whose}{once}; makers state no error of the counters)"


def cpu_s() -> float:
    """CPU time of this process and of its children that have been waited for, in seconds."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
