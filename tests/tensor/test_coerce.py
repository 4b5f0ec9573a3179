"""Operands of every library: what is sound is read, what is not is told, and nobody's arrays are trusted."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator
from tests.tensor.samples import array, same

from aerogel.core.errors import AerogelError, FormatError, InputError, UnsupportedError
from aerogel.formats.storage import check
from aerogel.tensor.coerce import operand
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

X = array(np.random.default_rng(8), (6, 9), "float64")
LAYOUTS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
pytestmark = pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta state:UserWarning")


def read(value: Any, name: str = "A") -> NDArray[Any]:
    """The array an operand stands for; its storage passes every check."""
    return Tensor(check(operand(value, name), name)).to_numpy()


# ----------------------------------------------------------------------------------------------- NumPy


def test_arrays_are_not_copied_where_they_are_contiguous_in_some_order() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        view = x.transpose(order)
        assert np.shares_memory(operand(view, "A").values, x)
        np.testing.assert_array_equal(read(view), view)
    for view in (x[::-1], x[:, ::2], x[..., 1], np.broadcast_to(x[0], (5, 3, 4))):
        assert not np.shares_memory(operand(view, "A").values, x)
        np.testing.assert_array_equal(read(view), view)


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("float64", "float64"), ("float32", "float32"), ("int64", "int64"), ("int32", "int32"),
        ("bool", "bool"),
        ("int8", "int32"), ("uint8", "int32"), ("int16", "int32"), ("uint16", "int32"), ("uint32", "int64"),
        (">f8", "float64"), (">i4", "int32"), (">u2", "int32"), ("longlong", "int64"),
    ],
)  # fmt: skip
def test_types_that_kernels_do_not_know_are_widened(dtype: str, becomes: str) -> None:
    x = np.array([0, 1, 1, 0]).astype(dtype)
    found = operand(x, "A").values
    assert found.dtype == becomes and found.dtype.isnative
    np.testing.assert_array_equal(found, x)


def test_numbers_that_lie_across_words_are_copied() -> None:
    raw = np.frombuffer(bytes(81), "f8", 9, 1)
    assert not raw.flags.aligned and operand(raw, "A").values.flags.aligned
    ids = np.frombuffer(b"x" + np.zeros(20_000, np.int32).tobytes(), np.int32, offset=1)
    s = sparse.csr_array((20_000, 3))
    s.data, s.indices, s.indptr = np.ones(20_000), ids, np.arange(20_001, dtype=np.int32)
    assert not ids.flags.aligned and read(s)[:, 0].sum() == 20_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(2, "float16"), r"^A has values of type float16: cast it to float32 first$"),
        (np.zeros(2, "longdouble"), r"cast it to float64 first"),
        (np.zeros(2, "uint64"), r"cast it to int64 if every value is below 2\^63"),
        (np.zeros(2, "complex64"), r"complex numbers are not supported"),
        (np.array([None, 1]), r"values of type object: give it the type of a number"),
        (np.array(["a"]), r"type <U1: use float64"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"use float64"),
        (np.zeros(2, "i4,f8"), r"use float64"),
        ([[1], [1, 2]], r"^A \(list\) is no array"),
        (2**70, r"^A has values of type object"),
        ("text", r"^A is a str: give a NumPy, SciPy, torch"),
        (None, r"^A is a NoneType"),
        ({"a": 1}, r"^A is a dict"),
        (1j, r"^A is a complex"),
    ],
)
def test_what_holds_no_numbers_is_told(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        operand(value, "A")


def test_numbers_and_lists_are_tensors() -> None:
    assert read(3).shape == () and read(3).dtype == np.int64
    assert read(2.5) == 2.5 and read(True) == np.True_
    same(read([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]]))
    same(read(np.float32(2)), np.float32(2))
    same(read(np.ones((1, 2)).view(np.matrix)), np.ones((1, 2)))
    with pytest.raises(UnsupportedError, match=r"masked array, whose mask would be lost: give A.filled\(0\)"):
        operand(np.ma.masked_array([1.0], [True]), "A")


def test_not_a_number_and_infinity_are_numbers() -> None:
    x = np.array([[np.nan, 0.0], [np.inf, -0.0]])
    np.testing.assert_array_equal(read(sparse.csr_array(x)), x)


# ----------------------------------------------------------------------------------------------- SciPy


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int64", "bool", "int8"])
def test_every_layout_of_scipy(layout: str, kind: str, dtype: str) -> None:
    x = X.astype(dtype)
    value = getattr(sparse, f"{layout}_{kind}")(x)
    np.testing.assert_array_equal(read(value), x)
    wanted = layout if layout in ("csr", "csc", "coo", "bsr") else "coo"
    assert operand(value, "A").format.short.partition(":")[0] == wanted


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (3, 4)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_stored(layout: str, shape: tuple[int, int]) -> None:
    value = sparse.coo_array(shape).asformat(layout)
    assert read(value).shape == shape and not read(value).any()


def test_vectors_and_tensors_of_scipy() -> None:
    for layout in ("csr", "coo", "dok"):
        value = sparse.coo_array(X[1]).asformat(layout)
        np.testing.assert_array_equal(read(value), X[1])
        assert operand(value, "A").format.short == "sv"
    cube = array(np.random.default_rng(1), (3, 4, 5), "float64")
    np.testing.assert_array_equal(read(sparse.coo_array(cube)), cube)


def test_values_are_shared_and_places_are_copied() -> None:
    value = sparse.csr_array(X)
    found = operand(value, "A")
    assert np.shares_memory(found.values, value.data)
    assert not any(np.shares_memory(a, b) for a in found.levels[1] for b in (value.indptr, value.indices))
    value.indices[:] = 10**6
    check(found, "A")


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "coo"])
def test_what_is_unsorted_or_stands_twice_is_sorted_and_summed(layout: str) -> None:
    rng = np.random.default_rng(4)
    rows, columns = rng.integers(0, 6, 40), rng.integers(0, 8, 40)
    data = rng.integers(1, 9, 40).astype("float64")
    wanted = sparse.coo_array((data, (rows, columns)), (6, 8)).toarray()
    if layout == "coo":
        value: Any = sparse.coo_array((data, (rows, columns)), (6, 8))
    else:
        order = np.argsort(columns if layout == "csc" else rows, kind="stable")
        major, minor = (columns, rows) if layout == "csc" else (rows, columns)
        pos = np.zeros(1 + (8 if layout == "csc" else 6), np.int32)
        np.cumsum(np.bincount(major, minlength=len(pos) - 1), out=pos[1:])
        held = data[order].reshape(-1, 1, 1) if layout == "bsr" else data[order]
        make = getattr(sparse, f"{layout}_array")
        value = make((held, minor[order].astype(np.int32), pos), shape=(6, 8))
    np.testing.assert_array_equal(read(value), wanted)
    with pytest.raises(AerogelError, match="stand twice"):
        operand(value, "A", "refuse")


def test_blocks_that_stand_twice_are_summed() -> None:
    data = np.arange(12.0).reshape(3, 2, 2)
    value = sparse.bsr_array((data, [1, 0, 1], [0, 3, 3]), shape=(4, 4))
    np.testing.assert_array_equal(read(value), value.toarray())


def test_values_beyond_the_last_position_are_left_alone() -> None:
    value = sparse.csr_array((np.ones(5), np.zeros(5, np.int32), np.array([0, 1, 2])), shape=(2, 3))
    np.testing.assert_array_equal(read(value), [[1, 0, 0], [1, 0, 0]])


def lying(**parts: Any) -> Any:
    """A CSR of 2 x 3 whose parts SciPy never checked."""
    sound = {
        "indptr": np.array([0, 1, 3]),
        "indices": np.array([2, 0, 1]),
        "data": np.ones(3),
        "shape": (2, 3),
    }
    held = SimpleNamespace(**{**sound, **parts})

    class csr_array:  # noqa: N801
        __module__ = "scipy.sparse"
        format = "csr"
        indptr, indices, data, shape = held.indptr, held.indices, held.data, held.shape

    return csr_array()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"indices": np.array([2, 0, 3])}, r"A, mode 1 \(compressed\): coordinate 3 is outside 0 \.\. 2"),
        ({"indices": np.array([2, -1, 1])}, r"coordinate -1 is outside"),
        ({"indices": np.array([2, 2**32, 1])}, r"coordinate 4294967296 is outside"),
        ({"indices": np.array([2, 2**63, 1], np.uint64)}, r"coordinate -9223372036854775808 is outside"),
        ({"indices": np.array([2.0, 0.0, 1.0])}, r"A: coordinates has type float64"),
        ({"indices": np.array([[2, 0, 1]])}, r"coordinates must be 1-D"),
        ({"indices": np.array([2, 0])}, r"pos ends at 3, but there are 2 coordinates"),
        ({"indptr": np.array([0, 2, 1])}, r"pos falls from 2 to 1 at 1"),
        ({"indptr": np.array([1, 1, 3])}, r"pos starts at 1"),
        ({"indptr": np.array([0, 3])}, r"pos has 2 elements, but 2 parents need 3"),
        ({"indptr": np.array([], np.int32)}, r"pos has 0 elements"),
        ({"indptr": np.array([0, -5, 3])}, r"pos falls from 0 to -5"),
        ({"indptr": np.array([0, 1, 2**40])}, r"pos ends at 1099511627776"),
        ({"data": np.ones(2)}, r"A: 2 values, but the levels have 3 positions"),
        ({"data": np.ones((3, 2))}, r"data must be 1-D"),
        ({"shape": (-2, 3)}, r"mode 0 has size -2"),
        ({"shape": (2**40, 3)}, r"pos has 3 elements"),
    ],
)
def test_a_csr_that_lies_is_told(parts: dict[str, Any], message: str) -> None:
    assert read(lying()).sum() == 3
    with pytest.raises(FormatError, match=message):
        operand(lying(**parts), "A")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 7], r"coordinate 7 is outside 0 \.\. 1"),
        ([1, -1], r"coordinate -1 is outside 0 \.\. 1"),
        ([0], r"2 values, but 1, 2 coordinates"),
        (["a", "b"], r"coordinates 0 has type"),
    ],
)
def test_a_coo_that_lies_is_told(row: list[Any], message: str) -> None:
    value = sparse.coo_array(([1.0, 2.0], ([0, 1], [2, 0])), shape=(2, 3))
    value.coords = (np.array(row), np.array([2, 0]))
    with pytest.raises(FormatError, match=message):
        operand(value, "A")


def test_what_is_no_matrix_of_scipy_is_told() -> None:
    with pytest.raises(InputError, match=r"^A is a \w+ of SciPy: give a sparse matrix or array"):
        operand(aslinearoperator(np.eye(2)), "A")


def test_a_dia_that_lies_is_told() -> None:
    value = sparse.dia_array(([[1.0, 2.0, 3.0]], [0]), shape=(3, 3))
    value.offsets = np.array([0, 1])
    with pytest.raises(FormatError, match=r"data of shape \(1, 3\) for 2 diagonals"):
        operand(value, "A")
    value.offsets = np.array([2**31 - 1])
    assert not read(value).any()


# ----------------------------------------------------------------------------------------------- torch


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.int32, torch.int64, torch.bool, torch.int8]
)
def test_every_layout_of_torch(dtype: torch.dtype) -> None:
    x = torch.from_numpy(X).to(dtype)
    for value in (x, x.to_sparse(), x.to_sparse_csr(), x.to_sparse_csc()):
        np.testing.assert_array_equal(read(value), x.numpy())
    blocks = x.repeat(1, 2)
    for value in (blocks.to_sparse_bsr((3, 2)), blocks.to_sparse_bsc((2, 9))):
        np.testing.assert_array_equal(read(value), blocks.numpy())


def test_torch_tensors_are_not_copied() -> None:
    x = torch.from_numpy(X.copy())
    assert np.shares_memory(operand(x, "A").values, x.numpy())
    assert np.shares_memory(operand(x.T, "A").values, x.numpy())


def test_uncoalesced_and_hybrid_and_batched() -> None:
    ids = torch.tensor([[0, 1, 0, 1], [2, 0, 2, 1]])
    value = torch.sparse_coo_tensor(ids, torch.tensor([1.0, 2.0, 3.0, 4.0]), (2, 3), check_invariants=False)
    np.testing.assert_array_equal(read(value), [[0, 0, 4], [2, 4, 0]])
    hybrid = torch.sparse_coo_tensor(ids, torch.arange(8.0).reshape(4, 2), (2, 3, 2), check_invariants=False)
    np.testing.assert_array_equal(read(hybrid), hybrid.to_dense().numpy())
    rows = torch.sparse_coo_tensor(ids[:1], torch.ones(4, 5), (2, 5), check_invariants=False)
    np.testing.assert_array_equal(read(rows), rows.to_dense().numpy())
    cube = torch.eye(4).repeat(3, 1, 1) * torch.arange(1.0, 4.0)[:, None, None]
    for value in (cube.to_sparse_csr(), cube.to_sparse_csc()):
        np.testing.assert_array_equal(read(value), cube.numpy())
    wide = torch.arange(24.0).reshape(3, 4, 2)
    np.testing.assert_array_equal(read(wide.to_sparse_csr(dense_dim=1)), wide.numpy())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            torch.zeros(2, dtype=torch.bfloat16),
            r"A \(bfloat16\) cannot be read as an array: give A\.float\(\)",
        ),
        (torch.zeros(2, dtype=torch.float16), r"values of type float16: cast it to float32"),
        (torch.zeros(2, requires_grad=True), r"A requires a gradient, .*: give A\.detach\(\)"),
        (torch.zeros(2, device="meta"), r"A is on meta: give A\.cpu\(\)"),
        (torch.float32, r"A is a dtype"),
        (torch.zeros(2, dtype=torch.complex64), r"complex numbers are not supported"),
    ],
)
def test_torch_tensors_that_cannot_be_read_are_told(value: Any, message: str) -> None:
    with pytest.raises(AerogelError, match=message):
        operand(value, "A")


def test_a_batch_of_blocked_matrices_is_told() -> None:
    with pytest.raises(UnsupportedError, match="batch of blocked matrices"):
        operand(torch.ones(2, 4, 4).to_sparse_bsr((2, 2)), "A")


def test_a_torch_csr_that_lies_is_told() -> None:
    for crow, col in (([0, 1, 9], [0, 1]), ([0, 1, 2], [0, 7]), ([0, 5, 2], [0, 1])):
        value = torch.sparse_csr_tensor(
            torch.tensor(crow), torch.tensor(col), torch.ones(2), (2, 3), check_invariants=False
        )
        with pytest.raises(FormatError, match=r"^A, mode 1"):
            operand(value, "A")
    bad = torch.sparse_coo_tensor(torch.tensor([[0, 5]]), torch.ones(2), (3,), check_invariants=False)
    with pytest.raises(FormatError, match="coordinate 5 is outside"):
        operand(bad, "A")


# -------------------------------------------------------------------------------------------- PyData/sparse


def pydata(kind: str, **parts: Any) -> Any:
    """What PyData/sparse would hand over, if it is not installed."""
    return type(kind, (), {"__module__": "sparse.numba_backend", **parts})()


def test_pydata_arrays_keep_their_fill() -> None:
    coo = pydata(
        "COO", shape=(2, 3), coords=np.array([[0, 1], [2, 0]]), data=np.array([5.0, 6.0]), fill_value=1.0
    )
    np.testing.assert_array_equal(read(coo), [[1, 1, 5], [6, 1, 1]])
    parts = {"indptr": np.array([0, 1, 2]), "indices": np.array([2, 0]), "data": np.array([5.0, 6.0])}
    rows = pydata("GCXS", shape=(2, 3), compressed_axes=(0,), fill_value=np.float64(0), **parts)
    np.testing.assert_array_equal(read(rows), [[0, 0, 5], [6, 0, 0]])
    columns = pydata("GCXS", shape=(3, 2), compressed_axes=(1,), fill_value=np.float64(2), **parts)
    np.testing.assert_array_equal(read(columns), [[2, 6], [2, 2], [5, 2]])
    scalar = pydata("COO", shape=(), coords=np.zeros((0, 1), int), data=np.array([3.0]), fill_value=0.0)
    assert read(scalar) == 3.0
    with pytest.raises(FormatError, match="outside"):
        operand(pydata("COO", shape=(1, 3), coords=coo.coords, data=coo.data, fill_value=0.0), "A")
    with pytest.raises(InputError, match="is a Foo of sparse: give a COO"):
        operand(pydata("Foo"), "A")


def test_pydata_itself() -> None:
    library = pytest.importorskip("sparse", reason="PyData/sparse is not installed")
    cube = array(np.random.default_rng(1), (3, 4, 5), "float64")
    for x in (X, cube, X[0]):
        for value in (library.COO(x), library.GCXS(x), library.COO(x, fill_value=2.0), library.DOK(x)):
            np.testing.assert_array_equal(read(value), value.todense())
    assert (tensor(X, "csr", fill=0).to_sparse().todense() == X).all()


# ------------------------------------------------------------------------------------------------- own


@pytest.mark.parametrize("count", [2_000, 40_000])
def test_another_thread_may_write_meanwhile(count: int) -> None:
    """Whatever is read, what comes out is sound, or an error."""
    rng = np.random.default_rng(1)
    s = sparse.csr_array(rng.random((count // 20, 100)) * (rng.random((count // 20, 100)) < 0.2))
    sound, wild = s.indices.copy(), rng.integers(-(2**31), 2**31, len(s.indices), dtype=np.int32)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            s.indices[:] = wild
            s.indices[:] = sound

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            with contextlib.suppress(FormatError):
                check(operand(s, "A"), "A")
    finally:
        done.set()
        writer.join()
    check(operand(s, "A"), "A")


def test_own_tensors_are_as_they_are() -> None:
    t = tensor(X, "csr")
    assert operand(t, "A") is t.storage
    broken = replace(t.storage, values=t.storage.values[:-1])
    with pytest.raises(FormatError):
        check(broken, "A")
