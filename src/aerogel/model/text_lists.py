"""What a caller may give for texts: one string, or a list, tuple, array or column of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from aerogel.core.errors import InputError, require


def listed(given: object, what: str = "text") -> tuple[list[str], bool]:
    """(the texts, whether one alone was given). InputError that names the first of a list that is no text."""
    if isinstance(given, str):
        return [_checked(given, what)], True
    array: Any = given
    if hasattr(array, "tolist") and getattr(array, "ndim", 1) == 1:  # a NumPy array, or a column of a table
        array = array.tolist()
    known = isinstance(array, Sequence) and not isinstance(array, bytes | bytearray | memoryview)
    told = f"a {type(given).__name__} is no {what}: give a string or a list of strings"
    require(known, InputError, told)
    return [_checked(t, f"{what} {i}") for i, t in enumerate(cast("Sequence[object]", array))], False


def _checked(text: object, name: str) -> str:
    missing = text is None or text != text  # NaN is what a missing value of a table comes as  # noqa: PLR0124
    advice = "fill or drop missing values" if missing else "give strings"
    told = f"{name} is {_short(text)}, a {type(text).__name__} and no string: {advice}"
    require(isinstance(text, str), InputError, told)
    assert isinstance(text, str)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} holds half a surrogate pair at {error.start}, which is no text") from error
    return text


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
