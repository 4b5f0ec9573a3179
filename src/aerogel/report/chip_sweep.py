"""A sweep over fabrics as a page: time against energy, area as a mark's size, and every point in a table."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.chip.sweep.outcome import Outcome, front
from aerogel.report.chart import Axis, Chart, Point
from aerogel.report.document import Block, Cell, Grid, Paragraph, Pictures, Report, Section

_BEST, _BEHIND = "nothing beats it", "another is as good in all three, and better in one"
_MOST_BEHIND = 60
_HOW_TO_READ = (
    "Further to the lower left is better in both; the larger a mark, the larger the chip. Nothing beats a "
    "point where no other is as good in time, energy and area, and better in one of them. Strokes span the "
    "bounds of the energy: entries of the energy table are uncertain, and err the same way for all points."
)


def sweep_report(work: Sequence[str], base: str, outcomes: Sequence[Outcome]) -> Report:
    """``work``: the assignments; ``base``: the fabric that was varied."""
    best = front(outcomes)
    able = [one for one in outcomes if one.measures is not None]
    title = f"{len(outcomes)} fabrics from {base}"
    sections = [Section("What they had to do", tuple(Paragraph(text) for text in work))]
    if able:
        sections.append(Section("Time, energy and area", tuple(_picture(outcomes, best))))
    sections.append(Section("Points", _tables(outcomes, best)))
    sections.append(Section("How the numbers were obtained", _method(outcomes)))
    return Report(title, _headline(outcomes, best), tuple(sections))


def _headline(outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> str:
    able = sum(one.measures is not None for one in outcomes)
    if not best:
        return f"None of {len(outcomes)} fabrics could do the work: the table says why."
    least = min(best, key=lambda one: (one.measures or (0.0, 0.0, 0.0))[1])
    left = "" if able == len(outcomes) else f" {len(outcomes) - able} could not do the work."
    return (
        f"Of {able} fabrics that could do the work nothing beats {len(best)}. Fastest: {best[0].point}, "
        f"{_times(best[0])}; least energy: {least.point}, {_energy(least)}.{left}"
    )


def _picture(outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> list[Block]:
    named = {one.point for one in best}
    behind = [one for one in outcomes if one.measures is not None and one.point not in named]
    shown = [*best, *behind[:_MOST_BEHIND]]
    points = tuple(_drawn(one, _BEST if one.point in named else _BEHIND) for one in shown)
    groups = (_BEST, _BEHIND) if behind else (_BEST,)
    chart = Chart(
        "Time and energy of all work together",
        Axis("time in microseconds", "low", log=True),
        Axis("energy in microjoules, chip and DRAM", "low", log=True),
        points,
        groups,
        size_title="area",
        size_unit=" mm2",
    )
    found: list[Block] = [Pictures((chart,), _HOW_TO_READ)]
    if len(behind) > _MOST_BEHIND:
        rest = len(behind) - _MOST_BEHIND
        found.append(Paragraph(f"{rest} more that are beaten are in the table, and not in the picture."))
    return found


def _drawn(one: Outcome, group: str) -> Point:
    assert one.measures is not None
    seconds, joules, mm2 = one.measures
    bounds = None if one.low is None or one.high is None else (max(one.low, 1e-18) * 1e6, one.high * 1e6)
    return Point(one.point, seconds * 1e6, joules * 1e6, group, mm2, y_interval=bounds)


def _tables(outcomes: Sequence[Outcome], best: Sequence[Outcome]) -> tuple[Block, ...]:
    named = {one.point for one in best}
    able = [one for one in outcomes if one.measures is not None]
    columns = ("Fabric", "Time", "Energy", "Energy x time", "Area", "")
    rows = tuple(
        (
            Cell(one.point),
            Cell(_times(one)),
            Cell(_energy(one), (_between(one),)),
            Cell(_product(one)),
            Cell(f"{one.mm2:.2f} mm2"),
            Cell(_BEST if one.point in named else ""),
        )
        for one in sorted(able, key=lambda one: one.measures or ())
    )
    found: list[Block] = []
    if rows:
        found.append(Grid("Fastest first.", columns, rows, frozenset({0, 5})))
    failed = [one for one in outcomes if one.measures is None]
    if failed:
        lost = tuple((Cell(one.point), Cell(one.obstacle)) for one in failed)
        found.append(Grid("Could not do the work.", ("Fabric", "Why"), lost, frozenset({0, 1})))
    return tuple(found)


def _method(outcomes: Sequence[Outcome]) -> tuple[Block, ...]:
    boundaries = sorted({one.boundary for one in outcomes if one.boundary})
    time = (
        "Time: cycles of the simulated device, from the first transfer to the last, over the fabric's clock. "
        "Every point was compiled, placed, routed and simulated on all of the operands."
    )
    energy = (
        "Energy: counts of actions by the energy table, calibrated at the published point of Onyx; area: of "
        "tiles and buffer by the table. Both are models, good for comparing fabrics with each other."
    )
    said = [
        time,
        energy,
        *(f"Boundary: {one}." for one in boundaries),
    ]
    return tuple(Paragraph(text) for text in said)


def _times(one: Outcome) -> str:
    return f"{(one.seconds or 0.0) * 1e6:.4g} us"


def _energy(one: Outcome) -> str:
    return f"{(one.joules or 0.0) * 1e6:.4g} uJ"


def _between(one: Outcome) -> str:
    return f"{(one.low or 0.0) * 1e6:.3g} to {(one.high or 0.0) * 1e6:.3g}"


def _product(one: Outcome) -> str:
    return f"{(one.seconds or 0.0) * (one.joules or 0.0) * 1e12:.4g} uJ us"
