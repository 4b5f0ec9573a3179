"""The picture of a table: quality over speed with size as area, for each timed shape, all to one scale."""

from __future__ import annotations

import math

from aerogel.bench import Table
from aerogel.bench.quality import LOSS_BELOW
from aerogel.measure import CaseResult
from aerogel.report.chart import Axis, Chart, Limit, Point
from aerogel.report.document import Pictures
from aerogel.report.wording import listed, shape_title

_OWN, _OTHER = "aerogel", "other runtimes"


def speed_pictures(table: Table) -> Pictures | None:
    """Quality over speed; where quality was not measured, size over speed; None where neither is known."""
    by_quality = {row: judged.top_overlap for row, judged in table.qualities.items() if row in table.rows}
    sizes = {row: found / 1e6 for row in table.rows if (found := table.size_bytes(row)) is not None}
    heights = by_quality or sizes
    if not heights or not table.timed:
        return None
    y = _quality_axis(by_quality) if by_quality else Axis("size, MB", "low", low=0)
    x = _speed_axis(table, list(heights))
    limit = Limit(LOSS_BELOW, f"a loss: below {LOSS_BELOW}") if by_quality else None
    charts = tuple(
        Chart(
            shape_title(case),
            x,
            y,
            tuple(_point(table, case, row, height, sizes) for row, height in heights.items()),
            tuple(name for name, there in _groups(table, list(heights)) if there),
            size_unit=" MB",
            limit=limit,
            origin=1.0,
        )
        for case in table.timed
    )
    return Pictures(charts, _caption(table, list(heights), judged=bool(by_quality)))


def _quality_axis(overlaps: dict[str, float]) -> Axis:
    lowest = min(*overlaps.values(), LOSS_BELOW)
    # Some of what is below the limit shows even where nobody is there.
    return Axis("top-10 overlap", "high", low=max(0.0, math.floor(10 * lowest - 0.5) / 10), high=1.0)


def _speed_axis(table: Table, rows: list[str]) -> Axis:
    """As wide as the widest interval of any shape."""
    reference = table.comparison.reference
    ratios = [case.speedup(row, over=reference) for case in table.timed for row in rows if row != reference]
    low = min([1.0, *(ratio.low for ratio in ratios)])
    high = max([1.0, *(ratio.high for ratio in ratios)])
    return Axis(f"times the speed of {reference}", "high", log=True, unit="x", low=low, high=high)


def _point(table: Table, case: CaseResult, row: str, height: float, sizes: dict[str, float]) -> Point:
    group = _OWN if row in table.own else _OTHER
    reference = table.comparison.reference
    if row == reference:
        return Point(row, 1.0, height, group, sizes.get(row))
    ratio = case.speedup(row, over=reference)
    return Point(row, ratio.value, height, group, sizes.get(row), (ratio.low, ratio.high))


def _groups(table: Table, rows: list[str]) -> tuple[tuple[str, bool], ...]:
    return (_OWN, any(row in table.own for row in rows)), (
        _OTHER,
        any(row not in table.own for row in rows),
    )


def _caption(table: Table, rows: list[str], *, judged: bool) -> str:
    up = (
        f"up is nearer to {table.dense}"
        if judged
        else "down is smaller; quality was not measured, so it is not shown"
    )
    level = f"{100 * table.comparison.settings.confidence:g} %"
    said = [
        f"Right is faster, {up}. Area is size. Strokes are {level} intervals of the speed-up.",
        "The grey stairs join what no other row beats in both, by the medians.",
    ]
    left_out = [row for row in table.rows if row not in rows]
    if left_out:
        want = "quality" if judged else "size"
        said.append(f"Not in the picture, as their {want} was not measured: {listed(left_out)}.")
    return " ".join(said)
