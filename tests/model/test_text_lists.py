"""What may be given for texts, and what is named when it is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aerogel.core.errors import InputError
from aerogel.model.text_lists import listed


@pytest.mark.parametrize(
    "given",
    [["a", ""], ("a", ""), np.array(["a", ""]), np.array(["a", ""], dtype=object), [np.str_("a"), ""]],
)
def test_lists_tuples_and_arrays(given: Any) -> None:
    assert listed(given) == (["a", ""], False)


def test_one_alone_is_told_from_a_list_of_one() -> None:
    assert listed("ab") == (["ab"], True)
    assert listed(["ab"]) == (["ab"], False)
    assert listed([]) == ([], False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", None], "^row 1 is None, a NoneType and no string: fill or drop missing values$"),
        ([np.float64("nan")], r"^row 0 is .*nan.*, a float64 and no string: fill or drop missing values$"),
        (["a", 2], "^row 1 is 2, a int and no string: give strings$"),
        ([["x" * 100]], r"^row 0 is \['x{55}\.\.\., a list and no string"),
        (["a\udc00"], "^row 0 holds half a surrogate pair at 1"),
        ("\ud800", "^row holds half a surrogate pair at 0"),
        (np.array("a"), "^a ndarray is no row: give a string or a list of strings$"),
        (np.array([[1]]), "is no row"),
        (range(2), "^row 0 is 0, a int"),
        (3.5, "^a float is no row"),
        (bytearray(b"a"), "^a bytearray is no row"),
    ],
)
def test_what_is_none_is_named(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        listed(given, "row")
