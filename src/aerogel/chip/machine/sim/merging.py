"""Intersections and unions in Loop IR: see ``step_cells.py``, and ``step_more.py`` for skips."""

from __future__ import annotations

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always, state
from aerogel.chip.machine.sim.layout import DONE, EMPTY, OUTPUTS, PAYLOAD, S
from aerogel.chip.machine.sim.visit import SENT, Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Select, Var


def merge(v: Visit, *, union: bool, skip: bool = False) -> None:
    """Sides of a coordinate and references each; side b's coordinate is input 1 + left."""
    _Merge(v, union=union, skip=skip).write()


class _Merge:
    def __init__(self, v: Visit, *, union: bool, skip: bool) -> None:
        self.v, self.union, self.skip = v, union, skip
        self.left, self.right = v.param(0), v.param(1)
        self.b = v.let(self.left + 1, "b")
        self.first, self.second = v.first, v.head(self.b)

    def write(self) -> None:
        v, first, second = self.v, self.first, self.second
        missing = Select(first.there, i64(0), i64(1)) | Select(second.there, i64(0), i64(1) << self.b)
        v.cases((first.there & second.there, self.turn), (always(), lambda: v.need(v.let(missing))))

    def turn(self) -> None:
        """Which sides' coordinates come now."""
        v, first, second = self.v, self.first, self.second
        both = v.let(first.plain & second.plain, "both")
        none = v.let(first.ends & second.ends, "none")
        lower = Compare("le", first.payload, second.payload)
        higher = Compare("le", second.payload, first.payload)
        takes_a = v.let(Select(both, lower, none | first.plain), "takes_a")
        takes_b = v.let(Select(both, higher, none | second.plain), "takes_b")
        # Done cannot meet a coordinate, nor two stops that differ.
        bad = (none & ne(first.kind, second.kind)) | (not_(both) & not_(none) & (first.done | second.done))
        v.cases(
            (first.empty | second.empty, lambda: v.fault(Fault.STRAY)),
            (bad, lambda: v.fault(Fault.MISALIGNED)),
            (always(), lambda: self.move(takes_a, takes_b)),
        )

    def move(self, takes_a: Expr, takes_b: Expr) -> None:
        v, code = self.v, self.v.code
        side_a = (i64(1) << (self.left + 1)) - 1
        side_b = ((i64(1) << (self.right + 1)) - 1) << self.b
        take = v.let(Select(takes_a, side_a, i64(0)) | Select(takes_b, side_b, i64(0)), "taken")
        kind = v.let(Select(takes_a, self.first.kind, self.second.kind), "kind")
        crd = v.let(Select(takes_a, self.first.payload, self.second.payload), "crd")
        lacking, odd = code.define(i64(0), "lacking"), code.define(i64(0), "odd")
        kept = v.let(always() if self.union else takes_a & takes_b, "kept")
        sides = ((i64(1), self.left, takes_a, i64(1)), (self.b + 1, self.right, takes_b, self.b))
        for start, count, taken, out in sides:
            with code.for_(i64(0), count, "along") as along:
                port, to = v.let(start + along, "port"), v.let(out + along, "to")
                self.along(port, to, taken, kind, (lacking, odd))

        def on() -> None:
            v.act(take)
            behind = [(always(), lambda: self.behind(takes_a))] if self.skip else []
            v.cases((kept, lambda: self.sends(kind, crd)), *behind)

        v.cases(
            (ne(lacking, 0), lambda: v.need(lacking)),
            (ne(odd, 0), lambda: v.fault(Fault.MISALIGNED)),
            (always(), on),
        )

    def along(self, port: Expr, to: Expr, taken: Expr, kind: Expr, wrong: tuple[Var, Var]) -> None:
        """A side's reference: it is taken with its coordinate, and sent, or empty is sent instead of it."""
        code, head, (lacking, odd) = self.v.code, self.v.head(port), wrong

        def comes() -> None:
            with code.if_(not_(head.there)):
                code.assign(lacking, lacking | (i64(1) << port))
            # A payload or empty beside a coordinate; beside a stop, the very same.
            same = Select(Compare("ge", kind, i64(DONE)), eq(head.kind, kind), not_(head.ends))
            with code.if_(not_(same)):
                code.assign(odd, i64(1))
            code.store(SENT, to, head.kind)
            code.store(SENT, to + OUTPUTS, head.payload)

        self.v.cases((taken, comes), (always(), lambda: code.store(SENT, to, i64(EMPTY))))

    def sends(self, kind: Expr, crd: Expr) -> None:
        """The coordinate, with the references that ``along`` has left to be sent."""
        v = self.v
        v.send(0, kind, crd)
        references = (i64(1) << (self.left + self.right + 1)) - 1
        v.code.assign(v.give, v.give | references)
        v.code.assign(v.halted, Select(eq(kind, DONE), i64(1), i64(0)))
        if self.skip:
            with v.code.if_(Compare("ge", kind, i64(DONE))):
                v.send(v.let(self.left + self.right + 1), kind)
                v.send(v.let(self.left + self.right + 2), kind)

    def behind(self, takes_a: Expr) -> None:
        """The side that is behind is told how far to leap, if there is room for it: a hint, no more."""
        v = self.v
        port = v.let(self.left + self.right + Select(takes_a, i64(1), i64(2)), "behind")
        other = Select(takes_a, self.second.plain, self.first.plain)
        hint = Select(takes_a, self.second.payload, self.first.payload)
        most = (i64(1) << state(S.WORD_BITS)) - 1
        with v.code.if_(v.has_room(port)):
            v.send(port, PAYLOAD, v.let(Select(other, hint, most)))
