"""``compressed``: the coordinates of a fiber one after another in ``crd``, from ``pos[parent]`` on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, LoopError, OrderError, refuse, require
from aerogel.formats.levels.level import Element, Entry, Parent, Segment, View
from aerogel.loop.build import Code
from aerogel.loop.nodes import Expr


@dataclass(frozen=True, slots=True)
class Compressed:
    """``pos`` has one element per parent and one more. Not ``unique``: equal coordinates stand side by side,
    and the levels below are singletons (COO)."""

    unique: bool = True
    name: str = "compressed"
    full: bool = False
    ordered: bool = True
    branchless: bool = False
    compact: bool = True
    located: bool = False
    arrays: tuple[tuple[str, Element], ...] = (("pos", "index"), ("crd", "index"))

    def span(self, code: Code, view: View, parent: Parent) -> tuple[Expr, Expr]:
        assert not isinstance(parent, Segment)
        begin = code.let(view.at("pos", parent), "begin")
        return begin, code.let(view.at("pos", parent + 1), "end")

    def coordinate(self, view: View, position: Expr) -> Expr:
        return view.at("crd", position)

    def locate(self, view: View, parent: Expr, coordinate: Expr) -> Never:
        refuse(LoopError, f"{view.prefix} is compressed: a coordinate can only be searched")

    def present(self, view: View, position: Expr) -> None:
        return None

    def room(self, parents: int, positions: int) -> tuple[int, ...]:
        return parents + 1, positions

    def insert(self, code: Code, view: View, entry: Entry) -> Expr:
        # Fibers between the entry before and this one are empty; this one's begins here.
        with code.for_(entry.before + 1, entry.parent + 1, "fiber") as fiber:
            view.put(code, "pos", fiber, entry.position)
        with code.when(entry.fresh):
            view.put(code, "crd", entry.position, entry.coordinate)
        return entry.position

    def close(self, code: Code, view: View, before: Expr, parents: Expr, positions: Expr) -> None:
        with code.for_(before + 1, parents + 1, "fiber") as fiber:
            view.put(code, "pos", fiber, positions)

    def check(self, arrays: Sequence[NDArray[Any]], parents: int, size: int, what: str) -> int:
        pos, crd = arrays
        require(
            len(pos) == parents + 1,
            FormatError,
            f"{what}: pos has {len(pos)} elements, but {parents} parents need {parents + 1}",
        )
        require(pos[0] == 0, FormatError, f"{what}: pos starts at {pos[0]}: it must start at 0")
        if parents:
            falls = pos[1:] < pos[:-1]
            if falls.any():
                at = int(falls.argmax())
                refuse(FormatError, f"{what}: pos falls from {pos[at]} to {pos[at + 1]} at {at}: it may not")
        require(
            int(pos[-1]) == len(crd),
            FormatError,
            f"{what}: pos ends at {pos[-1]}, but there are {len(crd)} coordinates",
        )
        check_range(crd, size, what)
        self._check_order(pos, crd, what)
        return len(crd)

    def _check_order(self, pos: NDArray[Any], crd: NDArray[Any], what: str) -> None:
        """Coordinates fall only where a fiber ends; there the next one may be anything."""
        falls = crd[1:] <= crd[:-1] if self.unique else crd[1:] < crd[:-1]
        count = np.count_nonzero(falls)
        if not count:
            return
        # Where fibers start, but the first; empty ones start where the next one does.
        starts = pos[1:-1]
        starts = starts[np.searchsorted(starts, 1) : np.searchsorted(starts, len(crd))]
        first = np.append(starts[:1] == starts[:1], starts[1:] != starts[:-1])
        if count == np.count_nonzero(falls[starts - 1] & first):
            return
        falls[starts - 1] = False
        at = int(falls.argmax())
        wrong = "stands twice" if crd[at] == crd[at + 1] else f"comes before {crd[at + 1]}"
        refuse(
            OrderError,
            f"{what}: coordinate {crd[at]} {wrong} in a fiber: pass the data through aerogel.tensor, "
            "which sorts and sums",
        )

    def expand(
        self, arrays: Sequence[NDArray[Any]], parents: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pos, crd = arrays
        return np.repeat(parents, np.diff(pos)), crd.astype(np.int64)


def check_range(crd: NDArray[Any], size: int, what: str) -> None:
    """FormatError for a coordinate outside 0 .. size - 1."""
    # A negative coordinate is a large one without a sign: one look finds both.
    if len(crd) and int(crd.view(f"u{crd.itemsize}").max()) >= size:
        least = int(crd.min())
        wrong = least if least < 0 else int(crd.max())
        refuse(FormatError, f"{what}: coordinate {wrong} is outside 0 .. {size - 1}")
