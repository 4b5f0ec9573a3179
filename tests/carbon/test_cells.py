"""Numbers in cells: what is empty is not known, and what is no number is refused with its place."""

from __future__ import annotations

import pytest

from aerogel.carbon.cells import number_in, positive_in
from aerogel.core.errors import InputError

ROW: dict[str, str | None] = {"watts": " 2.5e2 ", "zero": "0", "empty": " ", "short": None}


def test_a_number_or_nothing() -> None:
    assert number_in(ROW, "watts", "line 2") == positive_in(ROW, "watts", "line 2") == 250
    assert number_in(ROW, "zero", "line 2") == 0
    for name in ("empty", "short", "absent"):
        assert number_in(ROW, name, "line 2") is None
        assert positive_in(ROW, name, "line 2") is None


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "much", "1,5"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(InputError, match=f"line 3: watts is '{text}', not a number from 0 on"):
        number_in({"watts": text}, "watts", "line 3")
    with pytest.raises(InputError, match=f"line 3: watts is '{text}', not a number above 0"):
        positive_in({"watts": text}, "watts", "line 3")


def test_nothing_at_all_is_not_above_zero() -> None:
    with pytest.raises(InputError, match="zero is '0', not a number above 0"):
        positive_in(ROW, "zero", "line 2")
