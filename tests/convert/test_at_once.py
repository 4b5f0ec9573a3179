"""Listings to CSR and CSC in one launch: the same as by the long way, and nothing out of range gets in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aerogel as ag
from aerogel.convert import at_once
from aerogel.convert.assemble import Wanted
from aerogel.convert.pack import pack
from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError
from aerogel.formats.tensor_format import named

KINDS = (np.float64, np.float32, np.int64, np.int32, np.bool_)


@st.composite
def listings(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[Any, Any], Any]:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    count = draw(st.integers(-(-max(shape) // 4), 60))
    places = np.array(draw(st.lists(st.integers(0, shape[0] * shape[1] - 1), min_size=count, max_size=count)))
    if draw(st.booleans()):
        places = np.unique(places)
    if draw(st.booleans()):
        places = np.random.default_rng(count).permutation(places)
    kind = draw(st.sampled_from((np.int32, np.int64)))
    values = np.arange(1, len(places) + 1).astype(draw(st.sampled_from(KINDS)))
    return shape, ((places // shape[1]).astype(kind), (places % shape[1]).astype(kind)), values


@settings(deadline=None)
@given(listings(), st.sampled_from(("csr", "csc")), st.sampled_from((DType.I32, DType.I64)))
def test_as_the_long_way(
    listing: tuple[tuple[int, int], tuple[Any, Any], Any], form: str, index: DType
) -> None:
    shape, coords, values = listing
    wanted = Wanted(named(form, 2), shape, 0, index)
    long = pack(coords, values, shape, wanted.format, index=index)
    if not at_once.fits(coords, values, wanted):
        assert max(shape) > 4 * len(values)
        return
    found = at_once.rows_at_once(coords, values, wanted)
    if len(long.values) < len(values):
        assert found is None, "a coordinate stands twice"
        return
    assert found is not None
    assert found.values.dtype == long.values.dtype
    np.testing.assert_array_equal(found.values, long.values)
    for ours, theirs in zip(found.levels[1], long.levels[1], strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("at", [(-1, 0), (5, 0), (0, 7), (0, -(2**40)), (2**32, 0), (2**32 + 1, 2**32 + 1)])
def test_what_is_out_of_range_is_refused(at: tuple[int, int]) -> None:
    coords = (np.array([4, 1, at[0]]), np.array([3, 1, at[1]]))
    with pytest.raises(InputError, match="is outside"):
        ag.tensor((np.ones(3), coords), "csr", shape=(5, 7))


def test_a_shape_below_nothing() -> None:
    coords = (np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(ag.AerogelError, match="size -1"):
        ag.tensor((np.ones(2), coords), "csr", shape=(-1, 2))


def test_strides_types_and_lengths_it_does_not_take() -> None:
    wanted = Wanted(named("csr", 2), (4, 4), 0, DType.I32)
    coords, values = (np.arange(4), np.arange(4)), np.ones(4)
    assert at_once.fits(coords, values, wanted)
    assert not at_once.fits((np.arange(8)[::2], coords[1]), values, wanted)
    assert not at_once.fits((np.arange(4, dtype=np.int32), coords[1]), values, wanted)
    assert not at_once.fits((np.arange(3), coords[1]), values, wanted)
    assert not at_once.fits(coords, np.ones(8)[::2], wanted)
    assert not at_once.fits((*coords, coords[0]), values, wanted)
    assert not at_once.fits((), values, wanted)


def test_strided_coordinates_are_taken_by_the_long_way() -> None:
    found = ag.tensor((np.ones(4), (np.arange(8)[::2] // 2, np.arange(4))), "csr", shape=(4, 4))
    np.testing.assert_array_equal(found.to_numpy(), np.eye(4))
