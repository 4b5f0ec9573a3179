"""What every level kind must do, whichever it is: a kind that is added to LEVELS is tested here at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aerogel import native
from aerogel.convert.pack import pack
from aerogel.core.dtypes import DType
from aerogel.core.errors import AerogelError, FormatError, LoopError
from aerogel.formats.levels import LEVELS, Level, View
from aerogel.formats.storage import INDICES, Storage, check
from aerogel.formats.tensor_format import Format
from aerogel.loop.build import Code, i64
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import I64, Buf, BufferType, Function, Module, Var

KINDS = pytest.mark.parametrize("name", LEVELS)
SHAPE = (3, 4, 2)


def formats_with(name: str) -> Iterator[tuple[Format, int]]:
    """Formats of one to three modes in which a kind stands, and where; each place below each other kind."""
    for rank in (1, 2, 3):
        for kinds in product(LEVELS, repeat=rank):
            # One place is enough: others are those of another format.
            if name not in kinds or (rank == 3 and LEVELS[kinds[0]].unique):
                continue
            try:
                yield Format(tuple(LEVELS[kind] for kind in kinds), tuple(range(rank))), kinds.index(name)
            except FormatError:
                continue


def some(form: Format, count: int = 9, index: DType = DType.I32) -> Storage:
    """A tensor with empty fibers and full ones."""
    shape, rng = SHAPE[: form.rank], np.random.default_rng(7)
    coords = [rng.integers(0, size, count) for size in shape]
    # Nothing at the first coordinate, everything below another.
    coords[0] = np.maximum(coords[0], 1)
    return pack(coords, np.ones(count), shape, form, index=index)


def visited(storage: Storage, at: int, how: str) -> list[tuple[int, int, int]]:
    """(parent, coordinate, position) of what a loop emitted by the level visits, run as ``how`` says."""
    level, arrays = storage.format.levels[at], storage.levels[at]
    size = storage.format.level_sizes(storage.shape)[at]
    parents = (1, *storage.counts())[at]
    room = storage.counts()[at]
    module = visit_module(level, storage.index)
    found, count = np.zeros(3 * room, np.int64), np.zeros(1, np.int64)
    args = (size, parents, *arrays, found, count)
    if how == "interpreted":
        interpret(module, args)
    else:
        native.compile(module)(*args)
    return [tuple(row) for row in found.reshape(-1, 3)[: int(count[0])].tolist()]


def visit_module(level: Level, index: DType) -> Module:
    code = Code()
    size, parents = Var("size", I64), Var("parents", I64)
    found, count = Buf("found", BufferType(DType.I64)), Buf("count", BufferType(DType.I64))
    view = View("A0", size, index)
    next_ = code.define(i64(0), "next")

    def note(*numbers: Any) -> None:
        for k, number in enumerate(numbers):
            code.store(found, next_ * 3 + k, number)
        code.assign(next_, next_ + 1)

    with code.for_(i64(0), parents, "parent") as parent:
        if level.located:
            with code.for_(i64(0), size, "c") as c:
                position = code.let(level.locate(view, parent, c), "position")
                with code.when(level.present(view, position)):
                    note(parent, c, position)
        else:
            with code.for_(*level.span(code, view, parent), "p") as p:
                note(parent, level.coordinate(view, p), p)
    code.store(count, i64(0), next_)
    arrays = [view.buffer(name, element) for name, element in level.arrays]
    return Module("visit", (Function("visit", (size, parents, *arrays, found, count), code.done()),))


def defined(storage: Storage, at: int) -> list[tuple[int, int, int]]:
    """The same by ``expand``, flags heeded."""
    level, arrays = storage.format.levels[at], storage.levels[at]
    parents = np.arange((1, *storage.counts())[at])
    above, coordinate = level.expand(arrays, parents, storage.format.level_sizes(storage.shape)[at])
    live = np.ones(len(above), np.bool_)
    for (_, element), array in zip(level.arrays, arrays, strict=True):
        if element == "flag":
            live &= array == 1
    return [(int(above[p]), int(coordinate[p]), int(p)) for p in np.flatnonzero(live)]


@KINDS
def test_it_is_listed_under_its_name(name: str) -> None:
    level = LEVELS[name]
    assert name == (level.name if level.unique else f"{level.name}_nonunique")
    assert hash(level) == hash(replace(level)) and level == replace(level)  # type: ignore[type-var]


@KINDS
def test_it_stands_in_some_format(name: str) -> None:
    assert list(formats_with(name))


@KINDS
@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("how", ["interpreted", "native"])
def test_loops_visit_what_expand_defines(name: str, index: DType, how: str) -> None:
    for count in (0, 9):
        for form, at in formats_with(name):
            storage = some(form, count, index)
            # Positions of a level may be stored in any order; loops go by parent, then by coordinate.
            assert sorted(visited(storage, at, how)) == sorted(defined(storage, at)), form


@KINDS
def test_what_packing_builds_is_accepted(name: str) -> None:
    for form, at in formats_with(name):
        storage = some(form)
        assert check(storage, "A") is storage
        level, counts = form.levels[at], (1, *storage.counts())
        assert len(storage.levels[at]) == len(level.arrays)
        room = level.room(counts[at], counts[at + 1])
        assert tuple(len(array) for array in storage.levels[at]) == room
        size = form.level_sizes(storage.shape)[at]
        assert level.check(storage.levels[at], counts[at], size, "A") == counts[at + 1]


@KINDS
def test_declared_properties_hold(name: str) -> None:
    for form, at in formats_with(name):
        storage = some(form)
        level, parents = form.levels[at], (1, *storage.counts())[at]
        size = form.level_sizes(storage.shape)[at]
        seen = visited(storage, at, "interpreted")
        fibers = [[coordinate for parent, coordinate, _ in seen if parent == p] for p in range(parents)]
        for fiber in fibers:
            assert not level.full or fiber == list(range(size))
            assert not level.ordered or fiber == sorted(fiber)
            assert not level.unique or len(fiber) == len(set(fiber))
            assert not level.branchless or len(fiber) == 1
        positions = [position for _, _, position in seen]
        assert not level.compact or sorted(positions) == list(range(storage.counts()[at]))
        assert len(positions) == len(set(positions))


@KINDS
def test_it_is_visited_by_coordinate_or_by_position(name: str) -> None:
    level, code = LEVELS[name], Code()
    view, zero = View("A0", Var("size", I64), DType.I32), i64(0)
    if level.located:
        for wrong in (lambda: level.span(code, view, zero), lambda: level.coordinate(view, zero)):
            with pytest.raises(LoopError, match="A0"):
                wrong()
    else:
        with pytest.raises(LoopError, match="A0"):
            level.locate(view, zero, zero)
        assert level.present(view, zero) is None


# --- damage ---------------------------------------------------------------------------------


def damaged(storage: Storage, at: int, which: int, array: NDArray[Any]) -> Storage:
    arrays = list(storage.levels[at])
    arrays[which] = array
    levels = (*storage.levels[:at], tuple(arrays), *storage.levels[at + 1 :])
    return replace(storage, levels=levels)


@KINDS
def test_arrays_too_short_or_too_long_are_refused(name: str) -> None:
    for form, at in formats_with(name):
        storage = some(form)
        for which, array in enumerate(storage.levels[at]):
            for wrong in (array[:-1], array[:0], np.append(array, array[-1:])):
                with pytest.raises(FormatError, match="A"):
                    check(damaged(storage, at, which, wrong), "A")


@KINDS
def test_no_element_may_be_out_of_range(name: str) -> None:
    """Negative, beyond any extent or position, just beyond; a flag of 2; whichever element it is."""
    for form, at in formats_with(name):
        storage = some(form)
        size = form.level_sizes(storage.shape)[at]
        for which, (what, element) in enumerate(LEVELS[name].arrays):
            array = storage.levels[at][which]
            values = (2, 255) if element == "flag" else (-1, -(2**31), 2**31 - 1)
            if what == "crd":
                values = (*values, size)
            for place, value in product(range(len(array)), values):
                wrong = array.copy()
                wrong[place] = value
                with pytest.raises(FormatError, match="A"):
                    check(damaged(storage, at, which, wrong), "A")


@KINDS
def test_arrays_of_another_kind_are_refused(name: str) -> None:
    for form, at in formats_with(name):
        storage = some(form)
        for which, array in enumerate(storage.levels[at]):
            for wrong in (array.astype(np.int16), array.astype(float), array[None], np.repeat(array, 2)[::2]):
                if wrong.flags.c_contiguous and wrong.ndim == 1 and wrong.dtype == array.dtype:
                    continue
                with pytest.raises(AerogelError, match="A"):
                    check(damaged(storage, at, which, wrong), "A")
        without = (
            *storage.levels[:at],
            (*storage.levels[at], np.zeros(1, np.int32)),
            *storage.levels[at + 1 :],
        )
        with pytest.raises(FormatError, match="arrays"):
            check(replace(storage, levels=without), "A")


@KINDS
def test_positions_may_not_fall(name: str) -> None:
    for form, at in formats_with(name):
        storage = some(form)
        for which, (what, _) in enumerate(LEVELS[name].arrays):
            pos = storage.levels[at][which]
            if what != "pos" or len(pos) < 3:
                continue
            for place in range(1, len(pos) - 1):
                if pos[place] < pos[-1]:
                    wrong = pos.copy()
                    wrong[place] = pos[-1] + 1
                    with pytest.raises(FormatError, match="pos"):
                        check(damaged(storage, at, which, wrong), "A")


@KINDS
def test_coordinates_may_neither_stand_twice_nor_fall(name: str) -> None:
    """Those of a run, a level that is not unique with its singletons, are compared together."""
    tried = 0
    for form, at in formats_with(name):
        storage = some(form)
        run = run_of(form, at)
        names = [[what for what, _ in form.levels[k].arrays] for k in run]
        if not all("crd" in found for found in names):
            continue
        columns = [storage.levels[k][found.index("crd")] for k, found in zip(run, names, strict=True)]
        pos = storage.levels[run[0]][names[0].index("pos")] if "pos" in names[0] else [0, len(columns[0])]
        starts = set(np.asarray(pos).tolist())
        for p in range(len(columns[0]) - 1):
            if p + 1 in starts:
                continue
            tried += 1
            for order in ([p, p], [p + 1, p]):
                levels = list(storage.levels)
                for k, found in zip(run, names, strict=True):
                    arrays = [array.copy() for array in levels[k]]
                    crd = arrays[found.index("crd")]
                    crd[p : p + 2] = crd[order]
                    levels[k] = tuple(arrays)
                with pytest.raises(FormatError, match="A"):
                    check(replace(storage, levels=tuple(levels)), "A")
    assert tried or not any(what == "crd" for what, _ in LEVELS[name].arrays)


def run_of(form: Format, at: int) -> list[int]:
    first = last = at
    while form.levels[first].branchless:
        first -= 1
    while not form.levels[last].unique:
        last += 1
    return list(range(first, last + 1))
