"""Vectors cut to fewer bits, and compared: against formulas written out one number at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aerogel.core.errors import InputError
from aerogel.model.vector_form import Form, form
from aerogel.model.vectors import (
    SIMILARITIES,
    normalized,
    pairwise,
    quantized,
    require_similarity,
    similarities,
)

RANDOM = np.random.default_rng(0)
A, B = (RANDOM.standard_normal((n, 12)).astype(np.float32) for n in (5, 3))


def one(a: Any, b: Any, kind: str) -> float:
    """By the schoolbook, in Python's floats."""
    pairs = [(float(x), float(y)) for x, y in zip(a, b, strict=True)]
    dot = sum(x * y for x, y in pairs)
    match kind:
        case "cosine":
            return dot / math.sqrt(sum(x * x for x, _ in pairs) * sum(y * y for _, y in pairs))
        case "dot":
            return dot
        case "euclidean":
            return -math.sqrt(sum((x - y) ** 2 for x, y in pairs))
        case _:
            return -sum(abs(x - y) for x, y in pairs)


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_each_with_each_and_pairs(kind: Any) -> None:
    expected = np.array([[one(a, b, kind) for b in B] for a in A])
    assert_allclose(similarities(A, B, kind), expected, rtol=1e-5, atol=1e-6)
    assert_allclose(similarities(list(A), B.tolist(), kind), expected, rtol=1e-5, atol=1e-6)
    assert_allclose(similarities(A[0], B, kind), expected[:1], rtol=1e-5, atol=1e-6)
    assert_allclose(pairwise(A[:3], B, kind), np.diag(expected), rtol=1e-5, atol=1e-6)
    assert_allclose(pairwise(A[0], B, kind), expected[0], rtol=1e-5, atol=1e-6)
    assert pairwise(A[0], B[0], kind).shape == ()
    assert similarities(np.zeros((0, 12)), B, kind).shape == (0, 3)
    assert similarities(A, [], kind).shape == (5, 0)


def test_tensors_and_small_integers_are_compared_as_numbers() -> None:
    torch = pytest.importorskip("torch")
    expected = similarities(A, B, "dot")
    given = torch.from_numpy(A.copy()).requires_grad_()
    assert_array_equal(similarities(given, list(torch.from_numpy(B.copy())), "dot"), expected)
    half = similarities(given.to(torch.bfloat16), B, "dot")
    assert_allclose(half, expected, rtol=0.05, atol=0.1)
    assert similarities(np.full((1, 2), 100, np.int8), np.full((1, 2), 100, np.int8), "dot") == 20000


@pytest.mark.parametrize("compare", [similarities, pairwise])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (A, B[:, :5]),
        (A[None], B),
        (A[0], B[0, :3]),
        ([A[0], A[0, :2]], B),
        ("text", B),
        (object(), B),
        (A, 3.0),
    ],
)
def test_what_cannot_be_compared_is_refused(compare: Any, a: Any, b: Any) -> None:
    with pytest.raises(InputError, match=r"cannot be compared|equally long|no vectors"):
        compare(a, b, "cosine")


def test_pairs_are_as_many_on_both_sides() -> None:
    with pytest.raises(InputError, match=r"shapes \(5, 12\) and \(3, 12\) cannot be compared"):
        pairwise(A, B, "dot")


def test_a_vector_of_zeros_stays_one() -> None:
    zeros = np.zeros((2, 4), np.float32)
    assert_array_equal(normalized(zeros), zeros)
    assert_array_equal(similarities(zeros, zeros, "cosine"), np.zeros((2, 2)))


def test_a_name_of_a_similarity() -> None:
    class Kind:
        value = "dot"

    assert (require_similarity("dot"), require_similarity(Kind()), require_similarity(None)) == (
        "dot",
        "dot",
        "cosine",
    )
    for wrong in ("angle", 3, ["dot"]):
        with pytest.raises(InputError, match="is unknown"):
            require_similarity(wrong)


def test_eight_bits_span_the_range_of_each_feature() -> None:
    vectors = np.array([[0, 5, -1], [255, 5, 0.5], [127.4, 5, 254]], np.float32)
    assert_array_equal(
        quantized(vectors, "uint8"), np.array([[0, 0, 0], [255, 0, 1], [127, 0, 255]], np.uint8)
    )
    assert_array_equal(quantized(vectors, "int8"), quantized(vectors, "uint8").astype(int) - 128)
    assert quantized(vectors, "int8").dtype == np.int8
    # A code tells the number to within one of its 255 steps.
    low, high = A.min(0), A.max(0)
    again = low + quantized(A, "uint8") * (high - low) / 255
    assert (np.abs(again - A) <= (high - low) / 255 * 1.01).all()


def test_signs_in_bits() -> None:
    signs = np.array([[1, -1, 1, 1, 0, 0, 0, 2, 1, -1]], np.float32)
    assert_array_equal(quantized(signs, "ubinary"), np.array([[0b10110001, 0b10000000]], np.uint8))
    assert_array_equal(quantized(signs, "binary"), np.array([[0b10110001 - 128, 0]], np.int8))
    assert quantized(signs, "binary").dtype == np.int8


def test_forms() -> None:
    assert form(None, None, to_numpy=True, to_tensor=False, unit=False) == Form()
    assert form("int8", 3, to_numpy=True, to_tensor=True, unit=True) == Form("tensor", "int8", 3, True)
    assert form("int8", 3, to_numpy=False, to_tensor=False, unit=True).kind == "list"
    made = Form(features=4, unit=True).of(A, single=False)
    assert_allclose(made, A[:, :4] / np.linalg.norm(A[:, :4], axis=1, keepdims=True), rtol=1e-6)
    assert Form(precision="ubinary").of(A[:1], single=True).shape == (2,)
    for wrong in (0, -2, 1.5, "3", True):
        with pytest.raises(InputError, match="truncate_dim"):
            form(None, wrong, to_numpy=True, to_tensor=False, unit=False)
