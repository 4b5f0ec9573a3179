"""What an order of loops makes of a result: its format, and how it is put together."""

from __future__ import annotations

import pytest

from aerogel.core.dtypes import DType
from aerogel.einsum.parse import parse
from aerogel.formats.tensor_format import named
from aerogel.lower.operand import OperandType
from aerogel.lower.result import Made, made

CSR, CSC, COO, DENSE = (named(name, 2) for name in ("csr", "csc", "coo", "dense"))


def of(notation: str, out: str, order: str, *, scatter: bool = False, **formats: str) -> Made:
    operands = {n: OperandType(n, named(f, 2), DType.F64, DType.I32) for n, f in formats.items()}
    return made(parse(notation), named(out, 2), tuple(order), operands, scatter=scatter)


ADDED = "C(i,j) = A(i,j) + B(i,j)"
SAMPLED = "C(i,j) = A(i,j) * B(i,j)"
PRODUCT = "C(i,k) = A(i,j) * B(j,k)"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (of(ADDED, "dense", "ij", A="csr", B="csr"), Made("dense", DENSE, 0)),
        (of(ADDED, "csr", "ij", A="csr", B="csr"), Made("rows", CSR, 2)),
        (of(ADDED, "csc", "ji", A="csc", B="csc"), Made("rows", CSC, 2)),
        # Levels that come in another order than the loops are listed, and made from the list.
        (of(ADDED, "csc", "ij", A="csr", B="csr"), Made("coordinates", COO, 2)),
        (of(ADDED, "dcsr", "ij", A="dcsr", B="dcsr"), Made("coordinates", COO, 2)),
        (of(SAMPLED, "csr", "ij", A="csr", B="dense"), Made("pattern", CSR, 2, "A")),
        (of(SAMPLED, "csr", "ij", A="dense", B="csr"), Made("pattern", CSR, 2, "B")),
        # Two sparse operands have another pattern than either.
        (of(SAMPLED, "csr", "ij", A="csr", B="csr"), Made("rows", CSR, 2)),
        (of(PRODUCT, "csr", "ijk", scatter=True, A="csr", B="csr"), Made("rows", CSR, 2)),
    ],
)
def test_how_a_result_comes_about(found: Made, expected: Made) -> None:
    assert found == expected
