"""Einsums at random: expressions, formats, sizes, dtypes, semirings, schedules; and how each is checked.

Four machines compute each: the einsum interpreter (on what is really stored), the loop interpreter, machine
code at every target, and the public entry. Values are small multiples of a quarter, so that sums are the same
in every order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.einsum.trees import EXACT_BINARY, EXACT_UNARY, PLAIN, Trees
from tests.lower.machines import Fenced, Interpreted, assert_same

from aerogel.convert.pack import pack
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import UnsupportedError
from aerogel.core.target import Target
from aerogel.einsum.check import extents
from aerogel.einsum.interpret import interpret
from aerogel.einsum.nodes import Assignment, ReduceOp, accesses
from aerogel.einsum.parse import parse
from aerogel.einsum.printer import text
from aerogel.einsum.semiring import SEMIRINGS
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import Storage, check
from aerogel.formats.tensor_format import Format, named
from aerogel.lower.choose import Wanted
from aerogel.tensor.diagonals import diagonal
from aerogel.tensor.request import Prepared, Request, converted, prepare

Array = NDArray[Any]
SMALL = (0, 1, 2, 3, 5, 7)
LARGE = 70
"""More than two tiles of the widest vectors of eight."""

EXPRESSIONS = tuple(line.strip() for line in """
    y(i) = A(i,j) * x(j)
    y(j) = A(i,j) * x(i)
    y(i) = A(i,j) * x(j) + b(i)
    y(i) = b(i) - A(i,j) * x(j) * 2
    y(i) += A(i,j) * x(j)
    y(i) max= A(i,j) * x(j)
    C(i,j) += x(i) * y(j)
    C(i,j) = A(i,j) + B(i,j)
    C(i,j) = A(i,j) - B(i,j) + D(i,j)
    C(i,j) = A(i,j) + B(j,i)
    C(i,j) = A(i,j) * B(i,j)
    C(i,j) = A(i,j) * B(i,j) * D(i,j)
    C(i,j) = A(i,j) * (B(i,j) + D(i,j))
    C(i,j) = (A(i,j) + B(i,j)) * (D(i,j) + E(i,j))
    C(i,j) = A(j,i)
    C(i,k) = A(i,j) * B(j,k)
    C(i,k) = A(i,j) * B(j,k) + D(i,k)
    C(i,k) = A(j,i) * B(j,k)
    C(i,k) = A(i,j) * B(k,j)
    C(k,i) = A(i,j) * B(j,k)
    C(i,k) = M(i,k) * A(i,j) * B(j,k)
    C(i,k) = A(i,j) * B(j,k) - A(i,k)
    C(i,l) = A(i,j) * B(j,k) * D(k,l)
    C(i,j) = A(i,j) * U(i,k) * V(j,k)
    C(i,j) = sigmoid(U(i,k) * V(j,k)) * A(i,j)
    s = A(i,j) * B(i,j)
    s = A(i,j)
    s = A(i,i)
    s = x(i) * A(i,j) * y(j)
    s = A(i,j) * A(j,k) * A(i,k)
    y(i) = reduce_max(j, A(i,j))
    y(i) = reduce_min(j, A(i,j) * B(i,j))
    y(i) = reduce_mul(j, A(i,j))
    y(j) = reduce_max(i, A(i,j))
    y(i) = reduce_or(j, A(i,j) > B(i,j))
    y(i) = reduce_and(j, A(i,j))
    T(i,j) = X(i,j,k) * v(k)
    T(i,k) = X(i,j,k) * v(j)
    T(i,j,r) = X(i,j,k) * U(k,r)
    M(i,r) = X(i,j,k) * U(j,r) * V(k,r)
    M(j,r) = X(i,j,k) * U(i,r) * V(k,r)
    s = X(i,j,k) * Y(i,j,k)
    Z(i,j,k) = X(i,j,k) + Y(i,j,k)
    Z(k,i,j) = X(i,j,k) * Y(i,j,k)
    Z(i,k,l) = A(i,j) * X(j,k,l)
    Z(i,j,k) = X(k,j,i) - Y(i,j,k)
    y(k) = X(i,j,k)
    d(i) = X(i,j,i)
    y(i) = exp(A(i,j) * x(j))
    C(i,j) = exp(A(i,j))
    C(i,j) = sqrt(abs(A(i,j))) + B(i,j)
    C(i,j) = A(i,j) / B(i,j)
    C(i,j) = max(A(i,j), B(i,j))
    C(i,j) = min(A(i,j), B(i,j))
    C(i,j) = A(i,j) * (B(i,j) > 0.2)
    C(i,j) = A(i,j) ** 2 + B(i,j) ** 2
    C(i,j) = A(i,j) + 1
    C(i,j) = x(i) * A(i,j) * y(j)
    C(i,j) = x(i) * y(j)
    C(i,j) = x(i) + y(j)
    C(i,j) = A(i,j) + b(i)
    C(i,j) = A(i,j) + s
    y(i) = A(i,j) * A(j,i)
    y(i) = A(i,j) * (B(j,k) * x(k))
    y(i) = 2 * A(i,j) * B(j,k) * x(k) - b(i)
    C(i,j) = pair(A(i,j), B(i,j))
    z(i) = x(i) * y(i)
    z(i) = x(i) + y(i) - w(i)
    C(i,j) = -A(i,j)
    C(i,j) = 2 * A(i,j) + 3 * B(i,j)
    C(i,j) = A(i,j) & B(i,j)
    C(i,j) = A(i,j) | not(B(i,j))
    y(i) = relu(A(i,j) * x(j) + b(i))
""".strip().splitlines())  # fmt: skip


# --- formats ----------------------------------------------------------------------------------


@cache
def formats(rank: int) -> tuple[Format, ...]:
    """Every list of level kinds that is a format, in every order of modes; blocks are apart."""
    found: list[Format] = []
    for levels in product(LEVELS.values(), repeat=rank):
        for order in permutations(range(rank)):
            try:
                found.append(Format(tuple(levels), order))
            except ValueError:
                continue
    return tuple(found)


WELL_KNOWN: dict[int, tuple[str, ...]] = {
    0: ("dense",),
    1: ("dense", "sv", "bitmap"),
    2: ("dense", "csr", "csc", "coo", "dcsr", "bitmap,bitmap", "dense@1,0", "dense,bitmap"),
    3: ("dense", "csf", "coo", "csf@2,0,1", "dense,dense,compressed", "compressed,compressed,dense"),
}


def spelt(name: str, rank: int) -> Format:
    name, _, order = name.partition("@")
    form = named(name, rank)
    return replace(form, order=tuple(int(mode) for mode in order.split(","))) if order else form


@st.composite
def some_format(draw: st.DrawFn, shape: tuple[int, ...]) -> Format:
    rank = len(shape)
    kinds: list[st.SearchStrategy[Format]] = [
        st.sampled_from(WELL_KNOWN[rank]).map(lambda name: spelt(name, rank))
    ]
    kinds.append(st.sampled_from(formats(rank)))
    if rank == 2:
        blocks = [(r, c) for r in (1, 2, 3) for c in (1, 2, 5) if shape[0] % r == 0 and shape[1] % c == 0]
        kinds.append(st.sampled_from(blocks).map(lambda block: named(f"bsr:{block[0]}x{block[1]}", 2)))
    return draw(st.one_of(kinds))


# --- cases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An assignment with operands. ``dense``: as arrays, 0 where nothing is stored."""

    assignment: Assignment
    operands: Mapping[str, Storage]
    dense: Mapping[str, Array]
    wanted: Wanted
    threads: int
    order: int
    spelt: str | None = None
    semiring: str = "plus_times"
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])

    def __str__(self) -> str:
        parts = [f"{text(self.assignment)}  zero {self.assignment.zero}, sizes {dict(self.sizes)}"]
        parts += [f"{name}: {s.format.short} {s.dtype.short} {s.shape}" for name, s in self.operands.items()]
        return "; ".join([*parts, str(self.wanted)])


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, *, positive: bool) -> Array:
    """Few and exact: sums and products of them are exact too."""
    if dtype == "?":
        return rng.random(shape) < 0.7
    found = rng.integers(-4, 5, shape)
    found = abs(found) if positive else found
    return found.astype(dtype) if dtype[0] == "i" else (found / 4).astype(dtype)


def stored(rng: np.random.Generator, shape: tuple[int, ...], form: Format, dtype: str, ring: str) -> Storage:
    density = rng.choice([0, 0.05, 0.3, 0.6, 1])
    array = values(rng, shape, dtype, positive=ring == "max_times")
    mask = rng.random(shape) < density
    if form.dense:
        array = np.where(mask, array, array.dtype.type(0))
        mask = np.ones(shape, np.bool_)
    places = np.nonzero(mask) if shape else ()
    return check(pack(places, array[mask].reshape(-1), shape, form), "operand")


@st.composite
def listed(draw: st.DrawFn) -> Case:
    """An expression of the list in a semiring that can say it."""
    expression = draw(st.sampled_from(EXPRESSIONS))
    ring = draw(st.sampled_from(("plus_times", "plus_times", *SEMIRINGS)))
    try:
        assignment = parse(expression, semiring=ring)
    except ValueError:
        ring = "plus_times"
        assignment = parse(expression)
    return draw(cases(assignment, ring, expression))


@st.composite
def sums_of_products(draw: st.DrawFn) -> Case:
    """One to four accesses of tensors of any rank, joined by + and *."""
    count = draw(st.integers(1, 4))
    terms: list[str] = []
    used: list[str] = []
    for k in range(count):
        mine = draw(st.lists(st.sampled_from("ijkl"), max_size=3, unique=True))
        used += mine
        terms.append(f"T{k}({','.join(mine)})")
        if k < count - 1:
            terms.append(draw(st.sampled_from("**+")))
    out = draw(st.lists(st.sampled_from(sorted(set(used))), max_size=3, unique=True)) if used else []
    ring = draw(st.sampled_from(("plus_times", "plus_times", *SEMIRINGS)))
    expression = f"O({','.join(out)}) = {' '.join(terms)}"
    return draw(cases(parse(expression, semiring=ring), ring, expression))


@st.composite
def trees(draw: st.DrawFn) -> Case:
    """Whatever the grammar gives: all modes have one extent."""
    zero = draw(st.sampled_from((0, 0, math.inf)))
    seed = draw(st.integers(0, 2**32 - 1))
    folds: tuple[ReduceOp, ...] = ("add", "mul", "min", "max", "or", "and")
    if math.isinf(zero):
        maker = Trees(random.Random(seed), (), PLAIN, ("min", "max"), (0, 1, -2))
    else:
        maker = Trees(random.Random(seed), EXACT_UNARY, EXACT_BINARY, folds, (0, 1, 2, -3))
    made = maker.assignment(zero, 3)
    return draw(cases(Assignment(made.out, made.expr, zero), "plus_times", None))


@st.composite
def cases(draw: st.DrawFn, assignment: Assignment, ring: str, expression: str | None) -> Case:
    """Operands for an assignment, and how it is to be computed.

    Where ``zero`` is infinite a tree has no empty fold: the greatest of nothing is -inf, and what inf - inf
    is depends on whether the other side counts as stored.
    """
    whole = Request.of(assignment).spelt
    asked = accesses(whole.expr)
    same = expression is None
    least = 1 if math.isinf(assignment.zero) else 0
    base = {i: draw(st.sampled_from(SMALL)) for i in dict.fromkeys(i for a in asked for i in a.indices)}
    if same:
        base = dict.fromkeys(base, draw(st.integers(least, 4)))
    elif base and draw(st.integers(0, 5)) == 0:
        base[draw(st.sampled_from(sorted(base)))] = LARGE
    # A tensor that stands twice has one shape.
    by_tensor: dict[str, tuple[str, ...]] = {}
    for _ in range(3):
        for access in asked:
            for i, j in zip(access.indices, by_tensor.setdefault(access.tensor, access.indices), strict=True):
                base[i] = base[j]
    dtype = draw(st.sampled_from(("f8", "f8", "f4", "i8", "i4", "?")))
    mixed = draw(st.integers(0, 9)) == 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    operands: dict[str, Storage] = {}
    for name, indices in by_tensor.items():
        shape = tuple(base[i] for i in indices)
        own = str(rng.choice(["f8", "f4", "i8", "i4", "?"])) if mixed else dtype
        operands[name] = stored(rng, shape, draw(some_format(shape)), own, ring)
    sizes = extents(whole, {name: storage.shape for name, storage in operands.items()})
    return Case(
        assignment,
        operands,
        {name: spread(storage, 0)[0] for name, storage in operands.items()},
        draw(ways(assignment, tuple(sizes[i] for i in assignment.out.indices), tuple(sizes))),
        draw(st.sampled_from((1, 2))),
        draw(st.integers(0, 99)),
        expression,
        ring,
        sizes,
    )


@st.composite
def ways(draw: st.DrawFn, assignment: Assignment, shape: tuple[int, ...], names: tuple[str, ...]) -> Wanted:
    """Mostly what the schedule chooses; else something of it by hand."""
    form = None
    if shape and draw(st.booleans()):
        form = draw(some_format(shape))
    how = draw(st.integers(0, 5))
    order = tuple(draw(st.permutations(names))) if how == 0 else None
    workspace = draw(st.booleans()) if how == 1 else None
    parallel = draw(st.booleans()) if how == 2 else None
    return Wanted(form, order, workspace, parallel)


# --- checks -----------------------------------------------------------------------------------


def spread(storage: Storage, zero: float) -> tuple[Array, NDArray[np.bool_]]:
    """A storage as a dense array, ``zero`` (or the nearest there is) where nothing is; and what is stored."""
    dtype = storage.values.dtype
    nothing = zero if dtype.kind == "f" or math.isfinite(zero) else 0
    array, mask = np.full(storage.shape, nothing, dtype), np.zeros(storage.shape, np.bool_)
    places, found = coordinates(storage)
    array[places] = found if storage.shape else found[0]
    mask[places] = True
    return array, mask


def close(got: Array, want: Array, what: str) -> None:
    assert got.shape == want.shape and got.dtype == want.dtype, (what, got.dtype, want.dtype)
    # 2^-22: elementary functions of f32 have errors of their own.
    loose = 2e-5 if want.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=loose, atol=loose, err_msg=what
    )


def checked(
    case: Case, targets: tuple[Target, ...], public: Callable[[Case], Array] | None = None
) -> Prepared | None:
    """Every machine agrees; None where the schedule that is asked for is refused."""
    request = Request.of(case.assignment)
    what = str(case)
    try:
        prepared = prepare(request, case.operands, case.wanted)
    except UnsupportedError:
        # Only what is fixed by hand can be impossible.
        assert case.wanted.order is not None or case.wanted.workspace is not None, what
        return None
    scheduled = prepared.choice.scheduled
    used = {
        name: converted(
            diagonal(case.operands[source], request.along[name]),
            prepared.choice.formats[name],
            case.assignment.zero,
        )
        for name, source in request.sources.items()
    }
    given = {name: spread(storage, 0) for name, storage in used.items()}
    for name, (array, _) in given.items():
        whole, along = case.dense[request.sources[name]], request.along[name]
        seen = np.einsum(whole, list(along), sorted(set(along))) if along else whole
        np.testing.assert_array_equal(array, seen, err_msg=f"{what}: {name}")
    want = interpret(
        request.assignment, {n: a for n, (a, _) in given.items()}, {n: m for n, (_, m) in given.items()}
    )
    for target in targets:
        once = Interpreted(scheduled, target)(used, case.sizes, 1)
        here = f"{what} at {target.name}"
        native = Fenced(scheduled, target, "start" if case.order % 2 else "end")(used, case.sizes, 1)
        assert_same(native, once, here)
        if scheduled.parallel:
            many = Interpreted(scheduled, target, case.order)(used, case.sizes, 3)
            assert_same(many, once, f"{here}, 3 threads interpreted")
            both = Fenced(scheduled, target)(used, case.sizes, case.threads + 1)
            assert_same(both, once, f"{here}, {case.threads + 1} threads")
    result = prepared.run(case.operands, case.threads)
    check(result, "the result")
    if case.wanted.out is not None:
        assert result.format == case.wanted.out, what
    close(spread(result, case.assignment.zero)[0], want, what)
    if public is not None:
        close(public(case), want, what)
    return prepared
