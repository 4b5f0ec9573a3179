"""Times operations on patterns: cases are written to a folder, from which every library's process takes
them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aerogel.bench.einsum.data import Pattern, Patterns, pattern_of
from aerogel.bench.einsum.first_call import FirstCall, first_call
from aerogel.bench.einsum.operations import OPERATIONS
from aerogel.bench.einsum.peers import LIBRARIES, OWN, libraries_for
from aerogel.bench.einsum.problem import DTYPES, build, save
from aerogel.bench.einsum.reference import wanted
from aerogel.bench.einsum.side import file_name
from aerogel.bench.einsum.summary import Row, rows_of
from aerogel.core.errors import MeasureError
from aerogel.measure import Case, Comparison, Json, Progress, Settings, compare

TINY = "tiny"
"""The pattern whose calls are all overhead: its work takes under a tenth of a microsecond."""
Observer = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``libraries``: who is timed, where they can; ``slow``: also what takes them very long; ``patterns``:
    of each operation at most so many, evenly from small to large, None for all of them."""

    data: Patterns
    settings: Settings
    libraries: tuple[str, ...] = tuple(LIBRARIES)
    threads: int = 2
    slow: bool = False
    patterns: int | None = None
    dtypes: tuple[str, ...] = DTYPES

    def timed_on(self, operation: str) -> list[Pattern]:
        found = self.data.of(OPERATIONS[operation])
        if self.patterns is None or len(found) <= self.patterns:
            return found
        picked = np.linspace(0, len(found) - 1, self.patterns).round().astype(int)
        return [found[at] for at in picked]

    def groups(self, operations: Sequence[str]) -> list[list[str]]:
        """Operations that the same libraries do: these are timed with one process of each."""
        by: dict[tuple[str, ...], list[str]] = {}
        for operation in operations:
            who = tuple(libraries_for(operation, self.libraries, slow=self.slow))
            by.setdefault(who, []).append(operation)
        return list(by.values())


@dataclass(slots=True)
class Measured:
    """``rows``: of every case, the tiny ones too; ``facts``: what each library says of itself, of each
    operation; ``failed``: why an operation has no rows."""

    rows: list[Row] = field(default_factory=list[Row])
    first_calls: dict[str, FirstCall] = field(default_factory=dict[str, FirstCall])
    facts: dict[str, dict[str, dict[str, Json]]] = field(
        default_factory=dict[str, dict[str, dict[str, Json]]]
    )
    failed: dict[str, str] = field(default_factory=dict[str, str])


def measure(plan: Plan, operations: Sequence[str], progress: Observer | None = None) -> Measured:
    """Time them all; a failure is told of its operation, and the others go on."""
    into = Measured()
    for group in plan.groups(operations):
        _measure(plan, group, into, progress)
    return into


def _measure(plan: Plan, operations: list[str], into: Measured, progress: Observer | None) -> None:
    """All at once, or if that fails each by itself."""
    try:
        with tempfile.TemporaryDirectory(prefix="aerogel-einsum-") as folder:
            _group(plan, operations, Path(folder), into, progress)
    except MeasureError as error:
        if len(operations) == 1:
            into.failed[operations[0]] = str(error)
            return
        for operation in operations:
            _measure(plan, [operation], into, progress)


def _group(
    plan: Plan, operations: list[str], folder: Path, into: Measured, progress: Observer | None
) -> None:
    names = libraries_for(operations[0], plan.libraries, slow=plan.slow)
    stored: dict[str, int] = {}
    cases: list[Case] = []
    for operation in operations:
        for pattern in [tiny(operation), *plan.timed_on(operation)]:
            stored[pattern.name] = pattern.stored
            cases += [_case(operation, pattern, dtype, folder) for dtype in plan.dtypes]
    contenders = [LIBRARIES[name].contender(name, folder, plan.threads) for name in names]
    first_calls: dict[str, FirstCall] = {}
    if OWN in names:
        for operation in operations:
            # On real work, which may take other code than the tiny case does.
            smallest = next((p.name for p in plan.timed_on(operation)), TINY)
            file = file_name(operation, smallest, plan.dtypes[0])
            first_calls[operation] = first_call(folder, operation, file, plan.threads)
    comparison = compare(contenders, cases, plan.settings, progress=progress)
    into.rows += rows_of(comparison, stored)
    into.first_calls |= first_calls
    into.facts |= {operation: _facts(comparison, operation) for operation in operations}


def _case(operation: str, pattern: Pattern, dtype: str, folder: Path) -> Case:
    problem = build(operation, pattern, dtype)
    save(folder / file_name(operation, pattern.name, dtype), problem, wanted(problem))
    params: dict[str, Json] = {"operation": operation, "data": pattern.name, "dtype": dtype}
    return Case(f"{operation} {pattern.name} {dtype}", params)


def _facts(comparison: Comparison, operation: str) -> dict[str, dict[str, Json]]:
    found: dict[str, dict[str, Json]] = {}
    for contender in comparison.contenders:
        facts = contender.facts
        own = {
            name: about[operation]
            for name in ("how", "largest_error_roundings")
            if isinstance(about := facts[name], dict)
        }
        found[contender.contender.name] = {"version": facts["version"], "threads": facts["threads"], **own}
    return found


def tiny(operation: str) -> Pattern:
    """Four by four (by four): a few entries; of a graph all edges, so that there are triangles."""
    steps = np.arange(4)
    if OPERATIONS[operation].kind == "graph":
        return pattern_of(TINY, (4, 4), np.nonzero(1 - np.eye(4)), undirected=True)
    if OPERATIONS[operation].kind == "tensor":
        return pattern_of(TINY, (4, 4, 4), (steps, (steps + 1) % 4, (steps + 2) % 4))
    rows, columns = np.concatenate([steps, steps]), np.concatenate([(steps + 1) % 4, (steps + 3) % 4])
    return pattern_of(TINY, (4, 4), (rows, columns))
