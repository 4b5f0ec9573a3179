"""Whether a netlist fits a fabric at all, and how many of it; what is missing is said by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.machine.netlist import Cell
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.chip.mapping.nets import Nets
from aerogel.chip.mapping.region import Needs, Region, needs, on_memory, whole
from aerogel.core.errors import ChipError, require


class FitError(ChipError):
    """A netlist has no place on a fabric: too few tiles, or wires that find no way. The message says what is
    short."""


def require_fit(nets: Nets, fabric: Fabric, copies: int = 1) -> None:
    """FitError, with all that takes the tiles, where the cells need more of a kind than there are; or where
    there are more segments than numbers for them."""
    cells = nets.cells
    need, has = needs(cells), whole(fabric).has
    for kind, wanted, there in (
        ("memory", need.memory * copies, has.memory),
        ("processing", need.processing * copies, has.processing),
    ):
        what = Counter(cell.opcode.name for cell in cells if on_memory(cell) is (kind == "memory"))
        listed = ", ".join(f"{count} {name}" for name, count in sorted(what.items()))
        each = f"{copies} copies of " if copies > 1 else ""
        advice = "map fewer copies" if copies > 1 else "split the expression or choose a larger fabric"
        told = f"needs {wanted} {kind} tiles, {fabric.name} has {there}: {each}{listed}; {advice}"
        require(wanted <= there, FitError, told)
    segments = len(nets.segments) * copies
    told = f"{copies} copies of {len(nets.segments)} segments are {segments}: {_numbers()} have numbers"
    require(segments <= _numbers(), FitError, f"{told}; map fewer copies")


def most_copies(nets: Nets, fabric: Fabric) -> int:
    """As many copies as there are tiles and numbers of segments for, whatever the shapes and wires say."""
    need, has = needs(nets.cells), whole(fabric).has
    bounds = [there // each for there, each in _kinds(has, need) if each]
    return min([*bounds, _numbers() // max(1, len(nets.segments))])


def _numbers() -> int:
    """How many segments can be told apart by the parameters of cells."""
    return min(1 << p.bits for spec in OPCODES.values() for p in spec.parameters if p.segment)


def _kinds(a: Needs, b: Needs) -> tuple[tuple[int, int], tuple[int, int]]:
    return (a.memory, b.memory), (a.processing, b.processing)


def loose(cells: tuple[Cell, ...], fabric: Fabric) -> Iterator[Region]:
    """Regions in the middle of the fabric for one copy, smallest first, the whole of it at last.

    The first have a quarter more tiles than needed, or as near as the fabric allows: wires want room.
    """
    need = needs(cells)
    room = Needs(-(-need.memory * 5 // 4), -(-need.processing * 5 // 4))
    fitting = [shape for shape in _shapes(fabric) if room.within(shape.has)]
    best = min(fitting, key=lambda s: (s.rows + s.columns, s.rows * s.columns, s.rows), default=None)
    if best is not None:
        period = fabric.processing_columns + 1
        column = (fabric.columns - best.columns) // 2 // period * period
        yield Region(fabric, (fabric.rows - best.rows) // 2, column, best.rows, best.columns)
    yield whole(fabric)


def tight(cells: tuple[Cell, ...], fabric: Fabric, copies: int) -> Iterator[Region]:
    """Regions of which at least so many stand side by side: the roomiest and squarest first.

    Each is as wide as a number of whole groups of columns, so that memories stay memories in every copy.
    """
    need = needs(cells)
    fitting = [s for s in _shapes(fabric) if need.within(s.has) and side_by_side(s) >= copies]
    yield from sorted(fitting, key=lambda s: (-s.rows * s.columns, s.rows + s.columns, s.rows))


def side_by_side(region: Region) -> int:
    """How many of a region its fabric holds."""
    return (region.fabric.rows // region.rows) * (region.fabric.columns // region.columns)


def _shapes(fabric: Fabric) -> Iterator[Region]:
    """Every size of region, in the top left corner. One that is not all the fabric has whole groups only."""
    period = fabric.processing_columns + 1
    widths = sorted({*range(period, fabric.columns + 1, period), fabric.columns})
    for columns in widths:
        for rows in range(1, fabric.rows + 1):
            yield Region(fabric, 0, 0, rows, columns)
