"""Plans: what they remember, what they forget, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import FormatError
from aerogel.kernels.few_tiled import MOST_COLUMNS
from aerogel.tune.plan import FEW_COLUMNS, Candidate, LayerPlan, Plan

DENSE, PANEL, QUAD = Candidate("panel", 0, dense=True), Candidate("panel", 128), Candidate("quad", 0)
PLAN = Plan(
    "avx2/x86_64/256x16/avx2",
    128,
    (
        LayerPlan("a", PANEL, QUAD, {"panel/128": 1e-5, "dense": 2e-5}, {"quad": 3e-6}),
        LayerPlan("b", DENSE, DENSE, {}, {}),
    ),
)


def written(plan: Plan) -> dict[str, Any]:
    return json.loads(json.dumps(plan.to_json()))


CANDIDATES = st.builds(Candidate, st.sampled_from(["panel", "quad"]), st.integers(0, 4096)) | st.just(DENSE)
ROWS = [Candidate("rows", 0, dense=True), Candidate("bitmap", 0), Candidate("nested", 0)]
FOR_FEW = st.tuples(CANDIDATES, st.integers(1, FEW_COLUMNS)) | st.tuples(
    st.sampled_from(ROWS), st.integers(1, MOST_COLUMNS)
)
SECONDS = st.dictionaries(st.text(max_size=5), st.floats(0, 10), max_size=3)
PLANS = st.builds(
    Plan,
    st.text(max_size=20),
    st.integers(0, 10_000),
    st.lists(
        st.builds(
            lambda layer, many, few, a, b, c: LayerPlan(layer, many, few[0], a, b, few[1], 1 + len(c), c),
            st.text(max_size=9),
            CANDIDATES,
            FOR_FEW,
            SECONDS,
            SECONDS,
            SECONDS,
        ),
        max_size=4,
    ).map(tuple),
)


@given(PLANS)
def test_a_plan_survives_json(plan: Plan) -> None:
    again = Plan.from_json(written(plan))
    assert again == plan
    assert again.fingerprint == plan.fingerprint == written(plan)["fingerprint"]
    assert str(again) == str(plan)


def test_timings_do_not_count_in_a_fingerprint() -> None:
    slower = replace(
        PLAN, layers=tuple(replace(e, many_seconds={}, few_seconds={"x": 9.0}) for e in PLAN.layers)
    )
    assert slower.fingerprint == PLAN.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, target="sse2"),
        replace(PLAN, layers=PLAN.layers[:1]),
        replace(PLAN, layers=PLAN.layers[::-1]),
        replace(PLAN, layers=(replace(PLAN.layers[0], many=QUAD), PLAN.layers[1])),
        replace(PLAN, layers=(replace(PLAN.layers[0], few=PANEL), PLAN.layers[1])),
        replace(PLAN, layers=(replace(PLAN.layers[0], many=Candidate("panel", 64)), PLAN.layers[1])),
        replace(PLAN, layers=(replace(PLAN.layers[0], layer="c"), PLAN.layers[1])),
        replace(PLAN, layers=(replace(PLAN.layers[0], few_columns=8), PLAN.layers[1])),
        replace(PLAN, layers=(replace(PLAN.layers[0], few=ROWS[0], few_columns=8), PLAN.layers[1])),
    ],
)
def test_choices_count(other: Plan) -> None:
    assert other.fingerprint != PLAN.fingerprint


def test_an_unknown_layer_is_told() -> None:
    assert PLAN.of("b").many == DENSE
    with pytest.raises(FormatError, match="no layer 'c' \\(it has a, b"):
        PLAN.of("c")


def test_few_columns_end_at_sixteen() -> None:
    assert PLAN.of("a").choice(1) == PLAN.of("a").choice(FEW_COLUMNS) == QUAD
    assert PLAN.of("a").choice(FEW_COLUMNS + 1) == PANEL


def test_a_plan_reads_well() -> None:
    text = str(PLAN)
    assert text.splitlines() == [
        f"plan {PLAN.fingerprint} for avx2, timed at 128 columns",
        "  a: panel/128  (panel/128 10 us, dense 20 us)",
        "    up to 16 columns: quad  (quad 3 us)",
        "  b: dense",
    ]


def test_rows_for_few_columns_end_where_the_plan_says() -> None:
    seconds = {"bitmap": 1e-6, "panel/128": 2e-6}
    entry = LayerPlan("a", PANEL, ROWS[1], {}, {}, 4, 2, seconds)
    assert entry.choice(4) == ROWS[1] and entry.choice(5) == PANEL
    text = str(replace(PLAN, layers=(entry, replace(entry, few=PANEL, few_columns=16))))
    assert text.splitlines()[2:] == [
        "    up to 4 columns: bitmap  (bitmap 1 us, panel/128 2 us)",
        "  a: panel/128",
        "    tried at 2 columns: bitmap 1 us, panel/128 2 us",
    ]


def test_a_plan_of_before_there_were_rows_is_read() -> None:
    data = written(PLAN)
    for entry in data["layers"]:
        del entry["few_columns"], entry["rows_columns"], entry["rows_seconds"]
    assert Plan.from_json(data) == PLAN


@pytest.mark.parametrize(
    ("many", "few", "columns", "told"),
    [
        (ROWS[0], PANEL, 16, "dense rows is for up to 8 columns, not for many"),
        (PANEL, ROWS[1], 9, "bitmap cannot run up to 9 columns: give 1 to 8"),
        (PANEL, ROWS[2], 0, "nested cannot run up to 0 columns"),
        (PANEL, QUAD, 17, "quad cannot run up to 17 columns: give 1 to 16"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(many: Candidate, few: Candidate, columns: int, told: str) -> None:
    with pytest.raises(FormatError, match=told):
        LayerPlan("a", many, few, {}, {}, columns)


# --- what is no plan ---------------------------------------------------------------------------


def spoilt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = written(PLAN)
    change(data)
    return data


def first(**changes: Any) -> dict[str, Any]:
    """The plan with other entries in its first candidate."""
    return spoilt(lambda d: d["layers"][0]["many"].update(changes))


def few(**changes: Any) -> dict[str, Any]:
    """The plan with other entries in its first candidate for few columns, up to 8 of them."""
    return spoilt(
        lambda d: d["layers"][0].update(few={**d["layers"][0]["few"], "block": 0, **changes}, few_columns=8)
    )


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "plan",
        3,
        {},
        spoilt(lambda d: d.pop("target")),
        spoilt(lambda d: d.pop("columns")),
        spoilt(lambda d: d.update(columns="many")),
        spoilt(lambda d: d.update(columns=float("inf"))),
        spoilt(lambda d: d.update(columns=float("nan"))),
        spoilt(lambda d: d.update(layers=None)),
        spoilt(lambda d: d.update(layers="ab")),
        spoilt(lambda d: d.update(layers={"a": 1})),
        spoilt(lambda d: d["layers"].append(3)),
        spoilt(lambda d: d["layers"][0].pop("few")),
        spoilt(lambda d: d["layers"][0].update(many=None)),
        spoilt(lambda d: d["layers"][0].update(many_seconds=[1, 2])),
        spoilt(lambda d: d["layers"][0].update(few_seconds={"quad": "fast"})),
        first(kind="csr"),
        first(kind=["panel"]),
        first(kind=None),
        first(block=-1),
        first(block="wide"),
        first(block=float("inf")),
        first(block=None),
        first(kind="quad", dense=True),
        first(dense="false"),
        first(kind="bitmap"),
        few(kind="bitmap", dense=True),
        few(kind="rows", dense=False),
        few(kind="nested", block=4),
        spoilt(lambda d: d["layers"][0].update(few_columns=0)),
        spoilt(lambda d: d["layers"][0].update(few_columns=17)),
        spoilt(lambda d: d["layers"][0].update(few_columns=None)),
        spoilt(lambda d: d["layers"][0].update(rows_columns=0)),
        spoilt(lambda d: d["layers"][0].update(rows_seconds=[1])),
    ],
)
def test_what_is_no_plan_is_refused(data: Any) -> None:
    with pytest.raises(FormatError):
        Plan.from_json(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["target", "columns", "layers", "layer", "many", "kind"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_other_json_is_refused_or_a_plan(data: Any) -> None:
    try:
        plan = Plan.from_json(data)
    except FormatError:
        return
    assert Plan.from_json(plan.to_json()) == plan
