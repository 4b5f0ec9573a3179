"""The break-even map: which shapes, in which order, and what happens when time runs out."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from tests.find.evidence import about, curve, pay_map, row
from tests.find.networks import encoder, mlp, subject
from tests.model.graphs import Draft
from tests.model.zoo import hugging

from aerogel.core.errors import InputError
from aerogel.core.target import current
from aerogel.find import paymap as module
from aerogel.find.controls import Control, Controls, Shape
from aerogel.find.paymap import WAYS, MapTimer, PayMap, scattered, uses
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.subject import Subject
from aerogel.find.torch_module import module_weights
from aerogel.prune.pattern import PATTERNS
from aerogel.tune.breakeven import DENSE_INT8, Bounds, Curve, Point, Way


def wide() -> Subject:
    """Two layers of 128 x 64, one of 64 x 128, a pooled one of 96 x 64, and a small one."""
    draft = Draft()
    x = draft.embedding(64)
    for _ in range(2):
        x = draft.linear(draft.activation(draft.linear(x, 128)), 64)
    pooled = draft.linear(draft.pool(x), 96)
    return subject(draft.graph(draft.linear(pooled, 2)))


def test_uses_are_products_as_compiled_the_heaviest_first() -> None:
    found = uses(wide())
    assert [(u.outputs, u.inputs, u.count, u.pooled) for u in found] == [
        (64, 128, 2, False), (128, 64, 2, False), (96, 64, 1, True), (2, 96, 1, True),
    ]  # fmt: skip
    # Queries, keys and values are one product.
    assert uses(subject(encoder()))[0].layers == ("layer1.weight", "layer2.weight", "layer3.weight")
    assert (uses(subject(encoder()))[0].outputs, uses(subject(encoder()))[0].count) == (24, 1)
    assert [u.pooled for u in uses(subject(mlp()))] == [False, False], "rows are columns of their own"


def test_uses_of_a_refused_module_are_its_layers() -> None:
    bert = hugging("BertModel")
    refused = Subject("bert", "module", module_weights(bert), None, "why", bert)
    assert {(u.outputs, u.inputs, u.count) for u in uses(refused)} == {(32, 32, 9), (64, 32, 2), (32, 64, 2)}


@pytest.mark.parametrize(
    "pattern", ["unstructured", "block2x1", "block4x1", "block1x4", "block4x4", "panel4"]
)
@pytest.mark.parametrize("shape", [(8, 5), (7, 3), (4, 1)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_scattered_zeros_are_whole_units_and_exactly_so_many(
    pattern: str, shape: tuple[int, int], share: float
) -> None:
    weight = scattered(shape, share, pattern)
    assert weight.dtype == np.float32 and weight.shape == shape
    height, width = {"block2x1": (2, 1), "block4x1": (4, 1), "block1x4": (1, 4), "block4x4": (4, 4)}.get(
        pattern, (1, 1)
    )
    rows, inputs = np.arange(0, shape[0], height), np.arange(0, shape[1], width)
    zero = weight == 0
    whole = np.logical_and.reduceat(np.logical_and.reduceat(zero, rows, axis=0), inputs, axis=1)
    some = np.logical_or.reduceat(np.logical_or.reduceat(zero, rows, axis=0), inputs, axis=1)
    np.testing.assert_array_equal(whole, some)
    assert int(whole.sum()) == round(share * whole.size)
    np.testing.assert_array_equal(weight, scattered(shape, share, pattern))


def test_of_two_in_four_two_are_kept_whatever_the_share() -> None:
    kept = scattered((8, 12), 0.5, "2:4") != 0
    assert (kept.reshape(8, 3, 4).sum(axis=2) == 2).all()


def test_every_pattern_is_in_the_map_in_both_precisions() -> None:
    assert len(WAYS) == len(set(WAYS))
    wanted = {Way(pattern, p) for pattern in (*PATTERNS, "2:4") for p in ("fp32", "int8")}
    assert set(WAYS) == {DENSE_INT8, *wanted}


def test_dense_has_no_zeros() -> None:
    assert scattered((40, 30), 0.0, "dense").all()


class Clock:
    """Time that passes only when something is timed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def left(self) -> float:
        return self.seconds


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Curves and controls that are not real, and the order they were asked for."""
    asked: list[tuple[str, int, int]] = []

    def curves(
        matrix: object, way: Way, target: object, columns: tuple[int, ...], shares: tuple[float, ...]
    ) -> tuple[Curve, ...]:
        shape = matrix(0.5).shape  # type: ignore[operator]
        asked.append((str(way), *shape))
        CLOCK.seconds -= 1
        points = tuple(Point(s, about(0.5 if way == DENSE_INT8 else 1 - s)) for s in shares)
        return tuple(Curve(*shape, n, way, 1e-3, points) for n in columns)

    def controls(shapes: list[Shape], left: Callable[[], float], progress: object) -> Controls:
        asked.append(("control", len(shapes), round(left())))
        return Controls("some control", tuple(Control(s, Bounds(1, 1, 1), None, None) for s in shapes))

    monkeypatch.setattr(module, "curves", curves)
    monkeypatch.setattr(module, "measure_controls", controls)
    return asked


CLOCK = Clock(0)


def timer(seconds: float) -> MapTimer:
    CLOCK.seconds = seconds
    return MapTimer(wide(), current(), CLOCK.left, lambda _: None)


def everything(seconds: float) -> PayMap:
    made = timer(seconds)
    made.control()
    for way in WAYS:
        made.way(way)
    return made.result()


def test_all_shapes_the_heaviest_first_and_the_control_for_half_of_the_time(
    timed: list[tuple[str, int, int]],
) -> None:
    found = everything(100)
    shapes = [(64, 128), (128, 64), (96, 64)]
    assert timed == [("control", 5, 50), *((str(way), *s) for way in WAYS for s in shapes)]
    assert found.missing == () and [u.outputs for u in found.small] == [2]
    assert len(found.rows) == len(WAYS) * (2 + 2 + 1), "a pooled layer sees few columns only"
    columns = [row.curve.columns for row in found.rows]
    assert columns == sorted(columns, reverse=True)
    assert found.rows[0].shape == Shape(64, 128, 40) and found.columns == (16, 40)
    assert all(row.over_control is not None for row in found.rows)
    shown = json.loads(json.dumps(found.to_json(), allow_nan=False))["rows"]
    assert [(row["pattern"], row["precision"]) for row in shown[:3]] == [
        ("dense", "int8"), ("unstructured", "fp32"), ("block4x4", "int8"),
    ]  # fmt: skip
    assert [point["sparsity"] for point in shown[2]["ratios"]] == [0.3, 0.5, 0.7, 0.8, 0.9]


def test_every_way_is_compared_with_dense_integers_too(timed: list[tuple[str, int, int]]) -> None:
    found = everything(100)
    dense, floats, blocks = found.rows[:3]
    assert (dense.curve.way, dense.over_int8, dense.over_dense.verdict) == (DENSE_INT8, None, "pays")
    assert dense.over_control is not None and dense.over_control.top == 0
    # Half the time of dense floats: a ratio of 1 - share falls below it at 50 %.
    for other in (floats, blocks):
        assert other.over_int8 is not None and other.over_int8.at == pytest.approx(0.5)
    assert blocks.over_control is not None and blocks.over_control.bottom == 0.3
    assert floats.over_control is not None and floats.over_control.bottom == 0


def test_what_there_is_no_time_for_is_named(timed: list[tuple[str, int, int]]) -> None:
    found = everything(module._SLACK * module._FIRST_S + 3.5)
    done = [(row.shape.outputs, str(row.curve.way)) for row in found.rows]
    assert (64, "unstructured") in done
    assert found.missing and {each.why for each in found.missing} == {NO_TIME}
    assert len(found.missing) + len(set(done)) == 3 * len(WAYS)


def test_without_any_time_nothing_is_timed(timed: list[tuple[str, int, int]]) -> None:
    found = everything(-1)
    assert found.rows == () and len(found.missing) == 3 * len(WAYS)


def test_a_shape_that_cannot_be_packed_is_named(timed: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise InputError("too wide")

    monkeypatch.setattr(module, "curves", fail)
    assert Skipped("64 x 128 unstructured", "too wide") in everything(100).missing


def test_columns_are_rounded_up_to_what_was_timed() -> None:
    found = pay_map((row(curve({0.5: 0.5}, columns=16)), row(curve({0.5: 0.9}, columns=128))))
    ratio = {n: found.curve(Shape(256, 128, n), Way("unstructured")) for n in (1, 16, 17, 128, 999)}
    assert [c and c.columns for c in ratio.values()] == [16, 16, 128, 128, 128]
    assert found.curve(Shape(256, 128, 16), Way("block4x1")) is None
    assert found.control(Shape(256, 128, 16)) is None
