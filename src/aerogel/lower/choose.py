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
from aerogel.einsum.nodes import (
    Access,
    Assignment,
    Binary,
    Expr,
    Reduce,
    accesses,
    children,
    loop_indices,
    walk,
)
from aerogel.einsum.printer import text
from aerogel.einsum.semiring import reduce_rule
from aerogel.formats.levels import LEVELS, Compressed, Singleton
from aerogel.formats.tensor_format import Format, named
from aerogel.lower.absent import restrict
from aerogel.lower.ahead import aheads
from aerogel.lower.algebra import fold_of, follows, nested, terms
from aerogel.lower.estimate import Estimate, Sizes
from aerogel.lower.hoist import hoists
from aerogel.lower.operand import OperandType, Stored
from aerogel.lower.orders import orders
from aerogel.lower.scheduled import Assembly, Scheduled

CONVERT = 12.0
"""Work of converting an operand, for each value it stores."""
SCATTER = 3.0
"""Work of adding into a workspace, against that of a sum in a register."""
ADDED = 2.0
"""Work of adding into a dense result: it is read and written at every step, which a register is not."""
FAR = 4.0
"""Work of a step that jumps through a dense operand, against one that runs along it."""
VECTOR = 0.2
"""Work of a step that is a lane of a vector."""
LONG, CHAINS = 24.0, 4
"""From which length on fibers are added in several partial sums, and in how many."""
LARGE = 40_000.0
"""Estimated steps from which on another thread is worth waking."""
EMPTY = 0.05
"""Work of an element of a dense result, even where nothing is computed: its memory."""
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
        if self.conversions(formats) >= limit:
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
        form = self.wanted.out or self.natural(order, estimate)
        scheduled = self.laid_out(order, operands, form, outer, scatter=scatter)
        if scheduled is None:
            return None
        work = self.work(scheduled, estimate)
        if not scatter:
            met = hoists(nested(self.assignment.expr, order), order, outer, estimate)
            parts = self.in_parts(scheduled, work)
            scheduled = replace(scheduled, hoists=met, partial=parts, parallel=scheduled.parallel or parts)
            stored = {a: estimate.stored(a) for a in accesses(self.assignment.expr)}
            soon = aheads(self.assignment.expr, stored, self.sizes.extents, scheduled.vector)
            chains = self.chains(nested(self.assignment.expr, order), order[:outer], estimate)
            scheduled = replace(scheduled, aheads=soon, chains=chains)
        return Choice(scheduled, formats, work, form)

    def chains(self, expr: Expr, outside: tuple[str, ...], estimate: Estimate) -> int:
        """Into how many partial sums a fiber is added: several where fibers are long. Of short ones the next
        sum is begun before the last is done, and the loop over what four do not divide costs more."""
        if isinstance(expr, Reduce):
            within = self.chains(expr.body, (*outside, expr.index), estimate)
            long = estimate.steps(expr.body, expr.index, outside) >= LONG
            return max(within, CHAINS if long else 1)
        return max((self.chains(child, outside, estimate) for child in children(expr)), default=1)

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

    # --- the output -----------------------------------------------------------------------------

    def natural(self, order: tuple[str, ...], estimate: Estimate) -> Format:
        """The format a result has if none is asked for: compressed where only what is stored is visited."""
        out = self.assignment.out.indices
        loops = [i for i in order if i in out]
        kinds = [self.is_sparse(i, order, estimate) for i in loops]
        if len(out) == 1 and any(len(a.indices) > 1 for a in accesses(self.assignment.expr)):
            kinds = [False]
        if not any(kinds):
            return named("dense", len(out))
        first, last = kinds.index(True), len(kinds) - 1 - kinds[::-1].index(True)
        if last == 0 and len(kinds) > 1:
            # Whole rows of a dense result: as with vectors, nobody wants them listed.
            return named("dense", len(out))
        modes = tuple(out.index(i) for i in loops)
        if first == 0 and last == len(kinds) - 1 and self.all_coo():
            return replace(named("coo", len(out)), order=modes)
        dense, compressed = LEVELS["dense"], LEVELS["compressed"]
        levels = (dense,) * first + (compressed,) * (last + 1 - first) + (dense,) * (len(kinds) - 1 - last)
        return Format(levels, modes)

    def all_coo(self) -> bool:
        sparse = [o.format for o in self.operands.values() if not o.format.dense]
        return all(form == replace(named("coo", form.rank), order=form.order) for form in sparse)

    def is_sparse(self, index: str, order: tuple[str, ...], estimate: Estimate) -> bool:
        """Whether the loop over an index of the output visits only what operands store."""
        outside = order[: order.index(index)]
        expr = self.assignment.expr
        asked = [
            a
            for a in dict.fromkeys(accesses(expr))
            if index in a.indices and not estimate.stored(a).dense and not self._is_dense(a, index, estimate)
        ]
        walked = estimate.walked(expr, index, outside)
        return bool(asked) and bool(walked or asked) and restrict(expr, asked, self.assignment.zero) is None

    @staticmethod
    def _is_dense(access: Access, index: str, estimate: Estimate) -> bool:
        stored = estimate.stored(access)
        return stored.level(stored.indices.index(index)).full

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
        out = self.assignment.out
        levels = tuple(out.indices[mode] for mode in form.order)
        pattern = None if scatter else self.pattern(form, operands)
        assembly, inside, appended = self.assembly(form, order, scatter=scatter)
        loops = tuple(i for i in order if i in out.indices)
        if pattern is not None and loops == levels:
            assembly, inside, appended = "pattern", form, pattern[1]
        if assembly in ("rows", "coordinates"):
            in_order = tuple(i for i in order if i in out.indices)
            head = tuple(out.indices[m] for m in inside.order)
            if in_order[:appended] != head[:appended]:
                return None
            if scatter and (len(in_order) != outer + 1 or appended != len(in_order)):
                return None
            if scatter and self.sizes.extents[in_order[-1]] > WIDEST:
                return None
        vector = self.vector(order, operands, inside, assembly, appended, outer, scatter=scatter)
        parallel = self.parallel(order)
        return Scheduled(
            assignment=self.assignment,
            operands=tuple(operands[name] for name in sorted(operands)),
            out=inside,
            compute=self.compute,
            dtype=self.dtype,
            order=order,
            outer=outer,
            scatter=scatter,
            assembly=assembly,
            appended=appended,
            vector=vector,
            parallel=parallel,
            index=self.index(),
            pattern=pattern[0] if pattern and assembly == "pattern" else None,
        )

    def index(self) -> DType:
        extents = [self.sizes.extents[i] for i in self.assignment.out.indices]
        wide = max(extents, default=0) > 2**31 - 1
        return DType.I64 if wide else DType.I32

    def assembly(
        self, form: Format, order: tuple[str, ...], *, scatter: bool
    ) -> tuple[Assembly, Format, int]:
        """How an output of this format comes about: the assembly, the format it is made in, and how many of
        its levels are appended to."""
        if form.dense and not form.block:
            return "dense", form, 0
        out = self.assignment.out.indices
        kinds = form.levels[: form.rank]
        last = max((k for k, level in enumerate(kinds) if not level.full), default=-1)
        plain = not form.block and all(isinstance(level, Compressed) or level.full for level in kinds)
        loops = tuple(i for i in order if i in out)
        modes = tuple(out.index(i) for i in loops)
        # A row needs a loop of its own, over rows that every thread has apart.
        rows = plain and last >= 1 and all(level.full for level in kinds[:last]) and form.order == modes
        if rows and (last == form.rank - 1 or not scatter):
            return "rows", form, last + 1
        # Anything else is listed in the order of loops; its levels are made from the list.
        trailing = form.rank - 1 - last if plain and form.order == modes and not scatter else 0
        dense = (LEVELS["dense"],) * trailing
        listed = named("coo", form.rank - trailing)
        return "coordinates", Format((*listed.levels, *dense), modes), form.rank - trailing

    def pattern(self, form: Format, operands: Mapping[str, OperandType]) -> tuple[str, int] | None:
        """The operand whose first levels the output has, and how many; dense ones may follow."""
        expr = self.assignment.expr
        out = tuple(self.assignment.out.indices[mode] for mode in form.order)
        if form.block or form.dense:
            return None
        shared = 1 + max(k for k, level in enumerate(form.levels) if not level.full)
        kinds = form.levels[:shared]
        if any(isinstance(level, Singleton) or not (level.compact and level.unique) for level in kinds):
            return None
        for access in dict.fromkeys(accesses(expr)):
            stored = Stored.of(access, operands[access.tensor])
            if stored.indices[:shared] != out[:shared] or stored.operand.format.levels[:shared] != kinds:
                continue
            if set(stored.indices[shared:]) & set(out) or restrict(expr, [access], self.assignment.zero):
                continue
            others = [a for a in accesses(expr) if a != access and set(a.indices) & set(out)]
            if all(operands[a.tensor].format.dense for a in others):
                return access.tensor, shared
        return None

    # --- vectors and threads ----------------------------------------------------------------------

    def vector(
        self,
        order: tuple[str, ...],
        operands: Mapping[str, OperandType],
        form: Format,
        assembly: Assembly,
        appended: int,
        outer: int,
        *,
        scatter: bool,
    ) -> str | None:
        """The index that can run in lanes: the last loop over the output, side by side wherever it stands."""
        out = self.assignment.out.indices
        if self.compute is DType.BOOL or self.dtype is not self.compute or not out:
            return None
        if assembly != "dense" and (scatter or appended == form.rank):
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

    # --- work ---------------------------------------------------------------------------------------

    def conversions(self, formats: Mapping[str, Format]) -> float:
        """The work of bringing every operand into its format."""
        changed = [name for name, operand in self.operands.items() if formats[name] != operand.format]
        return sum(CONVERT * max(1, self.sizes.counts[name][-1]) for name in changed)

    def work(self, scheduled: Scheduled, estimate: Estimate) -> float:
        total = self.conversions({name: operand.format for name, operand in estimate.operands.items()})
        if scheduled.assembly == "dense":
            total += EMPTY * math.prod(self.sizes.extents[i] for i in self.assignment.out.indices)
        twice = 2.0 if scheduled.assembly in ("rows", "coordinates") else 1.0
        outer = scheduled.order[: scheduled.outer]
        expr = self.assignment.expr
        if scheduled.scatter:
            for term in terms(expr, fold_of(expr)):
                loops = tuple(
                    i for i in scheduled.order if i in self.assignment.out.indices or i in term.loops
                )
                weight = ADDED if scheduled.assembly == "dense" else SCATTER
                total += twice * weight * self.loops(term.body, (), loops, scheduled, estimate)
            return total
        total += twice * self.loops(expr, (), outer, scheduled, estimate)
        whole = nested(expr, scheduled.order)
        return total + self.sums(whole, whole, outer, scheduled, estimate)

    def sums(
        self,
        expr: Expr,
        term: Expr,
        outside: tuple[str, ...],
        scheduled: Scheduled,
        estimate: Estimate,
    ) -> float:
        """The work of the sums in ``expr``, once for every coordinate outside that ``term``, which it is part
        of, visits."""
        if isinstance(expr, Reduce):
            steps = self.steps(expr.body, expr.index, outside, scheduled, estimate)
            inside = self.sums(expr.body, term, (*outside, expr.index), scheduled, estimate)
            return estimate.visits(term, outside) * steps + inside
        apart = isinstance(expr, Binary) and expr.op in ("add", "sub")
        parts = children(expr)
        return sum(self.sums(p, p if apart else term, outside, scheduled, estimate) for p in parts)

    def loops(
        self,
        expr: Expr,
        outside: tuple[str, ...],
        loops: tuple[str, ...],
        scheduled: Scheduled,
        estimate: Estimate,
    ) -> float:
        """The steps of loops inside one another."""
        total = 0.0
        for index in loops:
            total += estimate.visits(expr, outside) * self.steps(expr, index, outside, scheduled, estimate)
            outside = (*outside, index)
        return total

    def steps(
        self,
        expr: Expr,
        index: str,
        outside: tuple[str, ...],
        scheduled: Scheduled,
        estimate: Estimate,
    ) -> float:
        """The steps of one loop, each weighed."""
        lanes = scheduled.vector in (*outside, index) or self.runs_dense(expr, index, estimate)
        weight = (VECTOR if lanes else 1.0) * self.stride(expr, index, scheduled, estimate)
        return weight * estimate.steps(expr, index, outside)

    def runs_dense(self, expr: Expr, index: str, estimate: Estimate) -> bool:
        """Whether this is a sum along memory, which runs in lanes."""
        if index in self.assignment.out.indices or self.compute is DType.BOOL:
            return False
        along = [estimate.stored(a) for a in accesses(expr) if index in a.indices]
        return bool(along) and all(s.dense and s.streams(index) for s in along)

    def stride(self, expr: Expr, index: str, scheduled: Scheduled, estimate: Estimate) -> float:
        """More than 1 where the loop jumps through a dense operand or result."""
        jumps = [
            stored
            for stored in (estimate.stored(a) for a in dict.fromkeys(accesses(expr)))
            if stored.dense
            and index in stored.indices
            and not stored.streams(index)
            and scheduled.order[-1] == index
            and scheduled.vector is None
        ]
        return FAR if jumps else 1.0


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
