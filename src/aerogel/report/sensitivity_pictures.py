"""How much the output changes when a layer is pruned, as curves: a picture for the layers that are alike, a
curve for each pattern, and a line from which share of zeros on it is faster."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from aerogel.find.sensitivity import PATTERNS, Sensitivity, SensitivityReport
from aerogel.find.tables import alike_layers, pays_of
from aerogel.find.words import percent
from aerogel.report.chart import Axis
from aerogel.report.curves import Curve, Curves, Post, Stop
from aerogel.report.document import Pictures

MOST = 12
"""Pictures; with one for every layer, ``MOST_LAYERS``. The others are in the table alone."""
MOST_LAYERS = 60
FLOOR = 1e-4
"""Less than this is drawn as this: nothing, on a logarithmic axis."""
MEANS = "from here on faster than dense"


def sensitivity_pictures(report: SensitivityReport, *, every_layer: bool) -> Pictures | None:
    """None where nothing was measured. All pictures share their axes, so that layers can be compared."""
    groups = alike_layers(report, every_layer=every_layer)
    most = MOST_LAYERS if every_layer else MOST
    # A layer that the output does not depend on would press all others into the top of their pictures.
    live = [group for group in groups if _worst(group[1]) >= FLOOR] or groups
    shown = sorted(live, key=lambda group: -_worst(group[1]))[:most]
    if not shown:
        return None
    drawn = [_drawn(row) for _, rows in shown for row in rows]
    y = Axis("change of the output", "low", log=True, unit=" %", low=min(drawn), high=max(drawn))
    kept = {name for name, _ in shown}
    # The model's own order, of those that change most.
    charts = tuple(_picture(report, name, rows, y) for name, rows in groups if name in kept)
    first = "A layer alone pruned by magnitude, on a share of zeros: the lower, the less it matters."
    said = [f"{first} The axes are the same in all pictures."]
    if any(len({row.name for row in rows}) > 1 for _, rows in shown):
        said.append("Of layers that are alike the median; strokes reach from the least to the greatest.")
    said.append(
        "Dashed: from that share on the product is proven faster, with that pattern, than dense in fp32 on "
        "one thread here; without such a line it is never, or not measured: see the table."
    )
    if any(row.change < FLOOR for row in report.rows):
        said.append(f"What changes the output by less than {percent(FLOOR, 2)} is drawn as that.")
    if len(groups) > len(shown):
        said.append(f"The {len(groups) - len(shown)} that change the output least are in the table alone.")
    return Pictures(charts, " ".join(said))


def _worst(rows: Sequence[Sensitivity]) -> float:
    return max(row.change for row in rows)


def _drawn(row: Sensitivity) -> float:
    return 100 * max(FLOOR, row.change)


def _picture(report: SensitivityReport, name: str, rows: Sequence[Sensitivity], y: Axis) -> Curves:
    curves: list[Curve] = []
    posts: list[Post] = []
    for pattern in PATTERNS:
        here = [row for row in rows if row.pattern == pattern]
        if here:
            curves.append(Curve(pattern, _stops(here)))
            posts += _post(report, here)
    count = len({row.name for row in rows})
    shapes = {" x ".join(map(str, row.shape)) for row in rows}
    what = f", {shapes.pop()}" if len(shapes) == 1 else ""
    title = f"{name.removesuffix('.weight')}{what}" + (f" ({count} layers)" if count > 1 else "")
    x = Axis("share of zeros", None, unit=" %", low=0, high=100)
    return Curves(title, x, y, tuple(curves), (), tuple(posts), MEANS if posts else "")


def _stops(rows: Sequence[Sensitivity]) -> tuple[Stop, ...]:
    by_share: dict[float, list[float]] = {}
    for row in rows:
        by_share.setdefault(row.sparsity, []).append(_drawn(row))
    return tuple(
        Stop(100 * share, median(by_share[share]), _reach(by_share[share])) for share in sorted(by_share)
    )


def _reach(values: Sequence[float]) -> tuple[float, float] | None:
    return (min(values), max(values)) if len(values) > 1 else None


def _post(report: SensitivityReport, rows: Sequence[Sensitivity]) -> list[Post]:
    """Where it is proven to pay, if that is the same for all of them."""
    found = {pays_of(report, row) for row in rows}
    pays = found.pop() if len(found) == 1 else None
    if pays is None or pays.breakeven.verdict != "pays" or pays.breakeven.high is None:
        return []
    return [Post(100 * pays.breakeven.high, rows[0].pattern)]
