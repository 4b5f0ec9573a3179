"""Lanes in Loop IR: see ``step_more.py``. AT is whose turn it is."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.common import finish
from aerogel.chip.machine.sim.layout import DONE, LEVEL, STOP, C
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Select

_WIDTH = 4
"""Bits for the stop that a lane keeps back: its inner level and 1, or 0 for none."""


def parallelize(v: Visit) -> None:
    token = v.first
    ways, level = v.param(0), v.param(1)
    lane = v[C.AT]
    following = v.let((lane + 1) % ways, "following")
    shift = v.let(lane * _WIDTH, "shift")
    kept = v.let((v[C.DATA] >> shift) & 15, "kept_back")

    def everyone() -> None:
        def on() -> None:
            v.send_all(token.kind)
            v.set(C.AT, 0)
            v.act(1)

        v.cases((ne(v[C.DATA], 0), lambda: v.fault(Fault.MISALIGNED)), (always(), on))

    def done() -> None:
        v.send_all(DONE)
        v.act(1)
        v.halt()

    def late() -> None:
        v.send(lane, v.let(i64(STOP) + (level - 1) * LEVEL + (kept - 1)))
        v.set(C.DATA, v[C.DATA] ^ (kept << shift))
        v.act()

    def payload() -> None:
        v.send(lane, token.kind, token.payload)
        v.set(C.AT, Select(eq(level, 0), following, lane))
        v.act(1)

    def keeps() -> None:
        v.set(C.DATA, v[C.DATA] | ((token.inner + 1) << shift))
        v.set(C.AT, following)
        v.act(1)

    def within() -> None:
        v.send(lane, token.kind)
        v.act(1)

    def last() -> None:
        with v.code.for_(i64(0), ways, "way") as way:
            back = v.let((v[C.DATA] >> (way * _WIDTH)) & 15, "back")
            inner = Select(eq(back, 0), level, back - 1)
            kind = Select(eq(way, lane), token.kind, token.kind - token.inner + inner)
            v.send(way, v.let(kind))
        v.set(C.AT, 0)
        v.set(C.DATA, 0)
        v.act(1)

    v.with_heads(
        [(0, token)],
        lambda: v.cases(
            (token.done, done),
            (token.stop & Compare("ge", token.inner, level), everyone),
            (ne(kept, 0), late),
            (not_(token.stop), payload),
            (token.level < level - 1, within),
            (eq(token.level, level - 1), keeps),
            (always(), last),
        ),
    )


def serialize(v: Visit) -> None:
    """``MARK``: lanes that have ended, a bit each."""
    _Serialize(v).write()


class _Serialize:
    def __init__(self, v: Visit) -> None:
        self.v = v
        self.ways, self.level = v.param(0), v.param(1)
        self.lane = v.let(v[C.AT] + 0, "lane")
        self.token = v.head(self.lane)
        self.following = v.let((self.lane + 1) % self.ways, "following")
        self.one = v.let(i64(1) << self.lane, "one")

    def write(self) -> None:
        self.v.cases((self.token.there, self.on), (always(), lambda: self.v.need(self.one)))

    def everyone(self, start: Expr, kind: Expr, bad: Expr | None, then: Callable[[Expr], None]) -> None:
        """``then``, with their bits, where lanes from ``start`` on have this stop, and not ``bad``; waits
        until all have one."""
        lacking, odd = self.v.code.define(i64(0), "lacking"), self.v.code.define(i64(0), "odd")
        with self.v.code.for_(start, self.ways, "way") as way:
            head = self.v.head(way)
            with self.v.code.if_(not_(head.there)):
                self.v.code.assign(lacking, lacking | (i64(1) << way))
            with self.v.code.if_(ne(head.kind, kind)):
                self.v.code.assign(odd, i64(1))
        odd_one = ne(odd, 0)
        those = self.v.let((i64(1) << self.ways) - (i64(1) << start), "those")
        self.v.cases(
            (ne(lacking, 0), lambda: self.v.need(lacking)),
            (odd_one if bad is None else bad | odd_one, lambda: self.v.fault(Fault.MISALIGNED)),
            (always(), lambda: then(those)),
        )

    def whole(self, take: Expr) -> None:
        self.v.send(0, self.token.kind)
        self.v.set(C.AT, 0)
        self.v.set(C.MARK, 0)
        self.v.act(take)
        finish(self.v, self.token)

    def payload(self) -> None:
        self.v.send(0, self.token.kind, self.token.payload)
        self.v.set(C.AT, Select(eq(self.level, 0), self.following, self.lane))
        self.v.act(self.one)

    def within(self) -> None:
        self.v.send(0, self.token.kind)
        self.v.set(C.AT, Select(eq(self.token.level, self.level - 1), self.following, self.lane))
        self.v.act(self.one)

    def ends(self) -> None:
        ended = self.v.let(self.v[C.MARK] | self.one, "ended")

        def more() -> None:
            other = self.v.head(self.following)
            over = other.stop & Compare("ge", other.inner, self.level)
            self.v.cases(
                (not_(other.there), lambda: self.v.need(self.v.let(i64(1) << self.following))),
                (over, rest),
                (always(), another),
            )

        def rest() -> None:
            kind = self.v.let(self.token.kind - self.token.inner + self.level, "nothing")
            start = self.v.let(self.lane + 1)
            self.everyone(start, kind, None, lambda those: self.whole(self.v.let(those | self.one)))

        def another() -> None:
            self.v.send(0, self.v.let(i64(STOP) + (self.level - 1) * LEVEL + self.token.inner))
            self.v.set(C.AT, self.following)
            self.v.set(C.MARK, ended)
            self.v.act(self.one)

        self.v.cases((ne((ended >> self.following) & 1, 0), lambda: self.whole(self.one)), (always(), more))

    def on(self) -> None:
        final = self.token.done | (self.token.stop & Compare("ge", self.token.inner, self.level))
        self.v.cases(
            (final, lambda: self.everyone(i64(0), self.token.kind, ne(self.v[C.MARK], 0), self.whole)),
            (not_(self.token.stop), self.payload),
            (self.token.level < self.level, self.within),
            (always(), self.ends),
        )
