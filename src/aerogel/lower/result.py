"""What an order of loops can make of the result: the format it has by itself, and how it is put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aerogel.einsum.nodes import Assignment, accesses
from aerogel.formats.levels import LEVELS, Compressed, Singleton
from aerogel.formats.tensor_format import Format, named
from aerogel.lower.absent import restrict
from aerogel.lower.estimate import Estimate
from aerogel.lower.operand import OperandType, Stored
from aerogel.lower.scheduled import Assembly


@dataclass(frozen=True, slots=True)
class Made:
    """How a result comes about. ``format``: in which it is made; ``appended``: how many of its levels are
    appended to, or are those of the operand ``pattern``."""

    assembly: Assembly
    format: Format
    appended: int
    pattern: str | None = None


def natural(
    assignment: Assignment,
    order: tuple[str, ...],
    operands: Mapping[str, OperandType],
    estimate: Estimate,
) -> Format:
    """The format a result has if none is asked for: compressed where only what is stored is visited.
    ``operands`` are as the caller has them, ``estimate`` knows them as the loops will."""
    out = assignment.out.indices
    loops = [i for i in order if i in out]
    kinds = [_is_sparse(assignment, i, estimate) for i in loops]
    if len(out) == 1 and any(len(a.indices) > 1 for a in accesses(assignment.expr)):
        kinds = [False]
    if not any(kinds):
        return named("dense", len(out))
    first, last = kinds.index(True), len(kinds) - 1 - kinds[::-1].index(True)
    if last == 0 and len(kinds) > 1:
        # Whole rows of a dense result: as with vectors, nobody wants them listed.
        return named("dense", len(out))
    modes = tuple(out.index(i) for i in loops)
    if first == 0 and last == len(kinds) - 1 and _all_coo(operands):
        return replace(named("coo", len(out)), order=modes)
    dense, compressed = LEVELS["dense"], LEVELS["compressed"]
    levels = (dense,) * first + (compressed,) * (last + 1 - first) + (dense,) * (len(kinds) - 1 - last)
    return Format(levels, modes)


def made(
    assignment: Assignment,
    form: Format,
    order: tuple[str, ...],
    operands: Mapping[str, OperandType],
    *,
    scatter: bool,
) -> Made:
    """How an output of this format comes about: with the pattern of an operand where it has one."""
    out = assignment.out.indices
    loops = tuple(i for i in order if i in out)
    if not scatter and loops == tuple(out[mode] for mode in form.order):
        pattern = _pattern(assignment, form, operands)
        if pattern is not None:
            return pattern
    return _assembled(out, form, loops, scatter=scatter)


def _assembled(out: tuple[str, ...], form: Format, loops: tuple[str, ...], *, scatter: bool) -> Made:
    """How an output with a pattern of its own comes about in ``loops`` over its indices ``out``."""
    if form.dense and not form.block:
        return Made("dense", form, 0)
    kinds = form.levels[: form.rank]
    last = max((k for k, level in enumerate(kinds) if not level.full), default=-1)
    plain = not form.block and all(isinstance(level, Compressed) or level.full for level in kinds)
    modes = tuple(out.index(i) for i in loops)
    # A row needs a loop of its own, over rows that every thread has apart.
    rows = plain and last >= 1 and all(level.full for level in kinds[:last]) and form.order == modes
    if rows and (last == form.rank - 1 or not scatter):
        return Made("rows", form, last + 1)
    # Anything else is listed in the order of loops; its levels are made from the list.
    trailing = form.rank - 1 - last if plain and form.order == modes and not scatter else 0
    dense = (LEVELS["dense"],) * trailing
    listed = named("coo", form.rank - trailing)
    return Made("coordinates", Format((*listed.levels, *dense), modes), form.rank - trailing)


def _pattern(assignment: Assignment, form: Format, operands: Mapping[str, OperandType]) -> Made | None:
    """With the first levels of an operand, where the output has the same; dense ones may follow."""
    expr = assignment.expr
    out = tuple(assignment.out.indices[mode] for mode in form.order)
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
        if set(stored.indices[shared:]) & set(out) or restrict(expr, [access], assignment.zero):
            continue
        others = [a for a in accesses(expr) if a != access and set(a.indices) & set(out)]
        if all(operands[a.tensor].format.dense for a in others):
            return Made("pattern", form, shared, access.tensor)
    return None


def _all_coo(operands: Mapping[str, OperandType]) -> bool:
    sparse = [o.format for o in operands.values() if not o.format.dense]
    return all(form == replace(named("coo", form.rank), order=form.order) for form in sparse)


def _is_sparse(assignment: Assignment, index: str, estimate: Estimate) -> bool:
    """Whether the loop over an index of the output visits only what operands store."""
    asked = [
        access
        for access in dict.fromkeys(accesses(assignment.expr))
        if index in access.indices and not _full(estimate.stored(access), index)
    ]
    return bool(asked) and restrict(assignment.expr, asked, assignment.zero) is None


def _full(stored: Stored, index: str) -> bool:
    """Whether an operand stores every coordinate of ``index``."""
    return stored.dense or stored.level(stored.indices.index(index)).full
