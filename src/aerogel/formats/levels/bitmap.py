"""``bitmap``: room for every coordinate, and one byte each that says whether it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, LoopError, refuse, require
from aerogel.formats.levels.level import Element, Entry, Parent, View, every_position, position_in_row
from aerogel.loop.build import Code
from aerogel.loop.nodes import Compare, Const, Expr, Load, Scalar

_U8 = Scalar(DType.U8)


@dataclass(frozen=True, slots=True)
class Bitmap:
    """Position = parent x size + coordinate, as in a dense level; ``set[position]`` is 1 where stored."""

    name: str = "bitmap"
    full: bool = False
    ordered: bool = True
    unique: bool = True
    branchless: bool = False
    compact: bool = False
    located: bool = True
    arrays: tuple[tuple[str, Element], ...] = (("set", "flag"),)

    def span(self, code: Code, view: View, parent: Parent) -> Never:
        refuse(LoopError, f"{view.prefix} is a bitmap: it is visited by coordinate")

    def coordinate(self, view: View, position: Expr) -> Never:
        refuse(LoopError, f"{view.prefix} is a bitmap: it is visited by coordinate")

    def locate(self, view: View, parent: Expr, coordinate: Expr) -> Expr:
        return position_in_row(view, parent, coordinate)

    def present(self, view: View, position: Expr) -> Expr:
        return Compare("ne", Load(view.buffer("set", "flag"), position), Const(0, _U8))

    def room(self, parents: int, positions: int) -> tuple[int, ...]:
        return (positions,)

    def insert(self, code: Code, view: View, entry: Entry) -> Expr:
        position = code.let(self.locate(view, entry.parent, entry.coordinate), "position")
        flags = view.buffer("set", "flag", const=False)
        with code.when(entry.fresh):
            code.store(flags, position, Const(1, _U8))
        return position

    def close(self, code: Code, view: View, before: Expr, parents: Expr, positions: Expr) -> None:
        pass

    def check(self, arrays: Sequence[NDArray[Any]], parents: int, size: int, what: str) -> int:
        (flags,) = arrays
        require(
            len(flags) == parents * size,
            FormatError,
            f"{what}: {len(flags)} flags, but {parents} parents of size {size} need {parents * size}",
        )
        require(
            bool((flags <= 1).all()), FormatError, f"{what}: a flag is {flags.max(initial=0)}: use 0 or 1"
        )
        return parents * size

    def expand(
        self, arrays: Sequence[NDArray[Any]], parents: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return every_position(parents, size)
