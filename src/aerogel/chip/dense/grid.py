"""The grid of dense mode: rows of multipliers that hand operands to their neighbours, as a netlist.

Cell (p, q) multiplies what comes from the left, which is its row's, with what comes from above, its column's,
adds the products up, and passes both on; sums leave its row to the right, the last cell's first. Memory tiles
send each row and each column its operands, and one stores each row's sums: no token says where anything ends.
A systolic array (Kung and Leiserson 1978), which waits where an operand is late instead of going wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.graph.streams import Kind
from aerogel.chip.machine.affine import Affine
from aerogel.chip.machine.netlist import Cell, Channel, Netlist, Opcode, Segment
from aerogel.chip.mapping.mapping import Mapping, Tile
from aerogel.chip.mapping.nets import nets_of, routed
from aerogel.chip.mapping.region import whole
from aerogel.chip.mapping.route import Congestion, route
from aerogel.core.errors import ChipError, require


@dataclass(frozen=True, slots=True)
class Walks:
    """``rows``: the addresses in operand 0 of each row of cells; ``columns``: in operand 1 of each column.
    ``count``: products in a sum. All walks are as long, and a multiple of it: one sum after the other."""

    rows: tuple[Affine, ...]
    columns: tuple[Affine, ...]
    count: int

    def __post_init__(self) -> None:
        lengths = {walk.count for walk in (*self.rows, *self.columns)}
        require(
            len(lengths) == 1 and self.count > 0 and not max(lengths) % self.count,
            ChipError,
            f"walks of {sorted(lengths)} words for sums of {self.count} products do not go together",
        )

    @property
    def sums(self) -> int:
        """How many sums each cell makes."""
        return self.rows[0].count // self.count


def largest(fabric: Fabric) -> tuple[int, int]:
    """Rows and columns of the largest grid: two columns of memory tiles are the rows' own, and the columns'
    operands come from the others."""
    processing = sum(not fabric.is_memory(column) for column in range(fabric.columns))
    memory = fabric.columns - processing
    require(
        memory >= 3 and processing > 0,
        ChipError,
        f"{fabric.name} has {memory} columns of memory tiles: dense mode needs 3, for operands and results",
    )
    return fabric.rows, min(processing, (memory - 2) * fabric.rows)


def netlist(walks: Walks, operands: tuple[Segment, Segment], fabric: Fabric) -> Netlist:
    """The grid as a netlist. Segments: the two operands, then each row's results."""
    made = _Made(fabric)
    rows, columns = len(walks.rows), len(walks.columns)
    right = [made.address(f"rows_{p}", 0, walk) for p, walk in enumerate(walks.rows)]
    down = [made.address(f"columns_{q}", 1, walk) for q, walk in enumerate(walks.columns)]
    segments = list(operands)
    for p in range(rows):
        along, sums = right[p], -1
        for q in range(columns):
            ins = (along, down[q]) if q == 0 else (along, down[q], sums)
            sums = made.channel()
            along = made.channel() if q + 1 < columns else -1
            down[q] = made.channel() if p + 1 < rows else -1
            cell = Cell(
                Opcode.MULTIPLY_ADD, (walks.count, q), ins, (sums, along, down[q]), f"product_{p}_{q}"
            )
            made.cells.append(cell)
        segments.append(Segment(f"sums_{p}.vals", "vals", walks.sums * columns, written=True))
        made.cells.append(Cell(Opcode.WRITE_VALUES, (len(segments) - 1,), (sums,), (), f"sums_{p}"))
    return Netlist(tuple(made.cells), tuple(made.channels), tuple(segments), fabric.values)


@dataclass
class _Made:
    fabric: Fabric
    cells: list[Cell] = field(default_factory=list[Cell])
    channels: list[Channel] = field(default_factory=list[Channel])

    def channel(self) -> int:
        self.channels.append(Channel(Kind.VALUE, self.fabric.room(1, into_tile=True)))
        return len(self.channels) - 1

    def address(self, name: str, segment: int, walk: Affine) -> int:
        out = self.channel()
        self.cells.append(Cell(Opcode.ADDRESS, (segment, *walk.parameters()), (), (out,), name))
        return out


def mapped(grid: Netlist, rows: int, columns: int, fabric: Fabric) -> Mapping:
    """The grid on the fabric, each multiplier beside those it talks to; ChipError where it does not fit."""
    most = largest(fabric)
    require(
        rows <= most[0] and columns <= most[1],
        ChipError,
        f"a grid of {rows} x {columns} multipliers: {fabric.name} has room for {most[0]} x {most[1]}",
    )
    nets = nets_of(grid)
    tiles = _tiles(nets.cells, columns, fabric)
    ways = route(nets, tiles, whole(fabric))
    if isinstance(ways, Congestion):
        raise ChipError(
            f"the wires of a grid of {rows} x {columns} find no way on {fabric.name}: {len(ways.links)} "
            "links are wanted twice; ask for a smaller grid, or a fabric with more tracks"
        )
    return routed(nets, fabric, tiles, ways)


def _tiles(cells: Sequence[Cell], columns: int, fabric: Fabric) -> list[Tile]:
    """Multiplier (p, q) in row p of the q-th column of its kind. Rows' operands lie in the first column of
    memories, their results in the first beyond the last multiplier; columns' operands in those between."""
    memory = [c for c in range(fabric.columns) if fabric.is_memory(c)]
    processing = [c for c in range(fabric.columns) if not fabric.is_memory(c)]
    first = memory[0]
    last = next((c for c in memory[1:] if c > processing[columns - 1]), memory[-1])
    free = [
        Tile(row, column) for row in range(fabric.rows) for column in memory if column not in (first, last)
    ]
    found: list[Tile] = []
    for cell in cells:
        what, *numbers = cell.name.split("_")
        at = int(numbers[0])
        match what:
            case "rows":
                found.append(Tile(at, first))
            case "sums":
                found.append(Tile(at, last))
            case "columns":
                nearest = min(free, key=lambda t: (abs(t.column - processing[at]) + t.row, t.column))
                free.remove(nearest)
                found.append(nearest)
            case _:
                found.append(Tile(at, processing[int(numbers[1])]))
    return found
