"""Which parts add up to a reading: what does not overlap, and covers most of what is known.

A wall meter's log covers the whole computer and was asked for, so it is the reading wherever it is given.
Without one, the meters of single parts are added: CPU packages and memory by RAPL, GPUs by NVML, and so on;
of two that cover one part the first in ``SOURCES`` counts. Where the CPU has no meter, the computer's own
meter of its whole power stands in, and where that is missing, too, the estimate does for the CPU beside the
GPUs that are measured. What is not summed stays among the parts, marked so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aerogel.energy.models import Method
from aerogel.energy.source import CPU, GPU, MACHINE, MEMORY, Counted, Part


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of the parts that are marked ``summed``; see Reading for the rest."""

    joules: float | None
    low: float | None
    high: float | None
    method: Method
    source: str
    covers: str
    parts: tuple[Part, ...]


def total(counted: dict[str, Counted]) -> Total:
    """The sum of what was counted, by source in the order of ``SOURCES``; without a number where nothing
    was."""
    kept = _kept(counted)
    if not kept:
        return Total(None, None, None, "not measured", "no meter", "", ())
    known = [part.joules for part in kept if part.joules is not None]
    methods: list[Method] = [part.method for part in kept if part.method != "measured"]
    # In the order of what is kept: the estimate, where there is one, is most of it.
    sources = dict.fromkeys(part.source for part in kept)
    used = [counted[source] for source in sources]
    return Total(
        joules=sum(known) if len(known) == len(kept) else None,
        low=sum(part.low for part in kept),
        high=sum(part.high for part in kept),
        method=methods[0] if methods else "measured",
        source=" + ".join(found.about for found in used),
        covers=" + ".join(found.covers or covers_text(p for p in found.parts if p in kept) for found in used),
        parts=tuple(replace(part, summed=part in kept) for found in counted.values() for part in found.parts),
    )


def _kept(counted: dict[str, Counted]) -> list[Part]:
    parts = [part for found in counted.values() for part in found.parts]
    wall = [part for part in parts if part.source == "wall"]
    if wall:
        return wall
    measured = _without_overlap(
        part for part in parts if part.covers != MACHINE and part.source != "estimate"
    )
    if any(part.covers == CPU for part in measured):
        return measured
    machine = [part for part in parts if part.covers == MACHINE]
    if machine:
        return machine[:1]
    return [*(part for part in parts if part.source == "estimate"), *measured]


def _without_overlap(parts: Iterable[Part]) -> list[Part]:
    """Of what several sources cover, what the first of them counted."""
    by: dict[str, str] = {}
    return [part for part in parts if by.setdefault(part.covers, part.source) == part.source]


def covers_text(parts: Iterable[Part]) -> str:
    """In words: "CPU packages + memory", "2 GPUs"."""
    parts = tuple(parts)
    said = [_WORDS[kind] for kind in _WORDS if any(part.covers == kind for part in parts)]
    gpus = sum(part.covers.startswith(GPU) for part in parts)
    if gpus:
        said.append("1 GPU" if gpus == 1 else f"{gpus} GPUs")
    return " + ".join(said)


_WORDS = {MACHINE: "whole computer", CPU: "CPU packages", MEMORY: "memory"}
