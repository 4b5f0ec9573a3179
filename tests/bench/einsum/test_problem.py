"""Operands and what must come out: against NumPy's einsum on dense arrays; wrong results are seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.bench.einsum.cases import GRAPH, SQUARE, TALL, TENSOR, patterns_for

from aerogel.bench.einsum.entries import Entries, columns_of
from aerogel.bench.einsum.operations import OPERATIONS, operation
from aerogel.bench.einsum.problem import DTYPES, below_diagonal, build, load, save, transposed
from aerogel.bench.einsum.reference import wanted
from aerogel.core.errors import InputError, MeasureError

SUBSCRIPTS = {
    "spmv": "ij,j->i", "spmm32": "ij,jk->ik", "spmm128": "ij,jk->ik", "spgemm": "ij,jk->ik",
    "sddmm": "ij,ik,jk->ij", "transpose": "ij->ji", "coo_to_csr": "ij->ij", "ttv": "ijk,k->ij",
    "ttm": "ijk,kr->ijr", "mttkrp": "ijk,jr,kr->ir",
}  # fmt: skip


def dense(a: Entries) -> Any:
    out = np.zeros(a.shape)
    out[a.coords] = a.values
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_must_come_out_is_what_einsum_says(name: str, dtype: str) -> None:
    for pattern in patterns_for(name):
        problem = build(name, pattern, dtype)
        held = [dense(a) for a in problem.sparse]
        others = [x.astype(np.float64) for x in problem.dense]
        exact = wanted(problem).exact
        found = dense(exact) if isinstance(exact, Entries) else np.asarray(exact)
        if name == "add3":
            expected = sum(held)
        elif name == "triangles":
            expected = np.einsum("ij,ik,jk->", *held * 3)
        else:
            expected = np.einsum(SUBSCRIPTS[name], *held, *others)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert problem.sparse[0].values.dtype == {"f64": np.float64, "f32": np.float32}[dtype]


def test_operands_are_always_the_same_and_survive_a_file(tmp_path: Path) -> None:
    for name in OPERATIONS:
        for pattern in patterns_for(name):
            problem = build(name, pattern, "f32")
            save(tmp_path / "case.npz", problem, wanted(problem))
            again, exact = load(tmp_path / "case.npz")
            assert again.operation == name and exact.epsilon == np.finfo(np.float32).eps
            for a, b in zip(problem.sparse, again.sparse, strict=True):
                np.testing.assert_array_equal(dense(a), dense(b))
            for x, y in zip(problem.dense, again.dense, strict=True):
                np.testing.assert_array_equal(x, y)
            same = len(problem.sparse) == 2 and problem.sparse[0] is problem.sparse[1]
            assert not same or again.sparse[0] is again.sparse[1]


def test_a_square_matrix_is_multiplied_by_itself_and_another_by_its_transpose() -> None:
    square, tall = build("spgemm", SQUARE, "f64"), build("spgemm", TALL, "f64")
    assert square.sparse[0] is square.sparse[1]
    np.testing.assert_array_equal(dense(tall.sparse[1]), dense(tall.sparse[0]).T)


def test_triangles_are_counted_once_whatever_the_numbers_of_nodes() -> None:
    adjacency = dense(build("spmv", GRAPH, "f64").sparse[0]) != 0
    np.fill_diagonal(adjacency, val=False)
    edges = adjacency.astype(float)
    assert wanted(build("triangles", GRAPH, "f64")).exact == np.trace(edges @ edges @ edges) / 6
    lower = below_diagonal(build("spmv", GRAPH, "f64").sparse[0])
    assert bool(np.all(lower.coords[0] > lower.coords[1])) and set(lower.values) == {1.0}


def test_entries_for_conversion_are_in_no_order() -> None:
    shuffled = build("coo_to_csr", SQUARE, "f64").sparse[0]
    assert shuffled.in_order() is not shuffled
    assert shuffled.in_order().in_order().stored == shuffled.stored


@pytest.mark.parametrize("change", ["value", "missing", "extra", "twice", "shape", "dense"])
def test_a_wrong_sparse_result_is_seen(change: str) -> None:
    exact = wanted(build("spgemm", SQUARE, "f64"))
    right = exact.exact
    assert isinstance(right, Entries) and exact.roundings(right) == 0
    values, coords = right.values.copy(), right.coords
    match change:
        case "value":
            values[3] *= 1 + 1e-13
            wrong: Any = replace(right, values=values)
        case "missing":
            wrong = Entries(right.shape, tuple(c[1:] for c in coords), values[1:])
        case "extra":
            places = set(zip(*(c.tolist() for c in coords), strict=True))
            free = next((i, j) for i in range(17) for j in range(17) if (i, j) not in places)
            more = tuple(np.append(c, np.int32(at)) for c, at in zip(coords, free, strict=True))
            assert exact.roundings(Entries(right.shape, more, np.append(values, 0.0))) == 0
            wrong = Entries(right.shape, more, np.append(values, 1e-13))
        case "twice":
            wrong = Entries(right.shape, tuple(np.append(c, c[-1]) for c in coords), np.append(values, 0.0))
        case "shape":
            wrong = replace(right, shape=(18, 17))
        case _:
            wrong = dense(right)
    with pytest.raises(MeasureError, match="the result"):
        exact.roundings(wrong)


def test_a_wrong_dense_result_is_seen_even_if_not_a_number() -> None:
    exact = wanted(build("spmv", SQUARE, "f32"))
    right = np.asarray(exact.exact)
    assert exact.roundings(right.astype(np.float32)) < 4
    for wrong in (
        right * (1 + 1e-4),
        np.full_like(right, np.nan),
        right[1:],
        np.where(right == 0, 1e-30, right),
    ):
        with pytest.raises(MeasureError, match="the result"):
            exact.roundings(wrong)


def test_fibers_and_columns() -> None:
    whole = build("ttv", TENSOR, "f64").sparse[0]
    fibers = whole.fibers()
    assert fibers.count < whole.stored and fibers.slices()[-1] == fibers.count
    spread = np.zeros((fibers.count, whole.shape[2]))
    for f in range(fibers.count):
        here = slice(fibers.pointer[f], fibers.pointer[f + 1])
        spread[f, fibers.third[here]] = fibers.values[here]
    np.testing.assert_array_equal(
        dense(columns_of(fibers.first, fibers.second, spread, whole.shape)), dense(whole)
    )
    turned = transposed(build("spmv", TALL, "f64").sparse[0])
    assert turned.in_order() is turned and turned.pointer()[-1] == turned.stored


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="type 'f16' is unknown: did you mean 'f"):
        build("spmv", SQUARE, "f16")
    with pytest.raises(InputError, match="ttv does not fit square of 2 modes"):
        build("ttv", SQUARE, "f64")
    with pytest.raises(InputError, match="operation 'x' is unknown: choose from spmv"):
        operation("x")
