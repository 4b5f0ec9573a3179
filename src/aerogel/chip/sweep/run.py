"""A sweep: every point compiled and simulated, one process for each core, each point kept as it is done."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aerogel.chip.energy.area import area
from aerogel.chip.energy.model import load_model
from aerogel.chip.entry import compile as compile_
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.sweep.outcome import Outcome
from aerogel.chip.sweep.record import Record
from aerogel.chip.sweep.variations import Point
from aerogel.core.errors import ChipError, InputError, require
from aerogel.einsum.parse import parse
from aerogel.formats.storage import Storage
from aerogel.native.cores import affinity
from aerogel.tensor.coerce import operand
from aerogel.tensor.presented import presented
from aerogel.tensor.request import Request

Progress = Callable[[int, int, str], None]
"""Told how many points are done, of how many, and what the last one came to."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every fabric has to do: assignments on operands by name. ``energies``: a table of one's own."""

    texts: tuple[str, ...]
    operands: Mapping[str, Storage]
    energies: Path | None = None

    @staticmethod
    def of(texts: Sequence[str], operands: Mapping[str, Any], energies: Path | None = None) -> Work:
        """``operands``: as ``aerogel.evaluate`` takes them. InputError for no text at all."""
        require(texts, InputError, "a sweep has nothing to do: give an assignment")
        stored = {name: operand(value, name) for name, value in operands.items()}
        # What was worked out of operands here need not be sent to other processes.
        return Work(tuple(texts), {name: replace(one) for name, one in stored.items()}, energies)

    def of_text(self, text: str) -> dict[str, Any]:
        """The operands that an assignment names."""
        names = set(Request.of(parse(text)).sources.values())
        return {name: presented(one) for name, one in self.operands.items() if name in names}

    def digest(self, base: Fabric) -> str:
        """Of all that a point's numbers depend on besides its settings."""
        found = hashlib.sha256(repr((self.texts, base)).encode())
        for name, one in sorted(self.operands.items()):
            found.update(repr((name, one.format.short, one.shape, one.dtype.short)).encode())
            for array in (*(a for level in one.levels for a in level), one.values):
                found.update(np.ascontiguousarray(array).tobytes())
        if self.energies is not None:
            try:
                found.update(self.energies.read_bytes())
            except OSError as error:
                raise InputError(f"{self.energies} cannot be read: {error.strerror or error}") from error
        return found.hexdigest()


def sweep(
    work: Work,
    base: Fabric,
    points: Sequence[Point],
    *,
    record: Path | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """The outcome of every point, in their order.

    ``record``: a file in which points are kept as they are done; those that are there are not done again.
    ``processes``: as many at a time; by default one for each core this process may use. A point that has no
    fabric, no mapping or ends in a deadlock has its reason; InputError for operands that do not fit.
    """
    kept = Record(record, work.digest(base), {"work": list(work.texts), "base": base.name})
    load_model(work.energies)
    left = [point for point in points if point.name not in kept.done]
    done = len(points) - len(left)
    if progress is not None:
        progress(done, len(points), f"{done} points were done before" if done else "")
    for outcome in _outcomes(work, left, processes or affinity()):
        kept.add(outcome)
        done += 1
        if progress is not None:
            progress(done, len(points), f"{outcome.point}: {outcome.obstacle or _short(outcome)}")
    return tuple(kept.done[point.name] for point in points)


def _outcomes(work: Work, points: Sequence[Point], processes: int) -> Any:
    if processes == 1 or len(points) < 2:
        yield from (at(work, point) for point in points)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(points)), context, _begin, (work,)) as pool:
        futures: list[Future[Outcome]] = [pool.submit(_at, point) for point in points]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool as error:
            raise ChipError(
                "a process of the sweep was killed, for want of memory perhaps: what is done is kept; go on "
                "with fewer processes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_work: list[Work] = []


def _begin(work: Work) -> None:
    _work[:] = [work]


def _at(point: Point) -> Outcome:
    return at(_work[0], point)


def at(work: Work, point: Point) -> Outcome:
    """All work on one fabric."""
    found = Outcome(point.name, dict(point.settings), obstacle=point.obstacle)
    if point.obstacle:
        return found
    model = load_model(work.energies)
    seconds = joules = low = high = 0.0
    boundary = ""
    for text in work.texts:
        try:
            run = compile_(text, fabric=point.fabric, **work.of_text(text)).simulate()
        except ChipError as error:
            return replace(found, obstacle=str(error).splitlines()[0])
        energy = model.energy(run.counts, point.fabric, seconds=run.seconds)
        seconds, joules = seconds + run.seconds, joules + energy.joules
        low, high, boundary = low + energy.low, high + energy.high, energy.boundary
    size = area(point.fabric, model.table).mm2
    return replace(found, seconds=seconds, joules=joules, low=low, high=high, mm2=size, boundary=boundary)


def _short(outcome: Outcome) -> str:
    assert outcome.seconds is not None and outcome.joules is not None
    return f"{outcome.seconds * 1e6:.3g} us, {outcome.joules * 1e6:.3g} uJ"
