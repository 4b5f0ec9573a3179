"""NumPy's einsum subscripts, read: ``"ij,jk->ik"``, ``"...ij,...jk->...ik"``, ``"ii"``.

The rules are those of ``numpy.einsum``. Without ``->`` the output has the letters that stand once, sorted,
behind the modes of the ellipses. Ellipses are aligned at the right; their modes get the indices ``e0`` ...
One thing differs: a mode of size 1 is not stretched. ``extents`` refuses it, saying so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from aerogel.core.errors import InputError, require
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr
from aerogel.einsum.semiring import semiring_named
from aerogel.einsum.sums import place_sums
from aerogel.einsum.tokens import wrong

_ELLIPSIS = "..."


def from_string(
    subscripts: str, ranks: Sequence[int], names: Sequence[str], *, semiring: str = "plus_times"
) -> Assignment:
    """The assignment that ``subscripts`` says, of operands of these ranks and names, which differ.

    The expression is the product of the operands, sums placed. The output is called ``out``, with as many
    underscores as keep it apart from the operands. NotationError points at what cannot be read.
    """
    require(
        isinstance(subscripts, str), InputError, f"subscripts are a text, not {type(subscripts).__name__}"
    )
    require(
        len(ranks) == len(names) == len(set(names)), InputError, "give one name and rank for each operand"
    )
    ring = semiring_named(semiring)
    left, arrow, right = _halves(subscripts)
    terms = _terms(subscripts, left, ranks, names)
    broadcast = max(_spread(term, rank) for term, rank in zip(terms, ranks, strict=True))
    stretched = tuple(f"e{k}" for k in range(broadcast))
    accesses = [
        Access(name, _indices(term, stretched[broadcast - _spread(term, rank) :]))
        for name, term, rank in zip(names, terms, ranks, strict=True)
    ]
    if arrow:
        _check_output(subscripts, right, terms, broadcast)
        kept = _indices(right, stretched)
    else:
        once = Counter(letter for term in terms for letter in _letters(term))
        kept = stretched + tuple(sorted(letter for letter, count in once.items() if count == 1))
    product: Expr = accesses[0]
    for access in accesses[1:]:
        product = Binary(ring.mul, product, access)
    out = "out"
    while out in names:
        out += "_"
    return Assignment(Access(out, kept), place_sums(product, kept, ring.add), ring.zero)


def _halves(subscripts: str) -> tuple[str, str, str]:
    """What stands before ``->``, ``->`` if it is there, and what is behind; every character is checked."""
    at = 0
    while at < len(subscripts):
        found = next((s for s in (_ELLIPSIS, "->") if subscripts.startswith(s, at)), subscripts[at])
        letter = found.isascii() and found.isalpha()
        if not (letter or found in {_ELLIPSIS, "->", ","} or found.isspace()):
            hint = {".": ": an ellipsis is three dots", "-": ": the output stands behind ->"}.get(found, "")
            what = f"{found!r} is no part of subscripts, which are letters, ',', '...' and '->'{hint}"
            raise wrong(subscripts, at, what)
        at += len(found)
    if subscripts.count("->") > 1:
        raise wrong(subscripts, subscripts.rfind("->"), "'->' stands twice: there is one output")
    left, arrow, right = subscripts.partition("->")
    if "," in right:
        at = subscripts.rfind(",")
        raise wrong(subscripts, at, "',' stands behind '->': there is one output")
    return left, arrow, _joined(right)


def _joined(term: str) -> str:
    return "".join(term.split())


def _letters(term: str) -> str:
    return term.replace(_ELLIPSIS, "")


def _terms(subscripts: str, left: str, ranks: Sequence[int], names: Sequence[str]) -> list[str]:
    """The subscripts of each operand, checked against its rank."""
    parts = left.split(",")
    if len(parts) != len(ranks) or not ranks:
        what = f"{len(parts)} operands in the subscripts, but {len(ranks)} are given"
        raise wrong(subscripts, 0, f"{what}: separate the operands' subscripts by ','")
    at = 0
    for part, rank, name in zip(parts, ranks, names, strict=True):
        _check_term(subscripts, at, _joined(part), (rank, name))
        at += len(part) + 1
    return [_joined(part) for part in parts]


def _check_term(subscripts: str, at: int, term: str, operand: tuple[int, str]) -> None:
    rank, name = operand
    count, dots = len(_letters(term)), term.count(_ELLIPSIS)
    if dots > 1:
        raise wrong(subscripts, subscripts.find(_ELLIPSIS, subscripts.find(_ELLIPSIS, at) + 1), _TWICE)
    if count > rank or (count < rank and not dots):
        hint = "" if count > rank else " (write ... for those that are not named)"
        raise wrong(subscripts, at, f"{term!r} names {count} modes, but {name} has {rank}{hint}")


_TWICE = "'...' stands twice for one tensor: give its other modes letters"


def _spread(term: str, rank: int) -> int:
    """How many modes the ellipsis of an operand stands for."""
    return rank - len(_letters(term))


def _indices(term: str, stretched: tuple[str, ...]) -> tuple[str, ...]:
    before, dots, behind = term.partition(_ELLIPSIS)
    return (*before, *(stretched if dots else ()), *behind)


def _check_output(subscripts: str, right: str, terms: Sequence[str], broadcast: int) -> None:
    start = subscripts.index("->") + 2
    if right.count(_ELLIPSIS) > 1:
        raise wrong(subscripts, subscripts.rfind(_ELLIPSIS), _TWICE)
    if broadcast and _ELLIPSIS not in right:
        what = f"the output lacks '...', which stands for {broadcast} modes of the operands"
        raise wrong(subscripts, start, f"{what}: add it, or name the modes that are to be summed")
    for letter in _letters(right):
        if right.count(letter) > 1:
            raise wrong(subscripts, subscripts.rfind(letter), f"{letter!r} stands twice in the output")
        if not any(letter in term for term in terms):
            at = subscripts.index(letter, start)
            raise wrong(subscripts, at, f"{letter!r} is in the output, but in no operand")
