"""A scheduled einsum: the assignment, how everything is stored, and in which order it is visited.

This is what kernels are generated from, and what the accelerator's compiler starts from: data, printable, the
same for the same request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Assignment
from aerogel.einsum.printer import text
from aerogel.formats.tensor_format import Format
from aerogel.lower.operand import OperandType
from aerogel.lower.state import Ahead, Hoist

Assembly = Literal["dense", "pattern", "rows", "coordinates"]
"""How the output comes about. ``dense``: stored at its place. ``pattern``: where one operand stores
something, the output does. ``rows``: the number in each row is counted, then all are filled in.
``coordinates``: a list of coordinates in order, per thread, from which the levels are made afterwards."""


PARTS = 16
"""Into how many parts a sum over everything is cut: always as many, so that threads do not change its
bits."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """``order``: every index, outermost loop first. ``outer``: how many loops, all over indices of the
    output, stand outside everything; the sums inside are either scalars or, where ``scatter``, added into a
    workspace or the dense output in loops that follow ``order``. ``vector``: the index that runs in the
    lanes. ``appended``: how many levels of the output are appended to, or are those of the operand
    ``pattern``; dense ones may follow. Values are computed in ``compute`` and stored as ``dtype``;
    coordinates of the output are of type ``index``. ``hoists``: fibers that are spread out for lookups;
    ``aheads``: rows that are prefetched. ``chains``: into how many partial sums fibers are added;
    ``in_lanes``: of products, as the lanes of a vector. ``partial``: a scalar is summed in ``PARTS`` parts,
    whatever the threads.
    """

    assignment: Assignment
    operands: tuple[OperandType, ...]
    out: Format
    compute: DType
    dtype: DType
    order: tuple[str, ...]
    outer: int
    scatter: bool
    assembly: Assembly
    appended: int
    vector: str | None
    parallel: bool
    index: DType
    pattern: str | None = None
    hoists: tuple[Hoist, ...] = ()
    aheads: tuple[Ahead, ...] = ()
    partial: bool = False
    chains: int = 1
    in_lanes: bool = False
    # The output's indices in the order of its levels: asked for in every call.
    out_indices: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        indices = tuple(self.assignment.out.indices[mode] for mode in self.out.order)
        object.__setattr__(self, "out_indices", indices)

    def explain(self) -> str:
        """The schedule in words, a line for each decision."""
        lines = [text(self.assignment)]
        lines += [f"  {o.name}: {o.format.short} {o.dtype.short}" for o in self.operands]
        lines.append(f"  result: {self.out.short} {self.dtype.short}, {_ASSEMBLY[self.assembly]}")
        lines.append(f"  loops: {' > '.join(self.order)}")
        if self.vector:
            lines.append(f"  {self.vector} in vector lanes")
        lines += [f"  {h.access.tensor} is spread along {h.along} before {h.at}" for h in self.hoists]
        lines += [f"  rows of {a.access.tensor} are asked for ahead" for a in self.aheads]
        if self.scatter:
            where = "a workspace" if self.assembly != "dense" else "the result"
            lines.append(f"  sums are added into {where}")
        lines.append(f"  {'parallel over ' + self.order[0] if self.parallel else 'one thread'}")
        return "\n".join(lines)


_ASSEMBLY: dict[Assembly, str] = {
    "dense": "stored at its place",
    "pattern": "with the pattern of an operand",
    "rows": "rows counted, then filled",
    "coordinates": "coordinates counted, then listed",
}
