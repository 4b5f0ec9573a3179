"""Canonical weights: encoders written out slowly here, and every way the parts of a weight can lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError
from aerogel.formats.canonical import (
    MOST_EXPANSION,
    PARTS,
    Encoded,
    check,
    decode,
    encode,
    encode_integers,
    encode_rows8,
    integers_of,
)

Matrix = NDArray[np.float32]


def matrix(shape: tuple[int, ...], density: float, seed: int) -> Matrix:
    random = np.random.default_rng(seed)
    numbers = random.standard_normal(shape) * (random.random(shape) < density)
    return numbers.astype(np.float32) + np.float32(0)


def slow_dense(array: Matrix) -> Encoded:
    return Encoded("dense", array.shape, {"values": np.array([*array.flat], np.float32)})


def slow_bitmap(array: Matrix) -> Encoded:
    bits = [0] * -(-array.size // 8)
    for place, number in enumerate(array.flat):
        bits[place // 8] |= int(number != 0) << place % 8
    values = [n for n in array.flat if n != 0]
    return Encoded(
        "bitmap", array.shape, {"bits": np.array(bits, np.uint8), "values": np.array(values, np.float32)}
    )


def slow_delta4(array: Matrix) -> Encoded:
    halves: list[int] = []
    gap = 0
    for number in array.flat:
        gap += 1
        if number != 0:
            halves += [15] * ((gap - 1) // 15) + [(gap - 1) % 15]
            gap = 0
    halves += [15] * (len(halves) % 2)
    steps = [low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=True)]
    values = [n for n in array.flat if n != 0]
    return Encoded(
        "delta4", array.shape, {"steps": np.array(steps, np.uint8), "values": np.array(values, np.float32)}
    )


SLOW: dict[str, Callable[[Matrix], Encoded]] = {
    "dense": slow_dense,
    "bitmap": slow_bitmap,
    "delta4": slow_delta4,
}


def same(a: Encoded, b: Encoded) -> None:
    assert (a.encoding, a.shape, list(a.parts)) == (b.encoding, b.shape, list(b.parts))
    for name, part in a.parts.items():
        assert part.dtype == b.parts[name].dtype
        np.testing.assert_array_equal(part, b.parts[name])


SHAPES = [(0,), (0, 5), (5, 0), (), (1,), (1, 1), (7, 9), (8, 16), (3, 300), (64, 64), (2, 3, 4)]


@pytest.mark.parametrize("density", [0.0, 0.002, 0.05, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_comes_back_is_what_went_in(shape: tuple[int, ...], density: float) -> None:
    array = matrix(shape, density, 0)
    found = encode(array)
    back = decode(found)
    assert back.shape == array.shape and back.dtype == np.float32
    np.testing.assert_array_equal(back, array)
    same(found, SLOW[found.encoding](array))
    assert found.nbytes <= array.nbytes


@settings(deadline=None, max_examples=150)
@given(
    shape=st.lists(st.integers(0, 40), max_size=3).map(tuple),
    density=st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
    encoding=st.sampled_from(sorted(SLOW)),
)
def test_every_encoding_gives_the_numbers(
    shape: tuple[int, ...], density: float, seed: int, encoding: str
) -> None:
    array = matrix(shape, density, seed)
    forced = SLOW[encoding](array)
    if encoding == "delta4" and 4 * array.size > MOST_EXPANSION * forced.nbytes:
        with pytest.raises(FormatError, match="too few"):
            decode(forced)
    else:
        np.testing.assert_array_equal(decode(forced), array)


@pytest.mark.parametrize(
    ("density", "wanted"), [(1.0, "dense"), (0.98, "dense"), (0.5, "bitmap"), (0.1, "delta4")]
)
def test_the_smallest_is_chosen(density: float, wanted: str) -> None:
    array = matrix((200, 300), density, 1)
    found = encode(array)
    assert found.encoding == wanted
    assert found.nbytes == min(f(array).nbytes for f in SLOW.values())


def test_half_of_zeros_take_half_of_the_room() -> None:
    array = matrix((300, 300), 0.5, 2)
    assert encode(array).nbytes / array.nbytes == pytest.approx(0.5 + 1 / 32, abs=0.01)
    array = matrix((300, 300), 0.2, 2)
    assert encode(array).nbytes / array.nbytes < 0.235


@pytest.mark.parametrize(
    "places", [[15], [14], [16], [30, 31], [0, 15, 31, 47], [299], list(range(0, 300, 31))]
)
def test_steps_at_the_edges_of_a_half_byte(places: list[int]) -> None:
    array = np.zeros((10, 30), np.float32)
    array.reshape(-1)[places] = 1
    np.testing.assert_array_equal(decode(slow_delta4(array)), array)
    same(encode(array), SLOW[encode(array).encoding](array))


def test_zeros_behind_everything_take_a_bitmap_rather_than_nothing_at_all() -> None:
    """Else a file of no size could ask for a matrix of any."""
    array = np.zeros((1000, 1000), np.float32)
    array[0, :100] = 1
    assert encode(array).encoding == "bitmap"
    assert encode(np.zeros((1000, 1000), np.float32)).encoding == "bitmap"


def test_minus_zero_is_zero() -> None:
    array = np.array([[-0.0, 1.0] * 20], np.float32)
    np.testing.assert_array_equal(np.signbit(decode(encode(array))), False)


def test_arrays_in_another_order_are_stored_by_row() -> None:
    array = np.asfortranarray(matrix((6, 11), 0.4, 3))
    np.testing.assert_array_equal(decode(encode(array)), array)
    np.testing.assert_array_equal(decode(encode(array[::-1, ::2])), array[::-1, ::2])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(number: float) -> None:
    array = np.ones((3, 3), np.float32)
    array[1, 2] = number
    for encoder in (encode, encode_rows8):
        with pytest.raises(InputError, match="NaN or infinity"):
            encoder(array)


def test_other_dtypes_and_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="float32, not float64"):
        encode(np.ones((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two dimensions"):
        encode_rows8(np.ones(3, np.float32))


# --- integers of 8 bits ------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(
    rows=st.integers(0, 20), columns=st.integers(0, 20), seed=st.integers(0, 2**32),
    power=st.integers(-38, 37),
)  # fmt: skip
def test_rows_are_off_by_half_a_scale_at_most(rows: int, columns: int, seed: int, power: int) -> None:
    array = (matrix((rows, columns), 0.7, seed) * np.float32(10.0**power)).astype(np.float32)
    found = encode_rows8(array)
    back = decode(found)
    assert back.shape == array.shape and back.dtype == np.float32
    largest = np.abs(array).max(axis=1, initial=0.0).astype(np.float64)
    ordinary = largest > 2e-36
    np.testing.assert_allclose(found.parts["scales"][ordinary], largest[ordinary] / 127, rtol=1e-6)
    error = np.abs(back.astype(np.float64) - array)
    # A row too small for a scale becomes zero.
    assert (error <= np.maximum(largest[:, None] / 127 * 0.5001, 1.6e-36)).all()
    np.testing.assert_array_equal(np.abs(found.parts["integers"]) <= 127, True)


def test_the_largest_number_of_a_row_and_zeros_survive() -> None:
    array = np.array([[0, 2.54, -2.54], [0, 0, 0], [3e38, 0, -3e38]], np.float32)
    back = decode(encode_rows8(array))
    np.testing.assert_allclose(back, array, rtol=1e-6)
    np.testing.assert_array_equal(back == 0, array == 0)


def test_numbers_next_to_infinity_are_refused_rather_than_written_unreadably() -> None:
    largest = np.finfo(np.float32).max
    fits = np.array([[largest / 128 * 127, 0]], np.float32)
    np.testing.assert_allclose(decode(encode_rows8(fits)), fits, rtol=1e-6)
    with pytest.raises(InputError, match=r"reaches 3.403e\+38: 8 bits .* hold those up to 3.376e\+38"):
        encode_rows8(np.array([[1.0, -largest]], np.float32))
    with pytest.raises(InputError, match="8 bits with a scale"):
        encode_integers(np.ones((1, 4), np.int8), np.array([largest / 127]))


def test_a_table_takes_a_quarter() -> None:
    array = matrix((100, 64), 1.0, 0)
    assert encode_rows8(array).nbytes == 100 * 64 + 4 * 100


# --- parts that lie ----------------------------------------------------------------------------

ARRAY = matrix((9, 11), 0.4, 5)
FORCED = {name: slow(ARRAY) for name, slow in SLOW.items()} | {"rows8": encode_rows8(ARRAY)}


def changed(name: str, part: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Encoded:
    encoded = FORCED[name]
    return replace(encoded, parts={**encoded.parts, part: change(encoded.parts[part].copy())})


def put(place: int, number: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def change(part: NDArray[Any]) -> NDArray[Any]:
        part[place] = number
        return part

    return change


SKIPS = np.full(99, 255, np.uint8)
LIES: dict[str, tuple[Encoded, str]] = {
    "unknown": (replace(FORCED["dense"], encoding="zip"), "unknown"),
    "bit past the end": (changed("bitmap", "bits", put(-1, 0xF8)), "values|past the last"),
    "a bit more": (changed("bitmap", "bits", lambda b: put(0, int(b[0]) ^ 1)(b)), "values has"),
    "a byte of bits fewer": (changed("bitmap", "bits", lambda b: b[:-1]), "bits has"),
    "a byte of bits more": (changed("bitmap", "bits", lambda b: np.append(b, np.uint8(0))), "bits has"),
    "steps past the end": (changed("delta4", "steps", lambda s: put(0, (s[0] & 0xF0) | 14)(s)), "steps lead"),
    "a step that takes nothing": (changed("delta4", "steps", lambda s: put(1, s[1] | 15)(s)), "values has"),
    "steps without end": (changed("delta4", "steps", lambda s: np.append(SKIPS, s)), "steps lead"),
    "integers fewer": (changed("rows8", "integers", lambda p: p[:-1]), "integers has"),
    "scales fewer": (changed("rows8", "scales", lambda p: p[:-1]), "scales has"),
    "negative scale": (changed("rows8", "scales", put(2, -1)), "negative"),
    "scale too large": (changed("rows8", "scales", put(2, 3e38)), "too large"),
    "NaN scale": (changed("rows8", "scales", put(2, np.nan)), "NaN"),
    "rows8 of three dimensions": (replace(FORCED["rows8"], shape=(3, 3, 11)), "two dimensions"),
    "negative sizes": (replace(FORCED["dense"], shape=(-9, -11)), "impossible"),
    "too many dimensions": (replace(FORCED["dense"], shape=(9, 11, *[1] * 80)), "impossible"),
    "sizes that overflow": (replace(FORCED["dense"], shape=(1 << 40, 1 << 40)), "impossible"),
    "an empty matrix of unlimited width": (
        Encoded("dense", (0, 1 << 62), {"values": np.zeros(0, np.float32)}), "impossible",
    ),
    "nothing that stands for much": (
        Encoded("delta4", (1 << 20, 1 << 20), {"steps": SKIPS[:0], "values": np.zeros(0, np.float32)}),
        "too few",
    ),
}  # fmt: skip
for _name, _encoded in FORCED.items():
    LIES[f"{_name} of another shape"] = (replace(_encoded, shape=(9, 12)), "has|too few")
    if _name != "rows8":
        LIES[f"{_name} with NaN"] = (changed(_name, "values", put(3, np.nan)), "NaN")
        LIES[f"{_name} with infinity"] = (changed(_name, "values", put(-1, np.inf)), "NaN or infinity")
        LIES[f"{_name} with a value fewer"] = (changed(_name, "values", lambda v: v[:-1]), "values has")
        LIES[f"{_name} with a value more"] = (
            changed(_name, "values", lambda v: np.append(v, np.float32(1))), "values has",
        )  # fmt: skip
    for _part in PARTS[_encoded.encoding]:
        LIES[f"{_name} without {_part}"] = (
            replace(_encoded, parts={k: v for k, v in _encoded.parts.items() if k != _part}), "has parts",
        )  # fmt: skip
        LIES[f"{_name} with wide {_part}"] = (
            changed(_name, _part, lambda p: p.astype(np.int64)),
            "has parts",
        )
        LIES[f"{_name} with {_part} as a matrix"] = (changed(_name, _part, lambda p: p[None]), "rank")
    LIES[f"{_name} with more parts"] = (
        replace(_encoded, parts=_encoded.parts | {"more": np.zeros(1, np.uint8)}), "has parts",
    )  # fmt: skip
# A taller matrix may end in zeros that no step leads to.
del LIES["delta4 of another shape"]


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_told(name: str) -> None:
    encoded, message = LIES[name]
    for read in (check, decode):
        with pytest.raises(FormatError, match=message):
            read(encoded)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_parts_at_random_are_refused_or_decoded_to_their_shape(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(sorted(PARTS)))
    shape = tuple(data.draw(st.lists(st.integers(0, 6), max_size=3)))
    size = math.prod(shape)
    parts: dict[str, NDArray[Any]] = {}
    for name, dtype in PARTS[encoding].items():
        near = {"bits": -(-size // 8), "scales": shape[0] if shape else 0}.get(name, size)
        count = data.draw(st.integers(0, 12) | st.just(near))
        raw = data.draw(st.binary(min_size=count, max_size=count))
        parts[name] = np.frombuffer(raw, np.int8).astype(dtype)
    try:
        found = decode(Encoded(encoding, shape, parts))
    except FormatError:
        return
    assert found.shape == shape


# --- integers with a scale per row ----------------------------------------------------------------


def integer_matrix(rows: int, columns: int, density: float, unit: int) -> np.ndarray:
    rng = np.random.default_rng(rows * 10 + columns)
    live = rng.random((rows, -(-columns // unit))) < density
    integers = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
    return np.where(live.repeat(unit, axis=1)[:, :columns], integers, 0).astype(np.int8)


@pytest.mark.parametrize(
    ("density", "unit", "encoding"), [(1.0, 1, "rows8"), (0.3, 1, "bitmap8"), (0.3, 4, "words8")]
)
@pytest.mark.parametrize("columns", [32, 33, 35])
def test_integers_come_back_from_the_smallest_encoding(
    density: float, unit: int, encoding: str, columns: int
) -> None:
    integers = integer_matrix(40, columns, density, unit)
    scales = np.linspace(0, 1, 40, dtype=np.float32)
    encoded = encode_integers(integers, scales)
    assert encoded.encoding == encoding
    found, found_scales = integers_of(encoded)
    np.testing.assert_array_equal(found, integers)
    np.testing.assert_array_equal(found_scales, scales)
    np.testing.assert_array_equal(decode(encoded), integers.astype(np.float32) * scales[:, None])


def test_an_empty_matrix_of_integers_comes_back() -> None:
    encoded = encode_integers(np.zeros((0, 5), np.int8), np.zeros(0, np.float32))
    assert integers_of(encoded)[0].shape == (0, 5)


@pytest.mark.parametrize("encoding", ["bitmap8", "words8"])
@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("bits", lambda a: a[:-1], "bits has"),
        ("integers", lambda a: a[:-4], "integers has"),
        ("scales", lambda a: a[:-1], "scales has"),
        ("scales", lambda a: -a - 1, "a scale is negative"),
        ("scales", lambda a: a * np.float32("nan"), "NaN"),
    ],
)
def test_integers_that_do_not_fit_are_refused(encoding: str, part: str, change: Any, message: str) -> None:
    integers = integer_matrix(8, 32, 0.3, 4 if encoding == "words8" else 1)
    encoded = encode_integers(integers, np.ones(8, np.float32))
    assert encoded.encoding == encoding
    bad = replace(encoded, parts={**encoded.parts, part: change(encoded.parts[part])})
    with pytest.raises(FormatError, match=message):
        integers_of(bad)


def test_scales_that_cannot_be_are_refused() -> None:
    for scales in (np.ones(3, np.float32), np.full(2, -1, np.float32), np.full(2, np.inf, np.float32)):
        with pytest.raises(InputError, match="one float32 scale"):
            encode_integers(np.zeros((2, 4), np.int8), scales)
