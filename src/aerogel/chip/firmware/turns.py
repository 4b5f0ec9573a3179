"""What does not fit the fabric whole takes turns on it: configurations one after another.

An expression is cut at intermediate results: each part is configured and run on its own, and what it gives is
an operand of those that follow, by way of the global buffer and DRAM like every result and every operand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.halves import Filling, halves
from aerogel.chip.firmware.translate import MAPPED, Options, Translated, foretold, renewed, translated
from aerogel.chip.mapping.fit import FitError
from aerogel.core.dtypes import DType
from aerogel.core.errors import ChipError, UnsupportedError
from aerogel.einsum.check import extents
from aerogel.einsum.dtypes import result_dtype
from aerogel.einsum.nodes import Assignment, accesses, loop_indices
from aerogel.einsum.printer import text
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.lower.choose import Wanted
from aerogel.tensor.request import Request, converted, prepare, used_by

WIDTH = 8
"""Ways to cut an expression that are looked at, half as many of each rest, and so on."""
ESTIMATES = 32
"""Of the cycles of parts, at most: each takes a few tenths of a second."""
AROUND = 500
"""Cycles of a configuration besides its array's: words, and what is moved before and after. Found on
``onyx-small``, of 160 to 270 words."""


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
        if not found and turns.left < ESTIMATES:
            raise FitError(f"{error}; cut at intermediate results it does not fit either") from error
        if not found:
            raise
        return found, str(error).partition(";")[0]


def _finite(given: Mapping[str, Storage], zero: float) -> bool:
    """Whether a zero times any value is zero."""
    return all(bool((np.isfinite(one.values) | (one.values == zero)).all()) for one in given.values())


@dataclass(frozen=True, slots=True)
class _Cut:
    """Assignments one after another that together are one, and the cycles they take, estimated."""

    cycles: float
    steps: tuple[Assignment, ...]


@dataclass
class _Turns:
    """Looks for ways to cut an assignment. ``own``: the names of operands that are given, not made; ``left``:
    estimates that may still be asked for."""

    fabric: Fabric
    options: Options
    own: frozenset[str]
    left: int = ESTIMATES
    known: dict[object, tuple[float, Format] | None] = field(
        default_factory=dict[object, "tuple[float, Format] | None"]
    )
    made: dict[object, Storage] = field(default_factory=dict[object, Storage])

    def part(self, assignment: Assignment, known: Mapping[str, Storage], *, last: bool = True) -> Part:
        """An assignment as one configuration. FitError: it does not fit; ChipError: no graph does it."""
        request, given = _asked(assignment, known)
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

    # --- cutting --------------------------------------------------------------------------------------

    def cut(self, assignment: Assignment, given: Mapping[str, Storage]) -> tuple[Part, ...]:
        """The parts of an assignment that does not fit as a whole; () where none are found."""
        ways = sorted(self._ways(assignment, given, WIDTH), key=lambda way: (way.cycles, len(way.steps)))
        for way in ways[:MAPPED]:
            known, parts = dict(given), list[Part]()
            try:
                for step in way.steps:
                    last = step is way.steps[-1]
                    parts.append(self.part(step, known, last=last))
                    if not last:
                        known[parts[-1].name] = self._foreseen(step, known, parts[-1].translated.plan.form)
            except ChipError:
                continue
            return tuple(parts)
        return ()

    def _ways(self, assignment: Assignment, known: Mapping[str, Storage], width: int) -> list[_Cut]:
        """Ways to cut an assignment in two or more, of ``width`` first halves."""
        name = _unused(assignment, known)
        found: list[_Cut] = []
        ways = halves(assignment, name, self._filling(assignment, known))
        for way in [one for one in ways if self._may_fit(one.first, known)][:width]:
            first = self._estimate(way.first, known, last=False)
            if first is None or first[0] >= min((cut.cycles for cut in found), default=inf):
                continue
            try:
                more = {**known, name: self._foreseen(way.first, known, first[1])}
            except UnsupportedError:
                continue
            rest = self._estimate(way.rest, more) if self._may_fit(way.rest, more) else None
            cuts = [] if rest is None else [_Cut(AROUND + rest[0], (way.rest,))]
            if len(accesses(way.rest.expr)) > 2:
                cuts += self._ways(way.rest, more, max(1, width // 2))
            found += [_Cut(AROUND + first[0] + cut.cycles, (way.first, *cut.steps)) for cut in cuts]
        return found

    def _estimate(
        self, assignment: Assignment, known: Mapping[str, Storage], *, last: bool = True
    ) -> tuple[float, Format] | None:
        """See ``foretold``; None where it cannot be done, or enough has been estimated."""
        key = (last, _key(assignment, known))
        if key not in self.known:
            if self.left == 0:
                return None
            self.left -= 1
            request, given = _asked(assignment, known)
            options = self._options(assignment, given, last=last)
            try:
                self.known[key] = foretold(request, given, self.fabric, options)
            except ChipError:
                self.known[key] = None
        return self.known[key]

    def _may_fit(self, assignment: Assignment, known: Mapping[str, Storage]) -> bool:
        """Whether there are memories for the values and coordinates of its operands and the result's values,
        at least: building every order to find out takes far longer."""
        used = [known[access.tensor].format for access in accesses(assignment.expr)]
        return sum(1 + sum(not level.full for level in f.levels) for f in used) < self.fabric.memory_tiles

    def _filling(self, assignment: Assignment, known: Mapping[str, Storage]) -> Filling:
        used = {access.tensor: known[access.tensor] for access in accesses(assignment.expr)}
        shares = {n: len(s.values) / max(1, int(np.prod(s.shape, dtype=np.int64))) for n, s in used.items()}
        return Filling(shares, extents(assignment, {name: one.shape for name, one in used.items()}))

    def _foreseen(self, assignment: Assignment, known: Mapping[str, Storage], form: Format) -> Storage:
        """A result, from this CPU: what follows is planned with it, and run with the chip's."""
        key = (form, _key(assignment, known))
        if key not in self.made:
            request, given = _asked(assignment, known)
            found = prepare(request, given, Wanted()).run(given, 1)
            self.made[key] = converted(found, form, request.assignment.zero)
        return self.made[key]


def _asked(assignment: Assignment, known: Mapping[str, Storage]) -> tuple[Request, dict[str, Storage]]:
    request = Request.of(assignment)
    return request, {name: known[name] for name in request.sources.values()}


def _key(assignment: Assignment, known: Mapping[str, Storage]) -> object:
    """Of the same assignment of the same tensors, which may have other names elsewhere."""
    names = {access.tensor for access in accesses(assignment.expr)}
    return assignment.out.indices, assignment.expr, tuple((name, id(known[name])) for name in sorted(names))


def _unused(assignment: Assignment, known: Mapping[str, Storage]) -> str:
    """A name for an intermediate result: the result's, with a number."""
    taken = {*known, assignment.out.tensor, *loop_indices(assignment)}
    number = 1
    while (name := f"{assignment.out.tensor}_{number}") in taken:
        number += 1
    return name
