"""What is asked for, once operands are storages: its schedule and kernels, found again at the next call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aerogel.convert.convert import convert
from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, require
from aerogel.core.target import current
from aerogel.einsum.check import extents as checked_extents
from aerogel.einsum.dtypes import compute_dtype, result_dtype
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr, accesses, children, rebuilt
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format, format_of, named
from aerogel.lower.choose import Choice, Wanted, choose
from aerogel.lower.counts import Counts, counts
from aerogel.lower.estimate import Sizes
from aerogel.lower.kernel import Call, Kernel, Listed, kernel
from aerogel.lower.operand import OperandType
from aerogel.native.pool import pool
from aerogel.tensor.diagonals import diagonal
from aerogel.tensor.hollow import hollow, interpreted
from aerogel.tensor.listed import storage_of

# In nanoseconds, roughly, as ``Choice.work`` is: what a thread should get at least; and from what work on
# even one that sleeps is woken, which takes a millisecond on some virtual machines.
WORTH_A_THREAD = 20_000.0
WORTH_WAKING = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Request:
    """An assignment in which every access names a tensor of its own, and which operand each of those is.

    ``spelt``: as it was, but for accumulation. ``along``: for each name that is a diagonal, which of its
    modes each mode of the operand runs along: (0, 0, 1) of A(i,i,j), which is read as D(i,j); else ().
    """

    spelt: Assignment
    assignment: Assignment
    sources: Mapping[str, str]
    along: Mapping[str, tuple[int, ...]]

    @staticmethod
    def of(assignment: Assignment) -> Request:
        """Each access under its own name, since each may have to be stored in another order; an accumulation
        as the operation it is."""
        assignment = _accumulated(assignment)
        names: dict[Access, str] = {}
        for access in dict.fromkeys(accesses(assignment.expr)):
            taken = set(names.values())
            name = access.tensor
            while name in taken or (name != access.tensor and name in {a.tensor for a in names}):
                name += "_"
            names[access] = name
        expr = _renamed(assignment.expr, names)
        sources = {new: old.tensor for old, new in names.items()}
        along = {name: _along(access.indices) for access, name in names.items()}
        return Request(assignment, replace(assignment, expr=expr), sources, along)


def _once(indices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(indices))


def _along(indices: tuple[str, ...]) -> tuple[int, ...]:
    once = _once(indices)
    return () if once == indices else tuple(once.index(i) for i in indices)


def _renamed(expr: Expr, names: Mapping[Access, str]) -> Expr:
    if isinstance(expr, Access):
        return Access(names[expr], _once(expr.indices))
    return rebuilt(expr, tuple(_renamed(child, names) for child in children(expr)))


def _accumulated(assignment: Assignment) -> Assignment:
    if assignment.accumulate is None:
        return assignment
    expr = Binary(assignment.accumulate, assignment.out, assignment.expr)
    return replace(assignment, expr=expr, accumulate=None)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A schedule with its kernel. ``out``: the format the result is to have.
    ``modes``: which index each mode of each given operand is, to be checked at every call.
    ``hollow``: whether loops over what is stored would miss what is folded from nothing."""

    request: Request
    choice: Choice
    kernel: Kernel
    out: Format
    modes: tuple[tuple[str, int, str], ...]
    uses: tuple[tuple[str, str, Format], ...]
    hollow: bool = False

    def extents(self, given: Mapping[str, Storage]) -> dict[str, int]:
        """The extent of every index; InputError where operands do not fit each other."""
        found: dict[str, int] = {}
        for name, mode, index in self.modes:
            size = given[name].shape[mode]
            if found.setdefault(index, size) != size:
                checked_extents(self.request.spelt, {name: storage.shape for name, storage in given.items()})
        return found

    def stored(self, given: Mapping[str, Storage]) -> dict[str, Storage]:
        """The operands as the kernel takes them, under its names for them."""
        storages: dict[str, Storage] = {}
        for name, source, form in self.uses:
            storage = given[source]
            if self.request.along[name]:
                storage = diagonal(storage, self.request.along[name])
            if storage.format is not form:
                storage = converted(storage, form, self.request.assignment.zero)
            storages[name] = storage
        return storages

    def counts(self, given: Mapping[str, Storage]) -> Counts:
        """Operations and bytes, gross and effective, for operands under their own names."""
        used = used_by(self.request, given)
        return counts(self.request.assignment, used, self.out, self.choice.scheduled.dtype)

    def run(self, given: Mapping[str, Storage], threads: int) -> Storage:
        """The result of operands under their own names."""
        if self.hollow:
            found = interpreted(self.request.assignment, self.stored(given))
            return converted(found, self.out, self.request.assignment.zero)
        return self.made(self.call(given, self.threads(threads)))

    def threads(self, wanted: int) -> int:
        """How many threads a call for ``wanted`` gets: little work is not worth waking another."""
        work = self.choice.work
        if wanted == 1 or work < 2 * WORTH_A_THREAD or not self.choice.scheduled.parallel:
            return 1
        lively = work >= WORTH_WAKING or pool().lively()
        return pool().ready(int(min(wanted, work / WORTH_A_THREAD))) if lively else 1

    def call(self, given: Mapping[str, Storage], threads: int) -> Call:
        """A call for operands under their own names, on as many threads as ``threads`` said."""
        extents = self.extents(given)
        return self.kernel.call(self.stored(given), extents, threads)

    def made(self, call: Call) -> Storage:
        """The result of a call."""
        found = self.kernel.make(call)
        if isinstance(found, Listed):
            return storage_of(found, self.choice.scheduled, self.out, call.extents)
        return found if found.format is self.out or found.format == self.out else convert(found, self.out)


def converted(storage: Storage, wanted: Format, zero: float = 0) -> Storage:
    """The storage in another format; made once for each, as long as the storage lives.

    A value that a dense level keeps is left out where it is ``zero``, what counts as not stored: under
    min_plus a 0 in a block stays a distance of 0.
    """
    if storage.format == wanted:
        return storage
    key = ("format", wanted, zero)
    found = storage.memo.get(key)
    if found is None:
        if storage.fill != zero and storage.format.levels[-1].full:
            places, values = coordinates(storage)
            found = pack(places, values, storage.shape, wanted, fill=storage.fill, index=storage.index)
        else:
            found = convert(storage, wanted)
        storage.memo[key] = found
    return found


def prepare(request: Request, given: Mapping[str, Storage], wanted: Wanted) -> Prepared:
    """The schedule and kernel for operands like these."""
    assignment = request.assignment
    for name, storage in given.items():
        _check_fill(name, storage, assignment.zero)
    used = used_by(request, given)
    dtypes = {name: storage.dtype for name, storage in used.items()}
    shapes = {name: storage.shape for name, storage in used.items()}
    extents = checked_extents(assignment, shapes)
    out = assignment.out.indices
    require(
        len(set(out)) == len(out),
        InputError,
        f"{assignment.out.tensor}({','.join(out)}): an index stands twice in the result: give each its own",
    )
    operands = {
        name: OperandType(name, storage.format, storage.dtype, storage.index)
        for name, storage in used.items()
    }
    sizes = Sizes(extents, {name: storage.counts() for name, storage in used.items()})
    compute, dtype = compute_dtype(assignment, dtypes), result_dtype(assignment, dtypes)
    inner = None if wanted.out is None else _reachable(wanted.out)
    choice = choose(assignment, operands, sizes, compute, dtype, replace(wanted, out=inner))
    sources = request.sources
    modes = tuple(
        (access.tensor, mode, index)
        for access in accesses(request.spelt.expr)
        for mode, index in enumerate(access.indices)
    )
    uses = tuple((name, source, choice.formats[name]) for name, source in sources.items())
    return Prepared(
        request,
        choice,
        kernel(choice.scheduled, current()),
        wanted.out or choice.out,
        modes,
        uses,
        # Sizes that share a plan are all 0, or none is.
        hollow(assignment, extents),
    )


def used_by(request: Request, given: Mapping[str, Storage]) -> dict[str, Storage]:
    """The operands under the names that the assignment has for them, without blocks."""
    return {
        name: flat(diagonal(given[source], request.along[name]), request.assignment.zero)
        for name, source in request.sources.items()
    }


def _reachable(out: Format) -> Format:
    """The format in which a kernel makes a result that is to have format ``out``."""
    return named("csr", 2) if out.block else out


def _check_fill(name: str, storage: Storage, zero: float) -> None:
    """What is not stored is ``zero`` to kernels. A fill of 0 says no more than that nothing is there."""
    require(
        storage.format.dense or storage.fill in (0, zero),
        InputError,
        f"{name}: what is not stored is {storage.fill}, but counts as {zero} here: give {name}.to_numpy(), "
        "or a tensor with that fill",
    )


def flat(storage: Storage, zero: float) -> Storage:
    """The storage without blocks: kernels know rows and columns."""
    return converted(storage, named("csr", 2), zero) if storage.format.block else storage


def wanted_format(out_format: Any, rank: int) -> Format | None:
    return None if out_format is None else format_of(out_format, rank)
