"""Sensitivity as pictures: a curve a pattern, alike layers together, lines where zeros are proven to pay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.find.evidence import QUICK, SLOW, curve, row

from aerogel.find.sensitivity import Pays, Sensitivity, SensitivityReport
from aerogel.report.curves import Curves
from aerogel.report.sensitivity_pictures import FLOOR, MEANS, MOST, sensitivity_pictures
from aerogel.tune.breakeven import Way

BREAKEVEN = row(curve(QUICK)).over_dense
NEVER = row(curve(SLOW)).over_dense


def rows(name: str, scale: float = 1.0, pattern: str = "unstructured") -> tuple[Sensitivity, ...]:
    return tuple(Sensitivity(name, (6, 8), s, scale * s / 10, pattern) for s in (0.5, 0.8))


def charts(report: SensitivityReport, *, every_layer: bool = False) -> list[Curves]:
    found = sensitivity_pictures(report, every_layer=every_layer)
    assert found is not None
    assert all(isinstance(chart, Curves) for chart in found.charts)
    return [chart for chart in found.charts if isinstance(chart, Curves)]


def test_alike_layers_are_one_picture_with_their_spread() -> None:
    layers = (*rows("layer.0.up.weight"), *rows("layer.1.up.weight", 3.0), *rows("layer.2.up.weight", 2.0))
    pattern = tuple(replace(r, pattern="block4x1") for r in layers)
    report = SensitivityReport("texts", (*layers, *pattern), ())
    (chart,) = charts(report)
    assert chart.title == "layer.*.up, 6 x 8 (3 layers)"
    assert [c.name for c in chart.curves] == ["unstructured", "block4x1"]
    first = chart.curves[0].stops[0]
    assert (first.x, first.y, first.interval) == (
        50,
        pytest.approx(10),
        (pytest.approx(5), pytest.approx(15)),
    )
    assert chart.posts == ()
    every = charts(report, every_layer=True)
    assert [c.title for c in every] == [f"layer.{i}.up, 6 x 8" for i in range(3)]
    assert every[0].curves[0].stops[0].interval is None
    assert len({(c.x, c.y) for c in every}) == 1, "all to one scale"


def test_a_line_stands_where_it_is_proven_to_pay_and_nowhere_else() -> None:
    layers = tuple(r for p in ("unstructured", "block4x1", "block1x4") for r in rows("up.weight", 1, p))
    pays = (
        Pays("up.weight", Way("unstructured"), 128, BREAKEVEN),
        Pays("up.weight", Way("block4x1"), 128, NEVER),
    )
    (chart,) = charts(SensitivityReport("texts", layers, (), pays))
    assert BREAKEVEN.high is not None
    assert [(p.x, p.curve) for p in chart.posts] == [(100 * BREAKEVEN.high, "unstructured")]
    assert chart.posts_mean == MEANS


def test_layers_of_which_it_pays_elsewhere_have_no_line() -> None:
    layers = (*rows("layer.0.up.weight"), *rows("layer.1.up.weight"))
    pays = (Pays("layer.0.up.weight", Way("unstructured"), 128, BREAKEVEN),)
    (chart,) = charts(SensitivityReport("texts", layers, (), pays))
    assert chart.posts == ()


def test_no_change_is_drawn_at_the_floor() -> None:
    (chart,) = charts(SensitivityReport("texts", rows("up.weight", 0.0), ()))
    assert {stop.y for stop in chart.curves[0].stops} == {100 * FLOOR}


def test_layers_that_the_output_does_not_depend_on_are_in_the_table_alone() -> None:
    report = SensitivityReport("texts", (*rows("idle.weight", 0.0), *rows("up.weight")), ())
    (chart,) = charts(report)
    assert chart.title.startswith("up,") and chart.y.low == pytest.approx(5)


def test_only_the_most_sensitive_have_pictures_if_there_are_many() -> None:
    many = tuple(r for i in range(MOST + 3) for r in rows(f"part{i}.weight", i + 1.0))
    found = sensitivity_pictures(SensitivityReport("texts", many, ()), every_layer=False)
    assert found is not None and len(found.charts) == MOST
    assert found.charts[0].title.startswith("part3,")
    assert "The 3 that change the output least are in the table alone." in found.caption
    assert sensitivity_pictures(SensitivityReport("texts", (), ()), every_layer=False) is None
