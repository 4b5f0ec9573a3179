"""What was meant by a word that is not known: the end of an error's message."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

ALIKE = 0.6
"""How alike two words must be, by difflib's ratio: 1 is the same word, 0 has no letter in common."""


def alike(word: str, known: Iterable[str], *, most: int = 1, least: float = ALIKE) -> list[str]:
    """Of ``known``, at most ``most`` words that read like ``word`` (to ``least``), the nearest first."""
    return get_close_matches(word, list(known), most, least)


def meant(
    word: str, known: Iterable[str], otherwise: str | None = None, *, most: int = 1, least: float = ALIKE
) -> str:
    """``did you mean 'a'?``, or ``'a' or 'b'?`` for a larger ``most``.

    Where nothing reads like ``word``: ``otherwise``, by default ``there are a, b, c``.
    """
    known = list(known)
    near = alike(word, known, most=most, least=least)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there are {', '.join(known) or 'none'}" if otherwise is None else otherwise
