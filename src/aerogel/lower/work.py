"""How much work a schedule is thought to be: the steps of its loops, each weighed by what it does to memory.

Weights are rough: they need only tell a schedule that runs along memory from one that jumps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Binary, Expr, Reduce, accesses, children
from aerogel.lower.algebra import fold_of, nested, terms
from aerogel.lower.estimate import Estimate
from aerogel.lower.scheduled import Scheduled

SCATTER = 3.0
"""Work of adding into a workspace, against that of a sum in a register."""
ADDED = 2.0
"""Work of adding into a dense result: it is read and written at every step, which a register is not."""
FAR = 4.0
"""Work of a step that jumps through a dense operand, against one that runs along it."""
VECTOR = 0.2
"""Work of a step that is a lane of a vector."""
EMPTY = 0.05
"""Work of an element of a dense result, even where nothing is computed: its memory."""
LISTED = 2.0
"""How often everything is visited for a sparse result: counted first, then filled in."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a schedule whose operands are as ``estimate`` has them; without that of converting them."""

    scheduled: Scheduled
    estimate: Estimate

    def total(self) -> float:
        """In steps of a sum in a register."""
        scheduled = self.scheduled
        times = LISTED if scheduled.assembly in ("rows", "coordinates") else 1.0
        if scheduled.scatter:
            return self.memory() + times * self.scattered()
        expr, outer = scheduled.assignment.expr, scheduled.order[: scheduled.outer]
        whole = nested(expr, scheduled.order)
        return self.memory() + times * self.loops(expr, outer) + self.sums(whole, whole, outer)

    def memory(self) -> float:
        """What a dense result costs for its size alone."""
        if self.scheduled.assembly != "dense":
            return 0.0
        return EMPTY * math.prod(
            self.estimate.sizes.extents[i] for i in self.scheduled.assignment.out.indices
        )

    def scattered(self) -> float:
        """The terms of a sum, each added into the result or a workspace in loops of its own."""
        scheduled = self.scheduled
        out, expr = scheduled.assignment.out.indices, scheduled.assignment.expr
        weight = ADDED if scheduled.assembly == "dense" else SCATTER
        total = 0.0
        for term in terms(expr, fold_of(expr)):
            loops = tuple(i for i in scheduled.order if i in out or i in term.loops)
            total += weight * self.loops(term.body, loops)
        return total

    def sums(self, expr: Expr, term: Expr, outside: tuple[str, ...]) -> float:
        """The work of the sums in ``expr``, once for every coordinate outside that ``term``, which it is part
        of, visits."""
        if isinstance(expr, Reduce):
            steps = self.steps(expr.body, expr.index, outside)
            inside = self.sums(expr.body, term, (*outside, expr.index))
            return self.estimate.visits(term, outside) * steps + inside
        apart = isinstance(expr, Binary) and expr.op in ("add", "sub")
        return sum(self.sums(part, part if apart else term, outside) for part in children(expr))

    def loops(self, expr: Expr, loops: tuple[str, ...]) -> float:
        """The steps of loops inside one another."""
        total = 0.0
        for depth, index in enumerate(loops):
            outside = loops[:depth]
            total += self.estimate.visits(expr, outside) * self.steps(expr, index, outside)
        return total

    def steps(self, expr: Expr, index: str, outside: tuple[str, ...]) -> float:
        """The steps of one loop, each weighed."""
        lanes = self.scheduled.vector in (*outside, index) or self.runs_dense(expr, index)
        weight = (VECTOR if lanes else 1.0) * (FAR if self.jumps(expr, index) else 1.0)
        return weight * self.estimate.steps(expr, index, outside)

    def runs_dense(self, expr: Expr, index: str) -> bool:
        """Whether this is a sum along memory, which runs in lanes."""
        if index in self.scheduled.assignment.out.indices or self.scheduled.compute is DType.BOOL:
            return False
        along = [self.estimate.stored(a) for a in accesses(expr) if index in a.indices]
        return bool(along) and all(s.dense and s.streams(index) for s in along)

    def jumps(self, expr: Expr, index: str) -> bool:
        """Whether the loop over ``index``, the innermost, jumps through a dense operand."""
        if self.scheduled.order[-1] != index or self.scheduled.vector is not None:
            return False
        stored = [self.estimate.stored(a) for a in dict.fromkeys(accesses(expr))]
        return any(s.dense and index in s.indices and not s.streams(index) for s in stored)
