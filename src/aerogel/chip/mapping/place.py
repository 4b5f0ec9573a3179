"""Placement: cells onto tiles so that wires are short, by annealing.

What is made small is the sum over nets of half the perimeter of the rectangle around their cells, in tiles.
Cells start near those they talk to; then random ones move, or swap with who is there, within a reach that
shrinks, and a move for the worse by d is kept with probability exp(-d / temperature), which falls. As in
Betz and Rose, VPR (FPL 1997), with a fixed number of moves. Same netlist, same seed: same placement.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from aerogel.chip.mapping.mapping import Tile
from aerogel.chip.mapping.nets import Nets
from aerogel.chip.mapping.region import Region, on_memory

MOVES = 150
"""Per cell."""

COLDEST = 0.02
"""The last temperature, in tiles: no worse move is kept any more."""


def place(nets: Nets, region: Region, seed: int = 0) -> list[Tile]:
    """A tile of the right kind for each cell, no two the same. The region must have enough of both kinds."""
    grid = _Grid(nets, region)
    _start(grid)
    _anneal(grid, random.Random(seed))
    return [Tile(grid.rows[at], grid.columns[at]) for at in range(len(nets.cells))]


class _Grid:
    """Where everything is: of cell c, its row and column, and of each tile, its cell or -1.

    ``lanes``: of a cell, the columns of its kind; ``lane``: in which of them it is. ``ends``: of a net, its
    cells; ``nets``: of a cell, its nets; ``lengths``: of a net, what ``length`` last said.
    """

    def __init__(self, nets: Nets, region: Region) -> None:
        self.region = region
        kinds = [on_memory(cell) for cell in nets.cells]
        lanes = {kind: region.tile_columns(memory=kind) for kind in (False, True)}
        self.lanes = [lanes[kind] for kind in kinds]
        self.lane = [0] * len(kinds)
        self.rows = [-1] * len(kinds)
        self.columns = [-1] * len(kinds)
        self.cell = {
            (r, c): -1 for r in range(region.row, region.row + region.rows) for c in _columns(region)
        }
        ends = [{net.source.cell, *(sink.cell for sink in net.sinks)} for net in nets.nets]
        self.ends = [sorted(cells) for cells in ends if len(cells) > 1]
        self.nets: list[list[int]] = [[] for _ in kinds]
        for at, cells in enumerate(self.ends):
            for cell in cells:
                self.nets[cell].append(at)
        self.lengths = [0] * len(self.ends)

    def length(self, net: int) -> int:
        """Half the perimeter around a net's cells."""
        rows = [self.rows[cell] for cell in self.ends[net]]
        columns = [self.columns[cell] for cell in self.ends[net]]
        return max(rows) - min(rows) + max(columns) - min(columns)

    def put(self, cell: int, row: int, lane: int) -> None:
        """Onto the tile in ``row`` of the cell's column number ``lane``."""
        self.rows[cell], self.lane[cell] = row, lane
        self.columns[cell] = self.lanes[cell][lane]
        self.cell[row, self.columns[cell]] = cell


def _columns(region: Region) -> range:
    return range(region.column, region.column + region.columns)


def _start(grid: _Grid) -> None:
    """Every cell on the free tile nearest to the middle of those it talks to; the first in the centre."""
    region = grid.region
    centre = (region.row + (region.rows - 1) / 2, region.column + (region.columns - 1) / 2)
    for cell, lanes in enumerate(grid.lanes):
        near = {other for net in grid.nets[cell] for other in grid.ends[net] if grid.rows[other] >= 0}
        row = sum(grid.rows[other] for other in near) / len(near) if near else centre[0]
        column = sum(grid.columns[other] for other in near) / len(near) if near else centre[1]
        free = (
            (abs(r - row) + abs(c - column), r, lane)
            for lane, c in enumerate(lanes)
            for r in range(region.row, region.row + region.rows)
            if grid.cell[r, c] < 0
        )
        _, r, lane = min(free)
        grid.put(cell, r, lane)


@dataclass(slots=True)
class _Heat:
    """How far a move may go (rows, columns of a kind), and how bad it may be (tiles)."""

    reach: float
    temperature: float


def _anneal(grid: _Grid, chance: random.Random) -> None:
    count = len(grid.lanes)
    if count < 2 or not grid.ends:
        return
    moves = MOVES * count + 2000
    steps = 60
    widest = float(max(grid.region.rows, grid.region.columns))
    grid.lengths = [grid.length(net) for net in range(len(grid.ends))]
    heat = _Heat(widest, 0.05 * sum(grid.lengths) / len(grid.ends) + 1.0)
    cooling = (COLDEST / heat.temperature) ** (1 / steps)
    narrowing = (1.5 / widest) ** (1 / steps)
    for _ in range(steps):
        for _ in range(moves // steps):
            _move(grid, chance.randrange(count), heat, chance)
        heat.temperature *= cooling
        heat.reach *= narrowing


def _move(grid: _Grid, cell: int, heat: _Heat, chance: random.Random) -> None:
    """Tries one move, and undoes it where it does not please."""
    reach = int(heat.reach) or 1
    first, last = grid.region.row, grid.region.row + grid.region.rows - 1
    old_row, old_lane = grid.rows[cell], grid.lane[cell]
    row = min(max(old_row + chance.randint(-reach, reach), first), last)
    lane = min(max(old_lane + chance.randint(-reach, reach), 0), len(grid.lanes[cell]) - 1)
    if row == old_row and lane == old_lane:
        return
    other = grid.cell[row, grid.lanes[cell][lane]]
    touched: Sequence[int] = grid.nets[cell]
    if other >= 0:
        touched = list({*touched, *grid.nets[other]})
    _swap(grid, cell, other, row, lane)
    lengths = [grid.length(net) for net in touched]
    worse = sum(lengths) - sum([grid.lengths[net] for net in touched])
    if worse > 0 and chance.random() >= math.exp(-worse / heat.temperature):
        _swap(grid, cell, other, old_row, old_lane)
        return
    for net, length in zip(touched, lengths, strict=True):
        grid.lengths[net] = length


def _swap(grid: _Grid, cell: int, other: int, row: int, lane: int) -> None:
    """The cell to the tile given; ``other`` (-1: nobody), which is there, to where the cell was."""
    old_row, old_lane = grid.rows[cell], grid.lane[cell]
    grid.cell[old_row, grid.columns[cell]] = -1
    if other >= 0:
        grid.put(other, old_row, old_lane)
    grid.put(cell, row, lane)
