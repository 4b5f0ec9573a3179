"""Embedding against NumPy indexing, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.machine import Machine

from aerogel.core.errors import UnsupportedError
from aerogel.kernels.embed import embed


@pytest.mark.parametrize("tables", [1, 2, 3])
@pytest.mark.parametrize(("features", "columns"), [(1, 1), (20, 3), (16, 16), (33, 100), (5, 0)])
def test_embed(machine: Machine, rng: np.random.Generator, tables: int, features: int, columns: int) -> None:
    layout = machine.layout
    sources = [rng.standard_normal((rows, features)).astype(np.float32) for rows in (11, 1, 4)[:tables]]
    ids = np.stack([rng.integers(0, len(s), columns) for s in sources]).astype(np.int32)
    ids[0, -1:] = 10
    out = np.full(layout.size(features, columns), np.nan, np.float32)
    flat = [s.ravel() for s in sources]
    machine.run(embed(layout, (False,) * tables), ids.ravel(), *flat, out, features, columns)
    expected = sources[0][ids[0]]
    for table, which in zip(sources[1:], ids[1:], strict=True):
        expected = expected + table[which]
    np.testing.assert_array_equal(out, layout.pack(expected.T))


@pytest.mark.parametrize("tables", [0, 4])
def test_a_number_of_tables_it_does_not_add_is_refused(machine: Machine, tables: int) -> None:
    with pytest.raises(UnsupportedError, match=f"1 to 3 tables, not {tables}"):
        embed(machine.layout, (False,) * tables)
