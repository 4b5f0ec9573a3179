"""Packing against plain Python and SciPy: every format, duplicates, order, extents, errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.convert.tensors import DTYPES, FORMATS, Entries, entries, fits, held, same, same_bits, with_padding

from aerogel.convert import chunks
from aerogel.convert.pack import pack
from aerogel.core.dtypes import DType
from aerogel.core.errors import AerogelError, FormatError, InputError, UnsupportedError
from aerogel.formats.storage import Storage, check
from aerogel.formats.tensor_format import Format, named


@pytest.fixture(autouse=True)
def little_work_takes_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(chunks, "WORTH_WAKING", 0)
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


def packed(put: Entries, form: Format, **options: Any) -> Storage:
    return check(pack(put.coords, put.values, put.shape, form, **options), "A")


@given(entries(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_format_holds_what_was_put_in(put: Entries, threads: int) -> None:
    expected = put.folded()
    for form in FORMATS[len(put.shape)]:
        if fits(form, put.shape):
            storage = packed(put, form, threads=threads)
            found = held(storage)
            assert same(with_padding(expected, found, np.float64(0)), found), form
            last = form.levels[-1] if form.levels else None
            assert last is None or last.full or len(found) == len(expected) == storage.stored


@given(
    entries(2, most=3, dtypes=DTYPES),
    st.sampled_from(("add", "min", "max", "or", "mul", "last")),
    st.tuples(*[st.sampled_from(("i1", "u2", "i4", "i8", "u8"))] * 2),
)
@settings(max_examples=100, deadline=None)
def test_every_way_to_fold_and_every_type(put: Entries, op: Any, types: tuple[str, str]) -> None:
    coords = tuple(column.astype(kind) for column, kind in zip(put.coords, types, strict=True))
    storage = packed(Entries(put.shape, coords, put.values), named("csr", 2), duplicates=op, threads=2)
    assert same(held(storage), put.folded(op))


@given(entries(2, most=9))
@settings(max_examples=60, deadline=None)
def test_scipy_stores_the_same_arrays(put: Entries) -> None:
    put = Entries(put.shape, put.coords, np.nan_to_num(put.values, posinf=7))
    coo = sp.coo_array((put.values.astype(float), put.coords), put.shape)
    for name, other in (("csr", coo.tocsr()), ("csc", coo.tocsc())):
        other.sum_duplicates()
        storage = packed(Entries(put.shape, put.coords, coo.data), named(name, 2))
        (), (pos, crd) = storage.levels
        assert np.array_equal(pos, other.indptr) and np.array_equal(crd, other.indices)
        # SciPy sorts unstably, so it may add in another order.
        np.testing.assert_allclose(storage.values, other.data, rtol=1e-12)


def test_blocks_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    array = sp.random_array((12, 9), density=0.2, rng=rng).tocoo()
    storage = pack(array.coords, array.data, array.shape, named("bsr:4x3", 2))
    other = array.tobsr((4, 3))
    other.sort_indices()
    assert np.array_equal(storage.levels[1][0], other.indptr)
    assert np.array_equal(storage.levels[1][1], other.indices)
    assert np.array_equal(storage.values, other.data.ravel())


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("source", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bool"])
def test_many_entries_are_sorted_and_summed(rank: int, source: str, dtype: str) -> None:
    """Enough for several pieces, passes and vectors."""
    rng = np.random.default_rng(rank)
    shape = (300, 70, 5)[:rank]
    coords = tuple(rng.integers(0, size, 20_000).astype(source) for size in shape)
    values = rng.integers(0, 4, 20_000).astype(dtype)
    expected = np.zeros(shape, dtype)
    (np.logical_or if dtype == "bool" else np.add).at(expected, coords, values)
    results = [pack(coords, values, shape, named("csf", rank), threads=threads) for threads in (1, 2, 7)]
    for storage in results:
        check(storage, "A")
        found = np.zeros(shape, dtype)
        for where, value in held(storage).items():
            found[where] = value
        assert np.array_equal(found, expected)
    for other in results[1:]:
        assert same_bits(results[0].values, other.values)


@given(entries(distinct=True, rank=2), st.integers(0, 10))
@settings(max_examples=30, deadline=None)
def test_the_order_of_distinct_entries_does_not_matter(put: Entries, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(put.values))
    other = Entries(put.shape, tuple(column[order] for column in put.coords), put.values[order])
    for form in (named("csr", 2), named("coo", 2), named("dense", 2), named("dense,bitmap", 2)):
        a, b = packed(put, form), packed(other, form)
        for mine, theirs in zip(
            (*itertools.chain(*a.levels), a.values), (*itertools.chain(*b.levels), b.values), strict=True
        ):
            assert same_bits(mine, theirs)


@pytest.mark.parametrize("threads", [1, 3])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    """Sums of floats are folded in the order in which they came."""
    rng = np.random.default_rng(5)
    coords = (rng.integers(0, 3, 999), rng.integers(0, 2, 999))
    values = rng.standard_normal(999)
    storage = pack(coords, values, (3, 2), named("csr", 2), threads=threads)
    expected = np.zeros((3, 2))
    for i, j, value in zip(*coords, values, strict=True):
        expected[i, j] += value
    assert same_bits(storage.values, expected.ravel())


# --- duplicates -----------------------------------------------------------------------------

TWICE = ((np.array([1, 0, 1]), np.array([2, 2, 2])), np.array([5.0, 1.0, 3.0]))


@pytest.mark.parametrize(
    ("op", "expected"), [("add", 8), ("mul", 15), ("min", 3), ("max", 5), ("or", 1), ("last", 3)]
)
def test_duplicates_are_folded(op: Any, expected: float) -> None:
    storage = pack(*TWICE, (2, 3), named("csr", 2), duplicates=op)
    assert storage.values.tolist() == [1, expected]


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "dense", "bsr:2x3"])
def test_duplicates_can_be_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"\(1, 2\) stand twice"):
        pack(*TWICE, (2, 3), named(name, 2), duplicates="refuse")
    once = pack((TWICE[0][0][:2], TWICE[0][1][:2]), TWICE[1][:2], (2, 3), named(name, 2), duplicates="refuse")
    assert held(once)[1, 2] == 5


def test_refused_duplicates_of_large_extents_are_named() -> None:
    at = 2**40 - 1
    with pytest.raises(InputError, match=rf"\({at}, 0, {at}\) stand twice"):
        pack(
            (np.array([at, 0, at]), np.zeros(3, int), np.array([at, 5, at])),
            np.ones(3),
            (2**40,) * 3,
            named("coo", 3),
            duplicates="refuse",
        )


def test_a_nan_stays_in_minimum_and_maximum() -> None:
    for values in ([np.nan, 1.0], [1.0, np.nan]):
        for op in ("min", "max"):
            got = pack((np.zeros(2, int),), np.array(values), (1,), named("sv", 1), duplicates=op)
            assert np.isnan(got.values).all()


def test_duplicates_unknown() -> None:
    with pytest.raises(InputError, match="duplicates 'sum' is unknown"):
        pack((), np.ones(1), (), named("dense", 0), duplicates="sum")  # type: ignore[arg-type]


# --- extents --------------------------------------------------------------------------------


def test_extents_beyond_32_bits() -> None:
    rows = np.array([2**40 - 1, 0, 2**33, 2**40 - 1, 2**33])
    columns = np.array([2, 1, 0, 2, 2])
    for name in ("coo", "csf", "compressed,dense", "compressed,bitmap"):
        storage = check(pack((rows, columns), np.arange(1.0, 6), (2**40, 3), named(name, 2)), "A")
        assert storage.index is DType.I64
        found = {where: value for where, value in held(storage).items() if value}
        assert found == {(0, 1): 2, (2**33, 0): 3, (2**33, 2): 5, (2**40 - 1, 2): 5}


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_words_that_do_not_fit_are_sorted_as_columns(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.sampled_from((3, 2**20, 2**45, 2**63 - 1))) for _ in range(3))
    count = data.draw(st.integers(0, 20))
    coords = tuple(
        np.array([data.draw(st.integers(0, min(size, 2**63 - 1) - 1)) for _ in range(count)], np.int64)
        for size in shape
    )
    put = Entries(shape, coords, np.arange(count))
    for name in ("coo", "csf"):
        assert same(held(packed(put, named(name, 3), threads=2)), put.folded())


def test_the_largest_coordinate_of_all() -> None:
    storage = pack((np.array([2**63 - 2, 0]),), np.array([1.0, 2]), (2**63 - 1,), named("sv", 1))
    assert storage.levels[0][1].tolist() == [0, 2**63 - 2]


@pytest.mark.parametrize("form", FORMATS[2], ids=str)
@pytest.mark.parametrize("shape", [(0, 0), (0, 6), (6, 0), (6, 6)])
def test_nothing_at_all(form: Format, shape: tuple[int, int]) -> None:
    none = np.zeros(0, np.int32)
    storage = check(pack((none, none), np.zeros(0, np.float32), shape, form, fill=3), "A")
    assert set(held(storage).values()) <= {3}
    assert storage.dtype is DType.F32


def test_a_number() -> None:
    form = named("dense", 0)
    assert pack((), np.array([2.0, 3.0]), (), form).values.tolist() == [5]
    assert pack((), np.zeros(0), (), form, fill=np.inf).values.tolist() == [np.inf]
    with pytest.raises(InputError, match="twice"):
        pack((), np.array([2.0, 3.0]), (), form, duplicates="refuse")


@pytest.mark.parametrize("kind", [DType.I32, DType.I64])
def test_index_type_can_be_chosen(kind: DType) -> None:
    storage = check(pack(*TWICE, (2, 3), named("csr", 2), index=kind), "A")
    assert storage.index is kind
    assert all(array.dtype == kind.numpy() for level in storage.levels for array in level)


def test_explicit_zeros_are_kept() -> None:
    storage = pack((np.array([1, 0]), np.array([0, 1])), np.array([0.0, -0.0]), (2, 2), named("csr", 2))
    assert storage.stored == 2 and np.signbit(storage.values).tolist() == [True, False]


def test_fill_stands_where_nothing_is_stored() -> None:
    storage = pack((np.array([1]),), np.array([4.0]), (3,), named("dense", 1), fill=-np.inf)
    assert storage.values.tolist() == [-np.inf, 4, -np.inf] and storage.fill == -np.inf


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        (([0, 5], [0, 0]), r"mode 0: coordinate 5 \(entry 1\) is outside 0 .. 3, its extent being 4"),
        (([0, 1], [-1, 0]), r"mode 1: coordinate -1 \(entry 0\) is outside 0 .. 2, its extent being 3"),
        (([0, 1, 2], [0, 1]), "mode 0 has 3 coordinates, but there are 2 values"),
        (([0.5, 1], [0, 1]), "coordinates of mode 0 are float64"),
        (([True, False], [0, 1]), "coordinates of mode 0 are bool"),
        (([[0, 1]], [0, 1]), r"of shape \(1, 2\)"),
        (([0, 1],), "1 arrays of coordinates for 2 modes"),
        ((np.array([0, 2**64 - 1], np.uint64), [0, 1]), "coordinate 18446744073709551615 is outside"),
    ],
)
@pytest.mark.parametrize("name", ["csr", "csc", "bsr:2x3"])
def test_coordinates_that_do_not_fit(coords: Any, message: str, name: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(tuple(np.asarray(column) for column in coords), np.ones(2), (4, 3), named(name, 2))


def test_every_entry_is_looked_at() -> None:
    """At any place of a vector, a piece or the rest behind."""
    for count in (1, 7, 8, 9, 17, 40):
        for at in range(count):
            columns = np.zeros((2, count), np.int32)
            columns[1, at] = 3
            with pytest.raises(InputError, match=rf"coordinate 3 \(entry {at}\)"):
                pack(tuple(columns), np.ones(count), (4, 3), named("coo", 2), threads=2)


def test_what_else_is_refused() -> None:
    one = (np.array([0]), np.array([0]))
    with pytest.raises(FormatError, match="no multiple of the block's 2"):
        pack(one, np.ones(1), (3, 3), named("bsr:2x3", 2))
    with pytest.raises(FormatError, match="has 2 modes, but the shape"):
        pack((*one, one[0]), np.ones(1), (3, 3, 3), named("csr", 2))
    with pytest.raises(InputError, match="values are float16"):
        pack(one, np.ones(1, np.float16), (3, 3), named("csr", 2))
    with pytest.raises(InputError, match="values are 1-D"):
        pack(one, np.ones((1, 1)), (3, 3), named("csr", 2))
    with pytest.raises(InputError, match="needs index type i64"):
        pack(one, np.ones(1), (2**40, 3), named("coo", 2), index=DType.I32)
    with pytest.raises(InputError, match="fill inf is no int32"):
        pack(one, np.ones(1, np.int32), (3, 3), named("csr", 2), fill=np.inf)
    with pytest.raises(InputError, match="threads=0"):
        pack(one, np.ones(1), (3, 3), named("csr", 2), threads=0)


@pytest.mark.parametrize("name", ["dense", "csr", "dense,bitmap", "bitmap,compressed", "compressed,bitmap"])
@pytest.mark.parametrize("size", [2**46, 2**62])
def test_more_than_memory_holds_is_an_error(name: str, size: int) -> None:
    shape = (3, size) if name == "compressed,bitmap" else (size, 3)
    with pytest.raises(AerogelError, match="no memory"):
        pack((np.array([0]), np.array([0])), np.ones(1), shape, named(name, 2))
    assert issubclass(UnsupportedError, AerogelError)
