"""Runs the comparison: every case on the simulated chip, and on the CPU by everyone in turns, metered."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aerogel.bench.chip.chip_side import OnChip, on_chip
from aerogel.bench.chip.kernels import Kernel
from aerogel.bench.chip.problem import problem_of
from aerogel.bench.chip.summary import OnCpu, Row
from aerogel.bench.einsum.data import Pattern
from aerogel.bench.einsum.problem import Problem, Wanted, save
from aerogel.bench.einsum.side import file_name
from aerogel.bench.energy import per_run, watch_energy
from aerogel.chip.energy.model import Model
from aerogel.chip.fabric.fabric import Fabric
from aerogel.core.errors import ChipError, MeasureError, require
from aerogel.energy.paired import usual
from aerogel.measure import Case, CaseResult, Comparison, Contender, Json, Settings, compare
from aerogel.measure import Progress as Step

_HERE, _DTYPE = "aerogel.bench.chip", "f32"
Tell = Callable[[str, str], None]
Chip = Callable[[Kernel, Problem, Wanted, Fabric, Model], OnChip]


@dataclass(frozen=True, slots=True)
class Plan:
    """``patterns``: where the entries of each case stand; a kernel takes those with as many modes as it has.
    ``threads``: how many the CPU's contenders may use, a row for each. ``chip``: how a case is run there."""

    kernels: tuple[Kernel, ...]
    patterns: tuple[Pattern, ...]
    fabric: Fabric
    model: Model
    settings: Settings
    threads: tuple[int, ...] = (1, 2)
    chip: Chip = field(default=on_chip)

    def cases(self) -> list[tuple[Kernel, Pattern]]:
        return [(k, p) for k in self.kernels for p in self.patterns if p.has(k.kind)]

    def contenders(self, folder: Path) -> list[Contender]:
        """Ours and torch's for each number of threads, SciPy with the one it has."""
        sides = ["own_side", *(["torch_side"] if find_spec("torch") else [])]
        names = {"own_side": "aerogel", "torch_side": "torch", "scipy_side": "scipy"}
        wanted = [(side, threads) for side in sides for threads in self.threads] + [("scipy_side", 1)]
        found: list[Contender] = []
        for side, threads in wanted:
            args: dict[str, Json] = {"folder": str(folder), "threads": threads}
            env = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
            name = f"{names[side]}, {threads} thread{'s' if threads > 1 else ''}"
            found.append(Contender(name, f"{_HERE}.{side}:make", args, env))
        return found


@dataclass(frozen=True, slots=True)
class Compared:
    rows: tuple[Row, ...]
    comparison: Comparison

    def versions(self) -> dict[str, Any]:
        return {facts.contender.name: facts.facts["version"] for facts in self.comparison.contenders}


def run(plan: Plan, tell: Tell | None = None, observer: Callable[[Step], None] | None = None) -> Compared:
    """MeasureError where no case fits, or a result is wrong. ``tell``: is told of each case on the chip, and
    how that went; ``observer``: of each step on the CPU."""
    cases = plan.cases()
    require(cases, MeasureError, "no kernel fits the data: give a matrix, or a tensor of three modes")
    with tempfile.TemporaryDirectory(prefix="aerogel-chip-") as name:
        folder = Path(name)
        chips = [_on_chip(plan, kernel, pattern, folder, tell) for kernel, pattern in cases]
        timed = [Case(f"{k.title} {p.name}", _params(k, p)) for k, p in cases]
        contenders = plan.contenders(folder)
        comparison = compare(contenders, timed, plan.settings, progress=observer, watch=watch_energy)
    rows = [
        Row(k.key, p.name, p.shape, p.stored, on_cpu(case, contenders), chip, why)
        for (k, p), (chip, why), case in zip(cases, chips, comparison.cases, strict=True)
    ]
    return Compared(tuple(rows), comparison)


def _on_chip(
    plan: Plan, kernel: Kernel, pattern: Pattern, folder: Path, tell: Tell | None
) -> tuple[OnChip | None, str]:
    problem, wanted = problem_of(kernel, pattern)
    save(folder / file_name(kernel.key, pattern.name, _DTYPE), problem, wanted)
    name = f"{kernel.title} {pattern.name}"
    try:
        found = plan.chip(kernel, problem, wanted, plan.fabric, plan.model)
    except ChipError as error:
        if tell:
            tell(name, f"not on the chip: {error}")
        return None, str(error)
    if tell:
        tell(name, f"{found.cycles:,} cycles")
    return found, ""


def _params(kernel: Kernel, pattern: Pattern) -> dict[str, Json]:
    return {"operation": kernel.key, "data": pattern.name, "dtype": _DTYPE}


def on_cpu(case: CaseResult, contenders: Sequence[Contender]) -> tuple[OnCpu, ...]:
    """What each contender took for a call."""
    found: list[OnCpu] = []
    for name in (contender.name for contender in contenders):
        reading = usual(per_run(case, name))
        require(
            reading.low is not None and reading.high is not None,
            MeasureError,
            f"the energy of {name} is not even bounded here: {reading.obstacle}",
        )
        assert reading.low is not None and reading.high is not None
        seconds = case.timing(name).median_s
        found.append(
            OnCpu(name, seconds, reading.joules, reading.low, reading.high, reading.method, reading.source)
        )
    return tuple(found)
