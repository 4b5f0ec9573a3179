"""Rows as bitmaps: nothing lost, nothing invented, every stream as long as the others say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aerogel.core.errors import FormatError, InputError
from aerogel.formats.bitmap import pack, pack_integers, pack_nibbles, unpack
from aerogel.formats.rows import LANES, MAX_COLUMNS, PADDING_BYTES, PANEL, WORD, PackedRows, forms_of

NUMBERS = ("fp32", "bf16", "int8", "int4")
FORMS = ("dense", "bitmap", "nested", "sliced")
WAYS = [(number, form) for number in NUMBERS for form in forms_of(number)]


def weight(rows: int, columns: int, density: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.where(rng.random((rows, columns)) < density, dense, np.float32(0))


def integers(rows: int, columns: int, density: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
    found[rng.random((rows, columns)) >= density] = 0
    return found, rng.random(rows, dtype=np.float32)


def packed(
    number: str, form: str, rows: int, columns: int, density: float, lanes: int = 8, seed: int = 0
) -> tuple[PackedRows, np.ndarray]:
    """(what was packed, the matrix that it stands for)."""
    if number == "int8":
        whole, scales = integers(rows, columns, density, seed)
        return pack_integers(whole, scales, form, lanes), whole.astype(np.float32) * scales[:, None]  # type: ignore[arg-type]
    if number == "int4":
        whole, _ = integers(rows, columns, density, seed)
        whole = (whole % 15 - 7).astype(np.int8) * (whole != 0)
        scales = np.random.default_rng(seed).choice(np.float32([0.5, 3, 2**-20]), (rows, -(-columns // 32)))
        return pack_nibbles(whole, scales, form, lanes), whole * np.repeat(scales, 32, 1)[:, :columns]  # type: ignore[arg-type]
    matrix = weight(rows, columns, density, seed)
    if number == "bf16":
        # Numbers that bf16 holds, so that rounding is tested by itself.
        matrix = (matrix.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return pack(matrix, number, form, lanes), matrix  # type: ignore[arg-type]


@given(
    way=st.sampled_from(WAYS),
    shape=st.tuples(st.integers(1, 80), st.integers(1, 1100)),
    density=st.sampled_from([0.0, 0.03, 0.3, 0.9, 1.0]),
    lanes=st.sampled_from(LANES),
    seed=st.integers(0, 99),
)
@example(way=("int8", "nested"), shape=(1, 1), density=0.0, lanes=4, seed=0)
@example(way=("bf16", "nested"), shape=(4, 512), density=1.0, lanes=16, seed=0)
@example(way=("fp32", "bitmap"), shape=(5, 64), density=1.0, lanes=4, seed=0)
@example(way=("int4", "nested"), shape=(3, 513), density=0.3, lanes=16, seed=0)
@example(way=("int4", "dense"), shape=(1, 1), density=0.0, lanes=4, seed=0)
@example(way=("int8", "sliced"), shape=(1, 1), density=0.0, lanes=4, seed=0)
@example(way=("bf16", "sliced"), shape=(65, 257), density=1.0, lanes=16, seed=0)
@settings(max_examples=160, deadline=None)
def test_what_is_packed_comes_back(
    way: tuple[str, str], shape: tuple[int, int], density: float, lanes: int, seed: int
) -> None:
    number, form = way
    item, matrix = packed(number, form, *shape, density, lanes, seed)
    np.testing.assert_array_equal(unpack(item), matrix)
    assert item.nonzeros == np.count_nonzero(matrix) or number in ("int8", "int4")
    check_streams(item)


def check_streams(item: PackedRows) -> None:
    """What a kernel relies on: where panels begin, how much work they are, what it may read past the end."""
    assert item.starts.shape == (item.panels + 1, 2) and item.starts[0].tolist() == [0, 0]
    itemsize = item.values.dtype.itemsize
    assert (item.starts[-1, 0] * itemsize + PADDING_BYTES) == item.values.nbytes
    assert not item.values[item.starts[-1, 0] :].any()
    assert item.work.shape == (item.panels + 1,) and item.work[0] == 0
    assert (np.diff(item.work) > 0).all(), "a panel without work would be lost when threads share by work"
    in_masks = item.masks.nbytes // item.panels
    if item.form == "sliced":
        # The number of steps, and the order of the rows; never nothing.
        in_masks += item.mask_bytes.nbytes // item.panels - 1
    moved = np.diff(item.starts[:, 0]) * itemsize + np.diff(item.starts[:, 1]) + in_masks
    np.testing.assert_array_equal(np.diff(item.work), moved + 1)
    if item.form == "dense":
        integers = item.values.size * (2 if item.number == "int4" else 1)
        assert item.masks.size == 0 and integers >= item.rows * item.columns
    if item.form == "nested":
        assert item.starts[-1, 1] + PADDING_BYTES == item.mask_bytes.size
    for array in item.streams:
        assert array.flags.c_contiguous and not array.flags.writeable


def test_one_bit_a_weight() -> None:
    """The values of a word's rows follow each other, then those of the next word."""
    matrix = np.zeros((5, 70), np.float32)
    matrix[0, [0, 63]], matrix[1, 3], matrix[0, 64], matrix[4, 1] = (1, 2), 3, 4, 5
    item = pack(matrix, "fp32", "bitmap", 16)
    assert item.masks.reshape(2, 2, PANEL).tolist() == [
        [[1 << 63 | 1, 8, 0, 0], [1, 0, 0, 0]],
        [[2, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert item.values[:5].tolist() == [1, 2, 3, 4, 5]
    assert item.starts[:, 0].tolist() == [0, 4, 5]


def test_nested_keeps_the_bytes_of_masks_that_are_not_zero() -> None:
    matrix = np.zeros((2, 1024), np.float32)
    matrix[0, 8], matrix[1, 512 + 64 + 63], matrix[1, 512] = 1, 2, 3
    item = pack(matrix, "fp32", "nested", 16)
    summaries = item.masks.reshape(1, 2, PANEL)
    assert summaries.tolist() == [[[2, 0, 0, 0], [0, 1 << 15 | 1, 0, 0]]]
    assert item.mask_bytes[:3].tolist() == [1, 1, 0x80]
    assert item.starts.tolist() == [[0, 0], [3, 3]]


@pytest.mark.parametrize(("density", "smallest"), [(1.0, "dense"), (0.5, "bitmap"), (0.1, "nested")])
@pytest.mark.parametrize("number", NUMBERS)
def test_which_form_is_smallest(number: str, density: float, smallest: str) -> None:
    sizes = {form: packed(number, form, 64, 1024, density)[0].nbytes for n, form in WAYS if n == number}
    assert min(sizes, key=lambda form: sizes[form]) == smallest


@pytest.mark.parametrize("density", [0.05, 0.1, 0.3])
def test_bytes_a_weight_are_what_the_formula_says(density: float) -> None:
    rows, columns = 64, 4096
    bits = {"bitmap": 1.0, "nested": (9 - 8 * (1 - density) ** 8) / 8}
    for form, each in bits.items():
        item, matrix = packed("fp32", form, rows, columns, density)
        of_masks = item.masks.nbytes + item.mask_bytes.nbytes - (PADDING_BYTES if form == "nested" else 0)
        assert of_masks * 8 / matrix.size == pytest.approx(each, rel=0.02)


# --- numbers ----------------------------------------------------------------------------------------


def test_bf16_is_rounded_to_nearest_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF808001, 1, 0x80000001], np.uint32)
    got = unpack(pack(bits.view(np.float32).reshape(1, -1), "bf16", "bitmap", 4)).reshape(-1)
    wanted = np.array([0x3F800000, 0x3F820000, 0x3F810000, 0x3F800000, 0xBF810000, 0, 0], np.uint32)
    np.testing.assert_array_equal(got.view(np.uint32), wanted)


def test_bf16_is_zero_below_a_bound() -> None:
    """So that no sum of products is subnormal."""
    matrix = np.array([[2.0**-56, -(2.0**-56), 2.0**-56 * 0.999, 2.0**-56 * 0.99, -(2.0**-57)]], np.float32)
    got = unpack(pack(matrix, "bf16", "bitmap", 16))
    np.testing.assert_array_equal(got, np.float32([[2.0**-56, -(2.0**-56), 2.0**-56, 0, 0]]))


def test_what_rounds_to_zero_is_not_stored() -> None:
    item = pack(np.full((1, 64), -1e-45, np.float32), "bf16", "bitmap", 4)
    assert item.nonzeros == 0 and not item.masks.any()


@pytest.mark.parametrize("lanes", LANES)
def test_bf16_puts_two_columns_into_one_word(lanes: int) -> None:
    """The even halves are ``lanes`` consecutive columns."""
    matrix = np.arange(1, 65, dtype=np.float32).reshape(1, 64)
    stored = pack(matrix, "bf16", "dense", lanes).values[:64].reshape(-1, lanes, 2)
    numbers = (stored.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(numbers[0, :, 0], matrix[0, :lanes])
    np.testing.assert_array_equal(numbers[0, :, 1], matrix[0, lanes : 2 * lanes])


def test_integers_keep_their_scale_and_sum() -> None:
    whole, scales = integers(6, 100, 0.5)
    item = pack_integers(whole, scales, "bitmap", 16)
    np.testing.assert_array_equal(item.scales, scales)
    np.testing.assert_array_equal(item.sums, whole.sum(axis=1, dtype=np.int32))


@pytest.mark.parametrize("form", FORMS)
def test_a_packed_weight_does_not_follow_its_source(form: Any) -> None:
    matrix = weight(4, 64, 1.0)
    item, before = pack(matrix, "fp32", form, 16), matrix.copy()
    matrix[:] = 7
    np.testing.assert_array_equal(unpack(item), before)
    whole, scales = integers(4, 64, 1.0)
    of_integers = pack_integers(whole, scales, form, 16)
    scales[:] = 9
    assert of_integers.scales.max() < 9


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros(4, np.float32), "float32 matrix, got float32 of shape"),
        (np.zeros((2, 2)), "got float64"),
        (np.zeros((0, 4), np.float32), "empty weight of shape"),
        (np.zeros((4, 0), np.float32), "empty weight of shape"),
        (np.zeros((1, MAX_COLUMNS + 1), np.float32), "at most 65536"),
        (np.full((1, 4), np.nan, np.float32), "NaN or infinity"),
        (np.full((1, 4), -np.inf, np.float32), "NaN or infinity"),
    ],
)
def test_a_weight_that_cannot_be_packed_is_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(matrix, "fp32", "bitmap", 16)


def test_the_largest_number_of_columns_is_packed() -> None:
    matrix = np.zeros((1, MAX_COLUMNS), np.float32)
    matrix[0, -1] = 2
    np.testing.assert_array_equal(unpack(pack(matrix, "fp32", "nested", 16)), matrix)


def test_what_bf16_cannot_hold_is_refused() -> None:
    largest = np.array([[0x7F7F7FFF]], np.uint32).view(np.float32)
    assert np.isfinite(unpack(pack(largest, "bf16", "bitmap", 4))).all()
    with pytest.raises(InputError, match="too large for bf16"):
        pack(np.array([[0x7F7F8000]], np.uint32).view(np.float32), "bf16", "bitmap", 4)


@pytest.mark.parametrize(
    ("number", "form", "lanes"), [("int8", "bitmap", 16), ("fp32", "csr", 16), ("fp32", "dense", 5)]
)
def test_an_unknown_way_to_pack_is_refused(number: Any, form: Any, lanes: int) -> None:
    with pytest.raises(InputError, match=r"int8|csr|5 lanes"):
        pack(weight(2, 2, 1.0), number, form, lanes)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        (np.ones(3, np.float32), "float32 \\[2\\]"),
        (np.ones(2), "float64"),
        (np.array([1, -1], np.float32), "negative"),
        (np.array([1, np.nan], np.float32), "NaN"),
    ],
)
def test_scales_that_do_not_fit_are_refused(scales: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack_integers(np.ones((2, 2), np.int8), scales, "bitmap", 16)


def test_an_integer_without_a_counterpart_is_refused() -> None:
    with pytest.raises(InputError, match="-128"):
        pack_integers(np.full((1, 4), -128, np.int8), np.ones(1, np.float32), "bitmap", 16)


@pytest.mark.parametrize(
    ("form", "stream"),
    [
        *((f, s) for f in FORMS for s in ("values", "starts")),
        ("bitmap", "masks"),
        ("nested", "masks"),
        ("nested", "mask_bytes"),
        ("sliced", "masks"),
        ("sliced", "mask_bytes"),
    ],
)
def test_streams_that_do_not_fit_each_other_are_refused(form: str, stream: str) -> None:
    item, _ = packed("fp32", form, 9, 700, 0.3)
    array = getattr(item, stream)
    changed = array[:-1] if stream != "starts" else array + np.array([[1, 0]])
    with pytest.raises(FormatError, match=r"entries|start"):
        unpack(replace(item, **{stream: changed}))


@pytest.mark.parametrize("form", ["bitmap", "nested"])
def test_a_bit_too_many_is_found(form: str) -> None:
    item, _ = packed("fp32", form, 4, WORD, 0.3)
    masks = item.masks.copy()
    masks[0] ^= np.uint64(1)
    with pytest.raises(FormatError, match="entries"):
        unpack(replace(item, masks=masks))
