"""Numbers in the cells of a CSV file, as ``csv.DictReader`` reads it: what an empty one says is not known."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aerogel.core.errors import InputError, require


def number_in(row: Mapping[str, str | None], name: str, where: str) -> float | None:
    """The number from 0 on in the cell ``name``, None where nothing stands; InputError for other text, with
    ``where`` the row is."""
    text, value = _read(row, name)
    told = f"{where}: {name} is {text!r}, not a number from 0 on"
    require(value is None or 0 <= value < math.inf, InputError, told)
    return value


def positive_in(row: Mapping[str, str | None], name: str, where: str) -> float | None:
    """As ``number_in``, but above 0."""
    text, value = _read(row, name)
    told = f"{where}: {name} is {text!r}, not a number above 0"
    require(value is None or 0 < value < math.inf, InputError, told)
    return value


def _read(row: Mapping[str, str | None], name: str) -> tuple[str, float | None]:
    """The text of a cell, and its number: NaN, which is in no range, where it is none."""
    text = (row.get(name) or "").strip()
    try:
        return text, float(text) if text else None
    except ValueError:
        return text, math.nan
