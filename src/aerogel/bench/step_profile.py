"""Where the time of our own rows goes: every step of a call, and its share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aerogel.bench.apart import apart
from aerogel.bench.cases import shape_case
from aerogel.bench.render import aligned, milliseconds
from aerogel.bench.table import Table
from aerogel.core.errors import MeasureError
from aerogel.model.explain import Explanation, StepCost
from aerogel.model.work import HOW
from aerogel.tune.energy_fit import require_meter

_LONGEST_NAME = 44


@dataclass(frozen=True, slots=True)
class StepProfile:
    """The steps of one row at one shape, each timed alone: their sum is not quite the whole call's time.
    ``no_energy``: why there are no joules of steps, where they were asked for."""

    row: str
    shape: str
    found: Explanation
    no_energy: str = ""

    @property
    def steps_s(self) -> float:
        """The time of all steps together."""
        return sum(step.seconds for step in self.found.steps)

    def share(self, step: StepCost) -> float:
        """Of the time of all steps."""
        return step.seconds / self.steps_s if self.steps_s else 0.0

    def to_json(self) -> dict[str, Any]:
        told = self.found.to_json()
        for written, step in zip(told["steps"], self.found.steps, strict=True):
            written["time_share"] = self.share(step)
        kernels = {kernel: s / self.steps_s for kernel, s in self.found.by_kernel().items() if self.steps_s}
        own = {"row": self.row, "shape": self.shape, "steps_s": self.steps_s, "by_kernel": kernels}
        return {**own, **told, **({"no_energy": self.no_energy} if self.no_energy else {})}

    def __str__(self) -> str:
        head = ("step", "kernel", "shape", "zeros", "operations", "bytes", "time", "share")
        head = head if self.found.energy is None else (*head, "energy")
        rows = [self._line(step) for step in self.found.steps]
        kernels = ", ".join(f"{k} {_percent(v / self.steps_s)}" for k, v in self.found.by_kernel().items())
        whole = (
            f"{milliseconds(self.found.seconds)} the whole call, {milliseconds(self.steps_s)} its steps alone"
        )
        title = f"{self.row} at {self.shape}, {self.found.threads} thread(s): {whole}"
        work = self.found.work
        counted = f"{work.flops}, {work.bytes}: {HOW}."
        energy = [] if self.found.energy is None else [f"Energy: {self.found.energy}."]
        energy += [f"{self.no_energy}."] if self.no_energy else []
        table = aligned([head, *rows], left=(0, 1))
        return "\n".join([title, *table, f"In all: {kernels}.", counted, *energy])

    def _line(self, step: StepCost) -> tuple[str, ...]:
        short = step.name if len(step.name) <= _LONGEST_NAME else f"...{step.name[3 - _LONGEST_NAME :]}"
        zeros = "" if step.zeros is None else _percent(step.zeros)
        return (
            short,
            step.kernel,
            step.shape,
            zeros,
            step.work.flops if step.work.flops_gross else "",
            step.work.bytes,
            _microseconds(step.seconds),
            _percent(self.share(step)),
            *([] if step.energy is None else [str(step.energy)]),
        )


def profiles(
    table: Table, shape: str, tell: Callable[[str, float], None], *, energy: bool = False
) -> tuple[StepProfile, ...]:
    """The profile of every row of our own, each in a process of its own, at a shape such as ``1x128``.
    ``energy``: with joules of steps, where energy is metered here."""
    case = dict(shape_case(shape).params)
    rows = [row for row in table.rows if row in table.own]
    why = _no_energy() if energy else ""
    found: list[StepProfile] = []
    for number, row in enumerate(rows):
        tell(f"the steps of {row} at {shape}", number / len(rows))
        made = table.comparison.facts(row).contender
        asked = _Asked(made.factory, dict(made.args), dict(made.env), case, energy=energy and not why)
        found.append(StepProfile(row, shape, apart(_explained, asked, tell=_quiet), why))
    return tuple(found)


def _no_energy() -> str:
    """Why there are no joules of steps; "" where there are."""
    try:
        require_meter()
    except MeasureError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a process is asked to explain: a contender, and the case to prepare it for."""

    factory: str
    args: Mapping[str, Any]
    env: Mapping[str, str]
    case: Mapping[str, Any]
    energy: bool


def _explained(asked: _Asked, tell: Callable[[str, float], None]) -> Explanation:
    os.environ.update(asked.env)
    module, _, function = asked.factory.partition(":")
    subject = getattr(import_module(module), function)(**asked.args)
    subject.prepare(asked.case)
    return subject.explain(energy=asked.energy)


def profiles_text(found: Sequence[StepProfile]) -> str:
    """All of them as text."""
    return "\n\n".join(str(profile) for profile in found)


def _quiet(words: str, share: float) -> None:
    """The processes have nothing to tell."""


def _microseconds(seconds: float) -> str:
    # What starting a step costs is taken off its time, which leaves less than can be told of some.
    return f"{1e6 * seconds:.0f} us" if seconds >= 5e-7 else "< 1 us"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"
