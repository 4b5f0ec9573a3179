"""The orders of loops that are tried: first those that take every operand as it is stored, then any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise, permutations

from aerogel.lower.operand import Stored

MOST_ORDERS = 720
"""All orders of six indices."""
FEW_ORDERS = 240
"""Of more indices: each order takes longer to judge."""


def orders(names: tuple[str, ...], stored: Iterable[Stored]) -> Iterator[tuple[str, ...]]:
    """Orders of all of ``names``, each once; of too many, those that keep what is named first outermost."""
    befores = frozenset(pair for each in stored for pair in pairwise(each.walked))
    most = MOST_ORDERS if len(names) <= 6 else FEW_ORDERS
    every = chain(fitting(names, befores), permutations(names))
    return islice(dict.fromkeys(islice(every, 2 * most)), most)


def fitting(names: tuple[str, ...], befores: frozenset[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """The orders in which the first index of every pair comes first; none where pairs go in circles."""
    if not names:
        yield ()
    for index in names:
        rest = tuple(i for i in names if i != index)
        if not any((other, index) in befores for other in rest):
            yield from ((index, *tail) for tail in fitting(rest, befores))
