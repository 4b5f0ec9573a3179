"""From an expression and whole tensors to a program: graph, mapping, cuts, configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aerogel.chip.configure.encode import encode
from aerogel.chip.configure.from_mapping import design_of, names_of
from aerogel.chip.configure.layout import MOST_SEGMENTS
from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.cuts import Cuts, Pieces
from aerogel.chip.firmware.cutting import Cutter, UncutError
from aerogel.chip.firmware.device import Symbols
from aerogel.chip.firmware.orders import Choice, Chooser
from aerogel.chip.firmware.program import Program
from aerogel.chip.graph.build import DEFAULT, Plan, build
from aerogel.chip.graph.build import Options as Ways
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.netlist import Cell, Netlist, Opcode
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.chip.mapping.fit import FitError
from aerogel.chip.mapping.mapping import Mapping as Mapped
from aerogel.chip.mapping.place_and_route import place_and_route
from aerogel.core.errors import ChipError, InputError, require
from aerogel.einsum.nodes import Assignment, accesses
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.tensor.request import Request, used_by
from aerogel.tensor.tensor import Tensor

WORTH = 64
"""Stored values for each copy of a graph, at the least: below it, another one has next to nothing to do."""

MAPPED = 3
"""Orders for which a way over the fabric is looked for, the best first, before it is said that there is
none."""


@dataclass(frozen=True, slots=True)
class Options:
    """``order``: of loops; ``formats``: of operands; ``copies``: of the graph, side by side. None: chosen.
    ``graph``: ways to build it."""

    order: tuple[str, ...] | None = None
    formats: Mapping[str, Any] | None = None
    copies: int | None = None
    graph: Ways = DEFAULT


@dataclass(frozen=True, slots=True)
class Translated:
    """``plan``: the graph for whole tensors; ``mapping``: of a piece's graph, all copies of it. ``choice``:
    how the order of loops was chosen, None where it was given."""

    plan: Plan
    mapping: Mapped
    program: Program
    choice: Choice | None = None


def translated(
    request: Request, given: Mapping[str, Storage], fabric: Fabric, options: Options
) -> Translated:
    """The program of an assignment for operands ``given``; ChipError where the fabric cannot run it.

    Every access has a tensor of its own, so that each can be cut in its own way.
    """
    plan, chooser = _begun(request, given, fabric, options)
    tensors, formats = chooser.tensors, chooser.formats
    if options.order is not None or len(plan.order) < 2:
        try:
            return _mapped(plan, tensors, fabric, options.copies)
        except UncutError as error:
            raise error.instead(chooser.fitting(plan.order, options.copies or 1)) from error

    choice = chooser.choice(plan.order)
    refused: ChipError | None = None
    for order in choice.best(MAPPED):
        chosen = build(request.assignment, tensors, order, formats=formats, options=options.graph)
        try:
            return replace(_mapped(chosen, tensors, fabric, options.copies), choice=choice)
        except ChipError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return _mapped(plan, tensors, fabric, options.copies)


def foretold(
    request: Request, given: Mapping[str, Storage], fabric: Fabric, options: Options
) -> tuple[float, Format]:
    """About how many cycles ``translated`` gives an assignment, and the format of the result; ChipError where
    no order can be done. Whether wires find a way is not looked into."""
    plan, chooser = _begun(request, given, fabric, options)
    if options.order is None and len(plan.order) > 1:
        cycles = chooser.choice(plan.order).cycles
    else:
        found = chooser.cycles(plan.order)
        cycles = {} if found is None else {plan.order: found}
    require(cycles, FitError, f"no order of loops can be done on {fabric.name}")
    best = next(iter(cycles))
    return cycles[best], chooser.built(best, options.graph).form


def _begun(
    request: Request, given: Mapping[str, Storage], fabric: Fabric, options: Options
) -> tuple[Plan, Chooser]:
    """The graph of the order that is given, or of the first that there is, and what compares orders."""
    formats = _formats(request, options.formats)
    tensors = {name: Tensor(storage) for name, storage in used_by(request, given).items()}
    plan = build(request.assignment, tensors, options.order, formats=formats, options=options.graph)

    def worth(plan: Plan, stored: Mapping[str, Storage], netlist: Netlist) -> int:
        return _most(plan, stored, netlist, options.copies)

    return plan, Chooser(request, tensors, formats, fabric, options.graph, worth)


def _mapped(plan: Plan, tensors: Mapping[str, Tensor], fabric: Fabric, copies: int | None) -> Translated:
    stored = plan.stored(tensors)
    whole = assemble(plan.graph, stored, fabric).netlist
    most = _most(plan, stored, whole, copies)
    while True:
        mapping = mapped(whole, fabric, most, exactly=copies is not None)
        try:
            return _cut(plan, stored, mapping, None)
        except UncutError:
            # Pieces of many copies may crowd the buffer however small they are.
            if copies is not None or mapping.copies == 1:
                raise
            most = mapping.copies // 2


def recut(done: Translated) -> Translated:
    """The same, cut finer, for a result had no room; ChipError where nothing gives it more."""
    cut = _cut(done.plan, done.program.tensors, done.mapping, done.program.cuts)
    return replace(cut, choice=done.choice)


def renewed(done: Translated, tensors: Mapping[str, Storage]) -> Translated:
    """The same graph on the same tiles for other operands of the same shapes: cut anew. ``tensors``: by the
    names that the assignment has for them."""
    plan = done.plan
    stored = plan.stored({name: Tensor(storage) for name, storage in tensors.items()})
    return replace(_cut(plan, stored, done.mapping, None), choice=done.choice)


def _cut(plan: Plan, tensors: Mapping[str, Storage], mapping: Mapped, crowded: Cuts | None) -> Translated:
    fabric = mapping.fabric
    cutter = Cutter(plan, tensors, fabric, mapping.copies, crowded)
    cuts = cutter.cuts()
    piece, netlist = _piece(plan, tensors, cuts, fabric)
    mapping = resized(mapping, netlist)
    design = design_of(mapping)
    symbols = Symbols(names_of(design), tuple(segment.name for segment in mapping.netlist.segments))
    words, room = encode(design, fabric), cutter.room(cuts)
    program = Program(piece, tensors, fabric, cuts, mapping.copies, words, netlist.segments, room, symbols)
    return Translated(plan, mapping, program)


def _piece(plan: Plan, tensors: Mapping[str, Storage], cuts: Cuts, fabric: Fabric) -> tuple[Plan, Netlist]:
    """The graph of a piece and its netlist: as the whole's, for smaller extents."""
    indices = {name: done for name, done in _indices(plan.assignment).items() if name in tensors}
    nothing = {name: Pieces(storage, indices[name], cuts).nothing() for name, storage in tensors.items()}
    empty = {name: Tensor(storage) for name, storage in nothing.items()}
    piece = build(plan.assignment, empty, plan.order, options=plan.options)
    require(
        piece.form == plan.form and len(piece.graph.nodes) == len(plan.graph.nodes),
        ChipError,
        "the graph of a piece is not that of the whole: this is a fault of the compiler",
    )
    return piece, assemble(piece.graph, piece.stored(empty), fabric).netlist


def _indices(assignment: Assignment) -> dict[str, tuple[str, ...]]:
    return {access.tensor: access.indices for access in accesses(assignment.expr)}


def _formats(request: Request, formats: Mapping[str, Any] | None) -> dict[str, Any]:
    """Formats of operands, for every name an operand has."""
    given = dict(formats or {})
    known = set(request.sources.values())
    for name in given:
        require(
            name in known, InputError, f"formats names {name!r}, but operands are {', '.join(sorted(known))}"
        )
    return {alias: given[source] for alias, source in request.sources.items() if source in given}


# --- copies -------------------------------------------------------------------------------------------


def _most(plan: Plan, stored: Mapping[str, Storage], netlist: Netlist, wanted: int | None) -> int:
    """How many copies there may be: as are asked for, or as there is work for."""
    numbered = MOST_SEGMENTS // max(1, len(netlist.segments))
    if wanted is not None:
        require(wanted >= 1, InputError, f"copies={wanted}: give a whole number from 1 on")
        words = f"{wanted} copies have {wanted * len(netlist.segments)} segments: there are {MOST_SEGMENTS}"
        require(wanted <= numbered, ChipError, words)
        return wanted
    out = plan.assignment.out.indices
    first = next((i for i in plan.order if i in out), None)
    if first is None:
        return 1
    work = max((len(s.values) for s in stored.values() if not s.format.dense), default=plan.extents[first])
    return max(1, min(plan.extents[first], work // WORTH, numbered))


def mapped(netlist: Netlist, fabric: Fabric, most: int, *, exactly: bool) -> Mapped:
    """The netlist on the fabric, ``most`` times, or as often below that as it fits and wires find a way."""
    if exactly:
        return place_and_route(netlist, fabric, most)
    return place_and_route(netlist, fabric, None, most=most)


def resized(mapping: Mapped, netlist: Netlist) -> Mapped:
    """The mapping with every cell set as in ``netlist``, of the same graph for other extents."""
    settings = {cell.name: cell.params for cell in netlist.cells}
    each = len(netlist.segments)
    cells: list[Cell] = []
    for cell in mapping.netlist.cells:
        name, _, copy = cell.name.partition("#")
        params = settings.get(name)
        if params is None or cell.opcode is Opcode.FORK:
            cells.append(cell)
            continue
        offset = int(copy or 0) * each
        specs = OPCODES[cell.opcode].parameters
        moved = tuple(v + offset if p.segment else v for p, v in zip(specs, params, strict=True))
        cells.append(replace(cell, params=moved))
    segments = tuple(
        replace(part, words=netlist.segments[at % each].words)
        for at, part in enumerate(mapping.netlist.segments)
    )
    return replace(mapping, netlist=replace(mapping.netlist, cells=tuple(cells), segments=segments))
