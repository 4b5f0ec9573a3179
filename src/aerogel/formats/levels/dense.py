"""``dense``: every coordinate is stored; a position is computed, nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import LoopError, refuse
from aerogel.formats.levels.level import Element, Entry, Parent, View, every_position, position_in_row
from aerogel.loop.build import Code
from aerogel.loop.nodes import Expr


@dataclass(frozen=True, slots=True)
class Dense:
    """Position = parent x size + coordinate."""

    name: str = "dense"
    full: bool = True
    ordered: bool = True
    unique: bool = True
    branchless: bool = False
    compact: bool = True
    located: bool = True
    arrays: tuple[tuple[str, Element], ...] = ()

    def span(self, code: Code, view: View, parent: Parent) -> Never:
        refuse(LoopError, f"{view.prefix} is dense: it is visited by coordinate")

    def coordinate(self, view: View, position: Expr) -> Never:
        refuse(LoopError, f"{view.prefix} is dense: it is visited by coordinate")

    def locate(self, view: View, parent: Expr, coordinate: Expr) -> Expr:
        return position_in_row(view, parent, coordinate)

    def present(self, view: View, position: Expr) -> None:
        return None

    def room(self, parents: int, positions: int) -> tuple[int, ...]:
        return ()

    def insert(self, code: Code, view: View, entry: Entry) -> Expr:
        return self.locate(view, entry.parent, entry.coordinate)

    def close(self, code: Code, view: View, before: Expr, parents: Expr, positions: Expr) -> None:
        pass

    def check(self, arrays: Sequence[NDArray[Any]], parents: int, size: int, what: str) -> int:
        return parents * size

    def expand(
        self, arrays: Sequence[NDArray[Any]], parents: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return every_position(parents, size)
