"""The work of a schedule, against the same sums written out for single cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aerogel.core.dtypes import DType
from aerogel.einsum.parse import parse
from aerogel.formats.tensor_format import named
from aerogel.lower.estimate import Estimate, Sizes
from aerogel.lower.operand import OperandType
from aerogel.lower.scheduled import Scheduled
from aerogel.lower.work import ADDED, EMPTY, FAR, LISTED, SCATTER, VECTOR, Work

ROWS, COLUMNS, WIDTH, STORED = 100, 200, 50, 400
COUNTS = {"csr": (ROWS, STORED), "csc": (COLUMNS, STORED), "dense": (ROWS, ROWS * COLUMNS)}


def work(notation: str, order: str, out: str = "dense", *, form: str = "csr", **fields: Any) -> Work:
    """A of ``form`` in a product with dense operands, or alone."""
    assignment = parse(notation)
    ranks = {"A": 2, "B": 2, "x": 1}
    operands = {
        n: OperandType(n, named(form if n == "A" else "dense", r), DType.F64, DType.I32)
        for n, r in ranks.items()
    }
    counts = {"A": COUNTS[form], "B": (COLUMNS, COLUMNS * WIDTH), "x": (COLUMNS,)}
    made = Scheduled(
        assignment=assignment,
        operands=tuple(operands.values()),
        out=named(out, len(assignment.out.indices)),
        compute=DType.F64,
        dtype=DType.F64,
        order=tuple(order),
        outer=len(assignment.out.indices),
        scatter=False,
        assembly="dense",
        appended=0,
        vector=None,
        parallel=False,
        index=DType.I32,
    )
    sizes = Sizes({"i": ROWS, "j": COLUMNS, "k": WIDTH}, counts)
    return Work(replace(made, **fields), Estimate(operands, sizes, 0))


def test_a_sum_for_each_row() -> None:
    """The result's memory, a step for each row, one for each stored value."""
    product = "y(i) = A(i,j) * x(j)"
    assert work(product, "ij").total() == pytest.approx(EMPTY * ROWS + ROWS + STORED)
    # A dense row runs in lanes.
    dense = work(product, "ij", form="dense").total()
    assert dense == pytest.approx(EMPTY * ROWS + ROWS + VECTOR * ROWS * COLUMNS)


def test_sums_that_are_added_out_of_order() -> None:
    """A step for each column, one for each stored value, each an addition to memory."""
    product = "y(i) = A(i,j) * x(j)"
    direct = work(product, "ji", form="csc", scatter=True, outer=0)
    assert direct.total() == pytest.approx(EMPTY * ROWS + ADDED * (COLUMNS + STORED))
    listed = replace(direct, scheduled=replace(direct.scheduled, assembly="coordinates"))
    assert listed.total() == pytest.approx(LISTED * SCATTER * (COLUMNS + STORED))


def test_a_sparse_result_is_visited_twice() -> None:
    plain = work("C(i,j) = A(i,j)", "ij", "csr")
    rows = replace(plain, scheduled=replace(plain.scheduled, assembly="rows"))
    assert plain.total() == pytest.approx(EMPTY * ROWS * COLUMNS + ROWS + STORED)
    assert rows.total() == pytest.approx(LISTED * (ROWS + STORED))


def test_lanes_and_jumps() -> None:
    """Columns of B innermost run in lanes; rows of B innermost jump from one to the next."""
    product = "C(i,k) = A(i,j) * B(j,k)"
    memory = EMPTY * ROWS * WIDTH
    lanes = work(product, "ijk", scatter=True, outer=1, vector="k").total()
    assert lanes == pytest.approx(memory + ADDED * (ROWS + STORED + VECTOR * STORED * WIDTH))
    jumping = work(product, "ikj").total()
    assert jumping == pytest.approx(memory + ROWS + ROWS * WIDTH + FAR * STORED * WIDTH)
