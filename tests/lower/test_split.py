"""How the outermost loop is shared out among threads."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lower.known import KNOWN

from aerogel.convert.pack import pack
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.lower.scheduled import Scheduled
from aerogel.lower.split import cuts

BY_NAME = {known.name: known for known in KNOWN}


def schedule(name: str) -> Scheduled:
    known = BY_NAME[name]
    return known.prepared(known.operands()).choice.scheduled


def matrix(rows: Any, size: int, form: str, columns: int = 500) -> Storage:
    """Entries in these rows."""
    rows = np.sort(np.asarray(rows, np.int64))
    where = np.arange(len(rows)) % columns
    return pack((rows, where), np.ones(len(rows)), (size, columns), named(form, 2), duplicates="last")


def shared(form: str, storage: Storage, threads: int) -> Any:
    x = pack((np.arange(500),), np.ones(500), (500,), named("dense", 1))
    found = cuts(schedule(f"spmv_{form}"), {"A": storage, "x": x}, storage.shape[0], threads)
    assert found.dtype == np.int64 and found.flags.c_contiguous
    return found


@pytest.mark.parametrize("form", ["csr", "dcsr", "coo"])
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.integers(0, 29), max_size=80), threads=st.integers(1, 9))
def test_cuts_ascend_and_cover_everything(form: str, rows: list[int], threads: int) -> None:
    found = shared(form, matrix(rows, 30, form), threads)
    assert len(found) == threads + 1
    assert found[0] == 0 and found[-1] == 30
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("form", ["csr", "dcsr", "coo"])
def test_threads_get_about_as_many_values_each(form: str) -> None:
    rng = np.random.default_rng(0)
    # A few rows near the start have nearly all there is.
    rows = np.concatenate([np.repeat(np.arange(40), 100), rng.integers(0, 1000, 500)])
    storage = matrix(rows, 1000, form)
    rows = np.sort(rows)
    for threads in (2, 3, 4):
        found = shared(form, storage, threads)
        work = [np.count_nonzero((rows >= a) & (rows < b)) for a, b in itertools.pairwise(found)]
        assert sum(work) == len(rows)
        # Empty rows cost something as well, in csr; otherwise a row is the least that can be moved.
        slack = 1000 if form == "csr" else 0
        assert max(work) <= (len(rows) + slack) / threads + 200, work


def test_one_heavy_row_cannot_be_shared() -> None:
    found = shared("csr", matrix(np.full(300, 7), 10, "csr"), 4)
    assert found[0] == 0 and found[-1] == 10 and (np.diff(found) >= 0).all()
    heavy = [(a, b) for a, b in itertools.pairwise(found) if a <= 7 < b]
    assert len(heavy) == 1


@pytest.mark.parametrize("form", ["csr", "dcsr", "coo"])
@pytest.mark.parametrize("size", [0, 1, 5])
def test_of_nothing(form: str, size: int) -> None:
    found = shared(form, matrix([], size, form), 3)
    assert found.tolist()[0] == 0 and found.tolist()[-1] == size and (np.diff(found) >= 0).all()


def test_dense_results_are_shared_in_whole_lines() -> None:
    known = BY_NAME["matmul_dense"]
    operands = known.operands(0, {"i": 1000})
    found = cuts(schedule("matmul_dense"), operands, 1000, 3)
    assert found[0] == 0 and found[-1] == 1000
    assert max(np.diff(found)) - min(np.diff(found)) <= 1
    one = cuts(schedule("matmul_dense"), operands, 1000, 1)
    assert one.tolist() == [0, 1000]


def test_cuts_are_found_once_for_a_storage() -> None:
    storage = matrix(np.arange(30), 30, "csr")
    assert shared("csr", storage, 2) is shared("csr", storage, 2)
    assert len(shared("csr", storage, 3)) == 4
