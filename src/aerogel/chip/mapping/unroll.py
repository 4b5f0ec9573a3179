"""Unrolling: a mapped graph, several times side by side, each copy with segments of its own."""

from __future__ import annotations

from dataclasses import replace

from aerogel.chip.machine.netlist import Cell, Netlist
from aerogel.chip.machine.opcodes import OPCODES
from aerogel.chip.mapping.mapping import Mapping, Route, Tile
from aerogel.chip.mapping.region import Region


def unrolled(mapping: Mapping, region: Region, copies: int) -> Mapping:
    """``copies`` of a mapping of one copy, which lies in ``region``, row by row of regions.

    Names of cells and segments end in ``#0``, ``#1`` ... The regions must fit the fabric.
    """
    if copies == 1:
        return mapping
    across = region.fabric.columns // region.columns
    netlist = mapping.netlist
    cells: list[Cell] = []
    tiles: list[Tile] = []
    routes: list[Route] = []
    for copy in range(copies):
        rows, columns = (region.rows * (copy // across), region.columns * (copy % across))
        cells += [_renumbered(cell, netlist, copy) for cell in netlist.cells]
        tiles += [_moved(tile, rows, columns) for tile in mapping.tiles]
        routes += [
            Route(tuple(_moved(tile, rows, columns) for tile in way.tiles), way.track)
            for way in mapping.routes
        ]
    segments = tuple(replace(s, name=f"{s.name}#{copy}") for copy in range(copies) for s in netlist.segments)
    whole = Netlist(tuple(cells), netlist.channels * copies, segments, netlist.values)
    return Mapping(mapping.fabric, whole, tuple(tiles), tuple(routes), copies)


def _moved(tile: Tile, rows: int, columns: int) -> Tile:
    return Tile(tile.row + rows, tile.column + columns)


def _renumbered(cell: Cell, netlist: Netlist, copy: int) -> Cell:
    """The cell of a later copy: its channels and segments are that copy's."""
    channels, segments = copy * len(netlist.channels), copy * len(netlist.segments)
    spec = OPCODES[cell.opcode].parameters
    return Cell(
        cell.opcode,
        tuple(v + segments if p.segment else v for p, v in zip(spec, cell.params, strict=True)),
        tuple(c + channels if c >= 0 else c for c in cell.inputs),
        tuple(c + channels if c >= 0 else c for c in cell.outputs),
        f"{cell.name}#{copy}",
    )
