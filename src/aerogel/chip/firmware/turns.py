"""What does not fit the fabric whole takes turns on it: configurations one after another.

An expression is cut at intermediate results: each part is configured and run on its own, and what it gives is
an operand of those that follow, by way of the global buffer and DRAM like every result and every operand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.halves import Filling, Halves, halves
from aerogel.chip.firmware.translate import Options, Translated, renewed, translated
from aerogel.chip.mapping.fit import FitError
from aerogel.core.dtypes import DType
from aerogel.core.errors import ChipError, UnsupportedError
from aerogel.einsum.check import extents
from aerogel.einsum.dtypes import result_dtype
from aerogel.einsum.nodes import Assignment, accesses, loop_indices
from aerogel.einsum.printer import text
from aerogel.formats.storage import Storage
from aerogel.lower.choose import Wanted
from aerogel.tensor.request import Request, converted, prepare, used_by

TRIED = 8
"""Ways to cut an expression that are tried before it is said that none does."""
DEEPER = 2
"""Of these, ways whose rest is cut again where it does not fit either."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one configuration computes. ``made``: which of its operands are results of earlier parts."""

    request: Request
    translated: Translated
    dtype: DType
    made: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Of the result."""
        return self.request.spelt.out.tensor

    @property
    def text(self) -> str:
        return text(self.request.spelt)

    def of(self, known: Mapping[str, Storage]) -> Part:
        """The same part for the results that earlier ones gave, which at first were only foreseen.

        ``known``: operands by their own names, results of earlier parts among them."""
        if not self.made:
            return self
        used = used_by(self.request, {name: known[name] for name in self.request.sources.values()})
        return replace(self, translated=renewed(self.translated, used))

    def rearranged(self, known: Mapping[str, Storage]) -> int:
        """Values of earlier results that the host brings into another format for this part."""
        operands = self.translated.plan.operands
        return sum(
            len(known[source].values)
            for alias, source in self.request.sources.items()
            if source in self.made
            and any(one.source == alias and one.format != known[source].format for one in operands.values())
        )


def parts(
    request: Request, given: Mapping[str, Storage], fabric: Fabric, options: Options
) -> tuple[tuple[Part, ...], str]:
    """The configurations that compute an assignment, in their order, and why there is more than one, or "".

    ChipError where the fabric cannot run it, and where nothing that it can be cut into fits either.
    """
    turns = _Turns(fabric, options, frozenset(given))
    try:
        return (turns.part(request.spelt, given),), ""
    except FitError as error:
        if options.copies not in (None, 1) or not _finite(given, request.assignment.zero):
            raise
        found = turns.cut(request.spelt, given)
        if not found:
            raise
        return found, str(error).partition(";")[0]


def _finite(given: Mapping[str, Storage], zero: float) -> bool:
    """Whether a zero times any value is zero."""
    return all(bool((np.isfinite(one.values) | (one.values == zero)).all()) for one in given.values())


@dataclass(frozen=True, slots=True)
class _Turns:
    """``own``: the names of operands that are given, not made."""

    fabric: Fabric
    options: Options
    own: frozenset[str]

    def part(self, assignment: Assignment, known: Mapping[str, Storage], *, last: bool = True) -> Part:
        """An assignment as one configuration. FitError: it does not fit; ChipError: no graph does it."""
        request = Request.of(assignment)
        given = {name: known[name] for name in request.sources.values()}
        dtypes = {name: given[source].dtype for name, source in request.sources.items()}
        made = translated(request, given, self.fabric, self._options(assignment, given, last=last))
        return Part(request, made, result_dtype(request.assignment, dtypes), frozenset(given) - self.own)

    def _options(self, assignment: Assignment, given: Mapping[str, Storage], *, last: bool) -> Options:
        """Those of the whole, as far as they are of this assignment."""
        order, formats, graph = self.options.order, self.options.formats, self.options.graph
        loops = loop_indices(assignment)
        return replace(
            self.options,
            order=None if order is None else tuple(i for i in order if i in loops),
            formats=None if formats is None else {n: f for n, f in formats.items() if n in given},
            graph=graph if last else replace(graph, softmax=False),
        )

    def cut(self, assignment: Assignment, known: Mapping[str, Storage]) -> tuple[Part, ...]:
        """The parts of an assignment that does not fit as a whole; () where none are found."""
        name = _unused(assignment, known)
        deeper: list[tuple[Part, Halves, Mapping[str, Storage]]] = []
        ways = halves(assignment, name, self._filling(assignment, known))
        for way in [one for one in ways if self._may_fit(one.first, known)][:TRIED]:
            try:
                first = self.part(way.first, known, last=False)
                more = {**known, name: self._foreseen(first, known)}
            except (ChipError, UnsupportedError):
                continue
            try:
                if self._may_fit(way.rest, more):
                    return first, self.part(way.rest, more)
                deeper.append((first, way, more))
            except FitError:
                deeper.append((first, way, more))
            except ChipError:
                continue
        found = [(first, *rest) for first, way, more in deeper[:DEEPER] if (rest := self.cut(way.rest, more))]
        return min(found, key=len, default=())

    def _may_fit(self, assignment: Assignment, known: Mapping[str, Storage]) -> bool:
        """Whether there are memories for the values and coordinates of its operands and the result's values,
        at least: building every order to find out takes far longer."""
        used = [known[access.tensor].format for access in accesses(assignment.expr)]
        return sum(1 + sum(not level.full for level in f.levels) for f in used) < self.fabric.memory_tiles

    def _filling(self, assignment: Assignment, known: Mapping[str, Storage]) -> Filling:
        used = {access.tensor: known[access.tensor] for access in accesses(assignment.expr)}
        shares = {n: len(s.values) / max(1, int(np.prod(s.shape, dtype=np.int64))) for n, s in used.items()}
        return Filling(shares, extents(assignment, {name: one.shape for name, one in used.items()}))

    def _foreseen(self, part: Part, known: Mapping[str, Storage]) -> Storage:
        """The result of a part, from this CPU: what follows is planned with it, and run with the chip's."""
        given = {name: known[name] for name in part.request.sources.values()}
        found = prepare(part.request, given, Wanted()).run(given, 1)
        return converted(found, part.translated.plan.form, part.request.assignment.zero)


def _unused(assignment: Assignment, known: Mapping[str, Storage]) -> str:
    """A name for an intermediate result: the result's, with a number."""
    taken = {*known, assignment.out.tensor, *loop_indices(assignment)}
    number = 1
    while (name := f"{assignment.out.tensor}_{number}") in taken:
        number += 1
    return name
