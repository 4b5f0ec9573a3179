from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.tables import made

from aerogel.bench.factors import factored_gains
from aerogel.bench.render import factored_lines, plain
from aerogel.bench.table import Table
from aerogel.bench.variant import DENSE, Variant

INT8, SPARSE, BOTH = Variant(precision="int8"), Variant(0.9), Variant(0.9, precision="int8")
TIMES = {
    "torch eager": 0.040,
    "onnxruntime fp32": 0.024,
    "onnxruntime int8": 0.010,
    DENSE.name: 0.020,
    INT8.name: 0.010,
    SPARSE.name: 0.008,
    BOTH.name: 0.005,
}


def table(*left_out: str, variants: tuple[Variant, ...] = (DENSE, INT8, SPARSE, BOTH)) -> Table:
    times: dict[str, tuple[float, ...] | float] = {n: t for n, t in TIMES.items() if n not in left_out}
    found = made(times)
    return replace(found, variants={v.name: v for v in variants if v.name not in left_out})


def gain(found: Table, row: str) -> dict[str, float]:
    (one,) = [g for g in factored_gains(found) if g.total.contender == row and g.case == found.timed[0].name]
    assert one.product == pytest.approx(one.total.value)
    return {"total": one.total.value} | {factor.cause: factor.ratio.value for factor in one.factors}


def test_a_gain_is_the_product_of_runtime_int8_and_zeros() -> None:
    assert gain(table(), BOTH.name) == pytest.approx(
        {"total": 4.8, "runtime": 1.2, "int8": 2.0, "sparsity": 2.0}
    )
    assert gain(table(), SPARSE.name) == pytest.approx({"total": 3.0, "runtime": 1.2, "sparsity": 2.5})
    assert gain(table(), INT8.name) == pytest.approx({"total": 2.4, "runtime": 1.2, "int8": 2.0})


def test_every_factor_has_its_interval() -> None:
    (one, *_) = factored_gains(table())
    for ratio in (one.total, *(factor.ratio for factor in one.factors)):
        assert ratio.low < ratio.value < ratio.high


@pytest.mark.parametrize(
    ("left_out", "lost"),
    [
        # Without our dense int8 row nobody knows what zeros bring to int8.
        ((INT8.name,), {BOTH.name, INT8.name}),
        # Without our dense row, or another runtime in fp32, there is nothing to begin with.
        ((DENSE.name,), {BOTH.name, INT8.name, SPARSE.name}),
        (("onnxruntime fp32", "torch eager"), {BOTH.name, INT8.name, SPARSE.name}),
    ],
)
def test_a_gain_is_not_taken_apart_where_a_row_is_missing(left_out: tuple[str, ...], lost: set[str]) -> None:
    rows = {one.total.contender for one in factored_gains(table(*left_out))}
    assert rows == {BOTH.name, INT8.name, SPARSE.name} - lost


def test_the_gain_is_over_a_runtime_that_makes_nothing_of_zeros() -> None:
    found = made({"deepsparse fp32": 0.004, "openvino fp32": 0.03, DENSE.name: 0.02, SPARSE.name: 0.01})
    found = replace(found, variants={v.name: v for v in (DENSE, SPARSE)})
    assert {one.total.over for one in factored_gains(found)} == {"openvino fp32"}


def test_rows_of_given_files_are_known_by_what_they_are() -> None:
    files = (replace(DENSE, file=Path("dense")), replace(SPARSE, file=Path("pruned")))
    assert gain(table(variants=files), SPARSE.name)["sparsity"] == pytest.approx(2.5)


def test_it_is_printed_and_in_json() -> None:
    found = table()
    lines = factored_lines(found)
    assert lines[0] == "Gain over onnxruntime fp32, and what it is made of:"
    shape = found.timed[0].name
    (shown,) = [line for line in lines if line.startswith(f"  {shape}, {BOTH.name}:")]
    _, total, factors = re.split(": | = ", shown)
    assert total == "4.80x [4.71, 4.90]"
    assert factors == "runtime 1.20x [1.18, 1.22] x int8 2.00x [1.96, 2.04] x sparsity 2.00x [1.96, 2.04]"
    assert shown in plain(found)
    told = found.to_json()["factored"]
    assert len(told) == 3 * len(found.timed)
    assert [factor["cause"] for factor in told[-1]["factors"]] == ["runtime", "int8", "sparsity"]
    assert factored_lines(made({"onnxruntime fp32": 0.02, DENSE.name: 0.01})) == []
