"""Sums with loops of their own, in an order in which streams pass once.

A sum over several indices of the result, wired once, is a stream of fibers. A loop around it that it does not
depend on would need these fibers again for every coordinate: so the sum is computed anew within that loop.
"""

from __future__ import annotations

from collections.abc import Iterator

from aerogel.einsum.nodes import Access, Expr, Reduce, accesses, children, rebuilt, walk

_PRIME = "'"


def unprimed(index: str) -> str:
    """The index that a loop runs over: ``k`` of ``k'``, the loop of another sum over k."""
    return index.rstrip(_PRIME)


def settled(expr: Expr, order: tuple[str, ...], free: frozenset[str]) -> tuple[Expr, tuple[str, ...]]:
    """``expr`` with an index of its own for every sum, and the loops, outermost first.

    ``order``: of loops, which is kept, but for sums that a loop around would need again: these come after it.
    ``free``: the indices of the result.
    """
    expr, names = _told_apart(expr, free)
    loops = [name for index in order for name in names.get(index, [index])]
    moved = True
    while moved:
        moved = any(_moved(node, around, loops) for node, around in _sums(expr, free))
    return expr, tuple(loops)


def _moved(node: Reduce, around: frozenset[str], loops: list[str]) -> bool:
    """Whether the loop of a sum had to be put further in."""
    bound = {inner.index for inner in walk(node) if isinstance(inner, Reduce)}
    axes = {index for access in accesses(node) for index in access.indices} - bound
    last = max((loops.index(axis) for axis in axes), default=-1)
    here = loops.index(node.index)
    again = [at for index in around - axes if here < (at := loops.index(index)) < last]
    if again:
        loops.insert(max(again), loops.pop(here))
    return bool(again)


def _sums(expr: Expr, around: frozenset[str]) -> Iterator[tuple[Reduce, frozenset[str]]]:
    """Every sum, with the indices of the loops around it."""
    if isinstance(expr, Reduce):
        yield expr, around
        around = around | {expr.index}
    for child in children(expr):
        yield from _sums(child, around)


def _told_apart(expr: Expr, free: frozenset[str]) -> tuple[Expr, dict[str, list[str]]]:
    """The second sum over k is over k', and so on; and the names there are of each index."""
    names: dict[str, list[str]] = {index: [index] for index in free}

    def visit(node: Expr, own: dict[str, str]) -> Expr:
        match node:
            case Access(tensor=tensor, indices=indices):
                return Access(tensor, tuple(own.get(index, index) for index in indices))
            case Reduce(op=op, index=index, body=body):
                known = names.setdefault(index, [])
                known.append(index + _PRIME * len(known))
                return Reduce(op, known[-1], visit(body, own | {index: known[-1]}))
            case _:
                return rebuilt(node, tuple(visit(child, own) for child in children(node)))

    return visit(expr, {}), names
