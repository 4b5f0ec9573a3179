"""A scheduled einsum to Loop IR: the loops around, the sums inside, and where each value goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.einsum.nodes import Access, Binary, Expr, Reduce, ReduceOp, accesses, children
from aerogel.loop import nodes as n
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import Buf, BufferType, Function, Load, Module, Param, Var
from aerogel.lower.abreast import abreast, shared
from aerogel.lower.algebra import Term, fold_of, nested, terms
from aerogel.lower.coiterate import Body, along, loop, most
from aerogel.lower.flat import flat, flattened
from aerogel.lower.operand import size_of
from aerogel.lower.scheduled import PARTS, Scheduled
from aerogel.lower.state import Context, State, retyped
from aerogel.lower.values import Tile, combine, partial, value
from aerogel.lower.walker import Range
from aerogel.lower.workspace import Workspace

Phase = Literal["run", "bound", "once", "count", "fill"]
"""What a kernel does. ``run``: all of it. Of a sparse output either ``count``, how much each row or thread
appends, then ``fill``; or ``bound``, at most how much each thread appends, then ``once``, which fills it in
and says where each row ends."""
_COUNTING = ("bound", "count")

CUTS = Buf("cuts", BufferType(DType.I64, const=True))
"""Where each thread's part of the outermost loop begins, and one element more."""
STARTS = Buf("starts", BufferType(DType.I64, const=True))
"""While filling: where each row, or each thread, begins in the output."""
COUNTS = Buf("counts", BufferType(DType.I64))
"""While counting: how many each row, or each thread, appends."""
ENDS = Buf("ends", BufferType(DType.I64))
"""Filled in once: where each row ends, counted from the start of its thread's part."""


def module(scheduled: Scheduled, phase: Phase, target: Target) -> Module:
    """The kernel of one phase; its last function takes ``params(scheduled, phase)``."""
    lanes = 1 if scheduled.compute is DType.BOOL else target.lanes(scheduled.compute)
    fma = scheduled.compute.is_float and (target.arch != "x86_64" or target.has("fma"))
    operands = {operand.name: operand for operand in scheduled.operands}
    ctx = Context(
        Code(),
        operands,
        zero=scheduled.assignment.zero,
        compute=scheduled.compute,
        lanes=lanes,
        fma=fma,
        hoists=scheduled.hoists,
        aheads=scheduled.aheads,
        chains=scheduled.chains,
        in_lanes=scheduled.in_lanes,
    )
    _Kernel(scheduled, phase, ctx, target).emit()
    main = Function("main", params(scheduled, phase), ctx.code.done())
    return Module("einsum", (main,))


def params(scheduled: Scheduled, phase: Phase) -> tuple[Param, ...]:
    """What a kernel takes, in this order: operands, extents, cuts, then what its phase writes."""
    found: list[Param] = [buffer for operand in scheduled.operands for buffer in operand.buffers()]
    found += [size_of(index) for index in scheduled.order]
    found.append(CUTS)
    if phase != "run":
        found.append(COUNTS if phase in _COUNTING else STARTS)
    if phase == "once":
        found.append(ENDS)
    if phase in ("fill", "once"):
        found += _coordinates(scheduled)
    if phase not in _COUNTING:
        found.append(_values(scheduled))
    if scheduled.scatter and scheduled.assembly != "dense" and phase != "bound":
        found += Workspace.params(scheduled.compute)
    indices = {operand.name: operand.index for operand in scheduled.operands}
    found += [hoist.marks(indices[hoist.access.tensor]) for hoist in scheduled.hoists]
    return tuple(found)


def _values(scheduled: Scheduled) -> Buf:
    return Buf("out.values", BufferType(scheduled.dtype))


def _coordinates(scheduled: Scheduled) -> list[Buf]:
    """A buffer for the coordinates of each level that is appended to; of rows for the last one only."""
    kind = BufferType(scheduled.index)
    levels = range(scheduled.appended)
    if scheduled.assembly == "rows":
        levels = range(scheduled.appended - 1, scheduled.appended)
    return [Buf(f"out.{level}.crd", kind) for level in levels]


@dataclass(slots=True)
class _Kernel:
    """Generates one function."""

    scheduled: Scheduled
    phase: Phase
    ctx: Context
    target: Target
    tile: Tile | None = None

    @property
    def fold(self) -> ReduceOp:
        """With what sums at the top are folded."""
        return fold_of(self.scheduled.assignment.expr)

    def emit(self) -> None:
        scheduled = self.scheduled
        if scheduled.partial:
            self.partial(self.inward(scheduled.assignment.expr))
            return
        part = (Load(CUTS, n.ThreadId()), Load(CUTS, n.ThreadId() + 1))
        bound: Range = (self.ctx.code.let(part[0], "first"), self.ctx.code.let(part[1], "last"))
        expr = scheduled.assignment.expr
        match scheduled.assembly:
            case "dense" if scheduled.scatter:
                self.scattered(expr, bound)
            case "dense" | "pattern":
                self.stored(self.inward(expr), scheduled.order[: scheduled.outer], bound)
            case "rows" | "coordinates":
                self.appended(expr, bound)

    def partial(self, expr: Expr) -> None:
        """A scalar, summed in parts of the outermost loop; each thread has as many of them."""
        assert isinstance(expr, Reduce)
        code, threads, me = self.ctx.code, n.ThreadCount(), n.ThreadId()
        begin, end = code.let(me * PARTS // threads, "begin"), code.let((me + 1) * PARTS // threads, "end")
        with code.for_(begin, end, "part") as k:
            bound = (code.let(Load(CUTS, k), "first"), code.let(Load(CUTS, k + 1), "last"))
            code.store(_values(self.scheduled), k, self.cast(partial(self.ctx, expr, bound)))

    def inward(self, expr: Expr) -> Expr:
        """Sums in the order of loops, with no factor inside that need not be."""
        return nested(expr, self.scheduled.order)

    # --- loops ------------------------------------------------------------------------------

    def nest(
        self, state: State, expr: Expr, loops: tuple[str, ...], body: Body, part: Range | None = None
    ) -> None:
        """Loops over ``loops``, the first of them over ``part``; the vector index is left to ``body``."""
        if not loops:
            body(state, expr)
            return
        index, *others = loops
        if index == self.scheduled.vector:
            # It is the last of them; ``body`` finds its part here.
            self.tiles(state, expr, part or (i64(0), size_of(index)), body)
            return
        if not others and not self.scheduled.scatter and body == self.store and part is None:
            walker = shared(self.ctx, state, expr, index)
            if walker is not None:
                abreast(self.ctx, state, expr, index, walker, lambda s, x: self.put(self.place(s), [x]))
                return
        loop(self.ctx, state, expr, index, lambda s, e: self.nest(s, e, tuple(others), body), part)

    def tiles(self, state: State, expr: Expr, part: Range, body: Body) -> None:
        """The vector index in tiles of several vectors, then fewer, then one by one."""
        code, index, lanes = self.ctx.code, self.scheduled.vector, self.ctx.lanes
        assert index is not None
        at, last = part
        for count in self.tile_counts(expr):
            wide = count * lanes
            whole = code.let(at + (last - at) // wide * wide, "whole")
            with code.for_(at, whole, f"t.{index}", wide) as base:
                self.in_tile(state, expr, Tile(index, base, lanes, count), body)
            at = whole
        with code.for_(at, last, f"t.{index}") as base:
            self.in_tile(state, expr, Tile(index, base, 1, 1), body)

    def tile_counts(self, expr: Expr) -> tuple[int, ...]:
        """How many vectors a tile has: what registers hold, of as many sums at a time as are nested."""
        sums = _depth(expr)
        most = self.target.registers // (2 if sums < 2 else 4)
        return tuple(count for count in (16, 8, 4, 1) if count <= max(1, most) and (sums or count in (1, 4)))

    def in_tile(self, state: State, expr: Expr, tile: Tile, body: Body) -> None:
        self.tile = tile
        body(state.at(tile.index, tile.base), expr)
        self.tile = None

    # --- dense output -----------------------------------------------------------------------

    def stored(self, expr: Expr, loops: tuple[str, ...], part: Range) -> None:
        """Loops over what is stored at its place; along the pattern it has, several may be one."""
        scheduled = self.scheduled
        twin = self.twin() if scheduled.assembly == "pattern" and not scheduled.hoists else None
        count = 0 if twin is None else flat(self.ctx, expr, twin, loops[: scheduled.appended])
        if twin is None or count < 2:
            self.nest(State(), expr, loops, self.store, part)
            return
        rest: Body = lambda s, e: self.nest(s, e, loops[count:], self.store)  # noqa: E731
        walker = flattened(self.ctx, twin, count, part)
        along(self.ctx, State(), expr, loops[count - 1], walker, rest)

    def store(self, state: State, expr: Expr) -> None:
        found = value(self.ctx, state, expr, self.tile)
        self.put(self.place(state), found)

    def put(self, at: n.Expr, found: list[n.Expr]) -> None:
        """Stores a value at its position, or a tile of them from there on."""
        tile, out = self.tile, _values(self.scheduled)
        if tile is None:
            self.ctx.code.store(out, at, self.cast(found[0]))
            return
        vectors = found * tile.count if len(found) == 1 else found
        for v, x in enumerate(vectors):
            wide = n.Broadcast(x, tile.lanes) if tile.lanes > 1 and isinstance(x.type, n.Scalar) else x
            self.ctx.code.store(out, at + v * tile.lanes if v else at, self.cast(wide))

    def cast(self, x: n.Expr) -> n.Expr:
        """A computed value as the output stores it."""
        dtype = self.scheduled.dtype
        return x if x.type.dtype is dtype else n.Cast(x, retyped(x.type, dtype))

    def place(self, state: State) -> n.Expr:
        """The position in the output: of a pattern where its operand is, else by coordinates."""
        scheduled, code = self.scheduled, self.ctx.code
        if scheduled.assembly == "pattern":
            shared = scheduled.appended
            place = state.place(self.twin())
            assert place.level == shared and isinstance(place.parent, n.Expr)
            return code.let(self.dense_place(state, scheduled.out_indices[shared:], place.parent), "at")
        return code.let(self.dense_place(state, scheduled.out_indices), "at")

    def dense_place(self, state: State, indices: tuple[str, ...], start: n.Expr | None = None) -> n.Expr:
        at = start
        for index in indices:
            here = state.coordinates[index]
            at = here if at is None else at * size_of(index) + here
        return i64(0) if at is None else at

    def twin(self) -> Access:
        """The access whose first levels the output has."""
        return next(a for a in accesses(self.scheduled.assignment.expr) if a.tensor == self.scheduled.pattern)

    def scattered(self, expr: Expr, part: Range) -> None:
        """Each term in loops of its own, added to what the output has."""
        for term in self.terms(expr):
            first = term.loops[0] if term.loops else None
            mine = part if first == self.scheduled.order[0] else None
            self.nest(State(), term.body, term.loops, self.accumulate, mine)

    def terms(self, expr: Expr) -> list[Term]:
        """The summands, each with the loops it needs in the schedule's order: outputs and its own sums."""
        out = self.scheduled.out_indices
        found: list[Term] = []
        for term in terms(expr, self.fold):
            loops = tuple(i for i in self.scheduled.order if i in out or i in term.loops)
            found.append(Term(loops, self.inward(term.body)))
        return found

    def accumulate(self, state: State, expr: Expr) -> None:
        at = self.place(state)
        out, tile = _values(self.scheduled), self.tile
        found = value(self.ctx, state, expr, tile)
        if tile is None or tile.lanes == 1:
            before = self.ctx.code.let(Load(out, at), "before")
            self.ctx.code.store(out, at, combine(self.ctx, self.fold, before, found[0]))
            return
        vectors = found * tile.count if len(found) == 1 else found
        for v, x in enumerate(vectors):
            here = at + v * tile.lanes if v else at
            wide = n.Broadcast(x, tile.lanes) if isinstance(x.type, n.Scalar) else x
            before = self.ctx.code.let(n.VLoad(out, here, tile.lanes), "before")
            self.ctx.code.store(out, here, combine(self.ctx, self.fold, before, wide))

    # --- sparse output ------------------------------------------------------------------------

    def appended(self, expr: Expr, part: Range) -> None:
        scheduled, code = self.scheduled, self.ctx.code
        by_row = scheduled.assembly == "rows"
        # Dense levels below what is appended are no loops here: ``block`` has them.
        loops = scheduled.order[: scheduled.outer if scheduled.scatter else scheduled.appended]
        space = self.space()
        whole = expr if scheduled.scatter else self.inward(expr)
        if not by_row or self.phase == "bound":
            cursor = self.cursor(n.ThreadId())
            self.nest(State(), whole, loops, lambda s, e: self.each(s, e, cursor, space), part)
            self.counted(n.ThreadId(), cursor)
            return
        # The last of the loops runs along the row, unless a workspace does.
        rows = loops if space else loops[: scheduled.appended - 1]
        inside = loops[len(rows) :]
        running = self.cursor(n.ThreadId()) if self.phase == "once" else None

        def row(state: State, rest: Expr) -> None:
            at = code.let(self.dense_place(state, scheduled.out_indices[: scheduled.appended - 1]), "row")
            cursor = self.cursor(at) if running is None else running
            self.nest(state, rest, inside, lambda s, e: self.each(s, e, cursor, space))
            self.counted(at, cursor)
            if running is not None:
                code.store(ENDS, at, running)

        self.nest(State(), whole, rows, row, part)

    def space(self) -> Workspace | None:
        """The workspace, where sums are scattered; bounds need none."""
        if not self.scheduled.scatter or self.phase == "bound":
            return None
        return Workspace.of(self.ctx, self.scheduled.out_indices[-1])

    def cursor(self, row: n.Expr) -> Var:
        """Where the next element goes; while counting, how many there were."""
        start: n.Expr = i64(0) if self.phase in _COUNTING else Load(STARTS, row)
        return self.ctx.code.define(start, "to")

    def counted(self, row: n.Expr, cursor: Var) -> None:
        if self.phase in _COUNTING:
            self.ctx.code.store(COUNTS, row, cursor)

    def each(self, state: State, expr: Expr, cursor: Var, space: Workspace | None) -> None:
        """What is appended at one coordinate of the outer loops: an element, or a whole row of a
        workspace."""
        if self.phase == "bound":
            self.bounded(state, expr, cursor)
            return
        if space is None:
            self.append(state, cursor, lambda: self.block(state, expr, cursor))
            return
        self.gather(state, expr, cursor, space)
        if self.phase == "count":
            space.drain(self.ctx, None)
            return

        def emit(coordinate: n.Expr, x: n.Expr) -> None:
            here = state.at(space.index, coordinate)
            self.append(here, cursor, lambda: self.put(cursor, [x]))

        space.drain(self.ctx, emit)

    def bounded(self, state: State, expr: Expr, cursor: Var) -> None:
        """At most how many elements the terms of a row make: every step of their innermost loops, one
        each."""
        code = self.ctx.code
        for term in self.terms(expr):
            loops = tuple(i for i in term.loops if i not in state.coordinates)

            def innermost(here: State, rest: Expr, index: str = loops[-1]) -> None:
                bound = most(self.ctx, here, rest, index)
                code.assign(cursor, cursor + bound)

            self.nest(state, term.body, loops[:-1], innermost)

    def append(self, state: State, cursor: Var, fill: Callable[[], None]) -> None:
        """One element: its coordinates and, by ``fill``, its value or values."""
        scheduled, code = self.scheduled, self.ctx.code
        if self.phase in ("fill", "once"):
            for buffer in _coordinates(scheduled):
                level = int(buffer.name.split(".")[1])
                here = state.coordinates[scheduled.out_indices[level]]
                code.store(buffer, cursor, n.Cast(here, n.Scalar(scheduled.index)))
            fill()
        code.assign(cursor, cursor + 1)

    def block(self, state: State, expr: Expr, cursor: Var) -> None:
        """The value of an element, or the dense block below it."""
        trailing = self.scheduled.out_indices[self.scheduled.appended :]

        def put(here: State, rest: Expr) -> None:
            found = value(self.ctx, here, rest, self.tile)
            at = self.ctx.code.let(self.dense_place(here, trailing, cursor), "at")
            self.put(at, found)

        self.nest(state, expr, tuple(i for i in self.scheduled.order if i in trailing), put)

    def gather(self, state: State, expr: Expr, cursor: Var, space: Workspace) -> None:
        """All terms of a row into the workspace; while counting only where they fall."""
        known = self.scheduled.order[: self.scheduled.outer]

        def add(here: State, rest: Expr) -> None:
            coordinate = here.coordinates[space.index]
            if self.phase == "count":
                space.mark(self.ctx, coordinate, cursor)
                return
            fused = self.fold == "add" and self.ctx.fma and isinstance(rest, Binary) and rest.op == "mul"
            if fused and isinstance(rest, Binary):
                (a,), (b,) = value(self.ctx, here, rest.a), value(self.ctx, here, rest.b)
                product = lambda: self.ctx.code.let(a * b, "x")  # noqa: E731
                space.add(self.ctx, coordinate, product, lambda x: n.Fma(a, b, x))
                return
            (found,) = value(self.ctx, here, rest)
            space.add(self.ctx, coordinate, lambda: found, lambda x: combine(self.ctx, self.fold, x, found))

        for term in self.terms(expr):
            loops = tuple(i for i in term.loops if i not in known)
            self.nest(state, term.body, loops, add)


def _depth(expr: Expr) -> int:
    """How many sums stand inside one another, at most."""
    match expr:
        case Reduce(body=body):
            return 1 + _depth(body)
        case _:
            return max((_depth(child) for child in children(expr)), default=0)
