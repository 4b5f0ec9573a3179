"""Encodings lose no number, are the smallest, and refuse parts that lie."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aerogel.core.errors import FormatError
from aerogel.prune.interchange.bits import FLOATS, bits_of, from_bits, live
from aerogel.prune.interchange.encoding import ENCODINGS, Encoded, decode, smallest


def encoded(array: np.ndarray) -> Encoded:
    return smallest(array, array != 0)


def sparse(rows: int, columns: int, density: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 1000, (rows, columns)).astype(np.uint16) * (rng.random((rows, columns)) < density)


def groups(rows: int, columns: int, n: int, m: int) -> np.ndarray:
    """n non-zeros in each m, at random places."""
    rng = np.random.default_rng(n * m)
    live = np.argsort(np.argsort(rng.random((rows * columns // m, m)))) < n
    return (rng.integers(1, 1000, live.shape) * live).reshape(rows, columns).astype(np.uint16)


SAMPLES = {
    "dense": sparse(16, 64, 1.0),
    "bitmap": sparse(16, 256, 0.3),
    "csr": sparse(64, 256, 0.02),
    "n_of_m": groups(64, 96, 2, 4),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_each_encoding_is_chosen_where_it_is_smallest_and_comes_back(name: str) -> None:
    found = encoded(SAMPLES[name])
    assert found.encoding == name
    np.testing.assert_array_equal(decode(found), SAMPLES[name])


def test_the_sizes_are_what_the_formulas_say() -> None:
    n = np.count_nonzero(SAMPLES["bitmap"])
    assert encoded(SAMPLES["bitmap"]).nbytes == 16 * 256 // 8 + 2 * n
    n = np.count_nonzero(SAMPLES["csr"])
    assert encoded(SAMPLES["csr"]).nbytes == 2 * 64 + n + 2 * n  # columns of 256 take a byte
    assert encoded(SAMPLES["n_of_m"]).nbytes == 8 * math.ceil(64 * 24 / 24) + 2 * 64 * 48


@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 4), (3, 4), (2, 8), (4, 8), (1, 16), (3, 16)])
def test_the_words_are_choices_in_lexical_order(n: int, m: int) -> None:
    array = groups(5, 48 * 4, n, m)
    found = encoded(array)
    assert (found.encoding, found.of) == ("n_of_m", (n, m))
    np.testing.assert_array_equal(decode(found), array)
    choices = list(combinations(range(m), n))
    ranks = [choices.index(tuple(np.flatnonzero(g))) for g in array.reshape(-1, m)]
    digits = max(d for d in range(1, 65) if len(choices) ** d <= 2**64)
    for word, first in zip(found.parts["words"], range(0, len(ranks), digits), strict=True):
        here = ranks[first : first + digits]
        assert int(word) == sum(rank * len(choices) ** place for place, rank in enumerate(here))


@settings(max_examples=30)
@given(
    hnp.arrays(np.uint16, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)),
    st.floats(0, 1),
)
def test_anything_comes_back(array: np.ndarray, density: float) -> None:
    array = array * (np.random.default_rng(array.size).random(array.shape) < density).astype(np.uint16)
    found = encoded(array)
    back = decode(found)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert found.cost <= array.nbytes + 100


def test_nothing_expands_without_bound() -> None:
    zeros = np.zeros((4, 100_000), np.uint64)
    assert zeros.nbytes <= 256 * encoded(zeros).nbytes


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_float_type_keeps_its_bits_and_minus_zero_is_zero(dtype: torch.dtype) -> None:
    values = torch.tensor([0.0, -0.0, 1.5, -2.0, float("inf"), float("nan"), 0.015625, -0.0]).to(dtype)
    bits = bits_of(values)
    assert live(values, bits).tolist() == [v != 0 for v in values.double().tolist()]
    back = from_bits(bits, dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(bits_of(back), bits)


def test_bits_of_another_width_are_refused() -> None:
    with pytest.raises(FormatError, match="values have 16 bits"):
        from_bits(np.zeros(3, np.uint16), torch.float32)


def broken(name: str, part: str, change: object) -> Encoded:
    good = encoded(SAMPLES[name])
    return replace(good, parts={**good.parts, part: change(good.parts[part].copy())})  # type: ignore[operator]


def with_first(value: int):
    def change(array: np.ndarray) -> np.ndarray:
        array[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "part", "change", "told"),
    [
        ("dense", "values", lambda a: a[1:], "values has 1023 entries, needs 1024"),
        ("bitmap", "bits", lambda a: a[1:], "bits has 511 entries"),
        ("bitmap", "bits", lambda a: ~a, "values has"),
        ("bitmap", "bits", lambda a: a.astype(np.uint16), "bits are bytes"),
        ("bitmap", "values", lambda a: a.reshape(1, -1), "lists of unsigned"),
        ("csr", "counts", lambda a: a[1:], "counts has 63"),
        ("csr", "counts", with_first(65535), "columns has"),
        ("csr", "counts", lambda a: a.astype(np.uint64), "at most 32 bits"),
        ("csr", "columns", lambda a: a[::-1].copy(), "do not ascend"),
        ("csr", "columns", lambda a: a.astype(np.uint16) + np.uint16(256), "beyond the last"),
        ("csr", "columns", lambda a: a.astype(np.int16), "lists of unsigned"),
        ("n_of_m", "words", lambda a: a[1:], "words has 63"),
        ("n_of_m", "words", with_first(2**64 - 1), "more than its groups"),
        ("n_of_m", "words", lambda a: a.astype(np.uint32), "64 bits"),
        ("n_of_m", "values", lambda a: a[1:], "values has"),
    ],
)
def test_parts_that_lie_are_refused(name: str, part: str, change: object, told: str) -> None:
    with pytest.raises(FormatError, match=told):
        decode(broken(name, part, change))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"encoding": "gzip"}, "unknown"),
        ({"shape": (64, -96)}, "impossible"),
        ({"shape": (1,) * 9}, "impossible"),
        ({"shape": (1 << 30, 1 << 30)}, "impossible"),
        ({"shape": (1 << 20, 1 << 19)}, "claim to stand for"),
        ({"shape": ()}, "needs rows"),
        ({"shape": (64, 95)}, "not whole groups"),
        ({"of": (4, 4)}, "none of those"),
        ({"of": (2, 5)}, "none of those"),
        ({"of": None}, "none of those"),
        ({"parts": {}}, "needs"),
    ],
)
def test_descriptions_that_lie_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(FormatError, match=told):
        decode(replace(encoded(SAMPLES["n_of_m"]), **change))  # type: ignore[arg-type]
