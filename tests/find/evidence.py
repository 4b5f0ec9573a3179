"""Measured figures, made up: what the verdict and the estimates are tested with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aerogel.find.controls import Control, Controls, Shape
from aerogel.find.estimate import estimates
from aerogel.find.paymap import MapRow, PayMap, Use
from aerogel.find.program import Product, Split
from aerogel.find.skipped import Skipped
from aerogel.find.verdict import Evidence
from aerogel.tune.breakeven import Bounds, Curve, Point, Way, against, breakeven

SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
QUICK = {0.1: 1.1, 0.3: 0.9, 0.5: 0.6, 0.7: 0.4, 0.8: 0.3, 0.9: 0.2}
"""A kernel that breaks even at 20 %."""
SLOW = dict.fromkeys(SHARES, 1.5)


def about(value: float, part: float = 0.05) -> Bounds:
    """The value with bounds on both sides of it."""
    return Bounds(value, value * (1 - part), value * (1 + part))


FLOATS = Way("unstructured")


def curve(ratios: Mapping[float, float], way: Way = FLOATS, columns: int = 128) -> Curve:
    found = tuple(Point(share, about(ratio)) for share, ratio in ratios.items())
    return Curve(256, 128, columns, way, 1e-3, found)


def row(found: Curve, control: Control | None = None) -> MapRow:
    over = None
    if control is not None:
        over = breakeven(against(found.points, control.dense_over_control))
    return MapRow(found, 2, breakeven(found.points), over)


def control(ratio: float = 1.0, int8: float | None = 2.0) -> Control:
    """``ratio``: our dense time over the control's."""
    speedup = None if int8 is None else about(int8)
    return Control(Shape(256, 128, 128), about(ratio, 0.02), speedup, None if int8 is None else 0.012)


def pay_map(rows: tuple[MapRow, ...], found: Control | None = None) -> PayMap:
    controls = (
        Controls(None, missing=Skipped("another runtime", "none is installed"))
        if found is None
        else Controls("onnxruntime fp32", (found,))
    )
    return PayMap((16, 128), rows, controls, (), ())


def split(linear: float = 8e-3, other: float = 2e-3, rounds: int = 9) -> Split:
    product = Product(256, 128, 128, None, 2, ("a", "b"), (linear,) * rounds)
    return Split(128, (product,), (other,) * rounds)


USES = (Use(256, 128, ("a", "b"), 2, pooled=False),)


def evidence(ratios: Mapping[float, float] = QUICK, found: Control | None = None, **more: Any) -> Evidence:
    """``found``: the control; everything else can be replaced by name."""
    pay = pay_map((row(curve(ratios), found),), found)
    whole = more.pop("split", split())
    given: dict[str, Any] = {
        "columns": 128,
        "unit": "tokens",
        "largest": 256 * 128,
        "control": pay.controls.name,
        "rows": pay.rows,
        "estimates": estimates(pay, (whole,) if whole else (), USES),
        "split": whole,
        "int8": found if found is not None and found.int8_speedup is not None else None,
        "why_no_int8": "onnxruntime and onnx are not installed",
        "sparse_share": 0.0,
        "gain": None,
    }
    return Evidence(**given | more)
