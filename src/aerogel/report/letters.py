"""How wide a text may be, without the font it will be set in."""

from __future__ import annotations

import unicodedata
from functools import cache

_NARROW, _SLIM, _BROAD, _WIDE = "iljI.,:;'|", "frt()[]/-! ", "#&+<=>^~", "mwMW%@"


def text_width(text: str, size: float) -> float:
    """About what ``text`` takes in DejaVu Sans, the widest of the usual sans-serif fonts, or rather more."""
    return size * sum(map(_advance, text))


@cache
def _advance(letter: str) -> float:
    """In units of the size."""
    if unicodedata.east_asian_width(letter) in "FW":
        return 1.05
    if unicodedata.combining(letter):
        return 0.0
    for letters, advance in ((_NARROW, 0.34), (_SLIM, 0.45), (_BROAD, 0.84), (_WIDE, 1.02)):
        if letter in letters:
            return advance
    return 0.64 if letter.isascii() and not letter.isupper() else 0.79
