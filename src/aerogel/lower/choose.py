"""The schedule of an assignment: which order of loops, which output format, which operands to convert.

Every order of the indices is tried where they are few, and the one with the least estimated work is taken.
An operand whose levels do not come in the order of the loops must be converted, which counts as work too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.einsum.nodes import Assignment, Expr, Reduce, accesses, children, loop_indices, walk
from aerogel.einsum.printer import text
from aerogel.einsum.semiring import reduce_rule
from aerogel.formats.levels import LEVELS
from aerogel.formats.tensor_format import Format
from aerogel.lower.ahead import aheads
from aerogel.lower.algebra import fold_of, follows, nested, terms
from aerogel.lower.estimate import Estimate, Sizes
from aerogel.lower.hoist import hoists
from aerogel.lower.operand import OperandType, Stored
from aerogel.lower.orders import orders
from aerogel.lower.result import Made, made, natural
from aerogel.lower.scheduled import Scheduled
from aerogel.lower.work import Work

CONVERT = 12.0
"""Work of converting an operand, for each value it stores."""
LONG, CHAINS = 24.0, 4
"""From which length on fibers are added in several partial sums, and in how many."""
LANES_FROM = 12.0
"""From which length on sums of products take several positions at a time: of shorter ones most is left over,
and two loops for each are guessed wrong more often than one."""
LARGE = 40_000.0
"""Estimated steps from which on another thread is worth waking."""
WIDEST = 1 << 28
"""Elements of a workspace, at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller fixed. ``out``: the output's format; ``order``: of loops; ``workspace``, ``parallel``:
    whether to use them; None: to be chosen."""

    out: Format | None = None
    order: tuple[str, ...] | None = None
    workspace: bool | None = None
    parallel: bool | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A schedule, the format in which each operand must come, the work it was chosen for, and the format that
    the output is to have in the end."""

    scheduled: Scheduled
    formats: Mapping[str, Format]
    work: float
    out: Format


@dataclass(frozen=True, slots=True)
class _Chooser:
    assignment: Assignment
    operands: Mapping[str, OperandType]
    sizes: Sizes
    compute: DType
    dtype: DType
    wanted: Wanted

    # --- candidates ---------------------------------------------------------------------------

    def best(self) -> Choice:
        found: Choice | None = None
        refused = self.refusal()
        for order in self.orders():
            for scatter in (False, True):
                try:
                    limit = math.inf if found is None else found.work
                    candidate = self.candidate(order, limit, scatter=scatter)
                except UnsupportedError as error:
                    refused = str(error)
                    continue
                if candidate is not None and (found is None or candidate.work < found.work):
                    found = candidate
        if found is None:
            raise UnsupportedError(f"{text(self.assignment)}: {refused}")
        return found

    def refusal(self) -> str:
        """What to say where nothing fits."""
        wanted = self.wanted
        asked = [f"order={','.join(wanted.order)}"] if wanted.order is not None else []
        asked += [f"workspace={wanted.workspace}"] if wanted.workspace is not None else []
        asked += [f"out_format={wanted.out.short}"] if wanted.out is not None else []
        return (
            f"no loops fit {', '.join(asked) or 'it'}: a sparse result is made in the order of its levels, "
            "and only sums that nothing encloses can stand outside of its loops; leave these to be chosen, "
            "or ask for out_format='dense'"
        )

    def orders(self) -> Iterator[tuple[str, ...]]:
        names = loop_indices(self.assignment)
        if self.wanted.order is not None:
            require(
                sorted(self.wanted.order) == sorted(names),
                InputError,
                f"order={self.wanted.order!r} must name each index once: {', '.join(names)}",
            )
            return iter([self.wanted.order])
        return orders(names, [Stored.of(a, self.operands[a.tensor]) for a in accesses(self.assignment.expr)])

    def candidate(self, order: tuple[str, ...], limit: float, *, scatter: bool) -> Choice | None:
        """This order, with sums as scalars or scattered; None where that makes no sense, or where conversions
        alone are as much work as ``limit``."""
        if self.wanted.workspace is not None and scatter != self.wanted.workspace:
            return None
        out = self.assignment.out.indices
        formats = self.formats(order)
        converting = self.conversions(formats)
        if converting >= limit:
            return None
        operands = {n: replace(o, format=formats[n]) for n, o in self.operands.items()}
        estimate = Estimate(operands, self.converted_sizes(formats), self.assignment.zero)
        first = [i for i in order if i in out]
        if not scatter:
            if list(order[: len(out)]) != first or not follows(nested(self.assignment.expr, order), order):
                return None
            outer = len(out)
        else:
            if not self.may_scatter(order):
                return None
            outer = next(k for k, i in enumerate(order) if i not in out)
        form = self.wanted.out or natural(self.assignment, order, self.operands, estimate)
        scheduled = self.laid_out(order, operands, form, outer, scatter=scatter)
        if scheduled is None:
            return None
        work = converting + Work(scheduled, estimate).total()
        if not scatter:
            met = hoists(nested(self.assignment.expr, order), order, outer, estimate)
            parts = self.in_parts(scheduled, work)
            scheduled = replace(scheduled, hoists=met, partial=parts, parallel=scheduled.parallel or parts)
            stored = {a: estimate.stored(a) for a in accesses(self.assignment.expr)}
            soon = aheads(self.assignment.expr, stored, self.sizes.extents, scheduled.vector)
            steps = self.longest(nested(self.assignment.expr, order), order[:outer], estimate)
            chains = CHAINS if steps >= LONG else 1
            scheduled = replace(scheduled, aheads=soon, chains=chains, in_lanes=steps >= LANES_FROM)
        return Choice(scheduled, formats, work, form)

    def longest(self, expr: Expr, outside: tuple[str, ...], estimate: Estimate) -> float:
        """Of the sums in ``expr``, how many steps the longest takes, on average; 0 where there is none."""
        if isinstance(expr, Reduce):
            steps = estimate.steps(expr.body, expr.index, outside)
            return max(steps, self.longest(expr.body, (*outside, expr.index), estimate))
        return max((self.longest(child, outside, estimate) for child in children(expr)), default=0.0)

    def in_parts(self, scheduled: Scheduled, work: float) -> bool:
        """Whether a scalar is worth summing in parts, which threads share."""
        whole = nested(self.assignment.expr, scheduled.order)
        if scheduled.out.rank or work < LARGE or self.wanted.parallel is False:
            return False
        if not isinstance(whole, Reduce) or whole.index != scheduled.order[0]:
            return False
        return reduce_rule(whole.op, self.assignment.zero) == "skip" and self.compute is self.dtype

    def may_scatter(self, order: tuple[str, ...]) -> bool:
        """Whether sums can be added up out of order: they are at the top, and not all innermost already."""
        expr = self.assignment.expr
        fold = fold_of(expr)
        out = self.assignment.out.indices
        if reduce_rule(fold, self.assignment.zero) != "skip" or self.compute is not self.dtype:
            return False
        parts = terms(expr, fold)
        inner = [i for term in parts for i in term.loops]
        if any(isinstance(node, Reduce) for term in parts for node in walk(term.body)):
            return False
        after = order[next((k for k, i in enumerate(order) if i in inner), len(order)) :]
        return any(i in out for i in after)

    def formats(self, order: tuple[str, ...]) -> dict[str, Format]:
        """For each operand its format, or the nearest one whose levels come in this order."""
        found: dict[str, Format] = {}
        for access in dict.fromkeys(accesses(self.assignment.expr)):
            operand = self.operands[access.tensor]
            stored = Stored.of(access, operand)
            places = [order.index(i) for i in stored.walked]
            form = operand.format
            if places != sorted(places):
                modes = tuple(sorted(range(form.rank), key=lambda m: order.index(access.indices[m])))
                # A dense level below others would store more in another order than in this one.
                levels = form.levels if not form.levels[-1].full else (LEVELS["compressed"],) * form.rank
                form = Format(levels, modes)
            found[access.tensor] = form
        return found

    def converted_sizes(self, formats: Mapping[str, Format]) -> Sizes:
        """The counts after conversion, guessed: the leaves stay, levels above are as full as they can be."""
        counts: dict[str, tuple[int, ...]] = {}
        shapes = {a.tensor: a.indices for a in accesses(self.assignment.expr)}
        for name, form in formats.items():
            have = self.sizes.counts[name]
            if form == self.operands[name].format:
                counts[name] = have
                continue
            room, guessed = 1, []
            for mode, level in zip(form.order, form.levels, strict=True):
                room *= max(1, self.sizes.extents[shapes[name][mode]])
                guessed.append(room if level.located else min(room, have[-1]))
            counts[name] = tuple(guessed)
        return Sizes(self.sizes.extents, counts)

    # --- the schedule ---------------------------------------------------------------------------

    def laid_out(
        self,
        order: tuple[str, ...],
        operands: Mapping[str, OperandType],
        form: Format,
        outer: int,
        *,
        scatter: bool,
    ) -> Scheduled | None:
        """The schedule with its assembly; None where the output cannot be put together so."""
        result = made(self.assignment, form, order, operands, scatter=scatter)
        if not self.can_list(result, order, outer, scatter=scatter):
            return None
        return Scheduled(
            assignment=self.assignment,
            operands=tuple(operands[name] for name in sorted(operands)),
            out=result.format,
            compute=self.compute,
            dtype=self.dtype,
            order=order,
            outer=outer,
            scatter=scatter,
            assembly=result.assembly,
            appended=result.appended,
            vector=self.vector(order, operands, result, outer, scatter=scatter),
            parallel=self.parallel(order),
            index=self.index(),
            pattern=result.pattern,
        )

    def can_list(self, result: Made, order: tuple[str, ...], outer: int, *, scatter: bool) -> bool:
        """Whether a result that is counted and filled in comes in the order of its levels."""
        if result.assembly not in ("rows", "coordinates"):
            return True
        out = self.assignment.out.indices
        loops = tuple(i for i in order if i in out)
        levels = tuple(out[m] for m in result.format.order)
        if loops[: result.appended] != levels[: result.appended]:
            return False
        if not scatter:
            return True
        one_row = len(loops) == outer + 1 and result.appended == len(loops)
        return one_row and self.sizes.extents[loops[-1]] <= WIDEST

    def index(self) -> DType:
        extents = [self.sizes.extents[i] for i in self.assignment.out.indices]
        wide = max(extents, default=0) > 2**31 - 1
        return DType.I64 if wide else DType.I32

    # --- vectors and threads ----------------------------------------------------------------------

    def vector(
        self,
        order: tuple[str, ...],
        operands: Mapping[str, OperandType],
        result: Made,
        outer: int,
        *,
        scatter: bool,
    ) -> str | None:
        """The index that can run in lanes: the last loop over the output, side by side wherever it stands."""
        out = self.assignment.out.indices
        if self.compute is DType.BOOL or self.dtype is not self.compute or not out:
            return None
        form = result.format
        if result.assembly != "dense" and (scatter or result.appended == form.rank):
            return None
        index = order[-1] if scatter else order[outer - 1]
        if index not in out or out[form.order[-1]] != index or out.count(index) > 1:
            return None
        for access in accesses(self.assignment.expr):
            stored = Stored.of(access, operands[access.tensor])
            if index in access.indices and not (stored.streams(index) and access.indices.count(index) == 1):
                return None
        return index

    def parallel(self, order: tuple[str, ...]) -> bool:
        """Whether threads may share the outermost loop: each then writes what no other does."""
        if self.wanted.parallel is False or not order:
            return False
        return order[0] in self.assignment.out.indices

    def conversions(self, formats: Mapping[str, Format]) -> float:
        """The work of bringing every operand into its format."""
        changed = [name for name, operand in self.operands.items() if formats[name] != operand.format]
        return sum(CONVERT * max(1, self.sizes.counts[name][-1]) for name in changed)


def choose(
    assignment: Assignment,
    operands: Mapping[str, OperandType],
    sizes: Sizes,
    compute: DType,
    dtype: DType,
    wanted: Wanted,
) -> Choice:
    """The schedule with the least estimated work; UnsupportedError where nothing fits what is wanted."""
    return _Chooser(assignment, operands, sizes, compute, dtype, wanted).best()
