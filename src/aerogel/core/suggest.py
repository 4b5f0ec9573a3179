"""What was meant by a word that is not known: an error's message, or the end of one."""

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


def unknown(what: str, word: object, known: Iterable[str], *more: str) -> str:
    """``format 'cssr' is unknown: did you mean 'csr'?``; where nothing reads like ``word``, ``choose from``
    all that is ``known``, and ``more``: words that follow a rule rather than stand in a list, such as N:M."""
    known = list(known)
    otherwise = f"choose from {', '.join((*known, *more))}"
    return f"{what} {word!r} is unknown: {meant(str(word), known, otherwise)}"
