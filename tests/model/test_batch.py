"""What a call computes on: which tokens are packed, and where everything about them stands."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.model.graphs import IDS, MASK, Draft, rows_of, tokens

from aerogel.core.errors import InputError
from aerogel.model.batch import Batch, batch
from aerogel.model.graph import (
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    Lookup,
    PoolKind,
)

LOOKUPS: tuple[Lookup, ...] = (FromInput("ids"), FromPosition(3), FromConstant(7), FromUnpadded("ids", 1))


def encoder(pool: PoolKind | None = None) -> Graph:
    d = Draft()
    x = d.embedding()
    return d.graph(x if pool is None else d.pool(x, pool))


def packed(ids: list[list[int]], mask: list[list[int]] | None, pool: PoolKind | None = None) -> Batch:
    given = {"ids": np.array(ids), "mask": None if mask is None else np.array(mask)}
    return batch(encoder(pool), LOOKUPS, given)


def test_without_a_mask_every_token_is_computed() -> None:
    b = packed([[5, 1, 6], [7, 8, 1]], None)
    assert (b.tokens, b.sequences, b.rows, b.padded, b.leading, b.holes) == (6, 2, 2, 6, (2,), False)
    assert b.offsets.tolist() == [0, 3, 6]
    assert b.destination.tolist() == [0, 1, 2, 3, 4, 5]
    assert b.kept.tolist() == [1] * 6
    assert b.ids.tolist() == [
        [5, 1, 6, 7, 8, 1],
        [3, 4, 5, 3, 4, 5],
        [7] * 6,
        # RoBERTa's rule: counted over ids other than the padding's.
        [2, 1, 3, 2, 3, 1],
    ]
    assert b.ids.dtype == b.offsets.dtype == b.destination.dtype == np.int32 and b.kept.dtype == np.float32


def test_a_mask_of_ones_is_no_mask() -> None:
    a, b = packed([[5, 4], [3, 2]], [[1, 1], [1, 1]]), packed([[5, 4], [3, 2]], None)
    assert a.destination.tolist() == b.destination.tolist() and not a.holes


def test_padding_on_the_right_is_left_out() -> None:
    b = packed([[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    assert (b.tokens, b.padded, b.holes) == (4, 6, False)
    assert b.offsets.tolist() == [0, 3, 4]
    assert b.destination.tolist() == [0, 1, 2, 3]
    assert b.ids[0].tolist() == [5, 6, 7, 8]


def test_padding_on_the_left_is_left_out_and_positions_stay() -> None:
    b = packed([[0, 0, 5], [0, 6, 7]], [[0, 0, 1], [0, 1, 1]])
    assert b.offsets.tolist() == [0, 1, 3]
    assert b.destination.tolist() == [2, 4, 5]
    assert b.ids[1].tolist() == [5, 4, 5]
    assert not b.holes


def test_a_hole_stays_and_is_marked() -> None:
    b = packed([[5, 6, 7, 9]], [[1, 0, 1, 0]])
    assert b.destination.tolist() == [0, 1, 2]
    assert b.kept.tolist() == [1, 0, 1] and b.holes


def test_where_the_first_token_is_pooled_it_is_computed() -> None:
    b = packed([[5, 6, 7], [8, 9, 9]], [[0, 1, 1], [1, 0, 0]], "first")
    assert b.destination.tolist() == [0, 1, 2, 3]
    assert b.kept.tolist() == [0, 1, 1, 1] and b.holes
    assert packed([[5, 6, 7]], [[0, 1, 1]], "mean").destination.tolist() == [1, 2]


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)), st.booleans())
def test_packing_against_its_definition(mask: np.ndarray, first: bool) -> None:
    mask[~mask.any(1), -1] = True
    b = batch(encoder("first" if first else None), LOOKUPS, {"ids": np.ones(mask.shape, int), "mask": mask})
    destination, kept, offsets = [], [], [0]
    for row, marks in enumerate(mask):
        real = np.flatnonzero(marks)
        for at in range(0 if first else real[0], real[-1] + 1):
            destination.append(row * mask.shape[1] + at)
            kept.append(float(marks[at]))
        offsets.append(len(destination))
    assert b.destination.tolist() == destination and b.offsets.tolist() == offsets
    assert b.kept.tolist() == kept and b.holes == (0.0 in kept)
    assert (b.tokens, b.sequences, b.padded) == (len(destination), len(mask), mask.size)


@pytest.mark.parametrize("length", [0, 1, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_of_nothing(length: int, masked: bool) -> None:
    given = {"ids": np.zeros((0, length), int)} | ({"mask": np.zeros((0, length), int)} if masked else {})
    b = batch(encoder(), LOOKUPS, given)
    assert (b.tokens, b.sequences, b.rows, b.padded) == (0, 0, 0, 0)
    assert b.offsets.tolist() == [0] and b.ids.shape == (4, 0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_ids_of_any_integer_type(dtype: type) -> None:
    b = batch(encoder(), LOOKUPS, {"ids": np.array([[1, 49]], dtype)})
    assert b.ids[0].tolist() == [1, 49] and b.ids[3].tolist() == [1, 2]


def between(array: np.ndarray) -> np.ndarray:
    """The same numbers, none on a multiple of its size."""
    raw = np.frombuffer(b"?" + array.tobytes(), np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape)


@pytest.mark.parametrize(
    "lay",
    [
        np.asfortranarray,
        between,
        lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.broadcast_to(a, (3, *a.shape))[1],
    ],
    ids=["columns", "between", "backwards", "every other", "other end", "read-only"],
)
def test_ids_and_masks_in_any_order_in_memory(lay: Callable[[np.ndarray], np.ndarray]) -> None:
    given_ = tokens((3, 7, 2))
    wanted = batch(encoder(), LOOKUPS, given_)
    found = batch(encoder(), LOOKUPS, {name: lay(array) for name, array in given_.items()})
    for part in ("ids", "offsets", "destination", "kept"):
        assert getattr(found, part).tolist() == getattr(wanted, part).tolist()
        assert getattr(found, part).dtype == getattr(wanted, part).dtype


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float32])
def test_masks_of_any_type(dtype: type) -> None:
    b = batch(encoder(), LOOKUPS, {"ids": np.array([[1, 4]]), "mask": np.array([[1, 0]], dtype)})
    assert b.tokens == 1


def test_lists_are_arrays_too() -> None:
    assert packed([[1, 2]], [[1, 0]]).tokens == 1
    assert batch(encoder(), LOOKUPS, {"ids": [[1, 2]], "mask": [[True, False]]}).tokens == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": [1, 2]}, "'ids' is int64 of shape (2,)"),
        ({"ids": [[[1]]]}, "integers of shape (batch, sequence)"),
        ({"ids": 3}, "shape ()"),
        ({"ids": [[1.0]]}, "'ids' is float64"),
        ({"ids": [[True]]}, "'ids' is bool"),
        ({"ids": [["a"]]}, "needs integers"),
        ({"ids": [[1, 50]]}, "holds ids 1 to 50: they must lie in 0 to 49"),
        ({"ids": [[-1, 4]]}, "holds ids -1 to 4"),
        ({"ids": np.array([[2**63]], np.uint64)}, "holds ids 9223372036854775808"),
        ({"ids": np.zeros((1, 0), int)}, "a sequence needs a token"),
        ({"ids": np.zeros((3, 0), int)}, "a sequence needs a token"),
        ({"ids": [[1] * 41]}, "41 tokens a sequence: this model takes at most 40"),
        ({"ids": [[1, 2]], "mask": [[1, 2]]}, "other numbers than 0 and 1"),
        ({"ids": [[1, 2]], "mask": [[1, -1]]}, "other numbers than 0 and 1"),
        ({"ids": [[1, 2]], "mask": [[1, 0.5]]}, "other numbers than 0 and 1"),
        ({"ids": [[1, 2]], "mask": [[1, np.nan]]}, "other numbers than 0 and 1"),
        ({"ids": [[1, 2], [3, 4]], "mask": [[1, 1], [0, 0]]}, "'mask' is all zero in row 1"),
        (
            {"ids": [[1, 2]], "mask": [[1]]},
            "'mask' is int64 of shape (1, 1): it needs 0 and 1 of shape (1, 2)",
        ),
        ({"ids": [[1, 2]], "mask": [1, 1]}, "shape (1, 2)"),
        ({"ids": [[1, 2]], "mask": [["1", "1"]]}, "needs 0 and 1"),
    ],
)
def test_unusable_arrays_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        batch(encoder(), LOOKUPS, given)


def test_too_many_tokens_at_once_are_refused() -> None:
    graph = Graph((IDS, MASK), encoder().ops, encoder().outputs, encoder().weights)
    ids = np.broadcast_to(np.zeros((1, 1), int), (1 << 13, (1 << 11) + 1))
    with pytest.raises(InputError, match="too large: split it"):
        batch(graph, LOOKUPS[:1], {"ids": ids})


# --- several arrays of ids -------------------------------------------------------------------


KINDS = Input("kinds", "ids", 2, optional=True)


def test_ids_left_out_are_zeros() -> None:
    d = Draft((IDS, MASK, KINDS))
    graph = d.graph(d.embedding())
    lookups: tuple[Lookup, ...] = (FromInput("ids"), FromInput("kinds"))
    given = tokens((3, 2))
    assert batch(graph, lookups, given).ids[1].tolist() == [0] * 5
    kinds = np.array([[0, 1, 1], [1, 0, 1]])
    assert batch(graph, lookups, {**given, "kinds": kinds}).ids[1].tolist() == [0, 1, 1, 1, 0]
    with pytest.raises(InputError, match=r"'kinds' has shape \(1, 3\), but the ids before it"):
        batch(graph, lookups, {**given, "kinds": kinds[:1]})
    with pytest.raises(InputError, match="'kinds' holds ids 0 to 2"):
        batch(graph, lookups, {**given, "kinds": kinds * 2})


# --- rows of features ------------------------------------------------------------------------


@pytest.mark.parametrize("leading", [(), (1,), (5,), (2, 3), (0,), (2, 0, 3)])
def test_leading_dimensions_are_rows(leading: tuple[int, ...]) -> None:
    d = rows_of(4)
    x = np.random.default_rng(0).standard_normal((*leading, 4)).astype(np.float32)
    b = batch(d.graph("x"), (), {"x": x})
    assert (b.rows, b.tokens, b.leading) == (int(np.prod(leading)), 0, leading)
    np.testing.assert_array_equal(b.features["x"], x.ravel())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_features_of_any_float_type(dtype: str) -> None:
    b = batch(rows_of(2).graph("x"), (), {"x": np.array([[1.5, -2.0]], dtype)})
    assert b.features["x"].dtype == np.float32 and b.features["x"].tolist() == [1.5, -2.0]


def test_features_beyond_float32_are_infinite() -> None:
    b = batch(rows_of(2).graph("x"), (), {"x": np.array([[1e300, -1e-300]])})
    assert b.features["x"].tolist() == [np.inf, 0.0]


def test_features_in_any_order_in_memory() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3).T
    b = batch(rows_of(4).graph("x"), (), {"x": x})
    np.testing.assert_array_equal(b.features["x"], x.ravel())
    odd = np.frombuffer(b"\0" + x.tobytes(), np.float32, 12, 1).reshape(3, 4)
    b = batch(rows_of(4).graph("x"), (), {"x": odd})
    assert b.features["x"].ctypes.data % 4 == 0 and b.features["x"].tolist() == x.ravel().tolist()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 5), np.float32), "shape .2, 5.: it needs floats with 4 features last"),
        (np.zeros((), np.float32), "4 features last"),
        (np.zeros((2, 4), int), "'x' is int64"),
        (np.zeros((2, 4), complex), "'x' is complex"),
    ],
)
def test_other_features_are_refused(x: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        batch(rows_of(4).graph("x"), (), {"x": x})


def test_inputs_of_different_leading_sizes_are_refused() -> None:
    d = Draft((Input("x", "features", 4), Input("y", "features", 4)))
    with pytest.raises(InputError, match="'y': leading sizes differ"):
        batch(d.graph("x"), (), {"x": np.zeros((2, 4)), "y": np.zeros((1, 2, 4))})
