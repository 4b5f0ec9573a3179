"""``singleton``: one coordinate for every position of the parent; the lower modes of COO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, LoopError, refuse, require
from aerogel.formats.levels.compressed import check_range
from aerogel.formats.levels.level import Element, Entry, Parent, Segment, View
from aerogel.loop.build import Code
from aerogel.loop.nodes import Expr


@dataclass(frozen=True, slots=True)
class Singleton:
    """Position = parent's position. Not ``unique``: more singletons tell equal coordinates apart."""

    unique: bool = True
    name: str = "singleton"
    full: bool = False
    ordered: bool = True
    branchless: bool = True
    compact: bool = True
    located: bool = False
    arrays: tuple[tuple[str, Element], ...] = (("crd", "index"),)

    def span(self, code: Code, view: View, parent: Parent) -> tuple[Expr, Expr]:
        if isinstance(parent, Segment):
            return parent.begin, parent.end
        return parent, code.let(parent + 1, "end")

    def coordinate(self, view: View, position: Expr) -> Expr:
        return view.at("crd", position)

    def locate(self, view: View, parent: Expr, coordinate: Expr) -> Never:
        refuse(LoopError, f"{view.prefix} is a singleton: a coordinate can only be searched")

    def present(self, view: View, position: Expr) -> None:
        return None

    def room(self, parents: int, positions: int) -> tuple[int, ...]:
        return (positions,)

    def insert(self, code: Code, view: View, entry: Entry) -> Expr:
        with code.when(entry.fresh):
            view.put(code, "crd", entry.parent, entry.coordinate)
        return entry.parent

    def close(self, code: Code, view: View, before: Expr, parents: Expr, positions: Expr) -> None:
        pass

    def check(self, arrays: Sequence[NDArray[Any]], parents: int, size: int, what: str) -> int:
        (crd,) = arrays
        require(
            len(crd) == parents,
            FormatError,
            f"{what}: {len(crd)} coordinates, but the parent has {parents} positions",
        )
        check_range(crd, size, what)
        return parents

    def expand(
        self, arrays: Sequence[NDArray[Any]], parents: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return parents, arrays[0].astype(np.int64)
