"""Embedding against NumPy indexing, bit for bit, with tables of numbers and of 8-bit integers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.kernels.machine import Machine

from aerogel.core.errors import UnsupportedError
from aerogel.formats.canonical import decode, encode_rows8
from aerogel.kernels.embed import embed

KINDS = [kinds for n in (1, 2, 3) for kinds in itertools.product((False, True), repeat=n)]


def named(kinds: tuple[bool, ...]) -> str:
    return "".join("i" if small else "f" for small in kinds)


def check(
    machine: Machine, rng: np.random.Generator, kinds: tuple[bool, ...], shape: tuple[int, int]
) -> None:
    """``shape``: features and columns."""
    (features, columns), layout = shape, machine.layout
    buffers: list[NDArray[np.generic]] = []
    tables: list[NDArray[np.float32]] = []
    for small, rows in zip(kinds, (11, 1, 4), strict=False):
        table = rng.standard_normal((rows, features)).astype(np.float32)
        if small:
            encoded = encode_rows8(table)
            buffers += [encoded.parts["integers"], encoded.parts["scales"]]
            table = decode(encoded)
        else:
            buffers.append(table.ravel())
        tables.append(table)
    ids = np.stack([rng.integers(0, len(t), columns) for t in tables]).astype(np.int32)
    ids[0, -1:] = 10
    out = np.full(layout.size(features, columns), np.nan, np.float32)
    machine.run(embed(layout, kinds), ids.ravel(), *buffers, out, features, columns)
    expected = tables[0][ids[0]]
    for table, which in zip(tables[1:], ids[1:], strict=True):
        expected = expected + table[which]
    np.testing.assert_array_equal(out, layout.pack(expected.T))


@pytest.mark.parametrize("tables", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (20, 3), (16, 16), (33, 100), (5, 0)])
def test_tables_of_numbers(
    machine: Machine, rng: np.random.Generator, tables: int, shape: tuple[int, int]
) -> None:
    check(machine, rng, (False,) * tables, shape)


@pytest.mark.parametrize("kinds", [k for k in KINDS if any(k)], ids=named)
@pytest.mark.parametrize("shape", [(1, 1), (20, 3), (16, 17), (5, 0)])
def test_tables_of_integers(
    machine: Machine, rng: np.random.Generator, kinds: tuple[bool, ...], shape: tuple[int, int]
) -> None:
    check(machine, rng, kinds, shape)


def test_the_ends_of_the_integers_and_a_row_of_zeros(machine: Machine) -> None:
    """-128 is never written, but a file may hold it."""
    integers = np.array([[-128, 127, -1], [0, 0, 0], [1, -127, 64]], np.int8)
    scales, ids = np.array([0.5, 0, 3e-38], np.float32), np.array([2, 0, 1, 0], np.int32)
    out = np.full(machine.layout.size(3, 4), np.nan, np.float32)
    machine.run(embed(machine.layout, (True,)), ids, integers.ravel(), scales, out, 3, 4)
    expected = integers[ids].astype(np.float32) * scales[ids][:, None]
    np.testing.assert_array_equal(out, machine.layout.pack(expected.T))


@pytest.mark.parametrize("kinds", KINDS, ids=named)
def test_kernels_of_other_tables_have_other_names(machine: Machine, kinds: tuple[bool, ...]) -> None:
    assert embed(machine.layout, kinds).name == f"embed_{named(kinds)}"


@pytest.mark.parametrize("tables", [0, 4])
def test_a_number_of_tables_it_does_not_add_is_refused(machine: Machine, tables: int) -> None:
    with pytest.raises(UnsupportedError, match=f"1 to 3 tables, not {tables}"):
        embed(machine.layout, (False,) * tables)
