"""Time contenders against each other: each in its own process, in alternating blocks, alone on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from numpy.typing import NDArray

from aerogel.core.errors import MeasureError, require
from aerogel.measure.contender import Case, Contender
from aerogel.measure.intervals import median
from aerogel.measure.machine import machine
from aerogel.measure.process import ContenderProcess
from aerogel.measure.results import CaseResult, Comparison, ContenderFacts, Seen, Timing
from aerogel.measure.settings import Progress, Settings

Observer = Callable[[Progress], None]
Watch = Callable[[Callable[[], float]], AbstractContextManager[Any]]
"""Is given a function that tells the CPU seconds so far of a contender; makes what watches a block of it."""


def compare(
    contenders: Sequence[Contender],
    cases: Sequence[Case] = (Case("default"),),
    settings: Settings | None = None,
    *,
    reference: str | None = None,
    preview: Case | None = None,
    progress: Observer | None = None,
    watch: Watch | None = None,
) -> Comparison:
    """Load every contender once, then do every case: outputs first, then blocks in turns (A B B A ...).

    While one contender loads or runs, the processes of all others are stopped, so that their idle thread
    pools and caches cost it nothing. ``reference`` (by default the first contender) is what
    ``Comparison.to_json`` states ratios against. ``preview`` is a case timed for one block as soon as a
    contender is loaded: only ``progress`` hears of it, as a first number for a person who waits. ``progress``
    is told of every step; what it raises ends the comparison. ``watch`` is entered around the timed runs of
    every block, such as a meter; ``CaseResult.seen`` has what it made. Raises MeasureError when a contender
    fails, dies or hangs; no process is left behind.
    """
    settings = settings or Settings()
    names = [contender.name for contender in contenders]
    require(names, MeasureError, "there is nothing to compare: give at least one contender")
    _require_unique(names, "contender")
    _require_unique([case.name for case in cases], "case")
    reference = names[0] if reference is None else reference
    require(
        reference in names, MeasureError, f"reference {reference!r} is not a contender: {', '.join(names)}"
    )
    with ExitStack() as alive:
        total = _total_steps(len(names), cases, settings, preview)
        session = _Session(settings, _Steps(total, progress), watch)
        for contender in contenders:
            session.add(alive.enter_context(ContenderProcess(contender, settings)), preview)
        results = tuple(session.do(case) for case in cases)
        return Comparison(machine(), settings, reference, session.facts(), results)


class _Steps:
    """Counts what is done and tells the observer."""

    def __init__(self, total: int, observer: Observer | None) -> None:
        self._done, self._total, self._observer = 0, total, observer

    def tell(self, stage: Any, contender: str, case: str = "", seconds: float | None = None) -> None:
        self._done += 1
        if self._observer:
            self._observer(Progress(stage, contender, case, self._done, self._total, seconds))


class _Session:
    """The live processes of a comparison; between any two methods all of them are stopped."""

    def __init__(self, settings: Settings, steps: _Steps, watch: Watch | None) -> None:
        self._settings, self._steps, self._watch = settings, steps, watch
        self._processes: list[ContenderProcess] = []

    def add(self, process: ContenderProcess, preview: Case | None) -> None:
        name = process.contender.name
        process.load()
        self._steps.tell("load", name)
        if preview is not None:
            process.prepare(preview)
            self._steps.tell("preview", name, preview.name, median(process.block(preview)))
        process.stop()
        self._processes.append(process)

    def do(self, case: Case) -> CaseResult:
        outputs: dict[str, NDArray[Any]] = {}
        for process in self._processes:
            name = process.contender.name
            process.resume()
            process.prepare(case)
            self._steps.tell("prepare", name, case.name)
            if case.output:
                outputs[name] = process.result(case)
                self._steps.tell("output", name, case.name)
            process.stop()
        seen: dict[str, list[Seen]] = {}
        timings = self._time(case, seen) if case.timed else ()
        watched = {name: tuple(blocks) for name, blocks in seen.items()}
        return CaseResult(case.name, dict(case.params), self._settings, timings, outputs, watched)

    def _time(self, case: Case, seen: dict[str, list[Seen]]) -> tuple[Timing, ...]:
        medians: dict[str, list[float]] = {p.contender.name: [] for p in self._processes}
        runs = dict.fromkeys(medians, 0)
        for turn in range(self._settings.rounds):
            # Every other round backwards, so that a drift of the machine favours nobody.
            for process in self._processes if turn % 2 == 0 else reversed(self._processes):
                name = process.contender.name
                process.resume()
                if self._watch is None:
                    times = process.block(case)
                else:
                    times, watched = _watched(process, case, self._watch)
                    seen.setdefault(name, []).append(watched)
                process.stop()
                medians[name].append(median(times))
                runs[name] += len(times)
                self._steps.tell("block", name, case.name, medians[name][-1])
        confidence = self._settings.confidence
        return tuple(Timing(name, tuple(medians[name]), runs[name], confidence) for name in medians)

    def facts(self) -> tuple[ContenderFacts, ...]:
        found: list[ContenderFacts] = []
        for process in self._processes:
            process.resume()
            own, about = process.facts()
            process.stop()
            rss, python = about["peak_rss_bytes"], about["python"]
            found.append(ContenderFacts(process.contender, process.load_s, python, rss, own))
        return tuple(found)


def _watched(process: ContenderProcess, case: Case, watch: Watch) -> tuple[tuple[float, ...], Seen]:
    """A block of which the timed runs, and nothing else, are watched."""
    process.warm(case)
    with watch(lambda: process.cpu_s) as by:
        times = process.timed(case)
    return times, Seen(by, len(times))


def _total_steps(contenders: int, cases: Sequence[Case], settings: Settings, preview: Case | None) -> int:
    each = [1 + case.output + settings.rounds * case.timed for case in cases]
    return contenders * (1 + (preview is not None) + sum(each))


def _require_unique(names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, MeasureError, f"two {what}s are named {', '.join(twice)}: give each its own name")
