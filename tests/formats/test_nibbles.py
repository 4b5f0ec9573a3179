"""4-bit integers in groups of 32: how near they come, where they lie, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aerogel.core.errors import FormatError, InputError
from aerogel.formats.bitmap import pack_nibbles, unpack
from aerogel.formats.nibbles import (
    GROUP,
    LARGEST,
    encode4,
    folded,
    in_columns,
    in_groups,
    in_places,
    row_sums,
    unfolded,
)
from aerogel.formats.rows import PADDING_BYTES


def weight(rows: int, columns: int, density: float = 1.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.where(rng.random((rows, columns)) < density, found, np.float32(0))


# --- numbers --------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 100)),
    power=st.integers(-140, 120),
    seed=st.integers(0, 99),
)
@example(shape=(1, 1), power=0, seed=0)
@example(shape=(2, 33), power=-149, seed=1)
@settings(max_examples=80, deadline=None)
def test_no_weight_is_off_by_more_than_its_group_allows(
    shape: tuple[int, int], power: int, seed: int
) -> None:
    matrix = (weight(*shape, 0.7, seed) * np.exp2(float(power))).astype(np.float32)
    integers, scales = encode4(matrix)
    stored = integers * np.repeat(scales, GROUP, axis=1)[:, : shape[1]]
    most = np.abs(in_groups(matrix)).max(axis=2)
    allowed = np.repeat(most * ((1 + 2**-8) / 14) + 2.0**-120, GROUP, axis=1)[:, : shape[1]]
    assert (np.abs(stored.astype(np.float64) - matrix) <= allowed).all()
    assert not stored[matrix == 0].any()
    bits = scales.view(np.uint32)
    assert not (bits & 0xFFFF).any(), "a scale is two bytes"


def test_the_largest_float32_has_a_scale() -> None:
    integers, scales = encode4(np.full((1, 3), np.finfo(np.float32).max))
    assert integers.tolist() == [[7, 7, 7]] and np.isfinite(scales).all()


def test_each_group_has_its_own_scale() -> None:
    matrix = np.zeros((2, 70), np.float32)
    matrix[0, 3], matrix[0, 32], matrix[1, 69] = 7, -0.875, 14
    integers, scales = encode4(matrix)
    np.testing.assert_array_equal(scales, np.float32([[1, 0.125, 0], [0, 0, 2]]))
    assert (integers[0, 3], integers[0, 32], integers[1, 69]) == (7, -7, 7)


@pytest.mark.parametrize(
    "matrix", [np.zeros(3, np.float32), np.zeros((2, 2)), np.full((1, 2), np.nan, np.float32),
               np.full((1, 2), -np.inf, np.float32)]
)  # fmt: skip
def test_what_cannot_be_encoded_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"float32 matrix, got|NaN or infinity"):
        encode4(matrix)


# --- where they lie -------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_lane_of_a_step_is_of_another_group(lanes: int) -> None:
    columns = 2 * GROUP * lanes + 5
    numbers = (np.arange(columns) // GROUP % 7 + 1).astype(np.int8)
    places = in_places(np.stack([numbers, -numbers]), lanes)
    steps = places[0, : 2 * GROUP * lanes].reshape(2, GROUP // 4, lanes, 4)
    wanted = (np.arange(2 * lanes).reshape(2, 1, lanes, 1) % 7 + 1) * np.ones((1, 8, 1, 4))
    np.testing.assert_array_equal(steps, wanted)
    np.testing.assert_array_equal(in_columns(places, columns, lanes), np.stack([numbers, -numbers]))
    assert places.shape[1] % (GROUP * lanes) == 0


def test_two_integers_share_a_byte_and_every_run_begins_one() -> None:
    integers = np.array([1, -1, 7, -7, 2], np.int8)
    bytes_ = folded(integers, np.array([3, 0, 1, 1]))
    assert bytes_.tolist() == [0xF1, 0x07, 0x09, 0x02]
    np.testing.assert_array_equal(unfolded(bytes_, np.array([3, 0, 1, 1])), integers)


@pytest.mark.parametrize(("form", "density"), [("dense", 1.0), ("bitmap", 0.5), ("bitmap", 0.1)])
def test_bytes_a_weight(form: str, density: float) -> None:
    """Half a byte each, half a nibble left over per 64, 1/16 for scales, 1/8 for masks."""
    matrix = weight(64, 4096, density)
    packed = pack_nibbles(*encode4(matrix), form, 16)  # type: ignore[arg-type]
    streamed = packed.values.nbytes - PADDING_BYTES + packed.masks.nbytes + packed.scales.nbytes
    live = packed.nonzeros / matrix.size
    wanted = 0.5 + 1 / 16 if form == "dense" else live / 2 + 0.25 / 64 + 1 / 8 + 1 / 16
    assert streamed / matrix.size == pytest.approx(wanted, rel=0.01)


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("integers", "scales", "message"),
    [
        (np.full((1, 2), 8, np.int8), np.ones((1, 1), np.float32), "beyond -7 to 7"),
        (np.full((1, 2), -8, np.int8), np.ones((1, 1), np.float32), "beyond -7 to 7"),
        (np.full((1, 2), -128, np.int8), np.ones((1, 1), np.float32), "beyond -7 to 7"),
        (np.ones((1, 33), np.int8), np.ones((1, 1), np.float32), r"float32 \(1, 2\)"),
        (np.ones((1, 2), np.int8), np.ones((1, 1)), "float64"),
        (np.ones((1, 2), np.int8), np.full((1, 1), -1, np.float32), "negative"),
        (np.ones((1, 2), np.int8), np.full((1, 1), np.inf, np.float32), "infinite"),
        (np.ones((1, 2), np.int8), np.full((1, 1), 0.1, np.float32), "no bf16"),
        (np.ones((1, 2), np.int16), np.ones((1, 1), np.float32), "int8 matrix, got int16"),
    ],
)
def test_what_cannot_be_packed_is_refused(integers: np.ndarray, scales: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack_nibbles(integers, scales, "bitmap", 16)


@pytest.mark.parametrize(
    "change", ["values", "minus 8", "left over", "scales", "nan", "sums", "starts", "masks"]
)
def test_streams_that_do_not_fit_each_other_are_refused(change: str) -> None:
    integers = np.ones((5, 700), np.int8) * np.int8(LARGEST)
    integers[:, ::3] = 0
    integers[0, :128] = 0
    integers[0, 1] = 3  # One integer in the first word: its byte has a half left over.
    item = pack_nibbles(integers, np.ones((5, 22), np.float32), "bitmap", 4)
    streams = {n: getattr(item, n).copy() for n in ("values", "scales", "sums", "starts", "masks")}
    match change:
        case "values" | "scales":
            streams[change] = streams[change][:-1]
        case "minus 8":
            streams["values"][-PADDING_BYTES - 1] = 0x88
        case "left over":
            streams["values"][0] |= 0x70
        case "nan":
            streams["scales"][3] = 0x7FC0
        case "sums":
            streams["sums"][2] += 1
        case "starts":
            streams["starts"][1, 0] += 1
        case _:
            streams["masks"][0] |= np.uint64(1 << 63 | 1 << 62)
    with pytest.raises(FormatError, match=r"needs|-8|half byte|NaN|sums|start"):
        unpack(replace(item, **streams))
    np.testing.assert_array_equal(unpack(item), integers)


def test_rows_that_add_up_beyond_float32_are_refused() -> None:
    """Else their sum would be infinite, and an activation of 0 not a number."""
    largest = np.finfo(np.float32).max
    balanced = encode4(np.array([[largest, -largest]], np.float32))
    assert np.isfinite(row_sums(*balanced)).all()
    with pytest.raises(InputError, match="add up to more than 2e37"):
        row_sums(*encode4(np.full((1, 3), largest)))
