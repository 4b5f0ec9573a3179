"""The loops of ``assemble``: counting the positions that sorted entries open, then writing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.convert.chunks import CHUNKS, CUTS, each_piece
from aerogel.convert.entries import Reader, WordsKey
from aerogel.convert.folding import Fold, folded
from aerogel.core.dtypes import DType
from aerogel.formats.levels import Entry, Level, View
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Binary,
    Bitcast,
    Buf,
    BufferType,
    Cast,
    Compare,
    Expr,
    Function,
    Load,
    Module,
    Prefetch,
    Scalar,
    Select,
    Unary,
    Var,
)

LANES = 8
# How many entries ahead values are asked for: what memory takes, in entries.
AHEAD = 16


def run_end(levels: Sequence[Level], at: int) -> int:
    """The last level of the run that level ``at`` begins or is in: itself, unless it is not unique."""
    while not levels[at].unique:
        at += 1
    return at


def counted(levels: Sequence[Level]) -> tuple[int, ...]:
    """The levels whose positions are counted, neither computed from coordinates nor those of the parent."""
    return tuple(k for k, level in enumerate(levels) if not level.located and not level.branchless)


# --- counting -------------------------------------------------------------------------------


def count_module(reader: Reader, ends: Sequence[int]) -> Module:
    """``count(chunks, cuts, entries ..., found)``: found[piece, j] = entries of the piece that differ from
    the one before in the levels 0 .. ends[j], which ascend. The first entry of all differs."""
    found = Buf("found", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (chunk, begin, end):
        start = code.let(Select(Compare("eq", begin, i64(0)), i64(1), begin), "start")
        start = code.let(Select(start < end, start, end), "start")
        middle = code.let(start + (end - start) / LANES * LANES, "middle")
        # The entry that was left out, if any.
        sums = [code.define(start - begin, "sum") for _ in ends]
        for low, high, lanes in ((start, middle, LANES), (middle, end, 1)):
            with code.for_(low, high, "i", lanes) as i:
                last, here = (reader.load(code, at, lanes) for at in (i - 1, i))
                differs = reader.differs(code, here, last, ends[-1])
                for sum_, upto in zip(sums, ends, strict=True):
                    code.assign(sum_, sum_ + _how_many(differs[upto], lanes))
        for j, sum_ in enumerate(sums):
            code.store(found, chunk * len(ends) + j, sum_)
    params = (CHUNKS, CUTS, *reader.params, found)
    return Module("count", (Function("count", params, code.done()),))


def _how_many(differs: Expr, lanes: int) -> Expr:
    if lanes == 1:
        return Cast(differs, I64)
    return Cast(Unary("popcount", Bitcast(differs, Scalar(DType.U8))), I64)


# --- writing --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """One ``assemble`` kernel: the levels, how entries come in, the types of positions and of values, how
    equal entries are folded, and whether it is known that there are none."""

    levels: tuple[Level, ...]
    reader: Reader
    index: DType
    values: DType
    fold: Fold
    unique: bool


def assemble_module(kind: Kind) -> Module:
    """``assemble(chunks, cuts, entries ..., in_values, bases, size0 ..., count0 ..., arrays ..., values)``.

    Entries are sorted, equal ones in one piece. ``bases`` [piece, counted level]: how many positions the
    pieces before open. ``size``, ``count``: extent and positions of each level. ``arrays``: of each level.
    """
    return _Assembly(kind).module()


class _Assembly:
    """One kernel in the making."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.levels = kind, kind.levels
        rank = len(kind.levels)
        self.reader = kind.reader
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
            CHUNKS, CUTS, *self.reader.params, self.given, self.bases, *self.sizes, *self.counts, *arrays,
            self.values,
        )  # fmt: skip
        return Module("assemble", (Function("assemble", params, self.code.done()),))

    def _piece(self, chunk: Expr, begin: Expr, end: Expr) -> None:
        code = self.code
        first = code.let(Compare("eq", begin, i64(0)), "is_first")
        self._start(chunk, begin, first)
        with code.for_(begin, end) as i:
            self._entry(i, end)
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
        if self._asks():
            self.last.extend(code.define(one, "last") for one in self.reader.nothing)
        self.root = code.define(Select(first, i64(-1), i64(0)), "root")
        self.before = [code.define(i64(-1), "before") for _ in self.levels]
        with code.if_(Unary("not", first)):
            loaded = self.reader.load(code, begin - 1)
            for var, value in zip(self.last, loaded, strict=False):
                code.assign(var, value)
            coordinates = self.reader.coordinates(loaded)
            parent: Expr = i64(0)
            for k, level in enumerate(self.levels):
                if level.located:
                    code.assign(self.before[k], level.locate(self.views[k], parent, coordinates[k]))
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

    def _entry(self, i: Expr, end: Expr) -> None:
        code = self.code
        self._fetch_ahead(i, end)
        loaded = self.reader.load(code, i)
        here = [code.let(one, "crd") for one in self.reader.coordinates(loaded)]
        fresh = self._fresh(i, loaded)
        parent: Expr = i64(0)
        now: list[Expr] = []
        for k, level in enumerate(self.levels):
            opens = fresh[run_end(self.levels, k)]
            position = parent
            if k in self.opened:
                one = i64(1) if opens is None else Cast(opens, I64)
                code.assign(self.opened[k], self.opened[k] + one)
                position = code.let(self.opened[k] - 1, "position")
            entry = Entry(parent, self._before(k), here[k], position, opens)
            parent = code.let(level.insert(code, self.views[k], entry), "position")
            now.append(parent)
        self._value(self.reader.number(i, loaded), parent, fresh[-1])
        for var, value in zip((*self.before, *self.last), (*now, *loaded), strict=False):
            code.assign(var, value)
        code.assign(self.root, i64(0))

    def _fetch_ahead(self, i: Expr, end: Expr) -> None:
        """Values of words lie anywhere: ask for those of entries to come."""
        if isinstance(self.reader, WordsKey):
            ahead = self.code.let(Binary("min", i + AHEAD, end - 1), "ahead")
            number = self.reader.number(ahead, self.reader.load(self.code, ahead))
            self.code.add(Prefetch(self.given, number))

    def _fresh(self, i: Expr, loaded: Sequence[Expr]) -> list[Expr | None]:
        """By level: whether this entry is the first of its coordinates down to there; None: it is."""
        if not self.levels:
            return [Compare("eq", i, i64(0))]
        if not self._asks():
            return [None] * len(self.levels)
        last = len(self.levels) - 1
        differs: list[Expr | None] = [*self.reader.differs(self.code, loaded, self.last, last)]
        if self.kind.unique:
            differs[-1] = None
        return differs

    def _value(self, number: Expr, position: Expr, fresh: Expr | None) -> None:
        code = self.code
        new = code.let(Load(self.given, number), "value")
        if fresh is None or self.kind.fold == "last":
            code.store(self.values, position, new)
            return
        with code.block() as then:
            code.store(self.values, position, new)
        with code.block() as orelse:
            code.store(self.values, position, folded(self.kind.fold, Load(self.values, position), new))
        code.branch(fresh, tuple(then), tuple(orelse))
