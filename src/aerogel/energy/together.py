"""What several sources say of one block, as one reading: the sum, or why there is none."""

from __future__ import annotations

from dataclasses import replace

from aerogel.energy.reading import Reading
from aerogel.energy.source import CPU, GPU, MACHINE, Counted, Survey
from aerogel.energy.total import Total, total


def read_together(
    surveys: tuple[Survey, ...],
    counted: dict[str, Counted],
    failed: dict[str, str],
    seconds: float,
    cpu_seconds: float,
) -> Reading:
    """counted, failed: what each source that was followed told in the block, or why it cannot tell.

    Where the CPU's meter fails in the block, the estimate stands in for it. Where a GPU's fails, nothing
    does: there are neither joules nor bounds, for a sum without it would be silently too small.
    """
    found = total(counted)
    holes = [] if _whole(found) else _holes(surveys, failed)
    if holes:
        found = replace(found, joules=None, low=None, high=None, method="not measured")
    models = [part.label for part in found.parts if part.summed and part.source == "estimate"]
    why, advice = _obstacle(surveys, failed)
    reasons = [*holes, *([why] if models or not found.parts else [])]
    notes = [note for one in counted.values() for note in one.notes]
    return Reading(
        joules=found.joules,
        low=found.low,
        high=found.high,
        method=found.method,
        source=found.source,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        model=models[0] if models else None,
        obstacle="; ".join(dict.fromkeys(reasons)),
        advice=advice if reasons else "",
        covers=found.covers,
        parts=found.parts,
        notes=(*notes, *_not_counted(surveys, failed, found)),
    )


def _whole(found: Total) -> bool:
    """Is it of the whole computer, so that no part is missing?"""
    return any(part.summed and part.covers == MACHINE for part in found.parts)


def _has_gpu(survey: Survey) -> bool:
    return any(what.startswith(GPU) for what in survey.covers)


def _holes(surveys: tuple[Survey, ...], failed: dict[str, str]) -> list[str]:
    """GPUs that were to be counted, and failed in the block."""
    return [failed[survey.source] for survey in surveys if survey.source in failed and _has_gpu(survey)]


def _not_counted(surveys: tuple[Survey, ...], failed: dict[str, str], found: Total) -> tuple[str, ...]:
    """GPUs that are here and cannot be read, and meters that failed in the block."""
    said: list[str] = []
    for survey in surveys:
        blind = survey.obstacle and survey.present and (_has_gpu(survey) or survey.source == "wall")
        why = failed.get(survey.source) or (survey.obstacle if blind else "")
        # The power of the whole computer lacks nothing that another meter could add.
        if why and (survey.source == "wall" or not _whole(found)):
            do = f"; {survey.advice}" if survey.advice else ""
            said.append(f"{survey.source} not counted: {why}{do}")
    return tuple(said)


def _obstacle(surveys: tuple[Survey, ...], failed: dict[str, str]) -> tuple[str, str]:
    """Why the CPU was not measured, and what to do: of the meters that are here, else of the first of all."""
    able = [s for s in surveys if CPU in s.covers or MACHINE in s.covers]
    wrong = [s for s in able if s.source in failed or (s.obstacle and s.present)] or able[:1]
    reasons = [failed.get(s.source) or s.obstacle for s in wrong]
    advice = next((s.advice for s in wrong if s.advice), "")
    return "; ".join(reason for reason in reasons if reason) or "no meter of the CPU was asked", advice
