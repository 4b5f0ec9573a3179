"""``build``: from index notation, or a scheduled einsum, to a dataflow graph and what it must be fed with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from aerogel.chip.graph.blocks import Root
from aerogel.chip.graph.compose import Composer
from aerogel.chip.graph.feeds import Feed
from aerogel.chip.graph.finish import softmax, written
from aerogel.chip.graph.graph import Graph
from aerogel.chip.graph.interpret import Traces, interpret
from aerogel.chip.graph.sums import settled, unprimed
from aerogel.chip.graph.variants import with_bits, with_skips
from aerogel.chip.graph.wiring import Wiring
from aerogel.core.errors import ChipError, InputError, UnsupportedError, require
from aerogel.einsum.check import extents as checked_extents
from aerogel.einsum.dtypes import compute_dtype, result_dtype
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr, Reduce, children, loop_indices, rebuilt
from aerogel.einsum.parse import parse
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import Storage, index_type
from aerogel.formats.tensor_format import Format, format_of
from aerogel.lower.algebra import fold_of, nested, terms
from aerogel.lower.choose import Wanted, choose
from aerogel.lower.estimate import Sizes
from aerogel.lower.operand import OperandType
from aerogel.lower.scheduled import Scheduled
from aerogel.tensor.coerce import operand
from aerogel.tensor.diagonals import diagonal
from aerogel.tensor.request import Request, converted, used_by


@dataclass(frozen=True, slots=True)
class Options:
    """Ways to build a graph.

    ``drop``: coordinates of the result below which nothing is left are dropped. ``skips``, ``bits``: how
    compressed levels meet; see ``variants.py``. ``lanes``: copies of what is below the outermost loop, which
    must be over an index of the result. ``softmax``: of what the result
    stores, along its last level.
    """

    drop: bool = True
    skips: bool = False
    bits: bool = False
    lanes: int = 1
    softmax: bool = False

    def __post_init__(self) -> None:
        require(not (self.skips and self.bits), InputError, "skips and bits are two ways to meet: choose one")
        require(1 <= self.lanes <= MOST_LANES, InputError, f"lanes={self.lanes}: give 1 to {MOST_LANES}")


MOST_LANES = 15
"""What the configuration has room for."""
DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as the graph takes it: operand ``source``, in ``format``. ``along``: of a diagonal, see
    ``Request``; else ()."""

    source: str
    format: Format
    along: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph, and what it takes and gives.

    ``operands``: by the name the graph has for a tensor. The result is called ``out``, has the format
    ``form`` and the shape ``shape``; ``order``: of loops, outermost first. ``workspaces``: for each reducer
    of more than one value, the indices it is over; ``queues``: of the fibers that wait in a buffer, alike.
    ``loops``: as they are wired: k' is that of a second sum over k, and a sum may stand within a loop that
    ``order`` has further in. ``options``: what it was built with.
    """

    graph: Graph
    assignment: Assignment
    operands: Mapping[str, Operand]
    order: tuple[str, ...]
    extents: Mapping[str, int]
    out: str
    form: Format
    shape: tuple[int, ...]
    workspaces: tuple[tuple[str, ...], ...] = ()
    queues: tuple[tuple[str, ...], ...] = ()
    loops: tuple[str, ...] = ()
    options: Options = DEFAULT

    def stored(self, tensors: Mapping[str, Any]) -> dict[str, Storage]:
        """Operands under the graph's names, converted to the formats it takes."""
        given = {name: operand(value, name) for name, value in tensors.items()}
        found: dict[str, Storage] = {}
        for name, wanted in self.operands.items():
            storage = given[wanted.source]
            if wanted.along:
                storage = diagonal(storage, wanted.along)
            found[name] = converted(storage, wanted.format, self.assignment.zero)
        return found

    def result(self, traces: Traces) -> Storage:
        """What the graph wrote, as a storage of format ``form``."""
        return collected(self, traces)


def build(
    what: str | Assignment | Scheduled,
    tensors: Mapping[str, Any],
    order: tuple[str, ...] | None = None,
    *,
    semiring: str = "plus_times",
    formats: Mapping[str, Format | str] | None = None,
    options: Options = DEFAULT,
) -> Plan:
    """The graph of an expression for operands like ``tensors``: anything that holds numbers.

    ``order``: of loops, outermost first; left out, the one the schedule for a CPU has, or the first that a
    graph can have. ``formats``: of operands, else they come as they are stored, with what is neither dense
    nor compressed compressed, and modes in the order of loops. ChipError where no graph of these blocks does
    it.
    """
    if isinstance(what, Scheduled):
        order = what.order if order is None else order
        what = what.assignment
    assignment = parse(what, semiring=semiring) if isinstance(what, str) else what
    request = Request.of(assignment)
    given = {name: operand(value, name) for name, value in tensors.items()}
    checked_extents(request.spelt, {name: storage.shape for name, storage in given.items()})
    used = used_by(request, given)
    for name, wanted in (formats or {}).items():
        require(name in given, InputError, f"formats names {name!r}, but operands are {', '.join(given)}")
        for alias, source in request.sources.items():
            if source == name:
                form = format_of(wanted, used[alias].rank)
                used[alias] = converted(used[alias], form, request.assignment.zero)
    if order is not None:
        return _built(request, used, tuple(order), options)
    return _first(request, used, options)


def run(plan: Plan, tensors: Mapping[str, Any]) -> Storage:
    """The result by the untimed interpreter."""
    return plan.result(interpret(plan.graph, plan.stored(tensors)))


# --- orders -------------------------------------------------------------------------------------------


def _first(request: Request, used: Mapping[str, Storage], options: Options) -> Plan:
    refused: list[ChipError] = []
    for order in _orders(request, used):
        try:
            return _built(request, used, order, options)
        except ChipError as error:
            refused.append(error)
    raise refused[0]


def _orders(request: Request, used: Mapping[str, Storage]) -> Iterator[tuple[str, ...]]:
    """The order chosen for this CPU, then every other."""
    assignment = request.assignment
    shapes = {name: storage.shape for name, storage in used.items()}
    dtypes = {name: storage.dtype for name, storage in used.items()}
    types = {n: OperandType(n, s.format, s.dtype, s.index) for n, s in used.items()}
    sizes = Sizes(checked_extents(assignment, shapes), {n: s.counts() for n, s in used.items()})
    compute, result = compute_dtype(assignment, dtypes), result_dtype(assignment, dtypes)
    chosen: tuple[str, ...] | None = None
    try:
        chosen = choose(assignment, types, sizes, compute, result, Wanted()).scheduled.order
        yield chosen
    except UnsupportedError:
        pass
    for order in permutations(loop_indices(assignment)):
        if order != chosen:
            yield order


# --- one order ----------------------------------------------------------------------------------------


def _built(request: Request, used: Mapping[str, Storage], order: tuple[str, ...], options: Options) -> Plan:
    assignment = request.assignment
    names = loop_indices(assignment)
    require(
        sorted(order) == sorted(names),
        InputError,
        f"order={order!r} must name each index once: {', '.join(names)}",
    )
    refused: ChipError | None = None
    for costly in (False, True):
        refused = None
        for expr in _spellings(assignment.expr, order):
            try:
                return _wired(request, used, order, expr, options, costly=costly)
            except ChipError as error:
                refused = refused or error
    assert refused is not None
    raise refused


def _spellings(expr: Expr, order: tuple[str, ...]) -> list[Expr]:
    """``expr`` with every factor outside the sums it need not be in, which is least work; then with all
    factors inside: so no intermediate result of two dimensions meets a factor."""
    fold = fold_of(expr)
    whole: Expr | None = None
    for term in terms(expr, fold):
        inside = term.body
        for index in sorted(term.loops, key=order.index, reverse=True):
            inside = Reduce(fold, index, inside)
        whole = inside if whole is None else Binary(fold, whole, inside)
    assert whole is not None
    outside = nested(expr, order)
    return [outside] if whole == outside else [outside, whole]


def _wired(
    request: Request,
    used: Mapping[str, Storage],
    order: tuple[str, ...],
    spelt: Expr,
    options: Options,
    *,
    costly: bool,
) -> Plan:
    """``costly``: see ``Composer``; and sums may be computed anew, see ``sums.py``."""
    assignment = request.assignment
    extents = checked_extents(assignment, {name: storage.shape for name, storage in used.items()})
    expr, loops = settled(spelt, order, frozenset(assignment.out.indices)) if costly else (spelt, order)
    expr, leaves = _told_apart(expr)
    wiring = Wiring()
    sizes = {index: extents[unprimed(index)] for index in loops}
    composer = Composer(wiring, sizes, assignment.zero, options.lanes, costly)
    feeds: dict[Access, Feed] = {}
    operands: dict[str, Operand] = {}
    for access, name in leaves.items():
        form = _in_order(used[name].format, access.indices, loops)
        tensor = _named(operands, Operand(request.sources[name], form, request.along[name]), name)
        (root,) = wiring.add(Root(), f"root_{tensor}")
        indices = tuple(access.indices[mode] for mode in form.order)
        feed = Feed(tensor, indices, root, dense=tuple(level.full for level in form.levels))
        feeds[access] = composer.loaded(feed)
    out = assignment.out
    made = composer.solve(expr, feeds, loops, frozenset(out.indices), ())
    require(
        options.lanes == 1 or composer.lanes == 1,
        ChipError,
        f"lanes={options.lanes}: the outermost loop, over {order[0] if order else 'nothing'}, is not over an "
        "index of the result: choose another order",
    )
    if options.softmax:
        made = softmax(wiring, made, extents)
        composer.queues.append((made.axes[-1].index,))
    # An operand that is added to is not what is written.
    name = out.tensor if out.tensor not in operands else f"{out.tensor}_out"
    axes = written(wiring, name, made, drop=options.drop and assignment.zero == 0)
    kinds = tuple(LEVELS["dense" if axis.full else "compressed"] for axis in axes)
    form = Format(kinds, tuple(out.indices.index(axis.index) for axis in axes))
    shape = tuple(extents[i] for i in out.indices)
    graph = wiring.graph()
    graph = with_skips(graph) if options.skips else with_bits(graph) if options.bits else graph
    # An index is primed where two sums have it: they are cut alike.
    workspaces, queues = (
        tuple(tuple(map(unprimed, names)) for names in found)
        for found in (composer.workspaces, composer.queues)
    )
    held = workspaces, queues, loops
    return Plan(graph, assignment, operands, order, extents, name, form, shape, *held, options)


def _told_apart(expr: Expr) -> tuple[Expr, dict[Access, str]]:
    """Every access under a key of its own, and the tensor of each key. One that stands in two terms may be
    there in one and not in the other."""
    leaves: dict[Access, str] = {}

    def visit(node: Expr) -> Expr:
        if isinstance(node, Access):
            key = Access(f"{len(leaves)}:{node.tensor}", node.indices)
            leaves[key] = node.tensor
            return key
        return rebuilt(node, tuple(visit(child) for child in children(node)))

    return visit(expr), leaves


def _in_order(form: Format, indices: tuple[str, ...], order: tuple[str, ...]) -> Format:
    """The nearest format of dense and compressed levels whose modes come in the order of loops."""
    kinds = [LEVELS["dense"] if level.full else LEVELS["compressed"] for level in form.levels]
    modes = tuple(sorted(range(form.rank), key=lambda mode: order.index(indices[mode])))
    if modes != form.order and not form.dense and kinds[-1].full:
        # A dense level below others would store more in another order than in this one.
        kinds = [LEVELS["compressed"]] * form.rank
    return Format(tuple(kinds), modes)


def _named(operands: dict[str, Operand], wanted: Operand, name: str) -> str:
    """Where an operand is kept already in the same format, under the name it has there."""
    for known, other in operands.items():
        if other == wanted:
            return known
    found, count = name, 2
    while found in operands:
        found, count = f"{name}{count}", count + 1
    operands[found] = wanted
    return found


# --- the result ---------------------------------------------------------------------------------------


def collected(plan: Plan, traces: Traces) -> Storage:
    """The written arrays as a storage."""
    values = traces.values[plan.out]
    index = index_type(plan.shape, len(values))
    levels: list[tuple[Any, ...]] = []
    for at, level in enumerate(plan.form.levels):
        if level.full:
            levels.append(())
        else:
            pos, crd = traces.levels[plan.out, at]
            levels.append((pos.astype(index.numpy()), crd.astype(index.numpy())))
    fill = plan.assignment.zero
    return Storage(plan.form, plan.shape, tuple(levels), np.asarray(values), fill, index)
