"""Coordinates of a storage, against what the levels' definitions say it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.convert.tensors import FORMATS, Entries, entries, fits, held, same

from aerogel.convert import chunks
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.formats.storage import dense
from aerogel.formats.tensor_format import named


@pytest.fixture(autouse=True)
def little_work_takes_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(chunks, "WORTH_WAKING", 0)
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")


@given(entries(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_coordinates_and_values_are_those_stored(put: Entries, threads: int) -> None:
    for form in FORMATS[len(put.shape)]:
        if fits(form, put.shape):
            storage = pack(put.coords, put.values, put.shape, form, duplicates="last")
            columns, values = coordinates(storage, threads=threads)
            assert len(columns) == len(put.shape)
            assert all(column.dtype == storage.index.numpy() for column in columns)
            assert all(len(column) == len(values) for column in columns)
            found = {tuple(int(c[at]) for c in columns): values[at] for at in range(len(values))}
            assert len(found) == len(values), "a coordinate stands twice"
            assert same(found, held(storage)), form


def test_large_coordinates_come_out_as_they_went_in() -> None:
    rows = np.array([0, 2**33, 2**40 - 1])
    for name in ("coo", "csf", "compressed,bitmap"):
        storage = pack((rows, np.array([2, 0, 1])), np.arange(1.0, 4), (2**40, 3), named(name, 2))
        (first, second), values = coordinates(storage)
        assert first.tolist() == rows.tolist() and second.tolist() == [2, 0, 1]
        assert values.tolist() == [1, 2, 3]


def test_every_position_of_a_dense_array() -> None:
    (rows, columns), values = coordinates(dense(np.array([[1.0, 0.0], [0.0, 2.0]])))
    assert rows.tolist() == [0, 0, 1, 1] and columns.tolist() == [0, 1, 0, 1]
    assert values.tolist() == [1, 0, 0, 2]


def test_many_rows_on_several_threads() -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.sort(rng.integers(0, 5000, 30_000)), rng.integers(0, 9, 30_000)
    storage = pack((rows, columns), np.ones(30_000), (5000, 9), named("csr", 2))
    one, three = (coordinates(storage, threads=threads)[0] for threads in (1, 3))
    expected = np.repeat(np.arange(5000), np.diff(storage.levels[1][0]))
    assert np.array_equal(one[0], expected) and np.array_equal(three[0], expected)
