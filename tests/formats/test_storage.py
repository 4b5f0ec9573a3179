"""A stored tensor: what its properties count, every kind of damage found, NumPy arrays taken as they lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, InputError, OrderError
from aerogel.formats.storage import Storage, check, check_shape, dense, dense_format, index_type
from aerogel.formats.tensor_format import named

I32 = np.int32


def array(*values: int, dtype: type = I32) -> np.ndarray:
    return np.array(values, dtype)


def storage(
    form: str, shape: tuple[int, ...], levels: tuple[tuple[Any, ...], ...], count: int, **more: Any
) -> Storage:
    return Storage(named(form, len(shape)), shape, levels, np.arange(1.0, count + 1), **more)


def csr() -> Storage:
    """[[1, 0, 2], [0, 0, 0], [0, 3, 4], [5, 0, 0]]"""
    return storage("csr", (4, 3), ((), (array(0, 2, 2, 4, 5), array(0, 2, 1, 2, 0))), 5)


def coo() -> Storage:
    return storage(
        "coo", (2, 3, 4), ((array(0, 4), array(0, 0, 1, 1)), (array(0, 2, 2, 2),), (array(3, 0, 1, 2),)), 4
    )


def dcsr() -> Storage:
    return storage("dcsr", (9, 9), ((array(0, 2), array(3, 8)), (array(0, 1, 3), array(7, 0, 8))), 3)


def bitmap() -> Storage:
    flags = array(1, 0, 0, 1, 1, 0, dtype=np.uint8)
    return storage("dense,bitmap", (2, 3), ((), (flags,)), 6)


def bsr() -> Storage:
    return storage("bsr:2x3", (4, 6), ((), (array(0, 1, 3), array(1, 0, 1)), (), ()), 18)


EVERY = {"csr": csr, "coo": coo, "dcsr": dcsr, "bitmap": bitmap, "bsr": bsr}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_what_is_whole_passes(make) -> None:
    whole = make()
    assert check(whole, "A") is whole


# --- properties -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "stored", "counts"),
    [(csr, 5, (4, 5)), (coo, 4, (4, 4, 4)), (dcsr, 3, (2, 3)), (bitmap, 3, (2, 6)), (bsr, 18, (2, 3, 6, 18))],
)
def test_counts(make, stored: int, counts: tuple[int, ...]) -> None:
    found = make()
    assert found.stored == stored
    assert found.counts() == counts
    assert counts[-1] == len(found.values)


def test_the_rest_of_the_properties() -> None:
    found = csr()
    assert (found.rank, found.dtype, found.index, found.fill) == (2, DType.F64, DType.I32, 0)
    assert found.nbytes == 5 * 8 + (5 + 5) * 4
    scalar = dense(np.array(3.0))
    assert (scalar.rank, scalar.stored, scalar.counts(), scalar.nbytes) == (0, 1, (), 8)


def test_a_storage_is_frozen_and_compared_by_identity() -> None:
    found = csr()
    with pytest.raises(AttributeError):
        found.fill = 1  # type: ignore[misc]
    assert found != csr()


# --- damage -----------------------------------------------------------------------------------


def with_level(whole: Storage, at: int, **arrays: np.ndarray) -> Storage:
    """``whole`` with other arrays in level ``at``, by name."""
    names = [name for name, _ in whole.format.levels[at].arrays]
    parts = tuple(arrays.get(name, old) for name, old in zip(names, whole.levels[at], strict=True))
    return replace(whole, levels=(*whole.levels[:at], parts, *whole.levels[at + 1 :]))


READ_ONLY_VIEW = array(0, 9, 2, 9, 2, 9, 4, 9, 5, 9)[::2]
DAMAGE = {
    "pos too short": (with_level(csr(), 1, pos=array(0, 2, 5)), "A, mode 1 .compressed.: pos has 3 elements"),
    "pos too long": (with_level(csr(), 1, pos=array(0, 2, 2, 4, 5, 5)), "4 parents need 5"),
    "pos empty": (with_level(csr(), 1, pos=array()), "pos has 0 elements"),
    "pos starts late": (
        with_level(csr(), 1, pos=array(1, 2, 2, 4, 5)),
        "pos starts at 1: it must start at 0",
    ),
    "pos falls": (with_level(csr(), 1, pos=array(0, 4, 2, 4, 5)), "pos falls from 4 to 2 at 1"),
    "pos ends late": (with_level(csr(), 1, pos=array(0, 2, 2, 4, 6)), "pos ends at 6, but there are 5 coord"),
    "pos ends early": (with_level(csr(), 1, pos=array(0, 2, 2, 4, 4)), "pos ends at 4"),
    "pos negative": (with_level(csr(), 1, pos=array(0, -1, 2, 4, 5)), "pos falls from 0 to -1"),
    "crd too large": (with_level(csr(), 1, crd=array(0, 3, 1, 2, 0)), "coordinate 3 is outside 0 .. 2"),
    "crd negative": (with_level(csr(), 1, crd=array(-1, 2, 1, 2, 0)), "coordinate -1 is outside 0 .. 2"),
    "crd of another type": (
        with_level(csr(), 1, crd=array(0, 2, 1, 2, 0, dtype=np.int64)),
        "crd must be a contiguous 1-D array of int32, but is int64",
    ),
    "pos of floats": (with_level(csr(), 1, pos=np.array([0.0, 2, 2, 4, 5])), "pos must be a contiguous"),
    "pos strided": (with_level(csr(), 1, pos=READ_ONLY_VIEW), "pos must be a contiguous 1-D array"),
    "crd of two dimensions": (with_level(csr(), 1, crd=array(0, 2, 1, 2, 0)[None]), r"of shape \(1, 5\)"),
    "an array missing": (replace(csr(), levels=((), (array(0, 2, 2, 4, 5),))), "1 arrays, but it keeps 2"),
    "an array too many": (replace(csr(), levels=((array(0),), csr().levels[1])), "1 arrays, but it keeps 0"),
    "values missing": (replace(csr(), values=np.ones(4)), "4 values, but the levels have 5 positions"),
    "values too many": (replace(csr(), values=np.ones(6)), "6 values, but the levels have 5 positions"),
    "values strided": (replace(csr(), values=np.ones(10)[::2]), "A: values must be a contiguous 1-D array"),
    "values of two dimensions": (replace(csr(), values=np.ones((5, 1))), "A: values must be a contiguous"),
    "another rank": (replace(csr(), shape=(4,)), r"format csr has 2 modes, but the shape is \(4,\)"),
    "a smaller shape": (replace(csr(), shape=(4, 2)), "coordinate 2 is outside 0 .. 1"),
    "fewer rows": (replace(csr(), shape=(3, 3)), "pos has 5 elements, but 3 parents need 4"),
    "a negative shape": (replace(csr(), shape=(-4, 3)), "A: mode 0 has size -4"),
    "the wrong index type": (replace(csr(), index=DType.I64), "pos must be a contiguous 1-D array of int64"),
    "singleton too short": (with_level(coo(), 1, crd=array(0, 2, 2)), "3 coordinates, but the parent has 4"),
    "singleton out of range": (
        with_level(coo(), 2, crd=array(3, 0, 4, 2)),
        "mode 2 .singleton.: coordinate 4",
    ),
    "coo that ends early": (with_level(coo(), 0, pos=array(0, 3)), "pos ends at 3"),
    "a flag of 2": (with_level(bitmap(), 1, set=array(1, 0, 2, 0, 0, 0, dtype=np.uint8)), "a flag is 2"),
    "flags missing": (
        with_level(bitmap(), 1, set=array(1, 0, dtype=np.uint8)),
        "2 flags, but 2 parents of size 3",
    ),
    "flags of bool": (
        with_level(bitmap(), 1, set=np.ones(6, np.bool_)),
        "set must be a contiguous 1-D array of uint8",
    ),
    "values of a bitmap": (replace(bitmap(), values=np.ones(3)), "3 values, but the levels have 6 positions"),
    "a block that does not divide": (
        replace(bsr(), shape=(4, 7)),
        "mode 1 has size 7, which is no multiple of",
    ),
    "block columns out of range": (
        with_level(bsr(), 1, crd=array(2, 0, 1)),
        "coordinate 2 is outside 0 .. 1",
    ),
    "values of blocks": (replace(bsr(), values=np.ones(17)), "17 values, but the levels have 18 positions"),
}


@pytest.mark.parametrize(("damaged", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(damaged: Storage, message: str) -> None:
    with pytest.raises(FormatError, match=message) as found:
        check(damaged, "A")
    assert str(found.value).startswith("A")
    assert not isinstance(found.value, OrderError)


DISORDER = {
    "a row that falls": (
        with_level(csr(), 1, crd=array(2, 0, 1, 2, 0)),
        "coordinate 2 comes before 0 in a fiber",
    ),
    "a column twice": (
        with_level(csr(), 1, crd=array(2, 2, 1, 2, 0)),
        "coordinate 2 stands twice in a fiber",
    ),
    "at the end": (with_level(dcsr(), 1, crd=array(7, 8, 0)), "coordinate 8 comes before 0"),
    "rows that fall": (
        with_level(dcsr(), 0, crd=array(8, 3)),
        "mode 0 .compressed.: coordinate 8 comes before 3",
    ),
    "coo that falls": (with_level(coo(), 0, crd=array(1, 0, 1, 1)), "coordinate 1 comes before 0"),
    "coo that falls lower": (
        with_level(coo(), 1, crd=array(2, 0, 2, 2)),
        r"coordinates \(0, 0, 0\) come before",
    ),
    "coo that falls lowest": (
        with_level(coo(), 2, crd=array(3, 0, 2, 1)),
        r"coordinates \(1, 2, 1\) come before",
    ),
    "coo twice": (with_level(coo(), 2, crd=array(3, 0, 2, 2)), r"coordinates \(1, 2, 2\) stand twice"),
}


@pytest.mark.parametrize(("damaged", "message"), DISORDER.values(), ids=DISORDER)
def test_disorder_is_an_error_of_its_own_kind(damaged: Storage, message: str) -> None:
    with pytest.raises(OrderError, match=message) as found:
        check(damaged, "A")
    assert "pass the data through aerogel.tensor" in str(found.value)


def test_fibers_may_begin_anywhere() -> None:
    """The last coordinate of one row says nothing about the first of the next; empty rows lie between."""
    levels = ((), (array(0, 0, 2, 2, 3, 3), array(1, 2, 0)))
    check(storage("csr", (5, 3), levels, 3), "A")


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "dcsr", "coo", "dense,bitmap", "bitmap,bitmap"])
def test_nothing_at_all_is_whole(form: str) -> None:
    for shape in ((0, 0), (0, 4), (4, 0)):
        levels = []
        sizes = named(form, 2).level_sizes(shape)
        parents = 1
        for level, size in zip(named(form, 2).levels, sizes, strict=True):
            room = {"pos": parents + 1, "crd": 0, "set": parents * size}
            levels.append(
                tuple(
                    np.zeros(room[what], np.uint8 if element == "flag" else I32)
                    for what, element in level.arrays
                )
            )
            parents = parents * size if level.located else 0
        check(storage(form, shape, tuple(levels), 0), "A")


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint32"])
def test_values_of_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(
        InputError, match=f"A: values are {dtype}: use float64, float32, int64, int32 or bool"
    ):
        check(replace(csr(), values=np.ones(5, dtype)), "A")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "bool"])
def test_values_of_these_types_pass(dtype: str) -> None:
    assert check(replace(csr(), values=np.ones(5, dtype)), "A").dtype is DType.of(dtype)


def test_wide_indices_pass() -> None:
    narrow = csr()
    wide = tuple(tuple(a.astype(np.int64) for a in level) for level in narrow.levels)
    check(replace(narrow, levels=wide, index=DType.I64), "A")


def test_more_positions_than_can_be_addressed() -> None:
    vast = Storage(named("dense", 2), (2**40, 2**40), ((), ()), np.zeros(0))
    with pytest.raises(FormatError, match="positions cannot be addressed"):
        check(vast, "A")


def test_shapes() -> None:
    check_shape((), "A")
    check_shape((0, 2**63 - 1), "A")
    with pytest.raises(FormatError, match="A: mode 1 has size -1: it must be 0 or more"):
        check_shape((3, -1), "A")
    with pytest.raises(FormatError, match=r"A: mode 0 is larger than 2\^63 - 1"):
        check_shape((2**63,), "A")


@pytest.mark.parametrize(
    ("shape", "stored", "want"),
    [
        ((), 0, DType.I32),
        ((4, 3), 5, DType.I32),
        ((2**31 - 1,), 2**31 - 1, DType.I32),
        ((2**31, 2), 5, DType.I64),
        ((4, 3), 2**31, DType.I64),
    ],
)
def test_the_index_type_counts_coordinates_and_positions(
    shape: tuple[int, ...], stored: int, want: DType
) -> None:
    assert index_type(shape, stored) is want


# --- arrays -----------------------------------------------------------------------------------


def shaped(found: Storage) -> np.ndarray:
    """The array that a dense storage stands for."""
    order = found.format.order
    stored = found.values.reshape([found.shape[mode] for mode in order])
    return stored.transpose(np.argsort(order)) if order else stored


CUBE = np.arange(60.0).reshape(3, 4, 5)


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (CUBE, (0, 1, 2)),
        (CUBE.T, (2, 1, 0)),
        (CUBE.transpose(1, 0, 2), (1, 0, 2)),
        (CUBE.transpose(2, 0, 1), (1, 2, 0)),
        (np.asfortranarray(CUBE), (2, 1, 0)),
        (CUBE[1:], (0, 1, 2)),
        (CUBE[0], (0, 1)),
        (np.arange(3), (0,)),
        (np.array(2.0), ()),
        (np.zeros((0, 4)), (0, 1)),
    ],
)
def test_a_contiguous_array_is_taken_as_it_lies(values: np.ndarray, order: tuple[int, ...]) -> None:
    found = check(dense(values), "A")
    assert found.format == dense_format(order)
    assert found.shape == values.shape
    assert np.shares_memory(found.values, values) or not values.size
    np.testing.assert_array_equal(shaped(found), values)


@pytest.mark.parametrize(
    "values",
    [
        CUBE[:, ::2],
        CUBE[::-1],
        CUBE[:, :, ::-1],
        CUBE.T[::2],
        CUBE[:, 1:3],
        np.broadcast_to(np.arange(4.0), (3, 4)),
        np.broadcast_to(np.arange(3.0)[:, None], (3, 4)),
        np.arange(12.0)[::3],
    ],
)
def test_other_arrays_are_copied(values: np.ndarray) -> None:
    found = check(dense(values), "A")
    assert found.format.order == tuple(range(values.ndim))
    np.testing.assert_array_equal(shaped(found), values)


@pytest.mark.parametrize("shape", [(1, 4, 1), (4, 1), (1, 1, 5), (1,)])
def test_modes_of_one_need_no_copy(shape: tuple[int, ...]) -> None:
    """Their strides mean nothing, and NumPy sets them as it likes."""
    values = np.arange(float(np.prod(shape))).reshape(shape)
    for axes in (values, values.T):
        found = check(dense(axes), "A")
        assert np.shares_memory(found.values, values)
        np.testing.assert_array_equal(shaped(found), axes)


def test_the_fill_is_kept() -> None:
    assert dense(np.ones(3), fill=2.5).fill == 2.5
    assert dense(np.ones(3)).fill == 0
