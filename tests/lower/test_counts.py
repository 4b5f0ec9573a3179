"""Operations and bytes of assignments: gross by formula, effective against what is really stored."""

from __future__ import annotations

import numpy as np
import pytest

import aerogel as ag
from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Assignment
from aerogel.einsum.parse import parse
from aerogel.formats.tensor_format import named
from aerogel.lower.counts import Counts, counts, free

RANDOM = np.random.default_rng(0)


def sparse(rows: int, columns: int, density: float) -> np.ndarray:
    return RANDOM.random((rows, columns)) * (RANDOM.random((rows, columns)) < density)


A, B = sparse(300, 200, 0.05), sparse(200, 100, 0.05)
S, T = ag.tensor(A, "csr"), ag.tensor(B, "csr")
X = np.ones(200)
Y = ag.tensor(X, "dense")


def counted(text: str, out: str, **operands: ag.Tensor) -> Counts:
    assignment: Assignment = parse(text)
    given = {name: value.storage for name, value in operands.items()}
    form = named(out, len(assignment.out.indices))
    return counts(assignment, given, form, DType.F64)


def test_a_matrix_times_a_vector_by_hand() -> None:
    found = counted("y(i) = A(i,j) * x(j)", "dense", A=S, x=Y)
    nonzeros = np.count_nonzero(A)
    assert found.flops_gross == 2 * 300 * 200
    assert found.flops_effective == pytest.approx(2 * nonzeros)
    assert found.bytes_gross == 8 * (300 * 200 + 200 + 300)
    assert found.bytes_effective == S.nbytes + 8 * (200 + 300)


def test_what_is_added_once_for_each_row_counts_once_for_each_row() -> None:
    bias = ag.tensor(np.ones(300), "dense")
    plain = counted("y(i) = A(i,j) * x(j)", "dense", A=S, x=Y)
    more = counted("y(i) = relu(A(i,j) * x(j) + b(i))", "dense", A=S, x=Y, b=bias)
    assert more.flops_gross == plain.flops_gross + 300 + 300


def test_a_product_of_sparse_matrices_is_estimated_well_where_zeros_are_anywhere() -> None:
    found = counted("C(i,k) = A(i,j) * B(j,k)", "csr", A=S, B=T)
    pairs = (A != 0).astype(int) @ (B != 0).astype(int)
    assert found.flops_gross == 2 * 300 * 200 * 100
    assert found.flops_effective == pytest.approx(2 * pairs.sum(), rel=0.1)
    result = found.bytes_effective - S.nbytes - T.nbytes
    assert result == pytest.approx(ag.einsum("ij,jk->ik", S, T).nbytes, rel=0.1)


def test_dense_operands_make_both_the_same() -> None:
    D = ag.tensor(np.ones((20, 30)), "dense")
    found = counted("C(i,k) = A(i,j) * B(j,k)", "dense", A=D, B=ag.tensor(np.ones((30, 40)), "dense"))
    assert found.flops_gross == found.flops_effective == 2 * 20 * 30 * 40
    assert found.bytes_gross == found.bytes_effective == 8 * (20 * 30 + 30 * 40 + 20 * 40)
    assert str(found) == "48.0 kop, 21.1 kB".replace("21.1", f"{found.bytes_gross / 1000:.1f}")


def test_nothing_stored_is_nothing_to_do() -> None:
    empty = ag.tensor(np.zeros((300, 200)), "csr")
    found = counted("y(i) = A(i,j) * x(j)", "dense", A=empty, x=Y)
    assert found.flops_effective == 0 and found.flops_gross == 2 * 300 * 200


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("s = A(i,j)", ""), ("y(i) = A(i,j) * x(j)", "i"), ("C(i,k) = A(i,j) * B(j,k)", "ik"), ("y = 3", "")],
)
def test_what_a_value_depends_on(text: str, wanted: str) -> None:
    assert free(parse(text).expr) == frozenset(wanted)


def test_explain_ends_with_them() -> None:
    last = ag.explain("y(i) = A(i,j) * x(j)", A=S, x=X).splitlines()[-1]
    assert last.startswith("  120 / ") and last.endswith(
        "gross (all dense) / effective (about, of what is stored)"
    )
    blocks = ag.explain("y(i) = A(i,j) * x(j)", A=ag.tensor(np.eye(8), "csr"), x=np.ones(8)).splitlines()
    assert blocks[-1].startswith("  128 / 16 op, ")
