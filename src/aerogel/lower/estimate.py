"""How much work an order of loops is: how many coordinates are visited, from the sizes and counts of
operands.

Non-zeros are taken to be spread evenly and independently. That is wrong for any real matrix, and right enough
to tell an order that walks rows from one that tries every pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from aerogel.einsum.nodes import Access, Binary, Expr, Number, Reduce, Unary, accesses
from aerogel.einsum.semiring import rule_of, unary_rule
from aerogel.lower.absent import restrict
from aerogel.lower.operand import OperandType, Stored


@dataclass(frozen=True, slots=True)
class Sizes:
    """``extents`` of indices; ``counts`` of positions in each level of each operand."""

    extents: Mapping[str, int]
    counts: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Estimate:
    operands: Mapping[str, OperandType]
    sizes: Sizes
    zero: float

    def stored(self, access: Access) -> Stored:
        return Stored.of(access, self.operands[access.tensor])

    def filled(self, access: Access, bound: frozenset[str]) -> float:
        """The share of coordinates of the indices in ``bound`` below which the access stores something."""
        stored = self.stored(access)
        if stored.dense:
            return 1.0
        depth = 0
        while depth < len(stored.indices) and stored.indices[depth] in bound:
            depth += 1
        if depth == 0:
            return 1.0
        room = prod(self.sizes.extents[i] for i in stored.indices[:depth])
        return min(1.0, self.sizes.counts[access.tensor][depth - 1] / max(1, room))

    def density(self, expr: Expr, bound: frozenset[str]) -> float:
        """The share of coordinates of ``bound`` at which ``expr`` has something to compute."""
        match expr:
            case Access():
                return self.filled(expr, bound)
            case Number():
                return 1.0
            case Unary(op=op, a=a):
                return self.density(a, bound) if unary_rule(op, self.zero) == "absent" else 1.0
            case Reduce(body=body):
                return self.density(body, bound)
            case Binary(a=a, b=b):
                return self._of_two(expr, self.density(a, bound), self.density(b, bound))

    def _of_two(self, expr: Binary, a: float, b: float) -> float:
        rule = rule_of(expr, self.zero)
        if rule.both_absent != "absent":
            return 1.0
        left, right = rule.left_absent == "absent", rule.right_absent == "absent"
        if left and right:
            return a * b
        if left:
            return a
        return b if right else min(1.0, a + b)

    def steps(self, expr: Expr, index: str, outside: tuple[str, ...]) -> float:
        """How many steps the loop over ``index`` takes, on average, inside the loops over ``outside``."""
        walked = self.walked(expr, index, outside)
        extent = max(1, self.sizes.extents[index])
        if not walked or restrict(expr, walked, self.zero) is not None:
            return float(extent)
        before, after = frozenset(outside), frozenset((*outside, index))
        total = 0.0
        for access in walked:
            filled = self.filled(access, before)
            total += extent * self.filled(access, after) / filled if filled else 0.0
        return max(total, 1e-9)

    def walked(self, expr: Expr, index: str, outside: tuple[str, ...]) -> list[Access]:
        """The accesses that the loop over ``index`` walks by position."""
        found: list[Access] = []
        for access in dict.fromkeys(accesses(expr)):
            stored = self.stored(access)
            if stored.dense or index not in stored.indices:
                continue
            level = stored.indices.index(index)
            if all(i in outside for i in stored.indices[:level]) and not stored.level(level).located:
                found.append(access)
        return found

    def visits(self, expr: Expr, loops: tuple[str, ...]) -> float:
        """How often the innermost of ``loops`` runs its body."""
        room = prod(float(self.sizes.extents[i]) for i in loops)
        return room * self.density(expr, frozenset(loops))
