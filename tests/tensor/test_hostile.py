"""Input that is wrong on purpose: an error that says what, never a crash or a read of what is not there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import aerogel as ag
from aerogel.core.errors import AerogelError, FormatError, InputError, NotationError, UnsupportedError
from aerogel.formats.storage import Storage, check
from aerogel.tensor.tensor import Tensor

SPMV = "y(i) = A(i,j) * x(j)"
A = np.array([[1.0, 0, 2], [0, 0, 0], [0, 3, 0]])
x = np.array([1.0, 10, 100])


def csr(**parts: Any) -> scipy.sparse.csr_array:
    """A CSR matrix of which these arrays were exchanged behind SciPy's back."""
    made = scipy.sparse.csr_array(A)
    for name, value in parts.items():
        setattr(made, name, np.asarray(value))
    return made


# --- coordinates and positions ----------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        {"indices": np.array([0, 3, 1], np.int32)},
        {"indices": np.array([0, -1, 1], np.int32)},
        {"indices": np.array([0, 2**31 - 1, 1], np.int32)},
        {"indices": np.array([0, 2**40, 1], np.int64)},
        {"indptr": np.array([0, 2, 1, 3], np.int32)},
        {"indptr": np.array([0, 2, 2, 4], np.int32)},
        {"indptr": np.array([0, 2, 2, 2**31 - 1], np.int32)},
        {"indptr": np.array([0, -5, 2, 3], np.int32)},
        {"indptr": np.array([1, 2, 2, 3], np.int32)},
        {"indptr": np.array([0, 2, 3], np.int32)},
        {"indptr": np.array([0, 2, 2, 3, 3], np.int32)},
        {"data": np.array([1.0, 2.0])},
        {"indices": np.array([0, 2], np.int32)},
        {"indices": np.array([0.0, 2.0, 1.0])},
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_refused_at_every_call(parts: dict[str, Any]) -> None:
    for notation in (SPMV, "C(i,j) = A(i,j) * x(j)", "y(j) = A(i,j) * x(i)"):
        ag.evaluate(notation, A=csr(), x=x)
        with pytest.raises(AerogelError, match="A"):
            ag.evaluate(notation, A=csr(**parts), x=x)


def test_coordinates_out_of_order_and_twice_are_sorted_and_summed() -> None:
    unsorted = scipy.sparse.csr_array(
        (np.array([2.0, 1.0, 3.0, 4.0]), np.array([2, 0, 1, 1]), np.array([0, 2, 2, 4])), shape=(3, 3)
    )
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=unsorted, x=x), [201, 0, 70])
    listed = scipy.sparse.coo_array(([1.0, 5.0, 1.0], ([2, 0, 2], [1, 1, 1])), shape=(3, 3))
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=listed, x=x), [50, 0, 20])


def storages() -> list[Storage]:
    return [ag.tensor(A, form).storage for form in ("csr", "dcsr", "coo", "bitmap,bitmap", "dense")]


@pytest.mark.parametrize("storage", storages(), ids=lambda s: s.format.short)
def test_a_storage_from_outside_is_checked_in_full(storage: Storage) -> None:
    check(storage, "A")
    levels = [list(arrays) for arrays in storage.levels]
    for at, arrays in enumerate(levels):
        for k, array in enumerate(arrays):
            for bad in (
                array[:-1],
                array.astype(np.float64),
                np.append(array, array[-1:]),
                array + array.dtype.type(77),
            ):
                parts = [list(each) for each in levels]
                parts[at][k] = bad
                with pytest.raises(AerogelError):
                    check(replace(storage, levels=tuple(tuple(each) for each in parts)), "A")
    with pytest.raises(AerogelError):
        check(replace(storage, values=storage.values[:-1]), "A")
    with pytest.raises(AerogelError):
        check(replace(storage, shape=(2, 3)), "A")
    with pytest.raises(AerogelError):
        check(replace(storage, shape=(-3, 3)), "A")


# --- the same memory as several operands ------------------------------------------------------


def test_one_array_as_every_operand() -> None:
    given = A.copy()
    np.testing.assert_array_equal(ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=given, B=given), A @ A)
    np.testing.assert_array_equal(ag.evaluate("C(i,j) = A(i,j) + B(j,i)", A=given, B=given), A + A.T)
    view = np.arange(10.0)
    np.testing.assert_array_equal(
        ag.evaluate("z(i) = x(i) * y(i)", x=view[:9], y=view[1:]), view[:9] * view[1:]
    )
    S = ag.tensor(A, "csr")
    for notation, want in (
        ("C(i,k) = A(i,j) * B(j,k)", A @ A),
        ("C(i,j) = A(i,j) - B(i,j)", A - A),
        ("C(i,j) = A(i,j) * B(j,i)", A * A.T),
        ("y(i) = A(i,j) * B(j,i)", (A * A.T).sum(axis=1)),
    ):
        np.testing.assert_array_equal(np.asarray(ag.evaluate(notation, A=S, B=S)), want)
    np.testing.assert_array_equal(
        np.asarray(ag.evaluate("C(i,k) = A(i,j) * A(j,k) * A(i,k)", A=S)), (A @ A) * A
    )
    assert given.tolist() == A.tolist()


def test_an_output_named_like_an_operand_does_not_change_it() -> None:
    given = A.copy()
    np.testing.assert_array_equal(ag.evaluate("A(i,j) = A(i,j) + A(j,i)", A=given), A + A.T)
    assert given.tolist() == A.tolist()


def test_operands_that_may_not_be_written_are_only_read() -> None:
    frozen = A.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=frozen, x=x), A @ x)
    stretched = np.broadcast_to(np.array([1.0, 2, 3]), (4, 3))
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=stretched, x=x), stretched @ x)


# --- nothing at all ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "csr", "coo", "dcsr", "bitmap,bitmap", "bsr:1x1"])
@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (3, 3)])
def test_empty_operands(form: str, shape: tuple[int, int]) -> None:
    empty = ag.tensor((np.zeros(0), (np.zeros(0, int), np.zeros(0, int))), form, shape=shape)
    ones = np.ones(shape[1])
    np.testing.assert_array_equal(ag.evaluate(SPMV, A=empty, x=ones, threads=2), np.zeros(shape[0]))
    assert ag.evaluate("s = A(i,j)", A=empty) == 0
    for notation in ("C(i,k) = A(i,j) * B(k,j)", "C(k,i) = A(i,k) - B(i,k) * 2", "C(i,k) = A(i,k) * B(i,k)"):
        for out in (None, "csr", "coo"):
            assert not np.asarray(ag.evaluate(notation, A=empty, B=empty, out_format=out, threads=2)).any()
    assert ag.evaluate("C(i,k) = A(j,i) * B(j,k)", A=empty, B=empty).shape == (shape[1], shape[1])


def test_nothing_but_numbers() -> None:
    assert ag.evaluate("s = 2 + 3") == 5
    assert ag.evaluate("s = a * b", a=2.0, b=3) == 6
    assert ag.einsum(",->", 2.0, 3.0) == 6
    with pytest.raises(InputError):
        ag.einsum("->")


# --- numbers at the edge ----------------------------------------------------------------------


def test_what_is_not_finite_meets_only_what_is_stored() -> None:
    for bad in (math.inf, -math.inf, math.nan):
        y = np.full(3, bad)
        for form in ("csr", "csc", "coo", "dcsr", "bitmap,bitmap"):
            S = ag.tensor(A, form)
            with np.errstate(invalid="ignore"):
                want = [A[0, 0] * bad + A[0, 2] * bad, 0, 3 * bad]
            np.testing.assert_array_equal(ag.evaluate(SPMV, A=S, x=y), want, err_msg=form)
            product = ag.evaluate("C(i,j) = A(i,j) * x(j)", A=S, x=y)
            assert np.isfinite(product.to_numpy()[A == 0]).all()


def test_integers_wrap_and_do_not_trap() -> None:
    least = np.iinfo(np.int64).min
    a = np.array([least, least, 7, 2**62], np.int64)
    b = np.array([-1, 1, 0, 4], np.int64)
    np.testing.assert_array_equal(ag.evaluate("z(i) = x(i) * y(i)", x=a, y=b), [least, least, 0, 0])
    np.testing.assert_array_equal(ag.evaluate("z(i) = abs(x(i))", x=a), [least, least, 7, 2**62])
    np.testing.assert_array_equal(ag.evaluate("z(i) = x(i) - y(i)", x=a, y=b)[:2], [least + 1, 2**63 - 1])
    quotients = ag.evaluate("z(i) = x(i) / y(i)", x=a, y=b)
    assert quotients.dtype == np.float64 and quotients[0] == 2.0**63 and quotients[2] == math.inf
    assert ag.evaluate("z(i) = x(i) ** 2", x=np.array([2**31, 3], np.int64)).tolist() == [2**62, 9]


def test_dtypes_that_are_not_taken() -> None:
    for dtype in ("complex128", "float16", "U3", "datetime64[s]", "object"):
        with pytest.raises(AerogelError, match="x"):
            ag.evaluate("y(i) = x(i) * 2", x=np.zeros(3, dtype))
    for dtype in ("uint8", "int8", "int16"):
        # What can be widened without loss is.
        given = np.arange(3).astype(dtype)
        np.testing.assert_array_equal(ag.evaluate("y(i) = x(i) * 2", x=given), given.astype(float) * 2)


# --- large requests ---------------------------------------------------------------------------


def test_a_huge_dense_result_is_refused_and_a_sparse_one_is_made() -> None:
    big = 2**40
    u = ag.tensor((np.ones(2), ([1, big - 1],)), "sv", shape=(big,))
    v = ag.tensor((np.ones(2), ([0, 5],)), "sv", shape=(9,))
    for form in ("dense", "csr", "bitmap,bitmap"):
        with pytest.raises((InputError, UnsupportedError), match=r"as csr|takes|would have"):
            ag.evaluate("C(i,j) = u(i) * v(j)", u=u, v=v, out_format=form)
    for form in ("dcsr", "coo", "csc"):
        got = ag.evaluate("C(i,j) = u(i) * v(j)", u=u, v=v, out_format=form)
        assert got.nnz == 4 and got.shape == (big, 9)
    with pytest.raises(InputError, match="ask for a sparse"):
        ag.evaluate("C(i,j,k) = u(i) * u(j) * u(k)", u=u, out_format="dense")
    assert ag.evaluate("C(i,j,k) = u(i) * u(j) * u(k)", u=u).nnz == 8


def test_a_row_too_wide_for_a_workspace() -> None:
    big = 2**45
    left = ag.tensor((np.ones(2), ([0, 1], [2, 3])), "csr", shape=(5, 7))
    right = ag.tensor((np.ones(2), ([2, 3], [5, big - 1])), "dcsr", shape=(7, big))
    for form in (None, "csr", "dcsr", "coo"):
        got = ag.evaluate("C(i,k) = A(i,j) * B(j,k)", A=left, B=right, out_format=form)
        coords, found = got.coordinates()
        kept = found != 0
        assert [crd[kept].tolist() for crd in coords] == [[0, 1], [5, big - 1]]


def test_many_indices_and_deep_texts() -> None:
    names = "abcdefghi"
    X = ag.tensor((np.array([2.0, 3.0]), tuple([0, 1] for _ in names)), "csf", shape=(2,) * 9)
    inside = ",".join(names)
    assert ag.evaluate(f"s = X({inside}) * X({inside})", X=X) == 13
    turned = ag.evaluate(f"Z({','.join(reversed(names))}) = X({inside})", X=X)
    np.testing.assert_array_equal(turned.to_numpy(), X.to_numpy().T)
    with pytest.raises(NotationError, match="nested more than"):
        ag.evaluate("y(i) = " + "-(" * 500 + "x(i)" + ")" * 500, x=x)
    with pytest.raises(NotationError, match="more than 200 operations"):
        ag.evaluate("y(i) = " + " + ".join(["x(i)"] * 500), x=x)
    assert ag.evaluate("y(i) = " + "exp(" * 20 + "x(i)" + ")" * 20, x=-x * 0 - 9.0).shape == (3,)
    np.testing.assert_array_equal(ag.evaluate("y(i) = " + " + ".join(["x(i)"] * 200), x=x), 200 * x)


def test_formats_given_as_something_else() -> None:
    for bad in (
        "csr,csr",
        "",
        "compressed_nonunique,compressed",
        "singleton",
        "dense,dense@0,0",
        "bsr:0x1",
        "bsr:2",
    ):
        with pytest.raises((FormatError, InputError)):
            ag.evaluate("C(i,j) = A(i,j)", A=A, out_format=bad)


def test_a_tensor_has_no_way_in_past_its_check() -> None:
    good = ag.tensor(A, "csr")
    with pytest.raises(ValueError, match=r"read-only|assignment destination"):
        good.storage.levels[1][1][0] = 99
    assert isinstance(good, Tensor)
