"""Scanners and the locator in Loop IR: see ``step_cells.py`` for what they do and why."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.sim.arithmetic import always, unsigned_less
from aerogel.chip.machine.sim.common import AFTER, CLOSING, IDLE, OPEN, alike
from aerogel.chip.machine.sim.layout import DEEPER, DONE, EMPTY, LEVEL, MOST_STOP, PAYLOAD, STOP, C
from aerogel.chip.machine.sim.visit import Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Compare, Expr, Select

FAR = 1 << 40


def scan_compressed(v: Visit) -> None:
    def coordinate() -> None:
        v.read(1, [v[C.AT]], lambda words: emit(words[0]))

    def emit(crd: Expr) -> None:
        v.code.assign(v.reads, i64(1))
        emit_pair(v, crd)

    scanning(v, coordinate, lambda: open_compressed(v))


def scan_dense(v: Visit) -> None:
    def fiber() -> None:
        size, ref = v.param(0), v.first.payload
        sound = unsigned_less(ref, i64(FAR))
        v.cases(
            (sound, lambda: opened(v, v.let(ref * size), v.let(ref * size + size))),
            (always(), lambda: v.fault(Fault.REFERENCE, ref)),
        )

    scanning(v, lambda: emit_pair(v, v.let(v[C.AT] - v[C.FIBER])), fiber)


def emit_pair(v: Visit, crd: Expr) -> None:
    v.send(0, PAYLOAD, crd)
    v.send(1, PAYLOAD, v[C.AT])
    advance(v)
    v.act()


def advance(v: Visit) -> None:
    """To the next position of the fiber, or to its end."""
    following = v.let(v[C.AT] + 1, "following")
    v.set(C.PHASE, Select(following < v[C.END], i64(OPEN), i64(CLOSING)))
    v.set(C.AT, following)


def scanning(v: Visit, inside: Callable[[], None], fiber: Callable[[], None]) -> None:
    """A scanner: ``inside`` of a fiber; ``fiber`` opens the one that a reference names."""
    v.cases((eq(v[C.PHASE], OPEN), inside), (always(), lambda: between(v, fiber, lambda: None)))


def between(
    v: Visit,
    fiber: Callable[[], None],
    ended: Callable[[], None],
    *,
    empty: Callable[[], None] | None = None,
    after: bool = False,
) -> None:
    """A scanner between fibers; ``ended``: what else happens with each stop it sends; ``empty``: opens the
    fiber of an empty reference. ``after``: it goes on when it has sent done."""
    token = v.first
    closing = v.let(eq(v[C.PHASE], CLOSING), "closing")

    def stop() -> None:
        kind = v.let(Select(closing, token.kind + LEVEL, token.kind + DEEPER), "stop")
        deep = Compare("ge", token.kind, i64(MOST_STOP))

        def passes() -> None:
            v.send_all(kind, 2)
            v.set(C.PHASE, IDLE)
            v.act(1)
            ended()

        v.cases(
            (closing & ne(token.inner, 0), lambda: v.fault(Fault.MISALIGNED)),
            (deep, lambda: v.fault(Fault.DEPTH)),
            (always(), passes),
        )

    def done() -> None:
        def whole() -> None:
            v.send_all(DONE, 2)
            v.act(1)
            if after:
                v.set(C.PHASE, AFTER)
            else:
                v.halt()

        def close() -> None:
            v.send_all(STOP, 2)
            v.set(C.PHASE, IDLE)
            v.act()
            ended()

        v.cases((closing, close), (always(), whole))

    def opens() -> None:
        with v.code.if_(closing):
            v.send_all(STOP, 2)
            ended()
        v.cases((token.empty, empty or (lambda: opened(v, i64(0), i64(0)))), (always(), fiber))

    v.with_heads([(0, token)], lambda: v.cases((token.stop, stop), (token.done, done), (always(), opens)))


def opened(v: Visit, start: Expr, end: Expr) -> None:
    """A fiber from ``start`` to before ``end``."""
    v.set(C.AT, start)
    v.set(C.FIBER, start)
    v.set(C.END, end)
    v.set(C.PHASE, Select(start < end, i64(OPEN), i64(CLOSING)))
    v.act(1)


def open_compressed(v: Visit) -> None:
    ref = v.first.payload

    def spans(words: list[Expr]) -> None:
        start, end = words
        sound = Compare("le", i64(0), start) & Compare("le", start, end)
        sound = sound & Compare("le", end, v.own(C.SIZE1))

        def fiber() -> None:
            v.code.assign(v.reads, i64(2))
            opened(v, start, end)

        v.cases((sound, fiber), (always(), lambda: v.fault(Fault.SPAN, start)))

    sound = v.let(unsigned_less(ref, v.own(C.SIZE0) - 1), "sound")
    v.cases(
        (sound, lambda: v.read(0, [ref, v.let(ref + 1)], spans)),
        (always(), lambda: v.fault(Fault.REFERENCE, ref)),
    )


def locate(v: Visit) -> None:
    crd, ref = v.first, v.second

    def payload() -> None:
        size = v.param(0)
        v.cases(
            (ref.ends, lambda: v.fault(Fault.MISALIGNED)),
            (ref.empty, nothing),
            (not_(unsigned_less(crd.payload, size)), lambda: v.fault(Fault.COORDINATE, crd.payload)),
            (not_(unsigned_less(ref.payload, i64(FAR))), lambda: v.fault(Fault.REFERENCE, ref.payload)),
            (always(), lambda: found(size)),
        )

    def nothing() -> None:
        v.send(0, PAYLOAD, crd.payload)
        v.send(1, EMPTY)
        v.act(3)

    def found(size: Expr) -> None:
        v.send(0, PAYLOAD, crd.payload)
        v.send(1, PAYLOAD, v.let(ref.payload * size + crd.payload))
        v.act(3)

    v.with_heads([(0, crd), (1, ref)], lambda: v.cases((crd.plain, payload), (always(), lambda: alike(v, 2))))
