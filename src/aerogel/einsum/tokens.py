"""The words of index notation, and errors that point at one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal as Choice

from aerogel.core.errors import NotationError

_WORD = re.compile(
    r"""(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>\*\*|[+*&|=!<>]=|[-+*/()<>=,&|])
    """,
    re.VERBOSE,
)
_ADVICE = {
    "[": "indices stand in parentheses: A(i,j)",
    "]": "indices stand in parentheses: A(i,j)",
    "^": "a power is written **",
    "@": "a product is written with its indices: C(i,k) = A(i,j) * B(j,k)",
    "!": "write not(x)",
    "~": "write not(x)",
    "'": "a transpose is written by its indices: A(j,i)",
    ".": "an index or a tensor is a name; ... is for einsum subscripts",
    ":": "an index is a name: A(i,j)",
}
LONGEST = 20_000
"""Characters of a text that is read at all."""


@dataclass(frozen=True, slots=True)
class Token:
    """``at``: where it starts. The last one is an ``end`` without text."""

    kind: Choice["number", "name", "sign", "end"]
    text: str
    at: int

    def __str__(self) -> str:
        return repr(self.text) if self.text else "the end"


def tokens(text: str) -> list[Token]:
    """The words of ``text``; NotationError at a character that is in none."""
    found: list[Token] = []
    at = 0
    if len(text) > LONGEST:
        raise NotationError(f"the text has {len(text)} characters: at most {LONGEST} are read")
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _WORD.match(text, at)
        if match is None:
            advice = _ADVICE.get(text[at], "expected a name, a number or an operator")
            raise wrong(text, at, f"{text[at]!r} is not part of the notation: {advice}")
        kind = _KINDS[match.lastgroup or ""]
        found.append(Token(kind, match[0], at))
        at = match.end()
    return [*found, Token("end", "", len(text))]


_KINDS: dict[str, Choice["number", "name", "sign"]] = {"number": "number", "name": "name", "sign": "sign"}


def wrong(text: str, at: int, what: str) -> NotationError:
    """The error that says ``what``, shows the line of ``text`` with character ``at``, and points at that."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    # Tabs stay tabs above the caret, so that it stands below its character at any width of them.
    margin = "".join("\t" if char == "\t" else " " for char in line[: at - start])
    return NotationError(f"{what}\n  {line}\n  {margin}^")
