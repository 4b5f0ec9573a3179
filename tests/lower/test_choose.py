"""Which schedule is chosen for well-known cases, and what can be fixed by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.lower.known import KNOWN

from aerogel.convert.pack import pack
from aerogel.core.errors import InputError, UnsupportedError
from aerogel.einsum.nodes import accesses
from aerogel.einsum.parse import parse
from aerogel.formats.tensor_format import named
from aerogel.lower.choose import Choice, Wanted
from aerogel.tensor.request import Request, prepare

BY_NAME = {known.name: known for known in KNOWN}


def chosen(
    notation: str,
    wanted: Wanted | None = None,
    *,
    size: int = 200,
    density: float = 0.02,
    semiring: str = "plus_times",
    **formats: str,
) -> Choice:
    """Square operands, of which those with a format store a share ``density``."""
    assignment = parse(notation, semiring=semiring)
    rng = np.random.default_rng(0)
    operands = {}
    for access in accesses(assignment.expr):
        shape = (size,) * len(access.indices)
        form = named(formats.get(access.tensor, "dense"), len(shape))
        mask = np.ones(shape, bool) if form.dense else rng.random(shape) < density
        operands[access.tensor] = pack(np.nonzero(mask) if shape else (), np.ones(mask.sum()), shape, form)
    return prepare(Request.of(assignment), operands, wanted or Wanted()).choice


@pytest.mark.parametrize(
    ("name", "order", "assembly", "scatter", "out"),
    [
        ("spmv_csr", "ij", "dense", False, "dense"),
        ("spmv_csc", "ji", "dense", True, "dense"),
        ("spmv_coo", "ij", "dense", False, "dense"),
        ("matmul_dense", "ikj", "dense", False, "dense"),
        ("add_csr", "ij", "rows", False, "csr"),
        ("add_dcsr", "ij", "coordinates", False, "coo"),
        ("multiply_csr", "ij", "rows", False, "csr"),
        ("sddmm", "ijk", "pattern", False, "csr"),
        ("spgemm", "ijk", "rows", True, "csr"),
        ("row_sum", "ij", "dense", False, "dense"),
        ("ttv", "ijk", "pattern", False, "dcsr"),
    ],
)
def test_well_known_cases(name: str, order: str, assembly: str, scatter: bool, out: str) -> None:
    known = BY_NAME[name]
    sizes = dict.fromkeys("ijkr", 60 if len(known.text) > 32 else 100)
    choice = known.prepared(known.operands(0, sizes)).choice
    found = choice.scheduled
    assert ("".join(found.order), found.assembly, found.scatter, found.out.short) == (
        order,
        assembly,
        scatter,
        out,
    )


def test_dense_columns_run_in_vector_lanes() -> None:
    spmm = chosen("C(i,k) = A(i,j) * B(j,k)", A="csr").scheduled
    assert spmm.vector == "k" and spmm.parallel and spmm.order[0] == "i"
    assert chosen("y(i) = A(i,j) * x(j)", A="csr").scheduled.vector is None
    assert chosen("y(i) = x(i) + b(i)").scheduled.vector == "i"


def test_an_operand_in_the_wrong_order_is_converted_or_the_loops_are_turned() -> None:
    both = chosen("C(i,j) = A(i,j) + B(i,j)", A="csr", B="csc")
    assert {f.short for f in both.formats.values()} in ({"csr"}, {"csc"})
    # Small beside what it meets: it is the one that is converted.
    uneven = chosen("C(i,k) = A(i,j) * B(k,j) * M(i,k)", A="csr", B="csr", M="csr")
    assert uneven.scheduled.order[0] == "i"


def test_a_list_stays_a_list() -> None:
    assert chosen("C(i,j) = 2 * A(i,j)", A="coo").out.short == "coo"
    assert chosen("C(i,j) = A(i,j) * B(i,j)", A="coo", B="coo").out.short == "coo"


def test_vectors_that_sums_make_are_dense_and_sparse_ones_stay_sparse() -> None:
    assert chosen("y(i) = A(i,j) * x(j)", A="dcsr").out.dense
    assert chosen("z(i) = x(i) * y(i)", x="sv", y="sv").out.short == "sv"
    assert chosen("z(i) = x(i) + y(i)", x="sv").out.dense


# --- by hand ----------------------------------------------------------------------------------


def test_the_order_by_hand() -> None:
    found = chosen("C(i,k) = A(i,j) * B(j,k)", Wanted(order=("i", "k", "j")), A="csr", B="csr")
    assert found.scheduled.order == ("i", "k", "j")
    assert found.formats["B"].short == "csc"
    with pytest.raises(InputError, match=re.escape("order=('i', 'j') must name each index once: i, k, j")):
        chosen("C(i,k) = A(i,j) * B(j,k)", Wanted(order=("i", "j")), A="csr", B="csr")


def test_an_order_that_cannot_be() -> None:
    with pytest.raises(UnsupportedError, match=r"y\(i\) = exp\(.*no loops fit order=j,i: a sparse result"):
        chosen("y(i) = exp(A(i,j) * x(j))", Wanted(order=("j", "i")), A="csr")
    with pytest.raises(UnsupportedError, match="no loops fit order=j,i,k, out_format=csr"):
        chosen("C(i,k) = A(i,j) * B(j,k)", Wanted(named("csr", 2), ("j", "i", "k")), A="csr", B="csr")
    # Into a dense result it can.
    wanted = Wanted(named("dense", 2), ("j", "i", "k"))
    assert chosen("C(i,k) = A(i,j) * B(j,k)", wanted, A="csr", B="csr").scheduled.scatter


def test_the_workspace_by_hand() -> None:
    for workspace in (True, False):
        found = chosen("C(i,k) = A(i,j) * B(j,k)", Wanted(named("csr", 2), None, workspace), A="csr", B="csr")
        assert found.scheduled.scatter == workspace
    with pytest.raises(UnsupportedError, match="no loops fit workspace=True"):
        chosen("C(i,j) = A(i,j) * B(i,j)", Wanted(workspace=True), A="csr", B="csr")


def test_threads_by_hand() -> None:
    assert not chosen("y(i) = A(i,j) * x(j)", Wanted(parallel=False), A="csr").scheduled.parallel
    assert chosen("y(i) = A(i,j) * x(j)", A="csr").scheduled.parallel
    # Rows of a transposed matrix would meet in the result.
    scattered = chosen("y(i) = A(i,j) * x(j)", Wanted(order=("j", "i")), A="csc").scheduled
    assert scattered.scatter and not scattered.parallel


@pytest.mark.parametrize(
    "form", ["dense", "csr", "csc", "coo", "dcsr", "bitmap,bitmap", "dense,bitmap", "bsr:2x2"]
)
@pytest.mark.parametrize("notation", ["C(i,k) = A(i,j) * B(j,k)", "C(i,k) = A(i,k) + B(k,i)"])
def test_every_format_of_a_result_can_be_had(form: str, notation: str) -> None:
    for given in ("dense", "csr", "csc", "coo"):
        found = chosen(notation, Wanted(named(form, 2)), size=20, density=0.2, A=given, B=given)
        assert found.work > 0


def test_coordinates_are_wide_where_an_extent_is() -> None:
    assert chosen("C(i,j) = 2 * A(i,j)", A="coo").scheduled.index.short == "i32"
    wide = pack((np.array([3, 2**40]),), np.ones(2), (2**41,), named("sv", 1))
    request = Request.of(parse("y(i) = 2 * x(i)"))
    assert prepare(request, {"x": wide}, Wanted()).choice.scheduled.index.short == "i64"
