"""One look at all coordinates: how far they reach, and how much of the order is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.chunks import CHUNKS, CUTS, each_piece, even_cuts
from aerogel.convert.counting import AT, BEGIN, END
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    BOOL,
    I64,
    Binary,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Function,
    Load,
    Module,
    Reduce,
    Scalar,
    Select,
    Unary,
    Var,
    Vec,
    VLoad,
)

LANES = 8


@dataclass(frozen=True, slots=True)
class Survey:
    """``least``, ``most``: of each column, 0 and -1 of an empty one. ``sorted_from``: the columns from this
    one on, taken together, ascend already (0: all do). ``unique``: all ascend, and no entry stands twice."""

    least: tuple[int, ...]
    most: tuple[int, ...]
    sorted_from: int
    unique: bool


def survey(columns: Sequence[NDArray[Any]], threads: int) -> Survey:
    """What stands in ``columns``: int32 or int64, all of one type and length; one at least."""
    rank, count = len(columns), len(columns[0])
    if not count:
        return Survey((0,) * rank, (-1,) * rank, 0, unique=True)
    width = 3 * rank + 1
    found = np.zeros(threads * width, np.int64)
    kernel = _kernel(rank, DType.of(columns[0].dtype))
    kernel.launch(threads, even_cuts(count, threads), *columns, found, threads=threads)
    if threads == 1:
        whole = found.tolist()
        least, most, behind = whole[:rank], whole[rank : 2 * rank], whole[2 * rank :]
        return _survey(tuple(least), tuple(most), behind)
    rows = found.reshape(threads, width)
    least = tuple(rows[:, :rank].min(axis=0).tolist())
    most = tuple(rows[:, rank : 2 * rank].max(axis=0).tolist())
    return _survey(least, most, rows[:, 2 * rank :].max(axis=0).tolist())


def _survey(least: tuple[int, ...], most: tuple[int, ...], behind: Sequence[int]) -> Survey:
    """``behind``: of the columns from k on, whether an entry comes before the one it follows."""
    rank = len(least)
    sorted_from = next((k for k in range(rank) if not behind[k]), rank)
    return Survey(least, most, sorted_from, unique=not behind[rank])


@cache
def _kernel(rank: int, dtype: DType) -> native.Compiled:
    return native.compile(survey_module(rank, dtype))


def survey_module(rank: int, dtype: DType) -> Module:
    """``survey(chunks, cuts, column0 ..., found)``; no piece is empty. ``found`` has a row per piece, as
    ``look`` leaves it."""
    columns = tuple(Buf(f"column{k}", BufferType(dtype, const=True)) for k in range(rank))
    found = Buf("found", BufferType(DType.I64))
    code = Code()
    with each_piece(code) as (chunk, begin, end):
        code.add(Call("look", (begin, end, chunk * (3 * rank + 1), *columns, found)))
    entry = Function("survey", (CHUNKS, CUTS, *columns, found), code.done())
    return Module("survey", (look(columns, found), entry))


def look(columns: Sequence[Buf], found: Buf) -> Function:
    """``look(begin, end, at, column0 ..., found)``: of one piece that is not empty.

    From ``found[at]`` on, i64: the least of each column, the most, whether the columns from each on are out
    of order, and whether all do not strictly ascend.
    """
    rank = len(columns)
    code = Code()
    # The first entry of all follows none.
    start = code.let(BEGIN + Select(Compare("eq", BEGIN, i64(0)), i64(1), i64(0)), "start")
    middle = code.let(start + (END - start) / LANES * LANES, "middle")
    wide, narrow = _Seen(code, columns, BEGIN, LANES), _Seen(code, columns, BEGIN, 1)
    with code.for_(start, middle, "i", LANES) as i:
        wide.look(i)
    with code.for_(middle, END, "i") as i:
        narrow.look(i)
    for k in range(rank):
        least = _extreme("min", Reduce("min", wide.least[k]), narrow.least[k])
        code.store(found, AT + k, _wide(least))
        most = _extreme("max", Reduce("max", wide.most[k]), narrow.most[k])
        code.store(found, AT + (rank + k), _wide(most))
    for k in range(rank + 1):
        behind = Binary("or", Reduce("or", wide.behind[k]), narrow.behind[k])
        code.store(found, AT + (2 * rank + k), Cast(behind, I64))
    return Function("look", (BEGIN, END, AT, *columns, found), code.done())


class _Seen:
    """What one loop of ``lanes`` entries at a time has seen."""

    def __init__(self, code: Code, columns: Sequence[Buf], begin: Expr, lanes: int) -> None:
        self.code, self.columns, self.lanes = code, columns, lanes
        first = [code.let(self._wide(Load(column, begin)), "first") for column in columns]
        self.least = [code.define(value, "least") for value in first]
        self.most = [code.define(value, "most") for value in first]
        no = Const(value=False, type=BOOL if lanes == 1 else Vec(DType.BOOL, lanes))
        self.behind: list[Var] = [code.define(no, "behind") for _ in range(len(columns) + 1)]

    def look(self, i: Expr) -> None:
        """Entries from ``i`` on, against those one before."""
        code = self.code
        ascends: Expr | None = None
        strictly: Expr | None = None
        for k in reversed(range(len(self.columns))):
            here = code.let(self._load(self.columns[k], i), "here")
            last = code.let(self._load(self.columns[k], i - 1), "last")
            code.assign(self.least[k], _extreme("min", self.least[k], here))
            code.assign(self.most[k], _extreme("max", self.most[k], here))
            less, same = code.let(last < here, "less"), code.let(Compare("eq", last, here), "same")
            ascends = code.let(less | (same if ascends is None else same & ascends), "ascends")
            strictly = less if strictly is None else code.let(less | (same & strictly), "strictly")
            self._note(k, ascends)
        assert strictly is not None
        self._note(len(self.columns), strictly)

    def _note(self, k: int, holds: Expr) -> None:
        self.code.assign(self.behind[k], Binary("or", self.behind[k], Unary("not", holds)))

    def _load(self, column: Buf, at: Expr) -> Expr:
        return Load(column, at) if self.lanes == 1 else VLoad(column, at, self.lanes)

    def _wide(self, value: Expr) -> Expr:
        return value if self.lanes == 1 else Broadcast(value, self.lanes)


def _extreme(op: Literal["min", "max"], a: Expr, b: Expr) -> Binary:
    return Binary(op, a, b)


def _wide(value: Expr) -> Expr:
    return value if value.type == I64 else Cast(value, Scalar(DType.I64))
