"""Every format to every other, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.convert.tensors import FORMATS, Entries, entries, fits, held, same, same_bits

from aerogel.convert import buckets, chunks, counting, transpose
from aerogel.convert.convert import convert
from aerogel.convert.pack import pack
from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError
from aerogel.formats.storage import Storage, check, dense
from aerogel.formats.tensor_format import named


@pytest.fixture(autouse=True)
def little_work_takes_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(chunks, "WORTH_WAKING", 0)
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


def array_of(storage: Storage) -> np.ndarray[Any, Any]:
    found = np.full(storage.shape, storage.fill, storage.values.dtype)
    for where, value in held(storage).items():
        found[where] = value
    return found


@given(entries(distinct=True), st.data(), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_every_format_to_every_other(put: Entries, data: st.DataObject, threads: int) -> None:
    forms = [form for form in FORMATS[len(put.shape)] if fits(form, put.shape)]
    fill = data.draw(st.sampled_from((0, 1)))
    source = pack(put.coords, put.values, put.shape, data.draw(st.sampled_from(forms)), fill=fill)
    expected = array_of(source)
    for form in forms:
        result = check(convert(source, form, threads=threads), "A")
        assert result.format == form and result.shape == source.shape and result.fill == source.fill
        assert same_bits(array_of(result), expected) or _only_signs(array_of(result), expected), form


def _only_signs(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """A -0.0 equals the fill 0: as padding it may have become it."""
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


@given(entries(2, distinct=True))
@settings(max_examples=30, deadline=None)
def test_stored_entries_stay_stored_between_sparse_formats(put: Entries) -> None:
    """Explicit zeros, -0.0 and NaN among them."""
    names = (
        "csr",
        "csc",
        "coo",
        "dcsr",
        "bitmap,bitmap",
        "dense,bitmap",
        "compressed_nonunique,singleton@1,0",
    )
    for name in names:
        source = pack(put.coords, put.values, put.shape, named(name, 2))
        for other in names:
            assert same(held(convert(source, named(other, 2))), put.folded()), (name, other)


def test_the_same_format_is_the_same_storage() -> None:
    storage = pack((np.array([1]),), np.ones(1), (3,), named("sv", 1))
    assert convert(storage, named("sv", 1)) is storage


@pytest.mark.parametrize("index", [DType.I32, DType.I64])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bool"])
@pytest.mark.parametrize("shape", [(300, 40), (40, 3000), (1, 500), (500, 1)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_transposition_is_that_of_scipy(
    index: DType, dtype: str, shape: tuple[int, int], threads: int
) -> None:
    array = sp.random_array(shape, density=0.1, rng=np.random.default_rng(3), format="csr").astype(dtype)
    array.sort_indices()
    levels = ((), (array.indptr.astype(index.numpy()), array.indices.astype(index.numpy())))
    source = check(Storage(named("csr", 2), shape, levels, array.data, index=index), "A")
    result = check(convert(source, named("csc", 2), threads=threads), "A")
    other = array.tocsc()
    assert np.array_equal(result.levels[1][0], other.indptr)
    assert np.array_equal(result.levels[1][1], other.indices)
    assert np.array_equal(result.values, other.data)
    assert result.index is index
    back = convert(result, named("csr", 2), threads=threads)
    assert np.array_equal(back.levels[1][1], array.indices) and np.array_equal(back.values, array.data)


@pytest.mark.parametrize("near", [0, 40, 1 << 40])
@pytest.mark.parametrize("threads", [1, 3])
def test_entries_go_to_the_same_places_near_and_far(
    monkeypatch: pytest.MonkeyPatch, near: int, threads: int
) -> None:
    """Whether memory is asked for beforehand changes nothing, up to the last entry."""
    array = sp.random_array((30, 20), density=0.2, rng=np.random.default_rng(3), format="coo")
    order = np.random.default_rng(4).permutation(array.nnz)
    coords = tuple(column[order].astype(np.int32) for column in array.coords)
    monkeypatch.setattr(counting, "NEAR", near)
    for kernel in (transpose._kernel, buckets._kernel):
        kernel.cache_clear()
    try:
        packed = pack(coords, array.data[order], (30, 20), named("csr", 2), threads=threads)
        turned = convert(packed, named("csc", 2), threads=threads)
    finally:
        for kernel in (transpose._kernel, buckets._kernel):
            kernel.cache_clear()
    for found, other in ((packed, array.tocsr()), (turned, array.tocsc())):
        other.sort_indices()
        for mine, theirs in zip(
            (*found.levels[1], found.values), (other.indptr, other.indices, other.data), strict=True
        ):
            assert np.array_equal(mine, theirs)


def test_little_work_wakes_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WORTH_A_THREAD", 100)
    monkeypatch.setattr(chunks, "WORTH_WAKING", 1000)
    monkeypatch.setattr(chunks, "thread_limit", lambda: 8)
    for lively, work, threads in (
        (True, 199, 1),
        (True, 200, 2),
        (False, 999, 1),
        (False, 1000, 8),
        (True, 10_000, 8),
    ):
        monkeypatch.setattr(chunks.pool(), "lively", lambda lively=lively: lively)
        assert chunks.thread_count(work, None) == threads
        assert chunks.thread_count(work, 1) == 1 and chunks.thread_count(work, 2) == min(threads, 2)


@pytest.mark.parametrize("row", [0, 2, 4])
def test_a_row_longer_than_a_piece(row: int) -> None:
    """Pieces begin in the middle of a row, and empty rows lie around."""
    lengths = [0, 0, 0, 0, 0]
    lengths[row] = 90
    levels = ((), (np.cumsum([0, *lengths]).astype(np.int32), np.arange(90, dtype=np.int32)))
    source = check(Storage(named("csr", 2), (5, 90), levels, np.arange(90.0)), "A")
    result = check(convert(source, named("csc", 2), threads=4), "A")
    assert result.levels[1][1].tolist() == [row] * 90 and result.values.tolist() == list(range(90))


# --- dense ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "bool"])
@pytest.mark.parametrize("name", ["csr", "csc", "coo", "dcsr", "bitmap,bitmap", "bsr:4x1"])
def test_dense_to_sparse_leaves_the_fill_out(dtype: str, name: str) -> None:
    rng = np.random.default_rng(4)
    array = (rng.integers(0, 4, (20, 37)) * rng.integers(0, 2, (20, 37))).astype(dtype)
    for flat in (array, np.asfortranarray(array)):
        result = check(convert(dense(flat), named(name, 2), threads=3), "A")
        assert same_bits(array_of(result), array)
        if not name.startswith("bsr"):
            assert result.stored == np.count_nonzero(array)


@pytest.mark.parametrize("fill", [np.nan, np.inf, 1.0, 0.0])
def test_fills(fill: float) -> None:
    array = np.array([[np.nan, np.inf, 1.0, 0.0, -0.0]] * 3)
    result = check(convert(dense(array, fill), named("csr", 2)), "A")
    count = {True: 4, False: 4 if fill != 0 else 3}[bool(np.isnan(fill))]
    assert result.stored == 3 * count
    back = convert(result, named("dense", 2))
    assert np.array_equal(back.values.reshape(3, 5), array, equal_nan=True)


@pytest.mark.parametrize("shape", [(), (7,), (0, 3), (3, 0), (2, 3, 4)])
def test_dense_of_other_ranks(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 3
    for form in FORMATS[len(shape)]:
        result = check(convert(dense(array), form), "A") if fits(form, shape) else None
        assert result is None or np.array_equal(array_of(result), array)


def test_dense_keeps_the_order_of_its_format() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    turned = convert(dense(array), named("dense,dense,dense@2,0,1", 3))
    assert turned.values.tolist() == array.transpose(2, 0, 1).ravel().tolist()
    sparse = convert(dense(array), named("csf", 3))
    assert convert(sparse, turned.format).values.tolist() == turned.values.tolist()


def test_bits_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(6)
    array = sp.random_array((80, 90), density=0.2, rng=rng).tocoo()
    source = pack(array.coords, array.data, array.shape, named("csr", 2))
    for form in FORMATS[2]:
        if fits(form, source.shape):
            one, five = (convert(source, form, threads=threads) for threads in (1, 5))
            for a, b in zip((*one.levels, (one.values,)), (*five.levels, (five.values,)), strict=True):
                assert all(same_bits(x, y) for x, y in zip(a, b, strict=True)), form


def test_what_does_not_fit_is_refused() -> None:
    storage = pack((np.array([1]), np.array([1])), np.ones(1), (3, 3), named("csr", 2))
    with pytest.raises(FormatError, match="block"):
        convert(storage, named("bsr:2x2", 2))
    with pytest.raises(FormatError, match="1 modes, but the shape"):
        convert(storage, named("sv", 1))
