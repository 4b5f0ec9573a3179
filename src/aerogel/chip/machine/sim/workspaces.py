"""The vector reducer in Loop IR: see ``step_values.py``.

A workspace is a word for the value of each place, then a bit for each, whether it is in use, 64 to a word.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.graph.arithmetic import SKIP
from aerogel.chip.machine.faults import Fault
from aerogel.chip.machine.opcodes import OPERATIONS
from aerogel.chip.machine.sim.arithmetic import always, unsigned_less
from aerogel.chip.machine.sim.common import FLUSHING, IDLE, among, shallower
from aerogel.chip.machine.sim.layout import DONE, LEVEL, PAYLOAD, C
from aerogel.chip.machine.sim.visit import WORK, Head, Visit, eq, ne, not_
from aerogel.loop.build import i64
from aerogel.loop.nodes import Binary, Compare, Expr, Load, Select, Unary


def words_of(v: Visit, extent: Expr) -> Expr:
    """Where the words with the bits in use begin: behind the values."""
    return v.let(v.own(C.WORK) + extent, "used")


def accumulate(v: Visit, place: Expr, extent: Expr, value: Head, take: int | Expr) -> None:
    """One more value for a place; what is Empty takes no part in most folds."""
    v.cases(
        (v.let(value.empty & among(v.param(0), OPERATIONS, SKIP), "left_out"), lambda: v.act(take)),
        (always(), lambda: _accumulate(v, place, extent, v.number(value), take)),
    )


def _accumulate(v: Visit, place: Expr, extent: Expr, value: Expr, take: int | Expr) -> None:
    """``EXTRA``: places in use; ``MORE``: the lowest of them."""
    code = v.code
    used = words_of(v, extent)
    group = v.let(used + (place >> 6), "group")
    bits = v.let(Load(WORK, group), "bits")
    bit = v.let(i64(1) << (place & 63), "bit")
    where = v.let(v.own(C.WORK) + place, "where")

    def more() -> None:
        v.code.store(WORK, where, v.operate(v.param(0), v.let(Load(WORK, where)), value))
        code.assign(v.work_done, i64(1))

    def first() -> None:
        code.store(WORK, where, value)
        code.store(WORK, group, bits | bit)
        none = eq(v[C.EXTRA], 0)
        v.set(C.MORE, Select(none, place, Binary("min", place, v[C.MORE])))
        v.set(C.EXTRA, v[C.EXTRA] + 1)

    v.cases((ne(bits & bit, 0), more), (always(), first))
    code.assign(v.reads, i64(1))
    code.assign(v.writes, i64(1))
    v.act(take)


def next_in_use(v: Visit, extent: Expr, found: Callable[[Expr, Callable[[], None]], None]) -> None:
    """``found`` of the next place in use of those seen at once, and how it is cleared; else goes on to the
    next ones."""
    group = v.let(v[C.AT] >> 6, "group")
    where = v.let(words_of(v, extent) + group, "where")
    bits = v.let(Load(WORK, where), "bits")
    # What lies before AT was cleared as it was sent.
    here = v.let((bits >> (v[C.AT] & 63)) << (v[C.AT] & 63), "here")

    def clear() -> None:
        v.code.store(WORK, where, bits ^ (here & (i64(0) - here)))
        v.code.assign(v.reads, i64(1))
        v.code.assign(v.writes, i64(1))
        v.set(C.EXTRA, v[C.EXTRA] - 1)

    def some() -> None:
        found(v.let(group * 64 + Unary("ctz", here), "place"), clear)

    def none() -> None:
        v.set(C.AT, v.let((group + 1) * 64))
        v.act()

    v.cases((ne(here, 0), some), (always(), none))


def vector_reduce(v: Visit) -> None:
    """EXTRA: places in use; MORE: the lowest of them; AT: where the search for the next one is."""
    _Vector(v).write()


class _Vector:
    def __init__(self, v: Visit) -> None:
        self.v = v
        self.crd, self.val = v.first, v.second
        self.extent = v.param(1)

    def write(self) -> None:
        self.v.with_heads(
            [(0, self.crd), (1, self.val)],
            lambda: self.v.cases((eq(self.v[C.PHASE], FLUSHING), self.flush), (always(), self.fresh)),
        )

    def flush(self) -> None:
        def rest() -> None:
            next_in_use(self.v, self.extent, self.emit)

        self.v.cases((eq(self.v[C.EXTRA], 0), self.ends), (always(), rest))

    def emit(self, place: Expr, clear: Callable[[], None]) -> None:
        room = self.v.let(self.v.has_room(0) & self.v.has_room(1), "room_for_both")
        value = self.v.let(Load(WORK, self.v.own(C.WORK) + place), "value")
        with self.v.code.if_(room):
            clear()
        self.v.send(0, PAYLOAD, place)
        self.v.send(1, PAYLOAD, value)
        self.v.set(C.AT, self.v.let(place + 1))
        self.v.act()

    def ends(self) -> None:
        """The stop that is left when the innermost level is gone."""
        self.v.send_all(self.v.let(self.crd.kind - LEVEL - self.crd.inner), 2)
        self.v.set(C.PHASE, IDLE)
        self.v.act(3)

    def stop(self) -> None:
        def begin() -> None:
            self.v.set(C.PHASE, FLUSHING)
            self.v.set(C.AT, self.v[C.MORE])
            self.v.act()

        def pass_on() -> None:
            self.v.send_all(self.v.let(shallower(self.crd.kind)), 2)
            self.v.act(3)

        self.v.cases(
            (eq(self.crd.level, 0), lambda: self.v.act(3)),
            (Compare("gt", self.crd.inner, i64(1)), pass_on),
            (eq(self.v[C.EXTRA], 0), self.ends),
            (always(), begin),
        )

    def done(self) -> None:
        self.v.send_all(DONE, 2)
        self.v.act(3)
        self.v.halt()

    def value(self) -> None:
        bad = not_(self.crd.plain) | self.val.ends
        sound = unsigned_less(self.crd.payload, self.extent)
        self.v.cases(
            (bad, lambda: self.v.fault(Fault.MISALIGNED)),
            (sound, lambda: accumulate(self.v, self.crd.payload, self.extent, self.val, 3)),
            (always(), lambda: self.v.fault(Fault.COORDINATE, self.crd.payload)),
        )

    def fresh(self) -> None:
        self.v.cases(
            (self.crd.ends & ne(self.crd.kind, self.val.kind), lambda: self.v.fault(Fault.MISALIGNED)),
            (self.crd.done, self.done),
            (self.crd.stop, self.stop),
            (always(), self.value),
        )
