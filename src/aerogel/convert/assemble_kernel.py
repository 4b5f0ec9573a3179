"""The loops of ``assemble``: counting the positions that sorted entries open, then writing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.convert.chunks import CHUNKS, CUTS, each_piece
from aerogel.convert.counting import widened
from aerogel.convert.folding import Fold, folded
from aerogel.core.dtypes import DType
from aerogel.formats.levels import Entry, Level, View
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Bitcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Expr,
    Function,
    Load,
    Module,
    Scalar,
    Select,
    Unary,
    Var,
    VLoad,
)

LANES = 8


def run_end(levels: Sequence[Level], at: int) -> int:
    """The last level of the run that level ``at`` begins or is in: itself, unless it is not unique."""
    while not levels[at].unique:
        at += 1
    return at


def counted(levels: Sequence[Level]) -> tuple[int, ...]:
    """The levels whose positions are counted, neither computed from coordinates nor those of the parent."""
    return tuple(k for k, level in enumerate(levels) if not level.located and not level.branchless)


def _columns(rank: int, source: DType) -> list[Buf]:
    return [Buf(f"column{k}", BufferType(source, const=True)) for k in range(rank)]


# --- counting -------------------------------------------------------------------------------


def count_module(ends: Sequence[int], rank: int, source: DType) -> Module:
    """``count(chunks, cuts, column0 ..., found)``: found[piece, j] = entries of the piece that differ from
    the one before in columns 0 .. ends[j]. The first entry of all differs."""
    columns, found = _columns(rank, source), Buf("found", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (chunk, begin, end):
        start = code.let(Select(Compare("eq", begin, i64(0)), i64(1), begin), "start")
        start = code.let(Select(start < end, start, end), "start")
        middle = code.let(start + (end - start) / LANES * LANES, "middle")
        # The entry that was left out, if any.
        sums = [code.define(start - begin, "sum") for _ in ends]
        for low, high, lanes in ((start, middle, LANES), (middle, end, 1)):
            with code.for_(low, high, "i", lanes) as i:
                for sum_, differs in zip(sums, _differences(code, columns, i, lanes, ends), strict=True):
                    code.assign(sum_, sum_ + _how_many(differs, lanes))
        for j, sum_ in enumerate(sums):
            code.store(found, chunk * len(ends) + j, sum_)
    return Module("count", (Function("count", (CHUNKS, CUTS, *columns, found), code.done()),))


def _differences(code: Code, columns: Sequence[Buf], i: Expr, lanes: int, ends: Sequence[int]) -> list[Expr]:
    differs: list[Expr] = []
    for column in columns[: max(ends) + 1]:
        here, last = (Load(column, at) if lanes == 1 else VLoad(column, at, lanes) for at in (i, i - 1))
        other: Expr = Compare("ne", here, last)
        differs.append(code.let(differs[-1] | other if differs else other, "differs"))
    return [differs[end] for end in ends]


def _how_many(differs: Expr, lanes: int) -> Expr:
    if lanes == 1:
        return Cast(differs, I64)
    return Cast(Unary("popcount", Bitcast(differs, Scalar(DType.U8))), I64)


# --- writing --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """One ``assemble`` kernel: the levels, the types of columns, of positions and of values, how equal
    entries are folded, and whether it is known that there are none."""

    levels: tuple[Level, ...]
    source: DType
    index: DType
    values: DType
    fold: Fold
    unique: bool


def assemble_module(kind: Kind) -> Module:
    """``assemble(chunks, cuts, column0 ..., in_values, bases, size0 ..., count0 ..., arrays ..., values)``.

    Entries are sorted, equal ones in one piece. ``bases`` [piece, counted level]: how many positions the
    pieces before open. ``size``, ``count``: extent and positions of each level. ``arrays``: of each level.
    """
    return _Assembly(kind).module()


class _Assembly:
    """One kernel in the making."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.levels = kind, kind.levels
        rank = len(kind.levels)
        self.columns = _columns(rank, kind.source)
        self.sizes = [Var(f"size{k}", I64) for k in range(rank)]
        self.counts = [Var(f"count{k}", I64) for k in range(rank)]
        self.views = [View(f"out{k}", self.sizes[k], kind.index) for k in range(rank)]
        self.given = Buf("in_values", BufferType(kind.values, const=True))
        self.values = Buf("values", BufferType(kind.values))
        self.bases = Buf("bases", BufferType(DType.I64, const=True))
        self.counted = counted(kind.levels)
        self.code = Code()

    def module(self) -> Module:
        with each_piece(self.code) as (chunk, begin, end):
            self._piece(chunk, begin, end)
        arrays = [
            view.buffer(name, element, const=False)
            for view, level in zip(self.views, self.levels, strict=True)
            for name, element in level.arrays
        ]
        params = (
            CHUNKS, CUTS, *self.columns, self.given, self.bases, *self.sizes, *self.counts, *arrays,
            self.values,
        )  # fmt: skip
        return Module("assemble", (Function("assemble", params, self.code.done()),))

    def _piece(self, chunk: Expr, begin: Expr, end: Expr) -> None:
        code = self.code
        first = code.let(Compare("eq", begin, i64(0)), "is_first")
        self._start(chunk, begin, first)
        with code.for_(begin, end) as i:
            self._entry(i)
        with code.if_(Compare("eq", chunk, CHUNKS - 1)):
            for k, level in enumerate(self.levels):
                parents = self.counts[k - 1] if k else i64(1)
                level.close(code, self.views[k], self._before(k), parents, self.counts[k])

    def _start(self, chunk: Expr, begin: Expr, first: Expr) -> None:
        """What the loop carries from entry to entry, as the entry before the piece has left it."""
        code = self.code
        row = chunk * len(self.counted)
        self.opened = {
            k: code.define(Load(self.bases, row + j), "opened") for j, k in enumerate(self.counted)
        }
        self.last: list[Var] = []
        nothing = Const(-1, Scalar(self.kind.source))
        if self._asks():
            self.last.extend(code.define(nothing, "last") for _ in self.columns)
        self.root = code.define(Select(first, i64(-1), i64(0)), "root")
        self.before = [code.define(i64(-1), "before") for _ in self.levels]
        with code.if_(Unary("not", first)):
            for var, column in zip(self.last, self.columns, strict=False):
                code.assign(var, Load(column, begin - 1))
            parent: Expr = i64(0)
            for k, level in enumerate(self.levels):
                if level.located:
                    at = widened(Load(self.columns[k], begin - 1))
                    code.assign(self.before[k], level.locate(self.views[k], parent, at))
                elif not level.branchless:
                    code.assign(self.before[k], self.opened[k] - 1)
                else:
                    code.assign(self.before[k], parent)
                parent = self.before[k]

    def _before(self, k: int) -> Var:
        """Where in the level above ``k`` the entry before this one is."""
        return self.before[k - 1] if k else self.root

    def _asks(self) -> bool:
        """Whether anything depends on which columns differ from the entry before."""
        last = len(self.levels) - 1
        return not self.kind.unique or any(run_end(self.levels, k) < last for k in range(last + 1))

    def _entry(self, i: Expr) -> None:
        code = self.code
        here = [code.let(Load(column, i), "here") for column in self.columns]
        fresh = self._fresh(i, here)
        parent: Expr = i64(0)
        now: list[Expr] = []
        for k, level in enumerate(self.levels):
            opens = fresh[run_end(self.levels, k)]
            position = parent
            if k in self.opened:
                one = i64(1) if opens is None else Cast(opens, I64)
                code.assign(self.opened[k], self.opened[k] + one)
                position = code.let(self.opened[k] - 1, "position")
            entry = Entry(parent, self._before(k), code.let(widened(here[k]), "crd"), position, opens)
            parent = code.let(level.insert(code, self.views[k], entry), "position")
            now.append(parent)
        self._value(i, parent, fresh[-1])
        for var, value in zip((*self.before, *self.last), (*now, *here), strict=False):
            code.assign(var, value)
        code.assign(self.root, i64(0))

    def _fresh(self, i: Expr, here: Sequence[Expr]) -> list[Expr | None]:
        """By level: whether this entry is the first of its coordinates down to there; None: it is."""
        code = self.code
        if not self.levels:
            return [Compare("eq", i, i64(0))]
        if not self._asks():
            return [None] * len(self.levels)
        differs: list[Expr | None] = []
        above: Expr | None = None
        for value, last in zip(here, self.last, strict=True):
            other = Compare("ne", value, last)
            above = code.let(other if above is None else above | other, "fresh")
            differs.append(above)
        if self.kind.unique:
            differs[-1] = None
        return differs

    def _value(self, i: Expr, position: Expr, fresh: Expr | None) -> None:
        code = self.code
        new = code.let(Load(self.given, i), "value")
        if fresh is None or self.kind.fold == "last":
            code.store(self.values, position, new)
            return
        with code.block() as then:
            code.store(self.values, position, new)
        with code.block() as orelse:
            code.store(self.values, position, folded(self.kind.fold, Load(self.values, position), new))
        code.branch(fresh, tuple(then), tuple(orelse))
