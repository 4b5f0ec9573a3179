"""The part of an inspection that is measured: the whole model, and the break-even map, in turns, so that the
most important of both is there when time runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from aerogel.core.errors import AerogelError
from aerogel.core.target import current
from aerogel.find.estimate import Estimate, estimates
from aerogel.find.other_runtime import OtherRuntime, WholeControl, measure_other_runtime
from aerogel.find.paymap import SMALLEST, WAYS, MapTimer, PayMap, uses
from aerogel.find.program import Gain, Split
from aerogel.find.skipped import Skipped
from aerogel.find.subject import Subject
from aerogel.find.whole import TRIALS, WholeTimer, in_floats

WHOLE = "the whole model"


@dataclass(frozen=True)
class Timing:
    """The part that is measured: the break-even ``pay`` map; ``splits``: where the time of the dense program
    goes, per number of tokens; ``estimates`` from both; ``gains``: of the zeros that are there already;
    ``missing``: what was not timed; ``controls``: the whole model in another runtime."""

    pay: PayMap
    splits: tuple[Split, ...]
    estimates: tuple[Estimate, ...]
    gains: tuple[Gain, ...]
    missing: tuple[Skipped, ...]
    controls: tuple[WholeControl, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "map": self.pay.to_json(),
            "splits": [split.to_json() for split in self.splits],
            "estimates": [estimate.to_json() for estimate in self.estimates],
            "whole_controls": [control.to_json() for control in self.controls],
            "gains": [gain.to_json() for gain in self.gains],
            "missing": [asdict(each) for each in self.missing],
        }


def measure_timing(
    subject: Subject, sparse_share: float, left: Callable[[], float], say: Callable[[str], None]
) -> Timing:
    """``sparse_share``: of the linear weights that are 0 now; 0 where no layer is sparse enough to count."""
    shapes = uses(subject)
    timer = MapTimer(subject, current(), left, say)
    whole, failed = None, list[Skipped]()
    if subject.graph is None:
        failed.append(Skipped(WHOLE, "compile would refuse it"))
    elif any(use.weights >= SMALLEST for use in shapes):
        whole = WholeTimer(subject.graph, sparse_share, left, say)
    beside = list[OtherRuntime]()

    def other() -> None:
        if whole is not None and subject.graph is not None:
            half = left() / 2
            beside.append(measure_other_runtime(in_floats(subject.graph), lambda: left() - half, say))

    stages = _stages(timer, whole, other)
    for stage in stages:
        try:
            stage()
        except AerogelError as error:
            # One stage that fails is no reason to lose the others.
            failed.append(Skipped(WHOLE, str(error)))
    pay = timer.result()
    splits = whole.splits if whole else ()
    controls = beside[0].controls if beside else ()
    found = estimates(pay, splits, shapes, whole.trials if whole else (), controls)
    unknown = [each.missing for each in beside if each.missing is not None]
    missing = (*failed, *unknown, *(whole.missing if whole else ()), *pay.missing)
    return Timing(pay, splits, found, whole.gains if whole else (), missing, controls)


def _stages(timer: MapTimer, whole: WholeTimer | None, other: Callable[[], None]) -> list[Callable[[], None]]:
    """The most important first: where the time goes, then for each way its map and its trial. Another
    runtime, on the whole model and layer by layer, comes before the first of the longer maps."""
    stages: list[Callable[[], None]] = [] if whole is None else [whole.now]
    for way in WAYS:
        stages.append(partial(timer.way, way))
        if whole is not None and way in TRIALS:
            stages.append(partial(whole.trial, way))
        if way == WAYS[0]:
            stages += [other, timer.control]
    return stages
