"""The scanner that leaps in Loop IR: see ``step_more.py``.

Registers: FIBER is the stride, DATA the position that is not below the skip, EXTRA and MORE the stops sent
and seen.
"""

from __future__ import annotations

from aerogel.chip.machine.sim import layout
from aerogel.chip.machine.sim.arithmetic import always
from aerogel.chip.machine.sim.common import AFTER, CLOSING, OPEN, finish
from aerogel.chip.machine.sim.layout import PAYLOAD, REGISTERS, C
from aerogel.chip.machine.sim.scanners import advance, between, open_compressed
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Compare, Expr, Select


def scan_skip(v: Visit) -> None:
    skip = v.second

    def after() -> None:
        def takes() -> None:
            v.act(2)
            finish(v, skip)

        v.with_heads([(1, skip)], takes)

    def with_skip() -> None:
        held_up = v.let(_held_up(v), "held_up")
        with v.code.if_(held_up):
            for at in REGISTERS:
                v.set(at, v.own(at))
            v.act()
            for nothing in (v.give, v.reads):
                v.code.assign(nothing, i64(0))
        v.code.assign(v.take, v.take | 2)
        mine = eq(v.own(C.PHASE), OPEN) & eq(v.own(C.MORE), v.own(C.EXTRA))
        higher = v.let(skip.plain & mine & Compare("gt", skip.payload, v.own(C.MARK)), "higher")
        with v.code.if_(higher):
            v.set(C.MARK, skip.payload)
            v.set(C.DATA, -1)
            v.set(C.FIBER, 1)
        v.set(C.MORE, v[C.MORE] + Select(skip.stop, i64(1), i64(0)))
        with v.code.if_(ne(v[C.PHASE], OPEN)):
            v.set(C.MARK, 0)

    def on() -> None:
        v.cases((eq(v[C.PHASE], OPEN), lambda: _leap(v)), (always(), lambda: _outside(v)))
        with v.code.if_(skip.there & ne(v.outcome, layout.FAULT)):
            with_skip()

    v.cases((eq(v[C.PHASE], AFTER), after), (always(), on))


def _held_up(v: Visit) -> Expr:
    room = v.has_room(0) & v.has_room(1)
    return ne(v.outcome, layout.ACT) | (ne(v.give, 0) & not_(room))


def _outside(v: Visit) -> None:
    def ended() -> None:
        v.set(C.EXTRA, v[C.EXTRA] + 1)
        v.set(C.MARK, 0)

    between(v, lambda: open_compressed(v), ended, after=True)
    with v.code.if_(eq(v[C.PHASE], OPEN) | eq(v[C.PHASE], CLOSING)):
        v.set(C.MARK, 0)
        v.set(C.FIBER, 1)
        v.set(C.DATA, -1)


def _leap(v: Visit) -> None:
    at, high = v[C.AT], v[C.DATA]
    found = v.let(eq(high, at), "found")
    unknown = v.let(high < 0, "unknown")
    near = Binary("min", at + v[C.FIBER], v[C.END]) - 1
    probe = v.let(Select(found, at, Select(unknown, near, (at + high) // 2)), "probe")

    def look(words: list[Expr]) -> None:
        crd = words[0]
        v.code.assign(v.reads, i64(1))
        v.act()
        below = (crd < v[C.MARK]) & not_(found)

        def on() -> None:
            v.set(C.FIBER, Select(unknown, v[C.FIBER] * 2, v[C.FIBER]))
            v.set(C.PHASE, Select(eq(probe + 1, v[C.END]), i64(CLOSING), i64(OPEN)))
            v.set(C.AT, probe + 1)

        def emit() -> None:
            v.send(0, PAYLOAD, crd)
            v.send(1, PAYLOAD, at)
            advance(v)
            v.set(C.DATA, -1)
            v.set(C.FIBER, 1)

        v.cases(
            (below, on),
            (Compare("gt", probe, at), lambda: v.set(C.DATA, probe)),
            (always(), emit),
        )

    v.read(1, [probe], look)
