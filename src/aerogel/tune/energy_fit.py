"""The energy roofline of this machine: its loops metered in turns, fitted, and kept for this user."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

from aerogel.core.caches import caches
from aerogel.core.errors import AerogelError, MeasureError, require
from aerogel.core.files import read_json_object, replace_file
from aerogel.core.target import Target
from aerogel.energy.activity import Activity
from aerogel.energy.block import Meter, meter
from aerogel.energy.reading import Reading
from aerogel.energy.roofline import NEEDS_METER, Roofline
from aerogel.energy.roofline_fit import Sample, fit
from aerogel.energy.sources import SOURCES
from aerogel.measure import machine
from aerogel.native.cache import private_folder
from aerogel.tune.energy_loops import MeteredLoop, loops

ROUNDS = 3
BLOCK_S = 0.4
"""Of each metered block: the millisecond in which counters move is little of it."""
_WARM = 0.25
"""Share of a block that it runs for before it is metered."""
_GLANCE_S = 0.02
_log = logging.getLogger("aerogel")


class Metered(Protocol):
    """A meter once its block has ended."""

    @property
    def reading(self) -> Reading: ...


NewMeter = Callable[[], AbstractContextManager[Metered]]
Tell = Callable[[str, float], None]


def cpu_meter() -> Meter:
    """A meter for what runs on the CPU: GPUs of NVIDIA, which idle meanwhile, are left out."""
    return meter(meters=[name for name in SOURCES if name != "nvml"])


def require_meter(new_meter: NewMeter | None = None) -> Reading:
    """What meters the CPU's energy here; MeasureError, saying why and what to do, where nothing does."""
    with (new_meter or cpu_meter)() as metered:
        time.sleep(_GLANCE_S)
    found = metered.reading
    advice = f"; {found.advice}" if found.advice else ""
    told = f"{NEEDS_METER}: {found.obstacle or 'there is none here'}{advice}"
    require(found.method == "measured", MeasureError, told)
    return found


def machine_roofline(
    target: Target,
    threads: int,
    *,
    new_meter: NewMeter | None = None,
    tell: Tell = lambda _words, _share: None,
    again: bool = False,
) -> Roofline:
    """The energy roofline of this machine at so many threads: the one that was kept, or, where there is
    none or ``again``, fitted now, which takes about half a minute in which nothing else should run.

    MeasureError where nothing meters energy, and where the fit does not describe the machine.
    """
    seen = require_meter(new_meter)
    about = f"{machine().cpu or target.arch}, {threads} thread(s), {target.name}"
    kept = _place(f"{about}; {target.fingerprint}; {seen.source}")
    found = None if again else _load(kept)
    if found is None:
        sizes = caches()
        told = "energy per layer needs the sizes of the caches, which this system does not tell"
        require(sizes, MeasureError, told)
        samples = metered(loops(target, threads, sizes), new_meter or cpu_meter, tell=tell)
        found = fit(samples, seen.source, about, datetime.now(UTC).date())
        _store(kept, found)
    return found


def metered(
    wanted: Sequence[MeteredLoop],
    new_meter: NewMeter,
    *,
    rounds: int = ROUNDS,
    block_s: float = BLOCK_S,
    clock: Callable[[], float] = time.perf_counter,
    tell: Tell = lambda _words, _share: None,
) -> list[Sample]:
    """Every loop metered once a round, in another order each, so that a drift of the machine is not taken for
    the energy of one of them. MeasureError where the meter fails in one."""
    order = random.Random(0)
    found: list[Sample] = []
    for _ in range(rounds):
        for loop in order.sample(list(wanted), len(wanted)):
            tell(f"metering {loop.name}", len(found) / (rounds * len(wanted)))
            _repeat(loop, _WARM * block_s, clock)
            found.append(_sample(loop, new_meter, block_s, clock))
    return found


def _sample(loop: MeteredLoop, new_meter: NewMeter, block_s: float, clock: Callable[[], float]) -> Sample:
    with new_meter() as block:
        calls = _repeat(loop, block_s, clock)
    found = block.reading
    told = f"{NEEDS_METER} that does not fail: in loop {loop.name!r} {found.obstacle or 'it counted nothing'}"
    measured = found.method == "measured" and found.joules is not None
    require(measured, MeasureError, told)
    joules = found.joules or 0.0
    activity = Activity(
        found.seconds,
        found.cpu_seconds,
        {kind: calls * count for kind, count in loop.operations.items()},
        {level: calls * count for level, count in loop.bytes.items()},
    )
    low = joules if found.low is None else found.low
    high = joules if found.high is None else found.high
    return Sample(loop.name, activity, joules, low, high, loop.held_out)


def _repeat(loop: MeteredLoop, seconds: float, clock: Callable[[], float]) -> int:
    """How many calls there were in so much time, at least one."""
    began, calls = clock(), 0
    while calls == 0 or clock() - began < seconds:
        loop.call()
        calls += 1
    return calls


# --- kept for this user -------------------------------------------------------------------------


def _place(key: str) -> Path | None:
    """None where nothing can be kept: then it is fitted each time."""
    try:
        return private_folder("energy") / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    except AerogelError as error:
        _log.warning("the energy roofline is not kept: %s", error)
        return None


def _load(path: Path | None) -> Roofline | None:
    if path is None or not path.is_file():
        return None
    try:
        return Roofline.of_json(read_json_object(path))
    except AerogelError as error:
        _log.warning("the energy roofline in %s is fitted anew: %s", path, error)
        return None


def _store(path: Path | None, found: Roofline) -> None:
    if path is None:
        return

    def write(file: IO[bytes]) -> None:
        file.write(json.dumps(found.to_json(), indent=1).encode())

    try:
        replace_file(path, write)
    except AerogelError as error:
        _log.warning("the energy roofline is not kept: %s", error)
