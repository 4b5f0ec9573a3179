"""A vector of values at consecutive positions of a fiber.

What the fiber stores is loaded at once; what it meets comes from as many places, one by one, but is
multiplied and added together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.einsum.nodes import Access
from aerogel.loop import nodes as n
from aerogel.lower.state import Context, State
from aerogel.lower.walker import Walker

TOGETHER = 4
"""So many positions, whatever the type of values and the machine: more would leave more over, and of a short
fiber all."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Consecutive positions of a fiber, from ``at`` on, a lane each; ``states``: what is known at each."""

    walker: Walker
    index: str
    at: n.Expr
    states: tuple[State, ...]

    def load(self, ctx: Context, access: Access) -> n.Expr:
        """The values of an access at all of them; a scalar where it is the same at each."""
        stored = ctx.stored(access)
        if access == self.walker.access and self.walker.depth + 1 == len(stored.indices):
            return n.VLoad(stored.operand.values, self.at, len(self.states))
        if self.index not in access.indices:
            return n.Load(stored.operand.values, ctx.position(self.states[0], access))
        places = [ctx.position(state, access) for state in self.states]
        return packed(ctx, [ctx.code.let(n.Load(stored.operand.values, at), "x") for at in places])


def packed(ctx: Context, scalars: Sequence[n.Expr]) -> n.Expr:
    """A power of two of scalars, side by side in a vector."""
    vectors: list[n.Expr] = [n.Broadcast(x, 2) for x in scalars]
    lanes: tuple[int, ...] = (0, 2)
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [ctx.code.let(n.Shuffle(a, b, lanes), "w") for a, b in pairs]
        lanes = tuple(range(2 * len(lanes)))
    return vectors[0]
