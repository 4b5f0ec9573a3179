from __future__ import annotations

import numpy as np
import pytest

from aerogel.bench.cases import lengths_case, shape_case, texts_case, token_batch
from aerogel.core.errors import InputError


def test_a_shape_names_sequences_and_tokens() -> None:
    case = shape_case("8x128")
    assert case.name == "8x128" and case.timed and not case.output
    batch = token_batch(case.params, 30522)
    assert batch.ids.shape == batch.mask.shape == (8, 128)
    assert batch.mask.all()
    assert batch.ids.min() >= 1000 and batch.ids.max() < 30522


@pytest.mark.parametrize("shape", ["", "8", "8x", "x8", "0x8", "8x0", "8x-1", "8x128x2", "axb", "8 x 128"])
def test_other_shapes_are_refused_with_the_form_they_should_have(shape: str) -> None:
    with pytest.raises(InputError, match="BATCHxTOKENS"):
        shape_case(shape)


def test_lengths_are_padded_with_zeros_to_the_longest() -> None:
    batch = token_batch(lengths_case("ragged", [3, 1, 5]).params, 100)
    np.testing.assert_array_equal(batch.mask, [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    assert ((batch.ids == 0) == (batch.mask == 0)).all()
    assert batch.ids.max() < 100


def test_the_same_case_gives_the_same_tokens_everywhere() -> None:
    params = shape_case("2x9").params
    np.testing.assert_array_equal(token_batch(params, 500).ids, token_batch(params, 500).ids)


def test_empty_cases_are_refused() -> None:
    with pytest.raises(InputError, match="1 or more tokens"):
        lengths_case("none", [])
    with pytest.raises(InputError, match="1 or more tokens"):
        lengths_case("zero", [4, 0])
    with pytest.raises(InputError, match="no texts"):
        texts_case([])
